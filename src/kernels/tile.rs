//! Many queries against many vectors at once, with the reduction fused: the engine of batch search.
//!
//! ```text
//! for each group of Q queries                     (their coordinates stay in L1)
//!   for each P panels of 16 vectors               (their coordinates stay in L1 or L2)
//!     P × Q accumulators ← Σⱼ xⱼ·qⱼ                (registers)
//!     keep the lanes where  Σ + β·a + τ·t ≥ T     (β, τ, T of the query; a, t of the vector)
//! ```
//!
//! No distance is ever written to memory: what leaves is a 16-bit mask where some lane is kept. The four-term
//! test is enough for every use: an exact distance or a bound of one, in any metric (see
//! `search/screen`). A NaN on either side keeps the lane, so that overflow never loses a vector.
//!
//! 1. A *panel* holds 16 vectors coordinate by coordinate, 64 bytes a step: four bytes of each
//!    vector. A lane's sum then needs no horizontal addition.
//! 2. Queries are broadcast from memory, which costs no arithmetic port.
//! 3. Bytes are u8 against signed bytes of the query: one VPDPBUSD does 64 products; AVX2 splits the former into even
//!    and odd bytes once per panel step and pays one VPMADDWD for each half and query.
//! 4. Codes have seven bits, so that AVX2 adds the products of eight steps in 16 bits (one VPMADDUBSW and one addition) before
//!    it widens them.

use std::marker::PhantomData;

use bytemuck::{Pod, Zeroable};

pub use super::operand::{Bytes, Codes, Factor, Operand};
use super::{Isa, Kernel, Simd};

/// Vectors in a panel.
pub const PANEL: usize = 16;

/// One step of a panel: 64 bytes, a cache line.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Line(pub [u8; 64]);

/// Vectors laid out for the tile.
#[derive(Clone, Copy)]
pub struct Panels<'a, F> {
    /// The panels' lines, one panel after the other.
    pub lines: &'a [Line],
    /// Lines of one panel; a tile may read fewer of them, the first ones.
    pub stride: usize,
    /// The vectors' factors `a`, 16 to a panel.
    pub a: &'a [[F; PANEL]],
    /// The vectors' factors `t`, 16 to a panel.
    pub t: &'a [[F; PANEL]],
}

impl<F> Panels<'_, F> {
    /// How many panels.
    pub fn len(&self) -> usize {
        self.a.len()
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.a.is_empty()
    }
}

/// The test a query puts to a vector: keep it unless Σ xⱼqⱼ + β·a + τ·t < T.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// β.
    pub beta: f32,
    /// τ.
    pub tau: f32,
    /// T; -inf keeps all, +inf none.
    pub threshold: f32,
}

/// What a query asks of each vector, as a function of the distance D that is still near enough: T = `origin` −
/// `slope` · D in the [`Test`].
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// β.
    pub beta: f64,
    /// τ.
    pub tau: f64,
    /// T where D is 0.
    pub origin: f64,
    /// How much T falls where D grows by 1.
    pub slope: f64,
}

impl Bound {
    /// The test that keeps every vector that may be as near as `distance`, a returned (rounded) f32.
    pub fn test(&self, distance: f32) -> Test {
        // A sum a little above `distance` may still have been rounded to it.
        let reach = f64::from(distance.next_up());
        // NaN where the bound overflowed: then the test keeps everything.
        let threshold = ((self.origin - self.slope * reach) as f32).next_down();
        // Terms that could overflow f32 on their way prove nothing.
        let sane = self.beta.abs() < 1e15 && self.tau < 1e15 && self.origin.abs() < 1e30;
        Test {
            beta: self.beta as f32,
            tau: self.tau as f32,
            threshold: if sane { threshold } else { f32::NAN },
        }
    }
}

/// Queries laid out for the tile: groups of as many as one pass of the registers holds.
pub struct QueryTile<O: Operand> {
    group: usize,
    steps: usize,
    /// Group after group; in a group, step after step; in a step, query after query.
    items: Vec<O::Query>,
    /// One a query, padded to whole groups with tests that keep nothing.
    tests: Vec<Test>,
    len: usize,
}

