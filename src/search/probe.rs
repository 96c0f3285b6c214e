//! The one loop over lists of codes.
//!
//! ```text
//! for each query   the centres' list → the nprobe nearest lists, nearest first
//! for each visit of a query to a list
//!   for each block of 32 codes
//!     estimates by table, less what they may be off → a bit for each that could be near enough
//!     where codes have more bits: those wait until all of the list is seen, while their rests arrive
//!                                 → estimates by all bits
//!     → the best so far, which lower the bound
//! ```
//!
//! Lists come from memory: what is read of them takes longer than what is done with it. So queries that are asked together visit the
//! nearest few of their lists alone, for a bound, and the others in the order of the lists: those that share one visit it one after
//! the other. A query asked alone keeps to that order, and so finds the same.
//!
//! Distances are told less the query's own squared length, as those of a [walk](super::beam) are.

use std::cell::RefCell;

use super::beam::Stats;
use super::pool::{distance_of, key};
use super::rerank::{Found, Ranking, Rerank};
use crate::ids::Ids;
use crate::ivf::{Ivf, Run, View};
use crate::kernels::fastscan::{BLOCK, Tables};
use crate::kernels::lookup::{ByteTables, LOWER};
use crate::kernels::planes::{MOST, PlaneQuery, WHOLE};
use crate::kernels::{Isa, Kernel, Simd};
use crate::vectors::Vectors;

/// What an estimate may be off, in deviations, so that the code is looked at once more: among the nearest, where those beside it
/// take its place, and within a radius, where nothing does.
const NEAREST: f32 = 1.2;
const WHOLE_RANGE: f32 = 3.0;
/// How many times as many centres as are wanted get their exact distance.
const NEAR: usize = 3;
/// Entries that come together before the farther ones are left out.
const MANY: usize = 16;
/// Bytes of a run that are asked for before it is read, at most; what follows comes by itself.
const EARLY: usize = 4 << 10;
/// Queries that visit lists together, at most.
const TOGETHER: usize = 1024;
/// Bytes of tables that queries have together, at most, where those are large: what a cache holds.
const TABLES: usize = 1 << 20;
/// The part of its lists that a query visits alone.
const ALONE: usize = 4;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// What is probed, and how far.
#[derive(Clone, Copy)]
pub(super) struct Probes<'a> {
    pub ivf: &'a Ivf,
    pub ids: &'a Ids,
    /// Lists.
    pub lists: usize,
    /// Codes after which no further list is looked at.
    pub codes: usize,
    /// The nearest so many by their codes are found.
    pub most: usize,
    /// What is farther is not found.
    pub within: Within,
    /// Gets exact distances of what was found.
    pub rerank: Option<Rerank<'a>>,
}

/// A bound of a query's distances.
#[derive(Clone, Copy)]
pub(super) enum Within {
    Any,
    /// A metric's distance.
    Radius(f32),
}

/// What a thread keeps from call to call.
#[derive(Default)]
struct Scratch {
    values: Vec<f32>,
    heads: Vec<f32>,
    norms: Vec<f64>,
    seats: Vec<Seat>,
    visits: Vec<Visit>,
    later: Vec<Visit>,
    /// A query's tables as the centres' codes meet them, and the nearest of these.
    tables: Tables,
    lists: Vec<u64>,
    /// How many visits lists have.
    counts: Vec<u32>,
    waiting: Vec<Waiting>,
    found: [Found; 2],
    ranking: Ranking,
}

/// A query.
#[derive(Default)]
struct Seat {
    tables: Tables,
    planes: PlaneQuery,
    bytes: ByteTables,
    /// The squared length of its head.
    square: f32,
    /// What makes its squared distance a metric's one: (distance + offset) · factor.
    offset: f64,
    factor: f64,
    best: Best,
    stats: Stats,
}

/// A query at a list.
#[derive(Clone, Copy, Default)]
struct Visit {
    seat: u32,
    list: u32,
    /// The squared distance between them.
    center: f32,
}

/// A code whose other bits were asked for.
#[derive(Clone, Copy)]
struct Waiting {
    at: u32,
    /// ⟨x̄,q⟩ by the highest bits.
    top: f32,
}

/// The nearest so far, as [`key`]s.
#[derive(Default)]
struct Best {
    keys: Vec<u64>,
    most: usize,
    bound: f32,
    /// A vector may come twice.
    copies: bool,
}

impl Best {
    fn clear(&mut self, most: usize, bound: f32, copies: bool) {
        self.keys.clear();
        (self.most, self.bound, self.copies) = (most, bound, copies);
    }

