//! The k nearest of some hundred vectors of bytes to each of many: a tile whose reduction is a short list a query.
//!
//! The vectors x are read in seven bits, x̃ = 2c + ½ with c = ⌊x/2⌋, off by ½ in each coordinate; the queries q as they are, or smaller by
//! what lets the tile sum their products (φ ≤ 1). What is compared is a half of ⟨x̃,q⟩ − ½‖x̃‖² but for what is the same for all vectors,
//! larger is nearer:
//!
//! ```text
//! Σ cⱼqⱼ − h        h = Σ cⱼ(cⱼ + ½)        ‖q − x̃‖² = ‖q‖² − Σ qⱼ − 4·(Σ cⱼqⱼ − h) + d/4
//! ```
//!
//! What a query has of some panels is held until all of it is there. Then a bound comes from the least of each lane: the k-th least of
//! these is no less than the k-th least of all, and little more where there are twice as many as k. What is within the bound, some 1.4 k,
//! becomes a list that is cut to the k best, and the worst of these is the bound for the panels that follow. h is told to 16 bits:
//! beyond, neighbours in the order may change places; whoever needs distances computes those of the list.

use std::ops::Range;

use half::bf16;

use super::simd::{CODE_LIMIT, PART_LINES, PART_SUM, ROUND};
use super::tile::{Codes, Line, PANEL, Panels, QueryTile, Reduce, Test, groups};
use super::{Isa, Kernel, Simd};
use crate::keys::{distance_of, key};

/// What is added to c, so that it is no less than 0.
const ZERO: u8 = 64;
/// Rows that are asked for before they are read.
const AHEAD: usize = 8;
/// Coordinates whose products are summed before they are widened.
const PART: usize = 4 * PART_LINES;
/// Panels of which a query's values are held at most.
const HELD: usize = 64;

/// Vectors to choose from, in tile order. Kept for its memory: [`Nearest::load`] replaces the vectors.
#[derive(Default)]
pub struct Nearest {
    lines: Vec<Line>,
    /// h in two parts, the second what the first lacks.
    halves: [Vec<[bf16; PANEL]>; 2],
    width: usize,
    len: usize,
    lists: Vec<Short>,
    /// Queries as the tile takes them.
    codes: Vec<i8>,
    asked: Vec<Asked>,
}

/// A query.
#[derive(Clone, Copy)]
pub struct Asked {
    /// Its number.
    pub at: usize,
    /// ‖q‖² − Σ q.
    base: i32,
    /// φ.
    scale: f32,
    /// What [`ZERO`] adds to the sums of φq.
    offset: f32,
}

impl Asked {
    /// The squared distance of a vector that is as near as `value`, but for d/4 that rounding adds to it in the mean.
    pub fn squared(&self, value: f32) -> f32 {
        (self.base as f32 - 4.0 * value).max(0.0)
    }
}

/// The best of one query so far. Here as in [`key`]s, less is nearer.
struct Short {
    /// What is farther is not among the best.
    bound: f32,
    /// What the bound is of, where only the nearest is wanted.
    nearest: u32,
    keys: Vec<u64>,
    /// How near the vectors of each panel are that was not settled yet.
    held: [[f32; PANEL]; HELD],
}