impl<O: Operand> QueryTile<O> {
    /// `len` queries of `steps` items, where `item(query, step)` gives them. A single query gets a group of
    /// its own, so that it does not pay for empty places.
    pub fn new(isa: Isa, len: usize, steps: usize, item: impl Fn(usize, usize) -> O::Query) -> Self {
        let group = if len == 1 { 1 } else { isa.run(Group::<O>(PhantomData)) };
        let groups = len.div_ceil(group);
        let mut items = Vec::with_capacity(groups * group * steps);
        for first in (0..groups).map(|g| g * group) {
            for step in 0..steps {
                items.extend(
                    (first..first + group).map(|q| if q < len { item(q, step) } else { O::Query::default() }),
                );
            }
        }
        let none = Test { beta: 0.0, tau: 0.0, threshold: f32::INFINITY };
        Self { group, steps, items, tests: vec![none; groups * group], len }
    }

    /// How many queries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Queries that pass through the registers together.
    pub fn group(&self) -> usize {
        self.group
    }

    /// Sets what query `at` asks of each vector.
    pub fn set_test(&mut self, at: usize, test: Test) {
        self.tests[at] = test;
    }
}

impl QueryTile<Codes> {
    /// Queries that are rows of codes as [`Simd::dot_codes`] takes them, of `width` coordinates each, a multiple of 4.
    pub(super) fn of_rows(isa: Isa, rows: &[i8], width: usize) -> Self {
        let group = isa.run(Group::<Codes>(PhantomData));
        let (steps, len) = (width / 4, rows.len() / width);
        let groups = len.div_ceil(group);
        let mut items = vec![0; groups * group * steps];
        for (rows, items) in rows.chunks(group * width).zip(items.chunks_exact_mut(group * steps)) {
            for (query, row) in rows.chunks_exact(width).enumerate() {
                let items = items[query..].iter_mut().step_by(group);
                for (item, x) in items.zip(row.as_chunks::<4>().0) {
                    *item = i32::from_le_bytes(x.map(i8::cast_unsigned));
                }
            }
        }
        let none = Test { beta: 0.0, tau: 0.0, threshold: f32::INFINITY };
        Self { group, steps, items, tests: vec![none; groups * group], len }
    }
}

/// Four coordinates of a query of [`Bytes`], each within -128..=127: what every instruction set takes.
pub fn pack_bytes(isa: Isa, q: [i16; 4]) -> [i32; 2] {
    struct Pack([i16; 4]);
    impl Kernel for Pack {
        type Out = [i32; 2];
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> [i32; 2] {
            s.pack_bytes(self.0)
        }
    }
    isa.run(Pack(q))
}

struct Group<O>(PhantomData<O>);

impl<O: Operand> Kernel for Group<O> {
    type Out = usize;
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        O::queries::<S>()
    }
}

/// Vectors of one panel that one query keeps, as the comparison left them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hit {
    query: u32,
    panel: u32,
    mask: u32,
}

/// What becomes of a tile's sums.
pub(super) trait Reduce<S: Simd> {
    /// The sums plus β·a + τ·t of panel `panel` for the queries from `query` on, and what they are tested for.
    fn take<const Q: usize>(
        &mut self,
        s: S,
        query: usize,
        panel: usize,
        values: [S::F32; Q],
        tests: &[Test; Q],
    );
}

/// Appends to `lists[i]` the numbers of the vectors that query i of group `group` keeps of `panels`, counted from
/// the first panel's first. `hits` is memory to work in.
pub fn keep<O: Operand>(
    isa: Isa,
    queries: &QueryTile<O>,
    group: usize,
    panels: Panels<O::Factor>,
    lists: &mut [Vec<u32>],
    hits: &mut Vec<Hit>,
) {
    struct Keep<'a, O: Operand> {
        queries: &'a QueryTile<O>,
        group: usize,
        panels: Panels<'a, O::Factor>,
        lists: &'a mut [Vec<u32>],
        hits: &'a mut Vec<Hit>,
    }
    impl<O: Operand> Kernel for Keep<'_, O> {
        type Out = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Self { queries, group, panels, lists, hits } = self;
            let most = panels.len() * queries.group + ROOM;
            if hits.len() < most {
                hits.resize(most, Hit::default());
            }
            let mut masks = Masks { hits, len: 0 };
            groups::<S, O, _>(s, queries, group..group + 1, panels, &mut masks);
            let len = masks.len;
            // The empty places of the last group may have kept vectors whose test is NaN.
            for hit in hits[..len].iter().filter(|hit| (hit.query as usize) < queries.len) {
                let list = &mut lists[hit.query as usize - group * queries.group];
                let mut mask = hit.mask;
                while mask != 0 {
                    let bit = mask.trailing_zeros();
                    list.push(hit.panel * PANEL as u32 + u32::from(S::LANE_OF_BIT[bit as usize]));
                    mask &= !(S::LANE_BITS << bit);
                }
            }
        }
    }
    assert!(lists.len() >= queries.group, "a list for each query of the group");
    isa.run(Keep { queries, group, panels, lists, hits });
}