    #[inline(always)]
    fn push(&mut self, distance: f32, number: u32) {
        if distance <= self.bound {
            self.keys.push(key(distance, number));
            if self.keys.len() >= self.most.saturating_add(MANY + self.most / 2) {
                self.cut();
            }
        }
    }

    #[inline(never)]
    fn cut(&mut self) {
        if self.copies {
            self.unite();
        }
        if self.keys.len() > self.most {
            let (_, last, _) = self.keys.select_nth_unstable(self.most - 1);
            self.bound = self.bound.min(distance_of(*last));
            self.keys.truncate(self.most);
        }
    }

    /// Makes one of each vector's copies, as far as they tell in the mean.
    fn unite(&mut self) {
        self.keys.sort_unstable_by_key(|&key| key as u32);
        self.keys.dedup_by(|next, kept| {
            let same = *next as u32 == *kept as u32;
            if same {
                *kept = key(f32::midpoint(distance_of(*kept), distance_of(*next)), *kept as u32);
            }
            same
        });
    }
}

impl Probes<'_> {
    /// Calls `finish` with each query's number, what was found by distance, ties by the lower id, and what it cost.
    pub fn run(&self, isa: Isa, queries: Vectors, mut finish: impl FnMut(usize, &[(f32, u64)], Stats)) {
        SCRATCH.with_borrow_mut(|scratch| {
            let quantizer = &self.ivf.quantizer;
            let together = match quantizer.extra() {
                LOWER => (TABLES / ByteTables::size(quantizer.nibbles())).clamp(1, TOGETHER),
                _ => TOGETHER,
            };
            for first in (0..queries.len()).step_by(together) {
                let some = queries.rows(first..queries.len().min(first + together));
                let finish = |at: usize, found: &[(f32, u64)], stats| finish(first + at, found, stats);
                isa.run(Party { probes: *self, isa, queries: some, scratch, finish });
            }
        });
    }

    /// Readies a seat for each of `queries`, and their visits.
    #[inline(always)]
    fn aim<S: Simd>(&self, s: S, isa: Isa, queries: Vectors, scratch: &mut Scratch) {
        let Scratch { values, heads, norms, seats, visits, later, tables, lists, counts, .. } = scratch;
        let (ivf, space) = (self.ivf, &self.ivf.space);
        space.heads(isa, queries, values, heads);
        norms.clear();
        crate::space::squares(queries, |_, norm| norms.push(norm));
        if seats.len() < queries.len() {
            seats.resize_with(queries.len(), Seat::default);
        }
        visits.clear();
        later.clear();
        let dims = values.len() / queries.len().max(1);
        let alone = self.lists.div_ceil(ALONE);
        for (at, seat) in (0u32..).zip(&mut seats[..queries.len()]) {
            let head = &heads[at as usize * space.width()..][..space.width()];
            let whole = &values[at as usize * dims..][..dims];
            (seat.offset, seat.factor) = space.told(norms[at as usize], whole);
            let bound = match self.within {
                Within::Any => f32::MAX,
                Within::Radius(radius) => (f64::from(radius) / seat.factor - seat.offset) as f32,
            };
            seat.square = head.iter().map(|v| v * v).sum();
            seat.stats = Stats::default();
            seat.best.clear(self.most, bound, ivf.copies > 1);
            seat.planes.set(head);
            ivf.quantizer.tables(isa, head, &mut seat.tables, &mut seat.bytes);
            tables.set(head);
            self.find_lists(s, tables, &seat.planes, lists);
            let mut codes = 0;
            for (rank, &list) in lists.iter().enumerate() {
                if codes >= self.codes {
                    break;
                }
                let visit = Visit { seat: at, list: list as u32, center: distance_of(list) };
                codes +=
                    ivf.lists.runs(visit.list as usize).iter().map(|run| run.len as usize).sum::<usize>();
                if rank < alone { visits.push(visit) } else { later.push(visit) }
            }
        }
        // Those of one list after those of the other.
        counts.clear();
        counts.resize(ivf.lists.len() + 1, 0);
        later.iter().for_each(|visit| counts[visit.list as usize + 1] += 1);
        let alone = visits.len();
        visits.resize(alone + later.len(), Visit::default());
        counts[0] = alone as u32;
        for list in 0..ivf.lists.len() {
            counts[list + 1] += counts[list];
        }
        for visit in later {
            let place = &mut counts[visit.list as usize];
            visits[*place as usize] = *visit;
            *place += 1;
        }
    }

    /// The lists whose centres are nearest, nearest first, of [`NEAR`] times as many that are near by one bit a coordinate.
    #[inline(always)]
    fn find_lists<S: Simd>(&self, s: S, tables: &Tables, planes: &PlaneQuery, lists: &mut Vec<u64>) {
        let (view, count) = (self.ivf.centers.view(), self.ivf.lists.len());
        lists.clear();
        for block in 0..count.div_ceil(BLOCK) {
            let (codes, factors) = view.block(block);
            let estimates = factors.estimates(s, tables.dots(s, codes, 0.0), 0.0);
            for (half, estimates) in estimates.into_iter().enumerate() {
                let first = (block * BLOCK + half * 16) as u32;
                for (lane, estimate) in s.lanes_f32(estimates).into_iter().enumerate() {
                    lists.push(key(estimate, first + lane as u32));
                }
            }
        }
        lists.truncate(count);
        let near = self.lists.saturating_mul(NEAR) + MANY;
        if near < count {
            lists.select_nth_unstable(near - 1);
            lists.truncate(near);
        }
        for list in &mut *lists {
            let at = *list as u32 as usize;
            let (rest, factors) = view.rest(at);
            let (codes, _) = view.block(at / BLOCK);
            let dot = planes.dot::<S, WHOLE>(s, (codes, at % BLOCK, 0.0), rest);
            *list = key(factors.add + factors.rescale * dot, at as u32);
        }
        lists.sort_unstable();
        lists.truncate(self.lists);
    }

    /// Makes all visits.
    #[inline(always)]
    fn visit<S: Simd, const E: usize>(&self, s: S, scratch: &mut Scratch) {
        let Scratch { seats, visits, waiting, .. } = scratch;
        let ivf = self.ivf;
        let [top, all] = ivf.quantizer.deviations();
        // A number of the nearest is counted by the estimates themselves, a radius is kept to by distances.
        let (sure, margin) = match (self.within, &self.rerank) {
            (Within::Any, _) => (NEAREST * top, 0.0),
            (Within::Radius(_), None) => (WHOLE_RANGE * top, 0.0),
            (Within::Radius(_), Some(_)) => (WHOLE_RANGE * top, WHOLE_RANGE * all),
        };
        let sight = Sight { view: ivf.codes.view(), sure: if E > 0 { sure } else { margin }, margin };
        waiting.clear();
        for (at, &visit) in visits.iter().enumerate() {
            if let Some(next) = visits.get(at + 1) {
                if next.list != visit.list {
                    sight.ask(s, ivf.lists.runs(next.list as usize));
                }
                if next.seat != visit.seat {
                    seats[next.seat as usize].tables.bytes().chunks(64).for_each(|line| s.prefetch(line));
                }
            }
            let Seat { tables, planes, bytes, square, best, stats, .. } = &mut seats[visit.seat as usize];
            for &run in ivf.lists.runs(visit.list as usize) {
                for block in run.blocks() {
                    sight.scan::<S, E>(s, (run, block), visit, (tables, *square), best, waiting);
                }
                stats.estimates += u64::from(run.len);
            }
            stats.hops += 1;
            if E > 0 {
                for &one in &*waiting {
                    sight.refine::<S, E>(s, one, visit.center, (planes, bytes, *square), best);
                }
                stats.refined += waiting.len() as u64;
                waiting.clear();
            }
        }
    }
}

