//! Tiles of many queries against many vectors.

use std::array::from_fn;

use half::bf16;
use proptest::prelude::*;

use super::{Rng, config};
use crate::kernels::simd::{CODE_LIMIT, Kernel, Simd};
use crate::kernels::tile::{
    self, Bound, Bytes, Codes, Factor, Line, Operand, PANEL, Panels, QueryTile, Test, pack_bytes,
};
use crate::kernels::{Isa, naive};

/// An operand and how the tests fill it.
trait Filled: Operand {
    /// Any coordinate of a vector; extreme ones where `extreme`.
    fn vector(rng: &mut Rng, extreme: bool) -> f64;
    /// Any coordinate of a query.
    fn query(rng: &mut Rng, extreme: bool) -> f64;
    /// Makes a query one that `isa` takes.
    fn fit(_isa: Isa, _query: &mut [f64]) {}
    /// Coordinates of one step of a query.
    fn item(isa: Isa, q: &[f64]) -> Self::Query;
    /// Writes coordinate `j` of vector `lane` into the lines of one panel.
    fn put(lines: &mut [Line], lane: usize, j: usize, value: f64);
    /// A factor, and the f32 that it stands for.
    fn factor(value: f32) -> (Self::Factor, f32);
}

/// Leaves of a query's codes what lanes have room for: the first coordinates of a sign as they are, the next one in part, then none.
pub(super) fn fit_codes(isa: Isa, query: &mut [f64]) {
    struct Room;
    impl Kernel for Room {
        type Out = (usize, i32);
        #[inline(always)]
        fn run<S: Simd>(self, _: S) -> (usize, i32) {
            (S::CODE_LINES, S::CODE_SUM)
        }
    }
    let (lines, most) = isa.run(Room);
    for part in query.chunks_mut(lines.saturating_mul(4)) {
        let mut room = [[f64::from(most); 2]; 2];
        for (j, v) in part.iter_mut().enumerate() {
            let room = &mut room[j / 2 % 2][usize::from(*v < 0.0)];
            *v = v.signum() * v.abs().min(*room);
            *room -= v.abs();
        }
    }
}

fn put_byte(lines: &mut [Line], lane: usize, j: usize, value: f64) {
    // Four coordinates of each vector to a line.
    lines[j / 4].0[4 * lane + j % 4] = value as u8;
}

impl Filled for Bytes {
    fn vector(rng: &mut Rng, extreme: bool) -> f64 {
        (if extreme { 255 * rng.int(0, 1) } else { rng.int(0, 255) }) as f64
    }
    fn query(rng: &mut Rng, extreme: bool) -> f64 {
        (if extreme { [-128, 127][rng.next() as usize % 2] } else { rng.int(-128, 127) }) as f64
    }
    fn item(isa: Isa, q: &[f64]) -> [i32; 2] {
        pack_bytes(isa, from_fn(|j| q[j] as i16))
    }
    fn put(lines: &mut [Line], lane: usize, j: usize, value: f64) {
        put_byte(lines, lane, j, value);
    }
    fn factor(value: f32) -> (f32, f32) {
        (value, value)
    }
}

impl Filled for Codes {
    fn vector(rng: &mut Rng, extreme: bool) -> f64 {
        (if extreme { CODE_LIMIT.into() } else { rng.int(0, CODE_LIMIT.into()) }) as f64
    }
    fn query(rng: &mut Rng, extreme: bool) -> f64 {
        let most = i64::from(CODE_LIMIT);
        (if extreme { most * rng.int(0, 1) * 2 - most } else { rng.int(-most, most) }) as f64
    }
    fn fit(isa: Isa, query: &mut [f64]) {
        fit_codes(isa, query);
    }
    fn item(_: Isa, q: &[f64]) -> i32 {
        let codes: [i8; 4] = from_fn(|j| q[j] as i8);
        bytemuck::must_cast(codes)
    }
    fn put(lines: &mut [Line], lane: usize, j: usize, value: f64) {
        put_byte(lines, lane, j, value);
    }
    fn factor(value: f32) -> (bf16, f32) {
        (bf16::from_f32(value), bf16::from_f32(value).to_f32())
    }
}

/// Queries and vectors of any operand, in both shapes: as the tile reads them and as the oracle does.
struct World<O: Filled> {
    isa: Isa,
    queries: Vec<Vec<f64>>,
    vectors: Vec<Vec<f64>>,
    /// a and t, as they are stored and as they are read.
    factors: Vec<[f32; 2]>,
    tile: QueryTile<O>,
    lines: Vec<Line>,
    stride: usize,
    a: Vec<[O::Factor; PANEL]>,
    t: Vec<[O::Factor; PANEL]>,
}

