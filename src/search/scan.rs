//! The one list loop: vectors in order, block by block, for any number of queries at once.
//!
//! ```text
//! for each block of vectors                       (what is read of them stays in L2)
//!   for each group of queries
//!     lists ← vectors that the screen cannot rule out, given each query's bound
//!     for each query: a second look at its list, if the screen has one
//!                     exact distances of what is left → its collector, which lowers the bound
//! ```
//!
//! Memory is a block of panels and a group's lists, whatever the sizes.

use std::ops::Range;

use super::screen::{Screened, Screening};
use super::topk::Collector;
use crate::ids::Ids;
use crate::kernels::Isa;
use crate::kernels::distance::Query;
use crate::kernels::tile::PANEL;
use crate::threads::Worker;
use crate::vectors::Vectors;

/// Vectors in a block, at most and at least: looking at every query's bound should cost little beside them.
const BLOCK: usize = 1024;
const SMALLEST: usize = 64;
/// Bytes of a block's rows, or of their codes where few rows are read: a part of L2, for many queries need the same ones.
const BLOCK_BYTES: usize = 1 << 18;
/// How many times larger blocks are where it is known closely how near vectors must be.
const AIMED: usize = 4;
/// How many small blocks come first, at most, for how many vectors there is one, and the vectors in each: while nothing is known,
/// everything is kept.
const PILOTS: usize = 64;
const EACH: usize = 512;
const PILOT: usize = PANEL;
/// Vectors seen before the first guess.
const GUESS: usize = 256;

/// The vectors that are scanned.
#[derive(Clone, Copy)]
pub(crate) struct List<'a> {
    pub rows: Vectors<'a>,
    pub ids: &'a Ids,
}

impl List<'_> {
    /// Offers the rows `list` of block `first..` to `collector`.
    fn offer<C: Collector>(
        &self,
        isa: Isa,
        query: &Query,
        first: usize,
        list: &[u32],
        collector: &mut C,
        out: &mut Vec<f32>,
    ) {
        out.clear();
        query.distances(isa, self.rows.rows(first..self.rows.len()), list, out);
        let mut bound = collector.bound();
        for (&row, &distance) in list.iter().zip(&*out) {
            if distance <= bound {
                collector.offer(distance, self.ids.get(first + row as usize));
                bound = collector.bound();
            }
        }
    }
}

/// What is known, before any vector is looked at, of how near those are that are wanted.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Aim {
    /// Nothing.
    Unknown,
    /// A bound that what is found will lower much.
    Loose,
    /// A bound close to the last one.
    Close,
}

impl Aim {
    /// Of collectors whose bounds, where they have any, are close or not.
    pub fn of<C: Collector>(collectors: &[C], close: bool) -> Self {
        match collectors.iter().all(|collector| collector.bound() < f32::INFINITY) {
            false => Self::Unknown,
            true if close => Self::Close,
            true => Self::Loose,
        }
    }
}