/// Some queries together.
struct Party<'a, F> {
    probes: Probes<'a>,
    isa: Isa,
    queries: Vectors<'a>,
    scratch: &'a mut Scratch,
    finish: F,
}

impl<F: FnMut(usize, &[(f32, u64)], Stats)> Kernel for Party<'_, F> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { probes, isa, queries, scratch, mut finish } = self;
        probes.aim(s, isa, queries, scratch);
        match probes.ivf.quantizer.extra() {
            0 => probes.visit::<S, 0>(s, scratch),
            1 => probes.visit::<S, 1>(s, scratch),
            2 => probes.visit::<S, 2>(s, scratch),
            3 => probes.visit::<S, 3>(s, scratch),
            4 => probes.visit::<S, 4>(s, scratch),
            5 => probes.visit::<S, 5>(s, scratch),
            6 => probes.visit::<S, 6>(s, scratch),
            MOST => probes.visit::<S, MOST>(s, scratch),
            WHOLE => probes.visit::<S, WHOLE>(s, scratch),
            _ => probes.visit::<S, LOWER>(s, scratch),
        }
        // While one query's candidates are ranked, the vectors of the next one's are on their way.
        let Scratch { seats, found: [now, next], ranking, .. } = scratch;
        let seats = &mut seats[..queries.len()];
        for at in 0..=seats.len() {
            if let Some(seat) = seats.get_mut(at) {
                seat.best.cut();
                std::mem::swap(&mut next.keys, &mut seat.best.keys);
                if let Some(rerank) = &probes.rerank {
                    rerank.ask(s, next);
                }
            }
            if let Some(at) = at.checked_sub(1) {
                let seat = &mut seats[at];
                match &probes.rerank {
                    Some(rerank) => rerank.rank(isa, (queries, at), now, ranking, &mut seat.stats),
                    None => ranking.set(now.keys.iter().map(|&key| {
                        let distance = (f64::from(distance_of(key)) + seat.offset) * seat.factor;
                        (distance as f32, probes.ids.get(key as u32 as usize))
                    })),
                }
                finish(at, &ranking.best, seat.stats);
            }
            std::mem::swap(now, next);
        }
    }
}

