//! Exact distances against the oracle.

use proptest::prelude::*;

use super::{Rng, config, hurried};
use crate::kernels::distance::{Query, squared_norm};
use crate::kernels::within::{Sums, Within};
use crate::kernels::{Isa, naive};
use crate::metric::{Metric, Power};
use crate::vectors::{Dtype, DtypeVisitor, Element, MAX_DIM, Vectors};

/// What the coordinates look like.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Integers that every type holds.
    Integers,
    /// -1..1 times a scale.
    Scaled(f64),
    /// Every magnitude from 1e-30 to 1e30 in one vector.
    Mixed,
    /// f32's denormals and the least normal numbers.
    Denormal,
    /// The largest numbers of the type, of either sign.
    Largest,
    /// Large terms that cancel, over small ones that remain.
    Cancelling,
}

const KINDS: [Kind; 10] = [
    Kind::Integers,
    Kind::Scaled(1.0),
    Kind::Scaled(100.0),
    Kind::Scaled(1e-30),
    Kind::Scaled(1e30),
    Kind::Scaled(1e4),
    Kind::Mixed,
    Kind::Denormal,
    Kind::Largest,
    Kind::Cancelling,
];

impl Kind {
    fn value(self, rng: &mut Rng, at: usize) -> f64 {
        match self {
            Self::Integers => rng.int(-128, 255) as f64,
            Self::Scaled(scale) => rng.unit() * scale,
            Self::Mixed => rng.unit() * 10f64.powi(rng.int(-30, 30) as i32),
            Self::Denormal => rng.unit() * f64::from(f32::MIN_POSITIVE) * 2.0,
            Self::Largest => f64::from(if rng.next().is_multiple_of(2) { f32::MAX } else { f32::MIN }),
            Self::Cancelling if at.is_multiple_of(3) => rng.unit(),
            Self::Cancelling => [1e18, -1e18][at % 3 - 1] * (1.0 + rng.unit() * 1e-7),
        }
    }
}

/// `len` finite coordinates of one type after `skip` others, so that they begin at any element.
fn values<E: Element>(kind: Kind, seed: u64, skip: usize, len: usize) -> Vec<E> {
    let mut rng = Rng(seed);
    let coordinate = |at| {
        let value = kind.value(&mut rng, at);
        let rounded = E::from_f64(value);
        if rounded.is_finite() { rounded } else { largest::<E>(value) }
    };
    (0..skip + len).map(coordinate).collect()
}

/// The finite number of the type that is nearest to `value`, which is beyond it.
fn largest<E: Element>(value: f64) -> E {
    let most = match E::DTYPE {
        Dtype::F16 => 65_504.0,
        Dtype::Bf16 => f64::from(half::bf16::MAX),
        _ => f64::from(f32::MAX),
    };
    E::from_f64(most.copysign(value))
}

/// One query and some rows.
#[derive(Clone, Debug)]
struct Case {
    dim: usize,
    kind: Kind,
    seed: u64,
    skip: usize,
    rows: usize,
    list: Vec<u32>,
}

