//! The truth, by plain loops over f64 that share no code with the library.

use steep::kernels::Isa;
use steep::{BuildParams, Hits, Index, Metric, RangeHits, SearchParams, Spec};

use super::data::Set;

/// The documented formula, summed from the first coordinate to the last, rounded once; −0 and 0 are one distance.
pub fn distance(metric: Metric, q: &[f64], x: &[f64]) -> f32 {
    let (mut square, mut dot, mut qq, mut xx) = (0.0, 0.0, 0.0, 0.0);
    for (q, x) in q.iter().zip(x) {
        square += (q - x) * (q - x);
        dot += q * x;
        qq += q * q;
        xx += x * x;
    }
    let distance = match metric {
        Metric::L2 => square,
        Metric::InnerProduct => -dot,
        Metric::Cosine => 1.0 - dot / (qq * xx).sqrt(),
        Metric::L1 => q.iter().zip(x).map(|(q, x)| (q - x).abs()).sum(),
        Metric::Linf => q.iter().zip(x).map(|(q, x)| (q - x).abs()).fold(0.0, f64::max),
        // Of 2, the only one whose powers the tests' data makes exact sums of.
        Metric::Lp(_) | Metric::NanEuclidean => square,
        other => panic!("no oracle for {other}"),
    };
    distance as f32 + 0.0
}

/// All vectors in the order of each query.
pub struct Truth(Vec<Vec<(f32, u64)>>);

impl Truth {
    /// `ids` are those of the rows of `base`; row numbers where there are none.
    pub fn new(metric: Metric, base: &Set, ids: Option<&[u64]>, queries: &Set) -> Self {
        let id = |row: usize| ids.map_or(row as u64, |ids| ids[row]);
        let sorted = |query: usize| {
            let q = queries.row(query);
            let mut all: Vec<_> =
                (0..base.len()).map(|row| (distance(metric, q, base.row(row)), id(row))).collect();
            all.sort_by(|a, b| a.partial_cmp(b).unwrap());
            all
        };
        Self((0..queries.len()).map(sorted).collect())
    }

    /// The distance of the vector that is number `rank` for query `query`, from 0.
    pub fn distance(&self, query: usize, rank: usize) -> f32 {
        self.0[query][rank].0
    }

    /// What a search for `k` must return for the first `queries` queries.
    pub fn nearest(&self, queries: usize, k: usize) -> Hits {
        let mut hits = Hits { k, ids: Vec::new(), distances: Vec::new(), stats: Vec::new() };
        for sorted in &self.0[..queries] {
            for rank in 0..k {
                let (distance, id) = sorted.get(rank).map_or((f32::INFINITY, -1), |&(d, id)| (d, id as i64));
                hits.ids.push(id);
                hits.distances.push(distance);
            }
        }
        hits
    }

    /// What a range search must return for all queries.
    pub fn within(&self, radius: f32) -> RangeHits {
        let mut hits = RangeHits { offsets: vec![0], ids: Vec::new(), distances: Vec::new() };
        for sorted in &self.0 {
            for (distance, id) in sorted.iter().take_while(|(distance, _)| *distance <= radius) {
                hits.ids.push(*id as i64);
                hits.distances.push(*distance);
            }
            hits.offsets.push(hits.ids.len());
        }
        hits
    }
}

/// Fails unless `index` answers the first `batch` queries as the truth has it, bit for bit.
pub fn check(index: &Index, queries: &Set, truth: &Truth, batch: usize, k: usize, case: &str) {
    let hits = index.search(queries.view().rows(0..batch), k, &SearchParams::default()).unwrap();
    let expected = truth.nearest(batch, k);
    let bits = |hits: &Hits| -> Vec<(i64, u32)> {
        hits.ids.iter().copied().zip(hits.distances.iter().map(|d| d.to_bits())).collect()
    };
    let (got, want) = (bits(&hits), bits(&expected));
    assert_eq!((hits.k, got.len()), (k, want.len()), "{case}: {index:?}, shape");
    if let Some(at) = (0..got.len()).find(|&at| got[at] != want[at]) {
        let place = |hits: &Hits| (hits.ids[at], hits.distances[at]);
        let (query, rank) = (at / k, at % k);
        panic!(
            "{case}: {index:?}, codes {}, query {query} of {batch}, rank {rank} of {k}: {:?}, not {:?}",
            codes(index),
            place(&hits),
            place(&expected)
        );
    }
}

/// How to build what searches exactly, however many vectors there are.
pub fn exact<'a>() -> BuildParams<'a> {
    BuildParams { spec: Spec::FLAT, ..BuildParams::default() }
}

/// An index by each exact way of searching, with codes where they pay and without.
pub fn both(metric: Metric, base: &Set, ids: Option<&[u64]>) -> [Index; 2] {
    [Spec::FLAT, Spec::FLAT_RAW].map(|spec| {
        Index::build(base.view(), &BuildParams { metric, spec, ids, ..BuildParams::default() }).unwrap()
    })
}

/// What codes the index has: "none" where there are none.
pub fn codes(index: &Index) -> String {
    index.info().into_iter().find(|(name, _)| *name == "codes").unwrap().1
}

/// Fails where there are no codes: the case would show nothing of them. Whether they pay depends on what instructions
/// cost; the cases are made so that they do, but with AVX-512 a scan of bytes is as fast.
pub fn expect_codes(index: &Index, case: &str) {
    let bytes_as_fast = Isa::active().name() == "avx512" && index.vectors().dtype().size() == 1;
    assert!(bytes_as_fast || codes(index) != "none", "{case}: {index:?} has no codes");
}

/// Fails where there are no fine codes. They are made where rows are so long that exact distances cost most.
pub fn expect_fine_codes(index: &Index, case: &str) {
    assert!(codes(index).contains("8 bit"), "{case}: {index:?} has codes {}", codes(index));
}