/// Every comparison is stored, and the next one stored over it unless a lane was kept: where one panel in four has
/// such a lane, a branch would be mispredicted as often.
struct Masks<'a> {
    hits: &'a mut [Hit],
    len: usize,
}

/// More than there are queries in a group.
const ROOM: usize = 8;

impl<S: Simd> Reduce<S> for Masks<'_> {
    #[inline(always)]
    fn take<const Q: usize>(
        &mut self,
        s: S,
        query: usize,
        panel: usize,
        values: [S::F32; Q],
        tests: &[Test; Q],
    ) {
        let room: &mut [Hit; ROOM] = self.hits[self.len..].first_chunk_mut().expect("room for a pass");
        let mut len = 0;
        for i in 0..Q {
            let mask = s.not_less_f32(values[i], s.splat_f32(tests[i].threshold));
            room[len % ROOM] = Hit { query: (query + i) as u32, panel: panel as u32, mask };
            len += usize::from(mask != 0);
        }
        self.len += len;
    }
}

/// For each query the vector with the largest Σ xⱼqⱼ + β·a + τ·t among the first `vectors`, the lowest of
/// equals: `best[query] = (value, vector)`, improved in place, so that panels may come in several calls.
/// `base` is added to the vector's number. A NaN is less than any number: it is the best only where all are NaN.
pub fn arg_max<O: Operand>(
    isa: Isa,
    queries: &QueryTile<O>,
    panels: Panels<O::Factor>,
    vectors: usize,
    base: u32,
    best: &mut [(f32, u32)],
) {
    struct ArgMax<'a, O: Operand>(&'a QueryTile<O>, Panels<'a, O::Factor>, Best<'a>);
    impl<O: Operand> Kernel for ArgMax<'_, O> {
        type Out = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Self(queries, panels, mut best) = self;
            groups::<S, O, _>(s, queries, 0..queries.len.div_ceil(queries.group), panels, &mut best);
        }
    }
    assert_eq!(best.len(), queries.len, "one best a query");
    isa.run(ArgMax(queries, panels, Best { best, vectors, base }));
}

struct Best<'a> {
    best: &'a mut [(f32, u32)],
    vectors: usize,
    base: u32,
}

impl<S: Simd> Reduce<S> for Best<'_> {
    #[inline(always)]
    fn take<const Q: usize>(&mut self, s: S, query: usize, panel: usize, values: [S::F32; Q], _: &[Test; Q]) {
        // Padding queries have no best.
        for (best, value) in self.best[query..].iter_mut().zip(values) {
            // Most panels hold no better vector: one comparison ends them.
            let number = best.1 != u32::MAX && !best.0.is_nan();
            if number && s.not_less_f32(s.splat_f32(best.0), value) == S::ALL_LANES {
                continue;
            }
            let first = panel * PANEL;
            let lanes = s.lanes_f32(value);
            for (i, &v) in lanes.iter().enumerate().take(self.vectors.saturating_sub(first)) {
                if v > best.0 || best.1 == u32::MAX || (best.0.is_nan() && !v.is_nan()) {
                    *best = (v, self.base + (first + i) as u32);
                }
            }
        }
    }
}

/// Runs groups of queries over all panels in the shape that fits the registers.
#[inline(always)]
pub(super) fn groups<S: Simd, O: Operand, R: Reduce<S>>(
    s: S,
    queries: &QueryTile<O>,
    groups: std::ops::Range<usize>,
    panels: Panels<O::Factor>,
    reduce: &mut R,
) {
    let panels_len = panels.len();
    let (lines, stride) = (panels.lines, panels.stride);
    assert!(lines.len() >= panels_len * stride && queries.steps <= stride, "panels as long as the queries");
    assert_eq!(panels.t.len(), panels_len, "one factor of each kind a vector");
    for group in groups {
        match (S::PANELS, queries.group) {
            (4, 6) => passes::<S, O, R, 4, 6>(s, queries, group, (lines, stride), panels, reduce),
            (1, 6) => passes::<S, O, R, 1, 6>(s, queries, group, (lines, stride), panels, reduce),
            (1, 4) => passes::<S, O, R, 1, 4>(s, queries, group, (lines, stride), panels, reduce),
            (1, 3) => passes::<S, O, R, 1, 3>(s, queries, group, (lines, stride), panels, reduce),
            (_, 1) => passes::<S, O, R, 4, 1>(s, queries, group, (lines, stride), panels, reduce),
            (p, q) => unreachable!("no tile of {p} panels × {q} queries"),
        }
    }
}