/// Holds the distances of a case against the oracle, on every instruction set and for every metric.
fn check<Q: Element, R: Element>(case: &Case) {
    let Case { dim, kind, seed, skip, rows, ref list } = *case;
    // The query has one row before it, so that its own start is any too.
    let queries = values::<Q>(kind, seed, skip, 2 * dim);
    let rows = values::<R>(kind, seed ^ 0xABCD, skip, rows * dim);
    let (queries, rows) = (&queries[skip..], &rows[skip..]);
    let query = Vectors::new(queries, dim).expect("a legal shape");
    let view = Vectors::new(rows, dim).expect("a legal shape");
    let q: Vec<f64> = queries[dim..].iter().map(|v| v.to_f64()).collect();
    let integers = R::DTYPE.size() == 1 && q.iter().all(|v| v.fract() == 0.0);
    let power = |p| Metric::Lp(Power::new(p).expect("a positive number"));
    let powers = [0.0, 1.0, 2.0, 8.0, 9.0, 0.5, 2.5].map(power);
    for metric in Metric::ALL.into_iter().filter(|&metric| metric != Metric::Hamming).chain(powers) {
        let prepared = Query::new(metric, query, 1, R::DTYPE);
        for isa in Isa::available() {
            let mut out = vec![f32::NAN; 2];
            prepared.distances(isa, view, list, &mut out);
            assert!(out.len() == 2 + list.len() && out[0].is_nan(), "appends one distance a row of the list");
            for (&row, &got) in list.iter().zip(&out[2..]) {
                let x: Vec<f64> = rows[row as usize * dim..][..dim].iter().map(|v| v.to_f64()).collect();
                let want = naive::distance(metric, &q, &x);
                let rounded = want.value as f32;
                // What is left of products that cancel may be within the slack of zero, and yet round to infinity.
                let off = [f64::from(rounded), want.value].map(|want| (f64::from(got) - want).abs());
                let off = off[0].min(off[1]);
                let near = want.slack == f64::INFINITY || off <= naive::ulp(rounded) + want.slack;
                let same = got == rounded || (got.is_nan() && rounded.is_nan());
                assert!(
                    same || (near && !(integers && metric.is_of_products())),
                    "{} {metric} {} × {}, row {row}: {got:e}, not {:e}; {case:?}",
                    isa.name(),
                    Q::DTYPE,
                    R::DTYPE,
                    want.value,
                );
            }
        }
    }
}

/// The same for every pair of types.
fn check_types(case: &Case) {
    struct Outer<'a>(&'a Case);
    struct Inner<'a, Q>(&'a Case, std::marker::PhantomData<Q>);
    impl DtypeVisitor for Outer<'_> {
        type Out = ();
        fn visit<Q: Element>(self) {
            for rows in Dtype::NUMBERS {
                rows.visit(Inner::<Q>(self.0, std::marker::PhantomData));
            }
        }
    }
    impl<Q: Element> DtypeVisitor for Inner<'_, Q> {
        type Out = ();
        fn visit<R: Element>(self) {
            check::<Q, R>(self.0);
        }
    }
    for queries in Dtype::NUMBERS {
        queries.visit(Outer(case));
    }
}

/// Lengths around whole groups of steps (8·4 and 32·2 elements) and beyond every remainder.
fn dims() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 1usize..=130, 2 => (2usize..=24, 0usize..=2).prop_map(|(n, o)| n * 32 - 1 + o), 1 => 131usize..=800]
}

proptest! {
    #![proptest_config(config(96))]
    #[test]
    fn distances_are_the_f64_sums_rounded_for_every_type_metric_and_length(
        dim in dims(),
        kind in proptest::sample::select(KINDS.to_vec()),
        seed: u64,
        skip in 0usize..4,
        rows in 1usize..6,
        list in proptest::collection::vec(any::<proptest::sample::Index>(), 0..9),
    ) {
        let list = list.into_iter().map(|i| i.index(rows) as u32).collect();
        check_types(&Case { dim, kind, seed, skip, rows, list });
    }
}

#[test]
fn no_length_to_130_loses_or_adds_a_coordinate() {
    for dim in (1..=130).step_by(if hurried() { 13 } else { 1 }) {
        let kind = if dim % 2 == 0 { Kind::Integers } else { Kind::Scaled(100.0) };
        check_types(&Case { dim, kind, seed: dim as u64, skip: dim % 3, rows: 2, list: vec![1, 0] });
    }
}

#[test]
fn every_magnitude_that_the_types_hold_is_summed() {
    for kind in KINDS {
        for dim in [9, 31, 65] {
            check_types(&Case { dim, kind, seed: 7, skip: 1, rows: 3, list: vec![2, 0, 0, 1] });
        }
    }
}

#[test]
fn long_vectors_are_summed_like_short_ones() {
    let dims: &[usize] = if hurried() { &[1023] } else { &[1023, 4096, 4097, MAX_DIM] };
    for &dim in dims {
        check_types(&Case { dim, kind: Kind::Integers, seed: 3, skip: 1, rows: 2, list: vec![1, 0] });
    }
}