/// Codes, and what estimates of them may be off.
#[derive(Clone, Copy)]
struct Sight<'a> {
    view: View<'a>,
    /// By the highest bits, in units of the query's distance from a list's centre.
    sure: f32,
    /// By all bits.
    margin: f32,
}

impl Sight<'_> {
    /// Asks for the first blocks of a list; those after them come by themselves.
    #[inline(always)]
    fn ask<S: Simd>(&self, s: S, list: &[Run]) {
        for run in list {
            let bytes = self.view.bytes(run.blocks());
            for line in bytes[..bytes.len().min(EARLY)].chunks(64) {
                s.prefetch(line);
            }
        }
    }

    /// Estimates of a block of a run: into `best`, or `waiting` where codes have more bits.
    #[inline(always)]
    fn scan<S: Simd, const E: usize>(
        &self,
        s: S,
        (run, block): (Run, usize),
        visit: Visit,
        (tables, square): (&Tables, f32),
        best: &mut Best,
        waiting: &mut Vec<Waiting>,
    ) {
        let (start, end) = (run.start as usize, (run.start + run.len) as usize);
        let lift = self.sure * far(visit.center, square);
        let (codes, factors) = self.view.block(block);
        let dots = tables.dots(s, codes, lift);
        let estimates = factors.estimates(s, dots, visit.center);
        let bound = s.splat_f32(best.bound);
        for (half, (estimates, dots)) in estimates.into_iter().zip(dots).enumerate() {
            let mut mask = s.not_less_f32(bound, estimates);
            if mask == 0 {
                continue;
            }
            let values = s.lanes_f32(if E == 0 { estimates } else { dots });
            while mask != 0 {
                let bit = mask.trailing_zeros();
                let lane = usize::from(S::LANE_OF_BIT[bit as usize]);
                mask &= !(S::LANE_BITS << bit);
                let at = block * BLOCK + half * 16 + lane;
                // A block may have vectors of other lists in it.
                if at < start || at >= end {
                    continue;
                }
                if E == 0 {
                    best.push(values[lane], self.view.rows[at]);
                } else {
                    for line in self.view.rest(at).0.chunks(64) {
                        s.prefetch(line);
                    }
                    let (at, top) = (at as u32, values[lane] - lift);
                    waiting.push(Waiting { at, top });
                }
            }
        }
    }

    /// An estimate by all bits.
    #[inline(always)]
    fn refine<S: Simd, const E: usize>(
        &self,
        s: S,
        one: Waiting,
        center: f32,
        (planes, bytes, square): (&PlaneQuery, &ByteTables, f32),
        best: &mut Best,
    ) {
        let at = one.at as usize;
        let (codes, _) = self.view.block(at / BLOCK);
        let (rest, factors) = self.view.rest(at);
        let mut dot = if E == LOWER {
            bytes.dot(codes, at % BLOCK, rest)
        } else {
            planes.dot::<S, E>(s, (codes, at % BLOCK, one.top), rest)
        };
        if self.margin > 0.0 {
            dot += self.margin * far(center, square);
        }
        best.push(center + factors.add + factors.rescale * dot, self.view.rows[at]);
    }
}

/// The distance that is squared in `center`, which is less the query's own.
#[inline(always)]
fn far(center: f32, square: f32) -> f32 {
    (center + square).max(0.0).sqrt()
}