/// The blocks of `0..len`, each with the vectors seen before it: first, where nothing is known of how near vectors must be,
/// up to [`PILOTS`] small ones, spread evenly, then the rest in steps of the golden ratio, so that those seen at any time
/// are an even part of all, whatever order they are in.
fn blocks(len: usize, row_bytes: usize, aim: Aim) -> impl Iterator<Item = (Range<usize>, usize)> {
    // Where few are kept of each block, larger ones have less to look after.
    let larger = if aim == Aim::Close { AIMED } else { 1 };
    let size = (larger * BLOCK_BYTES / row_bytes / PANEL * PANEL).clamp(SMALLEST, larger * BLOCK);
    let (parts, pilot) = if aim == Aim::Unknown { ((len / EACH).clamp(1, PILOTS), PILOT) } else { (1, 0) };
    let start = move |part: usize| part * len / parts / PANEL * PANEL;
    let last = move |i: usize| if i + 1 == parts { len } else { start(i + 1) };
    let pilots: Vec<Range<usize>> = (0..parts).map(|i| start(i)..(start(i) + pilot).min(last(i))).collect();
    let rest: Vec<Range<usize>> = (0..parts)
        .flat_map(|i| (pilots[i].end..last(i)).step_by(size).map(move |at| at..(at + size).min(last(i))))
        .collect();
    // A step that shares no factor with the count visits every block once.
    let count = rest.len();
    let mut step = (count as f64 * 0.618_033_988_75) as usize;
    while gcd(step, count) > 1 {
        step += 1;
    }
    let mut seen = 0;
    let golden = (0..count).map(move |i| rest[(i as u128 * step as u128 % count as u128) as usize].clone());
    pilots.into_iter().filter(|block| !block.is_empty()).chain(golden).map(move |block| {
        seen += block.len();
        (block.clone(), seen - block.len())
    })
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Offers to each query's collector every vector that `screen` cannot rule out. False where the worker said stop.
pub(crate) fn scan<S: Screening, C: Collector>(
    isa: Isa,
    screen: &mut S,
    list: List,
    queries: &[Query],
    collectors: &mut [C],
    worker: &Worker,
) -> bool {
    let aim = Aim::of(collectors, true);
    scan_aimed(isa, screen, list, queries, collectors, (aim, worker))
}

/// [`scan`], told what is known beforehand.
pub(crate) fn scan_aimed<S: Screening, C: Collector>(
    isa: Isa,
    screen: &mut S,
    list: List,
    queries: &[Query],
    collectors: &mut [C],
    (aim, worker): (Aim, &Worker),
) -> bool {
    let group = screen.group();
    let mut lists: Vec<Vec<u32>> = vec![Vec::new(); group];
    let mut distances = Vec::new();
    let n = list.rows.len();
    let mut foreseen = 0;
    for (block, seen) in blocks(n, screen.code_bytes().unwrap_or(list.rows.row_bytes()), aim) {
        // Each guess costs a pass over the k best, and is one about an even part of all.
        if aim == Aim::Unknown && seen >= GUESS && seen >= 2 * foreseen {
            foreseen = seen;
            collectors.iter_mut().for_each(|collector| collector.foresee(seen, n));
        }
        let mut screened = screen.block(block.clone());
        for (g, (queries, collectors)) in queries.chunks(group).zip(collectors.chunks_mut(group)).enumerate()
        {
            for (i, collector) in collectors.iter().enumerate() {
                screened.aim(g * group + i, collector.bound());
            }
            screened.keep(g, &mut lists);
            for (i, ((query, collector), rows)) in queries.iter().zip(collectors).zip(&mut lists).enumerate()
            {
                if !rows.is_empty() {
                    if block.len() % PANEL != 0 {
                        // The places after the last vector of the last panel hold nothing.
                        rows.retain(|&row| (row as usize) < block.len());
                    }
                    screened.refine(g * group + i, collector.bound(), rows);
                    list.offer(isa, query, block.start, rows, collector, &mut distances);
                    rows.clear();
                    collector.settle();
                }
            }
        }
        if !worker.advance((block.len() * queries.len()) as u64) {
            return false;
        }
    }
    true
}

/// Offers every vector to each query's collector: for queries too few to pay for a screen.
pub(crate) fn scan_all<C: Collector>(
    isa: Isa,
    list: List,
    queries: &[Query],
    collectors: &mut [C],
    worker: &Worker,
) -> bool {
    let every: Vec<u32> = (0..BLOCK as u32).collect();
    let mut distances = Vec::new();
    for (block, _) in blocks(list.rows.len(), list.rows.row_bytes(), Aim::Unknown) {
        for (query, collector) in queries.iter().zip(&mut *collectors) {
            list.offer(isa, query, block.start, &every[..block.len()], collector, &mut distances);
            collector.settle();
        }
        if !worker.advance((block.len() * queries.len()) as u64) {
            return false;
        }
    }
    true
}