#[test]
fn byte_sums_hold_the_extremes_at_the_largest_dimension() {
    fn extremes<E: Element>(low: f64, high: f64) {
        for (q, x) in [(low, low), (low, high), (high, low), (high, high)] {
            let (query, row) = (vec![E::from_f64(q); MAX_DIM], vec![E::from_f64(x); MAX_DIM]);
            let (query, row) = (Vectors::new(&query, MAX_DIM), Vectors::new(&row, MAX_DIM));
            let (query, row) = (query.expect("a legal shape"), row.expect("a legal shape"));
            let n = MAX_DIM as f64;
            for isa in Isa::available() {
                let get = |metric| {
                    let mut out = Vec::new();
                    Query::new(metric, query, 0, E::DTYPE).distances(isa, row, &[0], &mut out);
                    out[0]
                };
                assert_eq!(get(Metric::L2), (n * (q - x) * (q - x)) as f32, "{} {q} {x}", isa.name());
                assert_eq!(get(Metric::InnerProduct), (-n * q * x) as f32, "{} {q} {x}", isa.name());
                if q * x != 0.0 {
                    let cosine = 1.0 - q.signum() * x.signum();
                    assert!(
                        (f64::from(get(Metric::Cosine)) - cosine).abs() < 1e-15,
                        "{} {q} {x}",
                        isa.name()
                    );
                }
            }
        }
    }
    extremes::<u8>(0.0, 255.0);
    extremes::<i8>(-128.0, 127.0);
}

