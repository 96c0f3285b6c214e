//! Overlapping balls: which points are compared with each other.
//!
//! Random leaders are drawn from the points and every point goes to its f nearest ones; what gathers at a leader is a cell,
//! and is divided again until it is a leaf. At the first levels f is more than one, so that near points on two sides of a
//! border still meet somewhere.

use std::sync::Mutex;

use super::leaf::Leaf;
use super::points::Random;
use super::slab::Slab;
use super::{BuildGraph, Points, lock};
use crate::error::Result;
use crate::kernels::Isa;
use crate::kernels::nearest::Nearest;
use crate::threads;

/// Points of a leaf at most.
const LEAF: usize = 1024;
/// Points of a cell at least; smaller ones are put together.
const LEAST: usize = 64;
/// Leaders of one division at most.
const LEADERS: usize = 1000;
/// Leaders that a point goes to, at each level; one at all further ones.
const OVERLAP: [usize; 2] = [8, 2];
/// Levels after which a cell is cut up without asking who is near: the points have no balls.
const LEVELS: usize = 8;
/// Candidates that a point gets from a leaf, of 32 neighbours.
const NEAREST: usize = 10;
/// Points that are gathered and compared with the leaders at a time.
const BLOCK: usize = 512;
/// Entries of the graph at most.
const ENTRIES: usize = 512;

/// Gives the points `ids` their candidates, and returns some that are spread over all of them.
pub(super) fn link(
    isa: Isa,
    points: Points,
    ids: &[u32],
    params: &BuildGraph,
    slab: &mut Slab,
) -> Result<Vec<u32>> {
    let slab = &*slab;
    let work =
        Work { isa, points, seed: params.seed, slab, nearest: knob("NEAREST", NEAREST) * params.degree / 32 };
    let leaders = work.leaders(ids, 0, params.seed);
    let cells = work.root(ids, &leaders, params)?;
    let total = cells.iter().map(|cell| cell.len() as u64).sum();
    threads::run(params.threads, params.monitor, "link", (cells.len(), total), |i, worker| {
        let mut scratch = Scratch::default();
        let cell = &cells[i];
        if !work.divide(cell, i as u64, &mut scratch, |done| worker.advance(done)) {
            return Ok(());
        }
        Ok(())
    })?;
    let step = leaders.len().div_ceil(ENTRIES).max(1);
    Ok(leaders.iter().copied().step_by(step).collect())
}

fn knob(name: &str, default: usize) -> usize {
    let _ = name;
    default
}
fn overlap(depth: usize) -> usize {
    match depth {
        0 => knob("F0", OVERLAP[0]),
        1 => knob("F1", OVERLAP[1]),
        _ => 1,
    }
}

struct Work<'a> {
    isa: Isa,
    points: Points<'a>,
    seed: u64,
    slab: &'a Slab,
    nearest: usize,
}

#[derive(Default)]
struct Scratch {
    leaf: Leaf,
    leaders: Nearest,
    rows: Vec<i8>,
}