impl<O: Filled> World<O> {
    fn new(isa: Isa, rng: &mut Rng, queries: usize, panels: usize, steps: usize, extreme: bool) -> Self {
        let dim = steps * O::WIDTH;
        let mut queries: Vec<Vec<f64>> =
            (0..queries).map(|_| (0..dim).map(|_| O::query(rng, extreme)).collect()).collect();
        queries.iter_mut().for_each(|query| O::fit(isa, query));
        let vectors: Vec<Vec<f64>> =
            (0..panels * PANEL).map(|_| (0..dim).map(|_| O::vector(rng, extreme)).collect()).collect();
        let item = |q: usize, step: usize| O::item(isa, &queries[q][step * O::WIDTH..][..O::WIDTH]);
        let tile = QueryTile::new(isa, queries.len(), steps, item);
        // Half of the panels are longer than the queries: what follows must not be read.
        let stride = steps + [0, 0, 1, 3][rng.next() as usize % 4];
        let mut lines = vec![Line([93; 64]); panels * stride];
        for (i, vector) in vectors.iter().enumerate() {
            let lines = &mut lines[i / PANEL * stride..][..stride];
            vector.iter().enumerate().for_each(|(j, &v)| O::put(lines, i % PANEL, j, v));
        }
        let mut world =
            Self { isa, queries, vectors, factors: vec![], tile, lines, stride, a: vec![], t: vec![] };
        let factors = (0..panels * PANEL).map(|_| [rng.int(-200, 200) as f32, rng.int(0, 200) as f32]);
        world.set_factors(&factors.collect::<Vec<_>>());
        world
    }

    fn set_factors(&mut self, factors: &[[f32; 2]]) {
        self.factors = factors.iter().map(|f| f.map(|v| O::factor(v).1)).collect();
        let (panels, _) = factors.as_chunks::<PANEL>();
        self.a = panels.iter().map(|p| p.map(|f| O::factor(f[0]).0)).collect();
        self.t = panels.iter().map(|p| p.map(|f| O::factor(f[1]).0)).collect();
    }

    fn panels(&self) -> Panels<'_, O::Factor> {
        Panels { lines: &self.lines, stride: self.stride, a: &self.a, t: &self.t }
    }

    fn sum(&self, query: usize, vector: usize, test: Test) -> naive::Sum {
        naive::tile(&self.queries[query], &self.vectors[vector], [test.beta, test.tau], self.factors[vector])
    }

    /// What each query keeps, in ascending order; a vector named twice stays so.
    fn kept(&mut self, tests: &[Test]) -> Vec<Vec<u32>> {
        for (at, &test) in tests.iter().enumerate() {
            self.tile.set_test(at, test);
        }
        let (group, mut hits, mut kept) = (self.tile.group(), Vec::new(), Vec::new());
        for first in 0..self.tile.len().div_ceil(group) {
            let mut lists = vec![vec![u32::MAX]; group];
            tile::keep(self.isa, &self.tile, first, self.panels(), &mut lists, &mut hits);
            for mut list in lists {
                assert_eq!(list.remove(0), u32::MAX, "lists are appended to");
                list.sort_unstable();
                kept.push(list);
            }
        }
        assert!(kept[self.tile.len()..].iter().all(Vec::is_empty), "places without a query keep nothing");
        kept.truncate(self.tile.len());
        kept
    }

    /// The vectors that satisfy a predicate.
    fn those(&self, keep: impl Fn(usize) -> bool) -> Vec<u32> {
        (0..self.vectors.len()).filter(|&v| keep(v)).map(|v| v as u32).collect()
    }

    fn all(&self) -> Vec<u32> {
        self.those(|_| true)
    }
}

const PLAIN: Test = Test { beta: 0.0, tau: 0.0, threshold: 0.0 };

