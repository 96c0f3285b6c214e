//! The one list loop: vectors in order, block by block, for any number of queries at once.
//!
//! ```text
//! for each block of vectors                       (its rows stay in L2)
//!   for each group of queries
//!     lists ← vectors that the screen cannot rule out, given each query's bound
//!     for each query: exact distances of its list → its collector, which lowers the bound
//! ```
//!
//! Memory is a block of panels and a group's lists, whatever the sizes. Blocks grow from small to large, so that the
//! first vectors, which nothing can rule out yet, are few.

use super::screen::{Screen, Source};
use super::topk::Collector;
use crate::ids::Ids;
use crate::kernels::Isa;
use crate::kernels::distance::Query;
use crate::kernels::tile::PANEL;
use crate::threads::Worker;
use crate::vectors::Vectors;

/// Vectors in the first block and in the largest.
const BLOCKS: (usize, usize) = (64, 1024);

/// The vectors that are scanned.
#[derive(Clone, Copy)]
pub(crate) struct List<'a> {
    pub rows: Vectors<'a>,
    pub ids: &'a Ids,
}

impl List<'_> {
    /// Offers the rows `list` of block `first..` to `collector`.
    fn offer<C: Collector>(&self, isa: Isa, query: &Query, first: usize, list: &[u32], collector: &mut C, out: &mut Vec<f32>) {
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

/// The blocks of `0..len`, each with the vectors seen before it. Small ones come first; the large ones follow in steps of
/// the golden ratio, so that those seen at any time are spread evenly, whatever order the vectors are in.
fn blocks(len: usize) -> impl Iterator<Item = (std::ops::Range<usize>, usize)> {
    let (small, large) = BLOCKS;
    let mut head: Vec<_> = Vec::new();
    let (mut at, mut size) = (0, small);
    while at < len && size < large {
        head.push(at..(at + size).min(len));
        (at, size) = ((at + size).min(len), size * 2);
    }
    let count = (len - at).div_ceil(large);
    // A step that shares no factor with the count visits every block once.
    let mut step = (count as f64 * 0.618_033_988_75) as usize;
    while gcd(step, count) > 1 {
        step += 1;
    }
    let rest = (0..count).scan(0, move |next, _| {
        let start = at + *next * large;
        *next = (*next + step) % count;
        Some(start..(start + large).min(len))
    });
    let mut seen = 0;
    head.into_iter().chain(rest).map(move |block| {
        seen += block.len();
        (block.clone(), seen - block.len())
    })
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Offers to each query's collector every vector that `screen` cannot rule out. False where the worker said stop.
pub(crate) fn scan<S: Source, C: Collector>(
    isa: Isa,
    screen: &mut Screen<S>,
    list: List,
    queries: &[Query],
    collectors: &mut [C],
    worker: &Worker,
) -> bool {
    let group = screen.group();
    let mut lists: Vec<Vec<u32>> = vec![Vec::new(); group];
    let mut distances = Vec::new();
    let n = list.rows.len();
    let mut foreseen = 0;
    for (block, seen) in blocks(n) {
        // Guesses at 1/32, 1/16, 1/8 … of the vectors: each costs a pass over the k best.
        if seen >= n / 32 && seen >= 2 * foreseen {
            foreseen = seen;
            collectors.iter_mut().for_each(|collector| collector.foresee(seen, n));
        }
        let mut screened = screen.block(block.clone());
        for (g, (queries, collectors)) in queries.chunks(group).zip(collectors.chunks_mut(group)).enumerate() {
            for (i, collector) in collectors.iter().enumerate() {
                screened.aim(g * group + i, collector.bound());
            }
            screened.keep(g, &mut lists);
            for ((query, collector), rows) in queries.iter().zip(collectors).zip(&mut lists) {
                if !rows.is_empty() {
                    if block.len() % PANEL != 0 {
                        // The places after the last vector of the last panel hold nothing.
                        rows.retain(|&row| (row as usize) < block.len());
                    }
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
    let every: Vec<u32> = (0..BLOCKS.1 as u32).collect();
    let mut distances = Vec::new();
    for (block, _) in blocks(list.rows.len()) {
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