impl Nearest {
    /// Vectors from now on: `len` rows of `width` coordinates each, a multiple of 4, as `row` tells them.
    pub fn load<'a>(&mut self, isa: Isa, (len, width): (usize, usize), row: impl Fn(usize) -> &'a [i8]) {
        (self.len, self.width) = (len, width);
        let panels = self.len.div_ceil(PANEL);
        self.lines.clear();
        self.lines.resize(panels * width / 4, Line([0; 64]));
        for half in &mut self.halves {
            half.clear();
            half.resize(panels, [bf16::ZERO; PANEL]);
        }
        isa.run(Load { row, to: self });
    }

    /// Calls `take(query, list)` with the at most `k` nearest vectors of each of `len` queries, which `row` tells, in no order: how near,
    /// larger is nearer, and which.
    pub fn search<'a>(
        &mut self,
        isa: Isa,
        (len, k): (usize, usize),
        row: impl Fn(usize) -> &'a [i8],
        mut take: impl FnMut(&Asked, &[(f32, u32)]),
    ) {
        struct Group<'a>(&'a QueryTile<Codes>, usize, Panels<'a, bf16>, Lists<'a>);
        impl Kernel for Group<'_> {
            type Out = ();
            #[inline(always)]
            fn run<S: Simd>(self, s: S) {
                let Self(queries, group, panels, mut lists) = self;
                let mut least = [[0.0; PANEL]; HELD];
                for start in (0..panels.len()).step_by(HELD) {
                    let some = start..panels.len().min(start + HELD);
                    let lines = &panels.lines[start * panels.stride..];
                    let (a, t) = (&panels.a[some.clone()], &panels.t[some.clone()]);
                    let part = Panels { lines, stride: panels.stride, a, t };
                    lists.start = start;
                    groups::<S, Codes, _>(s, queries, group..group + 1, part, &mut lists);
                    if lists.k > 1 {
                        for list in &mut lists.lists[..lists.queries] {
                            list.settle(s, some.clone(), (lists.k, lists.len), &mut least);
                        }
                    }
                }
            }
        }
        let k = k.min(self.len);
        isa.run(Fitted { len, row, width: self.width, codes: &mut self.codes, asked: &mut self.asked });
        let mut tile = QueryTile::of_rows(isa, &self.codes, self.width);
        for (at, asked) in self.asked.iter().enumerate() {
            tile.set_test(at, Test { beta: -asked.scale, tau: -asked.scale, threshold: 0.0 });
        }
        self.lists.resize_with(tile.group(), Short::new);
        let [a, t] = &self.halves;
        let panels = Panels { lines: &self.lines, stride: self.width / 4, a, t };
        let mut found = Vec::with_capacity(k);
        for group in 0..tile.len().div_ceil(tile.group()) {
            let first = group * tile.group();
            for list in &mut self.lists {
                list.keys.clear();
                (list.bound, list.nearest) = (f32::INFINITY, 0);
            }
            let queries = tile.group().min(tile.len() - first);
            let lists = Lists { lists: &mut self.lists, first, queries, start: 0, len: self.len, k };
            isa.run(Group(&tile, group, panels, lists));
            for (i, list) in self.lists[..queries].iter_mut().enumerate() {
                let asked = &self.asked[first + i];
                let value = |v: f32| (v - asked.offset) / asked.scale;
                found.clear();
                if k == 1 {
                    found.push((value(-list.bound), list.nearest));
                } else {
                    found.extend(list.keys.iter().map(|&key| (value(-distance_of(key)), key as u32)));
                }
                take(asked, &found);
            }
        }
    }
}

/// The rows of `width` coordinates that lie in `rows` one after the other, as [`Nearest`] asks for them.
pub fn rows_of<'a>(rows: &'a [i8], width: usize) -> impl Fn(usize) -> &'a [i8] {
    move |at| &rows[at * width..][..width]
}

/// Puts vectors into tile order.
struct Load<'a, R> {
    row: R,
    to: &'a mut Nearest,
}

impl<'r, R: Fn(usize) -> &'r [i8]> Kernel for Load<'_, R> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { row, to } = self;
        let words: &mut [[u32; PANEL]] = bytemuck::cast_slice_mut(&mut to.lines);
        for (at, panel) in words.chunks_exact_mut(to.width / 4).enumerate() {
            for i in 0..PANEL.min(to.len - at * PANEL) {
                let row = row(at * PANEL + i);
                for (step, x) in panel.iter_mut().zip(row.as_chunks::<4>().0) {
                    // (x + 128) / 2 is c + 64.
                    let word = u32::from_ne_bytes(x.map(i8::cast_unsigned));
                    step[i] = (word ^ 0x8080_8080) >> 1 & 0x7F7F_7F7F;
                }
                let mut twice = 0i32;
                for &x in &row[..to.width] {
                    let c = i16::from(x >> 1);
                    twice += i32::from(c) * i32::from(2 * c + 1);
                }
                let half = twice as f32 / 2.0;
                let first = bf16::from_f32(half);
                to.halves[0][at][i] = first;
                to.halves[1][at][i] = bf16::from_f32(half - first.to_f32());
            }
        }
    }
}

/// Replaces `codes` and `asked` by what the tile takes of some rows: the same for every instruction set, so that what is built is the
/// same everywhere.
struct Fitted<'a, R> {
    len: usize,
    row: R,
    width: usize,
    codes: &'a mut Vec<i8>,
    asked: &'a mut Vec<Asked>,
}

