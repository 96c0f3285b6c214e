"""What is inside an index? Lists, codes, centroids and matrices as arrays."""

from typing import Any

import numpy as np

from steep import faiss


def get_invlist(invlists: Any, l: int) -> tuple[Any, Any]:
    """The ids and the codes of a list; those of lists in blocks as (blocks, bytes, vectors of a block)."""
    size = invlists.list_size(l)
    ids = faiss.rev_swig_ptr(invlists.get_ids(l), size).copy()
    if isinstance(invlists, faiss.BlockInvertedLists):
        blocks: Any = invlists
        each, block = int(blocks.n_per_block), int(blocks.block_size)
        shape: tuple[int, ...] = (-(-size // each), block // each, each)
    else:
        shape = (size, invlists.code_size)
    codes = faiss.rev_swig_ptr(invlists.get_codes(l), int(np.prod(shape))).copy()
    return ids, codes.reshape(shape)


def get_invlist_sizes(invlists: Any) -> Any:
    """How many vectors each list has."""
    return np.array([invlists.list_size(at) for at in range(invlists.nlist)], np.int64)


def print_object_fields(obj: Any) -> None:
    """Print the attributes of an object."""
    for name in dir(obj):
        if not name.startswith("_") and not callable(getattr(obj, name)):
            print(f"{name} = {getattr(obj, name)}")


def get_pq_centroids(pq: Any) -> Any:
    """The centroids of a product quantizer, (M, ksub, dsub)."""
    return faiss.vector_to_array(pq.centroids).reshape(pq.M, pq.ksub, pq.dsub)


def get_LinearTransform_matrix(pca: Any) -> tuple[Any, Any]:
    """A and b of a linear transform."""
    return faiss.vector_to_array(pca.A).reshape(pca.d_out, pca.d_in), faiss.vector_to_array(pca.b)


def make_LinearTransform_matrix(A: Any, b: Any = None) -> Any:
    """The linear transform of a matrix, and an offset where there is one."""
    d_out, d_in = A.shape
    assert b is None or b.shape == (d_out,), f"b has shape {b.shape} for {d_out} rows"
    made = faiss.LinearTransform(d_in, d_out, b is not None)
    faiss.copy_array_to_vector(A.ravel(), made.A)
    if b is not None:
        faiss.copy_array_to_vector(b, made.b)
    made.is_trained = True
    made.set_is_orthonormal()
    return made


def get_additive_quantizer_codebooks(aq: Any) -> list[Any]:
    """The codebooks of an additive quantizer."""
    books, ends = (
        faiss.vector_to_array(aq.codebooks).reshape(-1, aq.d),
        faiss.vector_to_array(aq.codebook_offsets),
    )
    return [books[ends[at] : ends[at + 1]] for at in range(aq.M)]


def get_flat_data(index: Any) -> Any:
    """The vectors of a flat index."""
    return faiss.vector_to_array(index.codes).view(np.float32).reshape(index.ntotal, index.d)


def get_flat_codes(index_flat: Any) -> Any:
    """The codes of an index that keeps them one after the other."""
    return faiss.vector_to_array(index_flat.codes).reshape(index_flat.ntotal, index_flat.code_size)


def get_NSG_neighbors(nsg: Any) -> Any:
    """The neighbours of each node, (N, K), -1 where there are fewer."""
    graph = nsg.get_final_graph()
    return faiss.rev_swig_ptr(graph.data, graph.N * graph.K).reshape(graph.N, graph.K).copy()