/// Thresholds at a sum, just above and just below it: integers leave no doubt about either side.
fn integers_are_kept_exactly<O: Filled>(
    seed: u64,
    queries: usize,
    panels: usize,
    steps: usize,
    extreme: bool,
) {
    for isa in Isa::available() {
        let mut rng = Rng(seed);
        let mut world = World::<O>::new(isa, &mut rng, queries, panels, steps, extreme);
        // Whole β and τ keep every partial sum an integer below 2²⁴, which f32 holds.
        let (beta, tau) = (rng.int(-9, 9) as f32, rng.int(-9, 9) as f32);
        let pick = rng.next() as usize % world.vectors.len();
        for nudge in [f32::next_down, |v| v, f32::next_up] {
            let tests: Vec<Test> = (0..queries)
                .map(|q| {
                    let test = Test { beta, tau, threshold: 0.0 };
                    let sum = world.sum(q, pick, test).value;
                    assert!(sum.abs() < f64::from(1 << 24), "the test's own sums are exact");
                    Test { threshold: nudge(sum as f32), ..test }
                })
                .collect();
            for (q, kept) in world.kept(&tests).into_iter().enumerate() {
                let keeps = |v| world.sum(q, v, tests[q]).value >= f64::from(tests[q].threshold);
                assert_eq!(kept, world.those(keeps), "{} query {q} of {queries}", isa.name());
            }
        }
    }
}

/// Any threshold: what lies within rounding of it may go either way, the rest may not.
fn kept_as_the_oracle_says<O: Filled>(seed: u64, queries: usize, panels: usize, steps: usize, extreme: bool) {
    for isa in Isa::available() {
        let mut rng = Rng(seed);
        let mut world = World::<O>::new(isa, &mut rng, queries, panels, steps, extreme);
        let (beta, tau) = (rng.unit() as f32, rng.unit() as f32 * 1e3);
        let pick = rng.next() as usize % world.vectors.len();
        let tests: Vec<Test> = (0..queries)
            .map(|q| {
                let test = Test { beta, tau, threshold: 0.0 };
                Test { threshold: world.sum(q, pick, test).value as f32, ..test }
            })
            .collect();
        for (q, kept) in world.kept(&tests).into_iter().enumerate() {
            for v in 0..world.vectors.len() {
                let sum = world.sum(q, v, tests[q]);
                let above = sum.value - f64::from(tests[q].threshold);
                let got = kept.binary_search(&(v as u32)).is_ok();
                assert!(got == (above >= 0.0) || above.abs() <= sum.slack, "{} {q} {v} {above}", isa.name());
            }
        }
    }
}

proptest! {
    #![proptest_config(config(96))]
    #[test]
    fn integer_sums_are_kept_exactly_at_the_threshold(
        seed: u64, queries in 1usize..15, panels in 1usize..=9, steps in 0usize..20, extreme: bool,
    ) {
        integers_are_kept_exactly::<Bytes>(seed, queries, panels, steps, extreme);
        integers_are_kept_exactly::<Codes>(seed, queries, panels, steps, extreme);
    }

    #[test]
    fn sums_away_from_the_threshold_are_kept_or_not_as_the_oracle_says(
        seed: u64, queries in 1usize..15, panels in 1usize..=9, steps in 0usize..40, extreme: bool,
    ) {
        kept_as_the_oracle_says::<Bytes>(seed, queries, panels, steps, extreme);
        kept_as_the_oracle_says::<Codes>(seed, queries, panels, steps, extreme);
    }

    #[test]
    fn arg_max_is_the_first_of_the_largest_among_so_many_vectors(
        seed: u64, queries in 1usize..15, panels in 1usize..=9, steps in 0usize..6, few in 0usize..20,
    ) {
        first_of_the_largest::<Bytes>(seed, queries, panels, steps, few);
        first_of_the_largest::<Codes>(seed, queries, panels, steps, few);
    }
}

/// The largest sums, over two calls, where many are equal and the last vectors do not count.
fn first_of_the_largest<O: Filled>(seed: u64, queries: usize, panels: usize, steps: usize, few: usize) {
    for isa in Isa::available() {
        let mut rng = Rng(seed);
        let mut world = World::<O>::new(isa, &mut rng, queries, panels, steps, false);
        // Without β and τ, all that steps = 0 leaves is equal; else two vectors in three repeat others.
        for v in 0..world.vectors.len() {
            let from = v % (world.vectors.len().div_ceil(3));
            world.vectors[v] = world.vectors[from].clone();
            let lines = &mut world.lines[v / PANEL * world.stride..][..world.stride];
            world.vectors[v].iter().enumerate().for_each(|(j, &x)| O::put(lines, v % PANEL, j, x));
        }
        (0..queries).for_each(|q| world.tile.set_test(q, PLAIN));
        let counted = world.vectors.len() - few.min(world.vectors.len() - 1);
        let split = (rng.next() as usize % (panels + 1)).min(counted / PANEL);
        let (stride, lines) = (world.stride, world.stride * split);
        let (first, second) = (world.panels(), world.panels());
        let first =
            Panels { lines: &first.lines[..lines], stride, a: &first.a[..split], t: &first.t[..split] };
        let second =
            Panels { lines: &second.lines[lines..], stride, a: &second.a[split..], t: &second.t[split..] };
        let mut best = vec![(f32::NEG_INFINITY, u32::MAX); queries];
        tile::arg_max(isa, &world.tile, first, split * PANEL, 1000, &mut best);
        tile::arg_max(
            isa,
            &world.tile,
            second,
            counted - split * PANEL,
            (1000 + split * PANEL) as u32,
            &mut best,
        );
        for (q, &(value, vector)) in best.iter().enumerate() {
            let vector = vector as usize - 1000;
            assert!(vector < counted, "{} {vector} of {counted}", isa.name());
            let sum = world.sum(q, vector, PLAIN);
            assert!((f64::from(value) - sum.value).abs() <= sum.slack, "{}", isa.name());
            for v in 0..counted {
                let other = world.sum(q, v, PLAIN);
                assert!(other.value <= sum.value + sum.slack + other.slack, "{} {v} is larger", isa.name());
                assert!(
                    v >= vector || world.vectors[v] != world.vectors[vector],
                    "{} {v} is as large",
                    isa.name()
                );
            }
        }
    }
}