impl<'r, R: Fn(usize) -> &'r [i8]> Kernel for Fitted<'_, R> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { len, row: of, width, codes, asked } = self;
        codes.resize(len * width, 0);
        asked.clear();
        for (at, row) in codes.chunks_exact_mut(width).enumerate() {
            // Rows may be anywhere.
            s.prefetch_row(bytemuck::must_cast_slice(of((at + AHEAD).min(len - 1))));
            row.copy_from_slice(of(at));
            let (parts, rest) = row.as_chunks::<PART>();
            let mut most = [0; WORDS];
            for part in parts {
                meet(part, &mut most);
            }
            if !rest.is_empty() {
                let mut part = [0; PART];
                part[..rest.len()].copy_from_slice(rest);
                meet(&part, &mut most);
            }
            let (mut sum, mut square) = (0i32, 0i32);
            let (mut least, mut meeting) = (0i8, 0i16);
            for &v in &*row {
                sum += i32::from(v);
                square += i32::from(v) * i32::from(v);
                least = least.min(v);
            }
            for v in most {
                meeting = meeting.max(v);
            }
            let base = square - sum;
            let mut scale = 1.0;
            // -128 is no code.
            if i32::from(meeting) > PART_SUM || least < -(CODE_LIMIT as i8) {
                // Rounding may add a half to each of the coordinates that meet.
                let room = PART_SUM - PART as i32 / 4;
                scale = (room as f32 / f32::from(meeting)).min(f32::from(CODE_LIMIT) / 128.0);
                sum = 0;
                for v in row {
                    *v = (f32::from(*v) * scale + ROUND).to_bits() as i8;
                    sum += i32::from(*v);
                }
            }
            asked.push(Asked { at, base, scale, offset: (i32::from(ZERO) * sum) as f32 });
        }
    }
}

/// Pairs of coordinates of a part.
const WORDS: usize = PART / 2;

/// Raises `most` to what those of `part` come to whose products meet in a lane and have the same sign: see [`Simd::CODE_SUM`].
#[inline(always)]
fn meet(part: &[i8; PART], most: &mut [i16; WORDS]) {
    // Which of a word's bytes is which is the same to a sum of both.
    let words: [i16; WORDS] = bytemuck::cast(*part);
    let (mut above, mut below) = ([0i16; WORDS], [0i16; WORDS]);
    for i in 0..WORDS {
        let (low, high) = (words[i] << 8 >> 8, words[i] >> 8);
        above[i] = low.max(0) + high.max(0);
        below[i] = above[i] - low - high;
    }
    // Even words meet, and odd ones.
    let (mut both, mut four, mut two) = ([0; WORDS], [0; WORDS], [0; WORDS]);
    for i in 0..WORDS / 2 {
        both[i] = above[i] + above[i + WORDS / 2];
        both[i + WORDS / 2] = below[i] + below[i + WORDS / 2];
    }
    for i in 0..WORDS {
        four[i] = both[i] + both[i ^ 4];
    }
    for i in 0..WORDS {
        two[i] = four[i] + four[i ^ 2];
    }
    for i in 0..WORDS {
        most[i] = most[i].max(two[i]);
    }
}

impl Short {
    fn new() -> Self {
        Self { bound: f32::INFINITY, nearest: 0, keys: Vec::new(), held: [[0.0; PANEL]; HELD] }
    }

    /// Takes in what is held of the panels `panels`, and leaves of all so far the `k` best, of equals the first. `len` vectors are no
    /// padding; `least` is memory to work in.
    #[inline(always)]
    fn settle<S: Simd>(
        &mut self,
        s: S,
        panels: Range<usize>,
        (k, len): (usize, usize),
        least: &mut [[f32; PANEL]; HELD],
    ) {
        let held = &mut self.held[..panels.len()];
        if let Some(last) = held.last_mut() {
            last[PANEL.min(PANEL + len - panels.end * PANEL)..].fill(f32::INFINITY);
        }
        let bound = match self.bound {
            f32::INFINITY => bound_of(s, held, k, least),
            known => known,
        };
        for (panel, values) in panels.zip(&*held) {
            let mut mask = s.not_less_f32(s.splat_f32(bound), s.load_f32(values));
            while mask != 0 {
                let bit = mask.trailing_zeros();
                let lane = usize::from(S::LANE_OF_BIT[bit as usize]);
                let vector = panel * PANEL + lane;
                if vector < len {
                    self.keys.push(key(values[lane], vector as u32));
                }
                mask &= !(S::LANE_BITS << bit);
            }
        }
        if self.keys.len() >= k {
            let (_, last, _) = self.keys.select_nth_unstable(k - 1);
            self.bound = distance_of(*last);
            self.keys.truncate(k);
        }
    }
}

