//! The one loop over lists of codes.
//!
//! ```text
//! the centres' list → the nprobe nearest lists, nearest first
//! for each of them
//!   for each block of 32 codes
//!     estimates by table, less what they may be off → a bit for each that could be near enough
//!     where codes have more bits: those wait until some have come together, and their rests have arrived
//!                                 → estimates by all bits
//!     → the best so far, which lower the bound
//! ```
//!
//! Distances are told less the query's own squared length, as those of a [walk](super::beam) are.

use std::cell::RefCell;

use super::beam::Stats;
use super::pool::{distance_of, key};
use super::rerank::{Found, Ranking, Rerank};
use crate::ids::Ids;
use crate::ivf::{Ivf, Run, View};
use crate::kernels::fastscan::{BLOCK, Tables};
use crate::kernels::planes::{MOST, PlaneQuery, WHOLE};
use crate::kernels::{Isa, Kernel, Simd};
use crate::quantizer::rabitq::Rabitq;
use crate::vectors::Vectors;

/// What an estimate by the highest bits may be off, in deviations, so that it gets another one by all of them.
const SURE: f32 = 1.6;
/// Codes whose rests are on their way before they are read.
const WAITING: usize = 24;
/// Bytes of a run that are asked for while the one before is read, at most; what follows comes by itself.
const EARLY: usize = 8 << 10;
/// Entries that come together before the farther ones are left out.
const MANY: usize = 16;

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
    query: Prepared,
    lists: Best,
    best: Best,
    waiting: Vec<Waiting>,
    found: Found,
    ranking: Ranking,
}

/// A code whose other bits were asked for.
#[derive(Clone, Copy)]
struct Waiting {
    at: u32,
    /// The query's squared distance from the list's centre.
    center: f32,
    /// ⟨x̄,q⟩ by the highest bits.
    top: f32,
}

/// A query as codes meet it.
#[derive(Default)]
struct Prepared {
    /// As the centres' codes meet it, and as the others do.
    bits: Tables,
    tables: Tables,
    planes: PlaneQuery,
    /// The squared length of its head.
    square: f32,
}

/// The nearest so far, as [`key`]s.
#[derive(Default)]
struct Best {
    keys: Vec<u64>,
    most: usize,
    bound: f32,
    /// Codes that were looked at by all of their bits.
    refined: u64,
}

impl Best {
    fn clear(&mut self, most: usize, bound: f32) {
        self.keys.clear();
        (self.most, self.bound, self.refined) = (most, bound, 0);
    }

    #[inline(always)]
    fn push(&mut self, distance: f32, number: u32) {
        if distance <= self.bound {
            self.keys.push(key(distance, number));
            if self.keys.len() - self.most.min(self.keys.len()) >= MANY + self.most / 2 {
                self.cut();
            }
        }
    }

    #[inline(never)]
    fn cut(&mut self) {
        if self.keys.len() > self.most {
            let (_, last, _) = self.keys.select_nth_unstable(self.most - 1);
            self.bound = self.bound.min(distance_of(*last));
            self.keys.truncate(self.most);
        }
    }
}

impl Probes<'_> {
    /// Calls `finish` with each query's number, what was found by distance, ties by the lower id, and what it cost.
    pub fn run(
        &self,
        isa: Isa,
        queries: Vectors,
        mut finish: impl FnMut(usize, &[(f32, u64)], Stats),
    ) {
        SCRATCH.with_borrow_mut(|scratch| {
            let Scratch { values, heads, .. } = scratch;
            let space = &self.ivf.space;
            space.heads(isa, queries, values, heads);
            let dims = values.len() / queries.len().max(1);
            for at in 0..queries.len() {
                let Scratch { values, heads, query, .. } = &mut *scratch;
                let head = &heads[at * space.width()..][..space.width()];
                query.square = head.iter().map(|v| v * v).sum();
                self.ivf.quantizer.tables(isa, head, &mut query.tables);
                let whole: f64 = values[at * dims..][..dims].iter().map(|v| f64::from(v * v)).sum();
                let (unit, rest) = space.units(norm(queries, at));
                let within = match self.within {
                    Within::Any => f32::MAX,
                    Within::Radius(radius) => (f64::from(radius) * unit + rest - whole) as f32,
                };
                let head = head.to_vec();
                let mut stats = isa.run(Probe { probes: self, head: &head, within, scratch });
                let Scratch { found, ranking, .. } = &mut *scratch;
                match &self.rerank {
                    Some(rerank) => {
                        rerank.rank(isa, (queries, at), found, ranking, &mut stats);
                    }
                    None => {
                        let best = &mut ranking.best;
                        best.clear();
                        best.extend(found.keys.iter().map(|&key| {
                            let distance = (f64::from(distance_of(key)) + whole - rest) / unit;
                            (distance as f32, self.ids.get(key as u32 as usize))
                        }));
                        best.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                    }
                }
                finish(at, &ranking.best, stats);
            }
        });
    }
}