/// Every operand, a partial last group, an odd number of panels.
fn for_every_operand(check: impl Fn(&mut dyn AnyWorld, &str)) {
    for isa in Isa::available() {
        for queries in [1, 7] {
            let rng = &mut Rng(queries as u64);
            check(&mut World::<Bytes>::new(isa, rng, queries, 5, 3, false), isa.name());
            check(&mut World::<Codes>::new(isa, rng, queries, 5, 3, false), isa.name());
        }
    }
}

/// A [`World`] of any operand.
trait AnyWorld {
    fn kept_by_all(&mut self, test: Test) -> Vec<Vec<u32>>;
    fn factors(&mut self) -> Vec<[f32; 2]>;
    fn replace(&mut self, factors: &[[f32; 2]]);
    fn every_vector(&self) -> Vec<u32>;
}

impl<O: Filled> AnyWorld for World<O> {
    fn kept_by_all(&mut self, test: Test) -> Vec<Vec<u32>> {
        self.kept(&vec![test; self.tile.len()])
    }
    fn factors(&mut self) -> Vec<[f32; 2]> {
        self.factors.clone()
    }
    fn replace(&mut self, factors: &[[f32; 2]]) {
        self.set_factors(factors);
    }
    fn every_vector(&self) -> Vec<u32> {
        self.all()
    }
}

#[test]
fn plus_infinity_keeps_none_and_minus_infinity_or_nan_all() {
    for_every_operand(|world, isa| {
        let (all, none) = (world.every_vector(), Vec::new());
        for (threshold, want) in [(f32::INFINITY, &none), (f32::NEG_INFINITY, &all), (f32::NAN, &all)] {
            let test = Test { beta: 1.0, tau: -1.0, threshold };
            assert!(world.kept_by_all(test).iter().all(|kept| kept == want), "{isa} {threshold}");
        }
    });
}

#[test]
fn a_nan_in_any_term_keeps_its_vector_and_no_other() {
    for_every_operand(|world, isa| {
        let factors = world.factors();
        // ∞ · 0 is NaN as well: a vector without a bound, and a query that does not ask for it.
        for (at, bad, beta) in [(0, f32::NAN, 1.0), (1, f32::NAN, 1.0), (0, f32::INFINITY, 0.0)] {
            let mut changed = factors.clone();
            changed[37][at] = bad;
            world.replace(&changed);
            let test = Test { beta, tau: 1.0, threshold: f32::MAX };
            assert!(world.kept_by_all(test).iter().all(|kept| *kept == [37]), "{isa} factor {at} {bad}");
        }
        world.replace(&factors);
        for test in [Test { beta: f32::NAN, ..PLAIN }, Test { tau: f32::NAN, ..PLAIN }] {
            let test = Test { threshold: f32::MAX, ..test };
            assert!(world.kept_by_all(test).iter().all(|kept| *kept == world.every_vector()), "{isa}");
        }
    });
}