impl Work<'_> {
    /// Leaders for `ids`, one at random from each of as many equal parts.
    fn leaders(&self, ids: &[u32], depth: usize, seed: u64) -> Vec<u32> {
        let leaf = knob("LEAF", LEAF);
        let count = (ids.len() * overlap(depth)).div_ceil(leaf / 2).clamp(2, LEADERS).min(ids.len());
        let mut random = Random(seed);
        let part = |i: usize| i * ids.len() / count;
        (0..count).map(|i| ids[part(i) + random.below(part(i + 1) - part(i))]).collect()
    }

    /// The first division, by all threads.
    fn root(&self, ids: &[u32], leaders: &[u32], params: &BuildGraph) -> Result<Vec<Vec<u32>>> {
        if ids.len() <= knob("LEAF", LEAF) {
            return Ok(vec![ids.to_vec()]);
        }
        let blocks = ids.len().div_ceil(BLOCK);
        let found: Vec<Mutex<Vec<(u32, u32)>>> = (0..blocks).map(|_| Mutex::default()).collect();
        let total = ids.len() as u64;
        let each = blocks.div_ceil(8 * params.threads);
        threads::run(
            params.threads,
            params.monitor,
            "divide",
            (blocks.div_ceil(each), total),
            |part, worker| {
                let mut scratch = Scratch::default();
                self.load(leaders, &mut scratch);
                for block in part * each..((part + 1) * each).min(blocks) {
                    let ids = &ids[block * BLOCK..((block + 1) * BLOCK).min(ids.len())];
                    self.assign(ids, overlap(0), &mut scratch, &mut lock(&found[block]));
                    if !worker.advance(ids.len() as u64) {
                        break;
                    }
                }
                Ok(())
            },
        )?;
        let mut cells = vec![Vec::new(); leaders.len()];
        for block in found {
            for &(leader, id) in lock(&block).iter() {
                cells[leader as usize].push(id);
            }
        }
        Ok(gathered(cells))
    }

    /// Divides `cell` until it consists of leaves, and links these. False where `done` says that the build is to end.
    fn divide(&self, cell: &[u32], number: u64, scratch: &mut Scratch, done: impl Fn(u64) -> bool) -> bool {
        let leaf = knob("LEAF", LEAF);
        let mut random = Random(self.seed ^ Random(number).next());
        let mut open = vec![(cell.to_vec(), 1)];
        while let Some((cell, depth)) = open.pop() {
            if cell.len() <= leaf {
                scratch.leaf.link(self.isa, self.points, &cell, self.nearest, self.slab);
                if !done(0) {
                    return false;
                }
                continue;
            }
            let leaders = self.leaders(&cell, depth, random.next());
            self.load(&leaders, scratch);
            let mut cells = vec![Vec::new(); leaders.len()];
            let mut found = Vec::new();
            for ids in cell.chunks(BLOCK) {
                found.clear();
                self.assign(ids, overlap(depth), scratch, &mut found);
                found.iter().for_each(|&(leader, id)| cells[leader as usize].push(id));
                if !done(0) {
                    return false;
                }
            }
            for part in gathered(cells) {
                if part.len() > leaf && (depth == LEVELS || part.len() > cell.len() / 4 * 3) {
                    open.extend(part.chunks(leaf).map(|part| (part.to_vec(), depth + 1)));
                } else {
                    open.push((part, depth + 1));
                }
            }
        }
        done(cell.len() as u64)
    }

    fn load(&self, leaders: &[u32], scratch: &mut Scratch) {
        self.points.gather(leaders.iter().copied(), &mut scratch.rows);
        scratch.leaders.load(&scratch.rows, self.points.width);
    }

    /// Appends to `found` the `overlap` nearest leaders of each of the points `ids`.
    fn assign(&self, ids: &[u32], overlap: usize, scratch: &mut Scratch, found: &mut Vec<(u32, u32)>) {
        self.points.gather(ids.iter().copied(), &mut scratch.rows);
        scratch.leaders.search(self.isa, &scratch.rows, overlap, |i, near| {
            found.extend(near.iter().map(|&(_, leader)| (leader, ids[i])));
        });
    }
}

/// The cells, those put together that have less than [`LEAST`] points.
fn gathered(cells: Vec<Vec<u32>>) -> Vec<Vec<u32>> {
    let (mut large, small): (Vec<_>, Vec<_>) = cells.into_iter().partition(|cell| cell.len() >= LEAST);
    let mut bag: Vec<u32> = Vec::new();
    for cell in small {
        bag.extend(cell);
        if bag.len() >= LEAST {
            large.push(std::mem::take(&mut bag));
        }
    }
    large.push(bag);
    for cell in &mut large {
        cell.sort_unstable();
        cell.dedup();
    }
    large.retain(|cell| !cell.is_empty());
    large
}