/// The squared length of a query.
fn norm(queries: Vectors, row: usize) -> f64 {
    struct Norm<'a>(Vectors<'a>);
    impl crate::vectors::DtypeVisitor for Norm<'_> {
        type Out = f64;
        fn visit<E: crate::vectors::Element>(self) -> f64 {
            crate::kernels::distance::squared_norm(self.0.as_slice::<E>().unwrap_or_default())
        }
    }
    let one = queries.rows(row..row + 1);
    one.dtype().visit(Norm(one))
}

struct Probe<'a> {
    probes: &'a Probes<'a>,
    head: &'a [f32],
    within: f32,
    scratch: &'a mut Scratch,
}

impl Kernel for Probe<'_> {
    type Out = Stats;
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Stats {
        let Self { probes, head, within, scratch } = self;
        let Scratch { query, lists, best, waiting, found, .. } = scratch;
        let ivf = probes.ivf;
        query.bits.set(head);
        query.planes.set(head);
        let mut stats = Stats::default();
        // The centres are one list, around the origin.
        let all = Run { start: 0, len: ivf.lists.len() as u32, room: 0 };
        let sure = SURE * Rabitq::DEVIATION;
        let from = Aim { center: 0.0, lift: sure * query.square.sqrt() };
        lists.clear(probes.lists, f32::MAX);
        let view = ivf.centers.view();
        let sight = Sight { view, tables: &query.bits, planes: &query.planes };
        let exact = Reach { square: query.square, sure, margin: 0.0 };
        sight.scan::<S, WHOLE>(s, (all, from), exact, lists, waiting);
        sight.refine::<S, WHOLE>(s, exact, lists, waiting);
        lists.cut();
        lists.keys.sort_unstable();
        best.clear(probes.most, within);
        let sight = Sight { view: ivf.codes.view(), tables: &query.tables, planes: &query.planes };
        let [top, all] = ivf.quantizer.deviations();
        // A number of the nearest is counted by the estimates themselves, a radius is kept to by distances.
        let margin = match (probes.within, &probes.rerank) {
            (Within::Radius(_), Some(_)) => SURE * all,
            _ => 0.0,
        };
        let sure = if ivf.quantizer.extra() > 0 { SURE * top } else { margin };
        let reach = Reach { square: query.square, sure, margin };
        let visit = Visit { ivf, lists: &lists.keys, sight, reach, most: probes.codes };
        match ivf.quantizer.extra() {
            0 => visit.all::<S, 0>(s, best, waiting, &mut stats),
            1 => visit.all::<S, 1>(s, best, waiting, &mut stats),
            2 => visit.all::<S, 2>(s, best, waiting, &mut stats),
            3 => visit.all::<S, 3>(s, best, waiting, &mut stats),
            4 => visit.all::<S, 4>(s, best, waiting, &mut stats),
            5 => visit.all::<S, 5>(s, best, waiting, &mut stats),
            6 => visit.all::<S, 6>(s, best, waiting, &mut stats),
            _ => visit.all::<S, MOST>(s, best, waiting, &mut stats),
        }
        best.cut();
        std::mem::swap(&mut found.keys, &mut best.keys);
        if let Some(rerank) = &probes.rerank {
            rerank.ask(s, found);
        }
        stats
    }
}