#[test]
fn arg_max_takes_a_nan_only_where_there_is_nothing_else() {
    // Which of the 48 vectors are numbers, and which of them is the best: the first where all are NaN.
    let cases = [
        (vec![], 0),
        (vec![(5, 1.0), (6, 2.0)], 6),
        (vec![(0, 2.0), (1, 1.0)], 0),
        (vec![(17, -3.0), (47, -2.0)], 47),
        (vec![(20, f32::NEG_INFINITY), (40, f32::NEG_INFINITY)], 20),
        (vec![(3, 1.0), (33, 1.0)], 3),
    ];
    for isa in Isa::available() {
        for ((numbers, want), queries) in cases.iter().flat_map(|case| [(case, 1), (case, 7)]) {
            let mut world = World::<Bytes>::new(isa, &mut Rng(1), queries, 3, 0, false);
            let mut factors = vec![[f32::NAN, 0.0]; 3 * PANEL];
            numbers.iter().for_each(|&(at, value)| factors[at][0] = value);
            world.set_factors(&factors);
            (0..queries).for_each(|q| world.tile.set_test(q, Test { beta: 1.0, ..PLAIN }));
            // In one call, and in two that both begin with a NaN in most cases.
            for split in [0, 1, 2] {
                let all = world.panels();
                let lines = all.stride * split;
                let (a, t) = (all.a.split_at(split), all.t.split_at(split));
                let mut best = vec![(f32::NEG_INFINITY, u32::MAX); queries];
                for (panels, base) in [
                    (Panels { lines: &all.lines[..lines], a: a.0, t: t.0, ..all }, 0),
                    (Panels { lines: &all.lines[lines..], a: a.1, t: t.1, ..all }, split * PANEL),
                ] {
                    let count = panels.len() * PANEL;
                    tile::arg_max(isa, &world.tile, panels, count, base as u32, &mut best);
                }
                for (value, vector) in best {
                    assert_eq!(vector, *want, "{} {numbers:?}", isa.name());
                    assert!(value.is_nan() == numbers.is_empty(), "{} {value}", isa.name());
                }
            }
        }
    }
}

#[test]
fn a_whole_dimension_of_extremes_stays_within_32_bits() {
    for isa in Isa::available() {
        let steps = 65_536 / Bytes::WIDTH;
        let lines = vec![Line([255; 64]); steps];
        let factors = [[0.0; PANEL]];
        for q in [-128i16, 127] {
            let mut tile = QueryTile::<Bytes>::new(isa, 1, steps, |_, _| pack_bytes(isa, [q; 4]));
            let sum = 65_536.0 * 255.0 * f32::from(q);
            for (threshold, keeps) in [(sum, PANEL), (sum.next_up(), 0)] {
                tile.set_test(0, Test { threshold, ..PLAIN });
                // One query wants one list; its hits have room for no panel yet.
                let mut lists = [Vec::new()];
                let panels = Panels { lines: &lines, stride: steps, a: &factors, t: &factors };
                tile::keep(isa, &tile, 0, panels, &mut lists, &mut Vec::new());
                assert_eq!(lists[0].len(), keeps, "{} {q}", isa.name());
            }
        }
    }
}

#[test]
fn no_panel_keeps_nothing() {
    for isa in Isa::available() {
        let world = World::<Codes>::new(isa, &mut Rng(1), 3, 0, 4, false);
        let mut lists = vec![Vec::new(); world.tile.group()];
        tile::keep(isa, &world.tile, 0, world.panels(), &mut lists, &mut Vec::new());
        assert!(world.panels().is_empty() && lists.iter().all(Vec::is_empty));
    }
}

#[test]
fn factors_of_either_type_are_read_as_they_are() {
    fn loaded<F: Factor>(isa: Isa, factors: [F; PANEL]) -> [f32; PANEL] {
        struct Load<F>([F; PANEL]);
        impl<F: Factor> Kernel for Load<F> {
            type Out = [f32; PANEL];
            #[inline(always)]
            fn run<S: Simd>(self, s: S) -> [f32; PANEL] {
                s.lanes_f32(F::load(s, &self.0))
            }
        }
        isa.run(Load(factors))
    }
    for isa in Isa::available() {
        let values: [f32; PANEL] = from_fn(|i| (i as f32 - 7.3) * 1e-3f32.powi(i as i32 - 8));
        assert_eq!(loaded(isa, values), values);
        assert_eq!(loaded(isa, values.map(bf16::from_f32)), values.map(|v| bf16::from_f32(v).to_f32()));
    }
}

proptest! {
    #![proptest_config(config(256))]
    #[test]
    fn a_bound_keeps_whatever_may_round_to_its_distance(
        distance in 0f32..1e6, origin in -1e6f64..1e6, slope in 1e-3f64..1e3,
    ) {
        let test = Bound { beta: 1.0, tau: 1.0, origin, slope }.test(distance);
        // The farthest sum that rounds to `distance` lies half a unit above it.
        let farthest = f64::from(distance) + naive::ulp(distance) / 2.0;
        prop_assert!(f64::from(test.threshold) <= origin - slope * farthest);
    }
}
