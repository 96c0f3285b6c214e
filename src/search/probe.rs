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
use super::best::Best;
use super::coarse::Coarse;
use super::rerank::{Found, Ranking, Rerank};
use super::sight::{Asked, Open, Sight};
use crate::ids::Ids;
use crate::ivf::Ivf;
use crate::kernels::fastscan::Tables;
use crate::kernels::lookup::{ByteTables, LOWER};
use crate::kernels::planes::{MOST, PlaneQuery, WHOLE};
use crate::kernels::{Isa, Kernel, Simd};
use crate::keys::distance_of;
use crate::vectors::Vectors;

/// What an estimate may be off, in deviations, so that the code is looked at once more: among the nearest, where those beside it
/// take its place, and within a radius, where nothing does.
const NEAREST: f32 = 1.2;
const WHOLE_RANGE: f32 = 3.0;
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
    coarse: Coarse,
    /// How many visits lists have.
    counts: Vec<u32>,
    open: Open,
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
        let Scratch { values, heads, norms, seats, visits, later, coarse, counts, .. } = scratch;
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
            coarse.find(s, ivf, head, &seat.planes, self.lists);
            let mut codes = 0;
            for (rank, &list) in coarse.lists.iter().enumerate() {
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
        if later.len() < ivf.lists.len() / 8 {
            later.sort_unstable_by_key(|visit| (visit.list, visit.seat));
            visits.append(later);
            return;
        }
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

    /// Makes all visits.
    #[inline(always)]
    fn visit<S: Simd, const E: usize>(&self, s: S, scratch: &mut Scratch) {
        let Scratch { seats, visits, open, .. } = scratch;
        let ivf = self.ivf;
        let [top, all] = ivf.quantizer.deviations();
        // A number of the nearest is counted by the estimates themselves, a radius is kept to by distances.
        let (sure, margin) = match (self.within, &self.rerank) {
            (Within::Any, _) => (NEAREST * top, 0.0),
            (Within::Radius(_), None) => (WHOLE_RANGE * top, 0.0),
            (Within::Radius(_), Some(_)) => (WHOLE_RANGE * top, WHOLE_RANGE * all),
        };
        let sight = Sight { view: ivf.codes.view(), sure: if E > 0 { sure } else { margin }, margin };
        for (at, &visit) in visits.iter().enumerate() {
            let mut beginning = &[][..];
            if let Some(next) = visits.get(at + 1) {
                if next.list != visit.list {
                    beginning = sight.beginning(ivf.lists.runs(next.list as usize));
                }
                if next.seat != visit.seat {
                    for line in seats[next.seat as usize].tables.bytes().chunks(64) {
                        s.prefetch(line);
                    }
                }
            }
            let Seat { tables, planes, bytes, square, best, stats, .. } = &mut seats[visit.seat as usize];
            let asked = Asked { tables, planes, bytes, center: visit.center, square: *square };
            let list = ivf.lists.runs(visit.list as usize);
            stats.refined += sight.look::<S, E>(s, (list, beginning), asked, best, open) as u64;
            stats.estimates += list.iter().map(|run| u64::from(run.len)).sum::<u64>();
            stats.hops += 1;
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
                    rerank.choose(next);
                    rerank.ahead(next).ask(s);
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