/// The lists to look at, and how.
struct Visit<'a> {
    ivf: &'a Ivf,
    lists: &'a [u64],
    sight: Sight<'a>,
    reach: Reach,
    /// Codes after which no further list is looked at.
    most: usize,
}

impl Visit<'_> {
    #[inline(always)]
    fn all<S: Simd, const E: usize>(
        &self,
        s: S,
        best: &mut Best,
        waiting: &mut Vec<Waiting>,
        stats: &mut Stats,
    ) {
        waiting.clear();
        for (at, &list) in self.lists.iter().enumerate() {
            if stats.estimates as usize >= self.most {
                break;
            }
            if let Some(&next) = self.lists.get(at + 1) {
                self.ask(s, next as u32);
            }
            let center = distance_of(list);
            let aim = Aim { center, lift: self.reach.sure * self.reach.distance(center) };
            for &run in &self.ivf.lists[list as u32 as usize] {
                self.sight.scan::<S, E>(s, (run, aim), self.reach, best, waiting);
                stats.estimates += u64::from(run.len);
            }
            stats.hops += 1;
        }
        self.sight.refine::<S, E>(s, self.reach, best, waiting);
        stats.refined = best.refined;
    }

    /// Asks for the first blocks of a list; those after them come by themselves.
    #[inline(always)]
    fn ask<S: Simd>(&self, s: S, list: u32) {
        for run in &self.ivf.lists[list as usize] {
            let bytes = self.sight.view.bytes(run.blocks());
            for line in bytes[..bytes.len().min(EARLY)].chunks(64) {
                s.prefetch(line);
            }
        }
    }
}

/// What estimates may be off.
#[derive(Clone, Copy)]
struct Reach {
    /// The squared length of the query's head.
    square: f32,
    /// By the highest bits, in units of the query's distance from a list's centre.
    sure: f32,
    /// By all bits.
    margin: f32,
}

impl Reach {
    /// The query's distance from a centre.
    #[inline(always)]
    fn distance(self, center: f32) -> f32 {
        (center + self.square).max(0.0).sqrt()
    }
}

/// From where a list is looked at.
#[derive(Clone, Copy)]
struct Aim {
    /// The query's squared distance from the list's centre.
    center: f32,
    /// What ⟨x̄,q⟩ may be off.
    lift: f32,
}

/// Codes as a query meets them.
#[derive(Clone, Copy)]
struct Sight<'a> {
    view: View<'a>,
    tables: &'a Tables,
    planes: &'a PlaneQuery,
}

impl Sight<'_> {
    /// Estimates of a run: into `best`, or `waiting` where codes have more bits.
    #[inline(always)]
    fn scan<S: Simd, const E: usize>(
        &self,
        s: S,
        (run, aim): (Run, Aim),
        reach: Reach,
        best: &mut Best,
        waiting: &mut Vec<Waiting>,
    ) {
        let (start, end) = (run.start as usize, (run.start + run.len) as usize);
        for block in run.blocks() {
            let (codes, factors) = self.view.block(block);
            let bound = s.splat_f32(best.bound);
            let dots = self.tables.dots(s, codes, aim.lift);
            let estimates = factors.estimates(s, dots, aim.center);
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
                        let top = values[lane] - aim.lift;
                        waiting.push(Waiting { at: at as u32, center: aim.center, top });
                    }
                }
            }
            if E > 0 && waiting.len() >= WAITING {
                self.refine::<S, E>(s, reach, best, waiting);
            }
        }
    }

    /// Estimates by all bits of what waits.
    #[inline(always)]
    fn refine<S: Simd, const E: usize>(
        &self,
        s: S,
        reach: Reach,
        best: &mut Best,
        waiting: &mut Vec<Waiting>,
    ) {
        for &Waiting { at, center, top } in &*waiting {
            let at = at as usize;
            let (codes, _) = self.view.block(at / BLOCK);
            let (rest, factors) = self.view.rest(at);
            let mut dot = self.planes.dot::<S, E>(s, (codes, at % BLOCK, top), rest);
            if reach.margin > 0.0 {
                dot += reach.margin * reach.distance(center);
            }
            best.push(center + factors.add + factors.rescale * dot, self.view.rows[at]);
        }
        best.refined += waiting.len() as u64;
        waiting.clear();
    }
}