/// No less than the `k`-th least of `values`: the `k`-th least of the least of each lane of some parts of them, of which there are enough
/// for that to be near it. Infinity where there are less than `k`. `least` is memory to work in.
#[inline(always)]
fn bound_of<S: Simd>(s: S, values: &[[f32; PANEL]], k: usize, least: &mut [[f32; PANEL]; HELD]) -> f32 {
    if k > values.as_flattened().len() {
        return f32::INFINITY;
    }
    let parts = (2 * k).div_ceil(PANEL).min(values.len());
    let least = &mut least[..parts];
    for (part, least) in least.iter_mut().enumerate() {
        let mut all = s.splat_f32(f32::INFINITY);
        for values in values[part..].iter().step_by(parts) {
            all = s.min_f32(all, s.load_f32(values));
        }
        *least = s.lanes_f32(all);
    }
    let enough = k as u32 * S::LANE_BITS.count_ones();
    let mut bound = f32::INFINITY;
    for &value in least.as_flattened() {
        let mut within = 0;
        for least in &*least {
            within += s.not_less_f32(s.splat_f32(value), s.load_f32(least)).count_ones();
        }
        bound = if within >= enough { bound.min(value) } else { bound };
    }
    bound
}

struct Lists<'a> {
    lists: &'a mut [Short],
    /// The query of the first list.
    first: usize,
    /// How many of them are no padding.
    queries: usize,
    /// The panel that is the first of those that are held.
    start: usize,
    /// Vectors that are no padding.
    len: usize,
    k: usize,
}

impl<S: Simd> Reduce<S> for Lists<'_> {
    #[inline(always)]
    fn take<const Q: usize>(&mut self, s: S, query: usize, panel: usize, values: [S::F32; Q], _: &[Test; Q]) {
        for (list, value) in self.lists[query - self.first..].iter_mut().zip(values) {
            if self.k > 1 {
                // Its negative, and of both zeros the same one.
                let value = s.mul_add_f32(value, s.splat_f32(-1.0), s.splat_f32(0.0));
                list.held[panel % HELD] = s.lanes_f32(value);
            } else if s.not_less_f32(value, s.splat_f32(-list.bound)) != 0 {
                // The nearest alone needs no list.
                for (vector, value) in ((self.start + panel) * PANEL..self.len).zip(s.lanes_f32(value)) {
                    if -value < list.bound {
                        (list.bound, list.nearest) = (-value, vector as u32);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    struct Bound<'a>(&'a [[f32; PANEL]], usize);
    impl Kernel for Bound<'_> {
        type Out = f32;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> f32 {
            bound_of(s, self.0, self.1, &mut [[0.0; PANEL]; HELD])
        }
    }

    proptest! {
        #[test]
        fn a_bound_holds_for_the_nearest_and_for_few_others(
            panels in vec(proptest::array::uniform16(-1e3f32..1e3), 1..=HELD), k in 1usize..1100,
        ) {
            let mut sorted = panels.as_flattened().to_vec();
            sorted.sort_unstable_by(f32::total_cmp);
            for isa in Isa::available() {
                let bound = isa.run(Bound(&panels, k));
                match sorted.get(k - 1) {
                    None => prop_assert_eq!(bound, f32::INFINITY),
                    Some(&farthest) => {
                        prop_assert!(bound >= farthest, "{}", isa.name());
                        // Of 2k lanes or more k are reached by 1.4 k values in the mean, and hardly ever by three times as many.
                        let within = sorted.partition_point(|&v| v <= bound);
                        prop_assert!(within <= 3 * k + 32, "{}: {within}", isa.name());
                    }
                }
            }
        }
    }
}