#[test]
fn inner_products_of_floats_are_the_same_bits_on_every_instruction_set() {
    // Products of two f32 are exact in f64 and all sets add in one order. (Squares of differences are not exact:
    // without a fused multiply-add the portable set rounds them once more.)
    let dim = 203;
    let (q, x) = (values::<f32>(Kind::Mixed, 1, 0, dim), values::<f32>(Kind::Mixed, 2, 0, 64 * dim));
    let (q, x) =
        (Vectors::new(&q, dim).expect("a legal shape"), Vectors::new(&x, dim).expect("a legal shape"));
    let list: Vec<u32> = (0..64).collect();
    let get = |isa| {
        let mut out = Vec::new();
        Query::new(Metric::InnerProduct, q, 0, Dtype::F32).distances(isa, x, &list, &mut out);
        out.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    let scalar = get(Isa::Scalar(crate::kernels::scalar::Scalar));
    for isa in Isa::available() {
        assert_eq!(get(isa), scalar, "{}", isa.name());
    }
}

proptest! {
    #![proptest_config(config(64))]
    #[test]
    fn what_is_missing_counts_on_neither_side(dim in 1usize..70, seed: u64) {
        let mut rng = Rng(seed);
        // Numbers of 0 to 1, names of categories, and what is missing.
        let mut value = |at: usize| match (rng.int(0, 3), at % 3) {
            (0, _) => f32::NAN,
            (_, 0) => -(rng.int(1, 3) as f32),
            _ => (rng.unit() / 2.0 + 0.5) as f32,
        };
        let all: Vec<f32> = (0..3 * dim).map(|at| value(at % dim)).collect();
        let (query, rows) = all.split_at(dim);
        let wide = |v: &[f32]| -> Vec<f64> { v.iter().map(|&v| f64::from(v)).collect() };
        let (q, x) = (Vectors::new(query, dim).expect("a legal shape"), Vectors::new(rows, dim).expect("a legal shape"));
        for (metric, isa) in [Metric::NanEuclidean, Metric::Gower].into_iter().flat_map(|m| Isa::available().into_iter().map(move |i| (m, i))) {
            let mut out = Vec::new();
            Query::new(metric, q, 0, Dtype::F32).distances(isa, x, &[0, 1], &mut out);
            for (row, got) in rows.chunks_exact(dim).zip(out) {
                let want = naive::distance(metric, &wide(query), &wide(row));
                let near = (f64::from(got) - want.value).abs() <= want.slack + naive::ulp(want.value as f32);
                prop_assert!(near || (got.is_nan() && want.value.is_nan()), "{} {metric}: {got}, not {}", isa.name(), want.value);
            }
        }
    }

    #[test]
    fn no_row_within_the_limit_is_ruled_out_and_few_are_kept_beyond_and_the_kth_is_within_reach(
        dim in 1usize..200,
        seed: u64,
        kind in proptest::sample::select(KINDS.to_vec()),
        metric in proptest::sample::select(vec![Metric::L1, Metric::L2, Metric::InnerProduct, Metric::Cosine]),
        // Squares overflow at the one end, vanish at the other.
        scale in proptest::sample::select(vec![1e-30f32, 1e-21, 1.0, 1.0, 1.0, 1e18, 1e25]),
    ) {
        let scaled = |seed, count| values::<f32>(kind, seed, 0, count).into_iter().map(|v| (v * scale).clamp(f32::MIN, f32::MAX)).collect::<Vec<f32>>();
        let (query, rows) = (scaled(seed, dim), scaled(!seed, 7 * dim));
        let [q, x] = [&query, &rows].map(|values| Vectors::new(values, dim).expect("a legal shape"));
        let mut distances = Vec::new();
        Query::new(metric, q, 0, Dtype::F32).distances(Isa::active(), x, &[0, 1, 2, 3, 4, 5, 6], &mut distances);
        let norm = |v: &[f32]| squared_norm(v).sqrt();
        let within = Within::new(metric, query.clone()).expect("a metric of sums");
        for isa in Isa::available() {
            let mut sums = Sums::default();
            within.measure(isa, &rows, &mut sums);
            for &limit in distances.iter().filter(|limit| !limit.is_nan()) {
                let mut near = Vec::new();
                within.keep(isa, &sums, limit, &mut near);
                let lost = (0..7u32).find(|&row| distances[row as usize] <= limit && !near.contains(&row));
                prop_assert_eq!(lost, None, "{} {} {:?} {}", isa.name(), metric, distances, limit);
                // Where nothing is too large or too small for f32.
                let beyond = near.iter().filter(|&&row| {
                    let row = row as usize;
                    let unit = match metric {
                        Metric::L1 | Metric::L2 => f64::from(limit),
                        Metric::Cosine => 1.0,
                        _ => norm(&query) * norm(&rows[row * dim..][..dim]) + f64::from(limit).abs(),
                    };
                    f64::from(distances[row]) > f64::from(limit) + 0.001 * unit
                });
                let ordinary = scale == 1.0 && matches!(kind, Kind::Integers);
                prop_assert!(!ordinary || beyond.count() == 0, "{} {metric} {distances:?} {limit}: {near:?}", isa.name());
            }
            if distances.iter().any(|v| v.is_nan()) {
                continue;
            }
            let mut sorted = distances.clone();
            sorted.sort_unstable_by(f32::total_cmp);
            for k in 1..=7 {
                let reach = within.reach(&sums, k);
                prop_assert!(sorted[k - 1] <= reach, "{} {metric} {sorted:?} {k}: {reach}", isa.name());
                let ordinary = scale == 1.0 && matches!(kind, Kind::Integers) && metric != Metric::Cosine;
                prop_assert!(!ordinary || sorted[k - 1] == 0.0 || reach.is_finite());
            }
        }
    }
}

#[test]
fn an_inner_product_of_nothing_is_positive_zero() {
    let zeros = [0f32; 5];
    let zeros = Vectors::new(&zeros, 5).expect("a legal shape");
    for isa in Isa::available() {
        let mut out = Vec::new();
        Query::new(Metric::InnerProduct, zeros, 0, Dtype::F32).distances(isa, zeros, &[0], &mut out);
        assert_eq!(out[0].to_bits(), 0, "{}", isa.name());
    }
}

#[test]
fn squared_norms_are_summed_in_f64() {
    let row = values::<f32>(Kind::Mixed, 5, 0, 77);
    let wide: Vec<f64> = row.iter().map(|&v| f64::from(v)).collect();
    let want = naive::distance(Metric::L2, &wide, &[0.0; 77]);
    assert!((squared_norm(&row) - want.value).abs() <= want.slack);
    assert_eq!(squared_norm(&vec![255u8; MAX_DIM]), 65_025.0 * MAX_DIM as f64);
}
