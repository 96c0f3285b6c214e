"""How does a text become a vector? By the letter sequences that it shares with other texts.

1. A text is put in lower case, everything but letters and digits becomes a space.
2. Each sequence of 3, 4 and 5 characters (an n-gram) is hashed to one of 2^18 numbers: a text is
   now a very long vector of counts, nearly all of them zero.
3. Counts are damped, 1 + log(count), and weighted by how rare the n-gram is, log(texts / texts
   with it): TF-IDF. "the" says little, "readlines" says much.
4. A random projection brings the 2^18 numbers down to 256: each n-gram is added to, or taken from,
   eight of the 256 coordinates, chosen once at random by a fixed seed. Angles survive it, give or
   take 1/16 (Johnson and Lindenstrauss 1984; sparse as in Kane and Nelson 2014).
5. The vector is scaled to length 1, so that the inner product is the cosine.

It knows spelling, not meaning: "convert to lower case" finds "lower-cased", never "minuscule". That
is enough for vectors of a real distribution and for results that a reader can judge; it is no part
of the engine.
"""

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

DIM = 256
BUCKETS_LOG2 = 18
NONZEROS = 8  # coordinates of the 256 that one n-gram touches
LENGTHS = (3, 4, 5)
CHUNK = 4096  # texts at a time: their n-grams then take some 50 MB
SAMPLE = 50_000  # texts that the rarity of n-grams is estimated from

Floats = npt.NDArray[np.float32]
Progress = Callable[[str, int, int], object]

SEPARATOR = 10  # the newline between two texts


def alphabet() -> bytes:
    """Make the table that step 1 looks bytes up in. Beyond ASCII, bytes stay as they are."""
    keep = bytearray(b" " * 128) + bytearray(range(128, 256))
    for byte in b"0123456789abcdefghijklmnopqrstuvwxyz\n":
        keep[byte] = byte
    for byte in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        keep[byte] = byte + 32
    return bytes(keep)


ALPHABET = alphabet()
SPACES = re.compile(rb" {2,}")


def ngrams(texts: list[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
    """Count the hashed n-grams of each text: (text, bucket, count), one entry for each that occurs.

    Words begin and end with a space, so that "art" within "start" is another n-gram than " art".
    """
    lines = (" " + text.replace("\n", " ") + " " for text in texts)
    raw = "\n".join(lines).encode("utf-8", errors="replace").translate(ALPHABET)
    data = np.frombuffer(SPACES.sub(b" ", raw), np.uint8)
    separators = data == SEPARATOR
    owner = np.cumsum(separators)
    keys = []
    for length in LENGTHS:
        places = len(data) - length + 1
        if places <= 0:
            continue
        # A polynomial of the bytes, then a multiplication that spreads it over the upper bits.
        rolling = np.zeros(places, np.uint32)
        crosses = np.zeros(places, bool)
        for offset in range(length):
            rolling *= np.uint32(0x01000193)
            rolling += data[offset : offset + places]
            crosses |= separators[offset : offset + places]
        bucket = (rolling * np.uint32(0x9E3779B1 + 2 * length)) >> np.uint32(32 - BUCKETS_LOG2)
        key = (owner[:places] << BUCKETS_LOG2) | bucket
        keys.append(key[~crosses])
    key, count = np.unique(np.concatenate(keys or [np.empty(0, np.int64)]), return_counts=True)
    return key >> BUCKETS_LOG2, key & ((1 << BUCKETS_LOG2) - 1), count.astype(np.float32)


class Embedder:
    """Turns texts into vectors, with weights learnt from a corpus."""

    def __init__(self, rarity: Floats, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        shape = (NONZEROS, 1 << BUCKETS_LOG2)
        self.rarity = rarity
        self.coordinates = random.integers(0, DIM, shape, dtype=np.int64)
        self.signs = random.choice(np.array([-1, 1], np.float32), shape)

    @classmethod
    def fit(cls, texts: list[str], progress: Progress, seed: int = 0) -> "Embedder":
        """Learn how rare each n-gram is, from an evenly spaced sample of the texts."""
        sample = texts[:: max(1, -(-len(texts) // SAMPLE))]
        holders = np.zeros(1 << BUCKETS_LOG2, np.int64)
        for start in range(0, len(sample), CHUNK):
            _, bucket, _ = ngrams(sample[start : start + CHUNK])
            holders += np.bincount(bucket, minlength=len(holders))
            progress("weighing", min(start + CHUNK, len(sample)), len(sample))
        rarity = np.log((1 + len(sample)) / (1 + holders)).astype(np.float32)
        return cls(rarity, seed)

    def embed(self, texts: list[str], progress: Progress | None = None) -> Floats:
        """Embed texts: (n, 256) unit vectors; all zero for a text without any letters."""
        vectors = np.zeros((len(texts), DIM), np.float32)
        for start in range(0, len(texts), CHUNK):
            part = texts[start : start + CHUNK]
            vectors[start : start + len(part)] = self.project(part)
            if progress:
                progress("embedding", start + len(part), len(texts))
        return vectors

    def project(self, texts: list[str]) -> Floats:
        """Steps 2 to 5, for as many texts as fit in memory at once."""
        owner, bucket, count = ngrams(texts)
        weight = (1 + np.log(count)) * self.rarity[bucket]
        sums = np.zeros(len(texts) * DIM)
        for coordinates, signs in zip(self.coordinates, self.signs, strict=True):
            place = owner * DIM + coordinates[bucket]
            sums += np.bincount(place, weights=weight * signs[bucket], minlength=len(sums))
        vectors = sums.reshape(len(texts), DIM)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)