#[inline(always)]
fn passes<S: Simd, O: Operand, R: Reduce<S>, const P: usize, const Q: usize>(
    s: S,
    queries: &QueryTile<O>,
    group: usize,
    (lines, stride): (&[Line], usize),
    panels: Panels<O::Factor>,
    reduce: &mut R,
) {
    let (items, _) = queries.items[group * queries.steps * Q..][..queries.steps * Q].as_chunks::<Q>();
    let mut at = 0;
    while at + P <= panels.len() {
        let sums = sums::<S, O, P, Q>(s, items, &lines[at * stride..], stride);
        test::<S, O, R, P, Q>(s, queries, group, sums, panels, at, reduce);
        at += P;
    }
    while at < panels.len() {
        let sums = sums::<S, O, 1, Q>(s, items, &lines[at * stride..], stride);
        test::<S, O, R, 1, Q>(s, queries, group, sums, panels, at, reduce);
        at += 1;
    }
}

/// Σ xⱼ·qⱼ of the first P panels of `lines` and Q queries.
#[inline(always)]
fn sums<S: Simd, O: Operand, const P: usize, const Q: usize>(
    s: S,
    items: &[[O::Query; Q]],
    lines: &[Line],
    stride: usize,
) -> [[O::Acc<S>; Q]; P] {
    let (first, rest) = items.split_at(items.len().min(O::steps::<S>()));
    let parts = part::<S, O, P, Q>(s, first, lines, stride);
    let mut accs = [[O::first(s, O::zero(s)); Q]; P];
    for p in 0..P {
        for i in 0..Q {
            accs[p][i] = O::first(s, parts[p][i]);
        }
    }
    let mut at = first.len();
    for items in rest.chunks(O::steps::<S>()) {
        let parts = part::<S, O, P, Q>(s, items, &lines[at..], stride);
        for p in 0..P {
            for i in 0..Q {
                accs[p][i] = O::add(s, accs[p][i], parts[p][i]);
            }
        }
        at += items.len();
    }
    accs
}

/// The same over steps that make one part.
#[inline(always)]
fn part<S: Simd, O: Operand, const P: usize, const Q: usize>(
    s: S,
    items: &[[O::Query; Q]],
    lines: &[Line],
    stride: usize,
) -> [[O::Part<S>; Q]; P] {
    let lines: [&[Line]; P] = std::array::from_fn(|p| &lines[p * stride..][..items.len()]);
    let mut parts = [[O::zero(s); Q]; P];
    for (step, q) in items.iter().enumerate() {
        for p in 0..P {
            for i in 0..Q {
                parts[p][i] = O::step(s, parts[p][i], &lines[p][step], &q[i]);
            }
        }
    }
    parts
}

#[inline(always)]
fn test<S: Simd, O: Operand, R: Reduce<S>, const P: usize, const Q: usize>(
    s: S,
    queries: &QueryTile<O>,
    group: usize,
    sums: [[O::Acc<S>; Q]; P],
    panels: Panels<O::Factor>,
    at: usize,
    reduce: &mut R,
) {
    let tests: &[Test; Q] =
        queries.tests[group * Q..].first_chunk().expect("a test for each place of a group");
    for p in 0..P {
        let (a, t) = (O::Factor::load(s, &panels.a[at + p]), O::Factor::load(s, &panels.t[at + p]));
        let mut values = [a; Q];
        for i in 0..Q {
            let value = s.mul_add_f32(s.splat_f32(tests[i].beta), a, O::finish(s, sums[p][i]));
            values[i] = s.mul_add_f32(s.splat_f32(tests[i].tau), t, value);
        }
        reduce.take(s, group * Q, at + p, values, tests);
    }
}
