//! Overlapping balls: which points are compared with each other.
//!
//! Random leaders are drawn from the points and every point goes to its f nearest ones; what gathers at a leader is a cell,
//! and is divided again until it is a leaf. At the first levels f is more than one, so that near points on two sides of a
//! border still meet somewhere.

use super::leaf::Leaf;
use super::slab::Slab;
use super::{BuildGraph, Points, chunks, filled, lock};
use crate::error::Result;
use crate::kernels::Isa;
use crate::kernels::nearest::Nearest;
use crate::random::Random;
use crate::threads::{self, Worker};

/// Points of a leaf at most.
const LEAF: usize = 512;
/// Points of a cell at least; smaller ones are put together.
const LEAST: usize = 64;
/// Leaders of one division at most.
const LEADERS: usize = 1000;
/// Leaders that a point goes to, at each level; one at all further ones.
const OVERLAP: [usize; 2] = [8, 2];
/// Levels after which a cell is cut up without asking who is near: the points have no balls.
const LEVELS: usize = 8;
/// Points of a leaf that a point chooses as candidates, for 32 neighbours. More of them find less: they fill the lists with what
/// is near, and leave no room for what is a little farther.
const NEAREST: usize = 6;
/// Points that are gathered and compared with the leaders at a time.
const BLOCK: usize = 512;
/// Entries of the graph at most.
const ENTRIES: usize = 512;

/// The first division of the points.
pub(super) struct Root {
    /// The points in a new order, those of one leader next to each other.
    pub order: Vec<u32>,
    /// Overlapping cells, of places in that order.
    pub cells: Vec<Vec<u32>>,
    /// Places of points that are spread over all.
    pub entries: Vec<u32>,
}

/// Divides the points `ids` for the first time.
pub(super) fn root(isa: Isa, points: Points, ids: Vec<u32>, params: &BuildGraph) -> Result<Root> {
    if ids.len() <= LEAF {
        let all: Vec<u32> = (0..ids.len() as u32).collect();
        return Ok(Root { cells: vec![all.clone()], order: ids, entries: all });
    }
    let leaders = leaders(&ids, 0, params.seed);
    let place = |id: u32| ids.binary_search(&id).unwrap_or(0) as u32;
    let entries: Vec<u32> = spread(&ids, ENTRIES, params.seed).map(place).collect();
    let overlap = overlap(0).min(leaders.len());
    let mut found = filled(ids.len() * overlap, 0u16)?;
    let parts = chunks(&mut found, BLOCK * overlap);
    // Leaders are put into tile order once a thread and part.
    let each = parts.len().div_ceil(8 * params.threads);
    let work = (parts.len().div_ceil(each), ids.len() as u64);
    threads::run(params.threads, params.monitor, "divide", work, |part, worker| {
        let mut balls = Balls::default();
        balls.load(isa, points, &leaders);
        for block in part * each..((part + 1) * each).min(parts.len()) {
            let ids = &ids[block * BLOCK..((block + 1) * BLOCK).min(ids.len())];
            let found = &mut lock(&parts[block]);
            balls.assign(isa, points, ids, overlap, |i, to| found[i * overlap + to.0] = to.1 as u16);
            if !worker.advance(ids.len() as u64) {
                break;
            }
        }
        Ok(())
    })?;
    drop(parts);
    let mut starts = vec![0; leaders.len() + 1];
    for near in found.chunks_exact(overlap) {
        starts[usize::from(near[0]) + 1] += 1;
    }
    for leader in 0..leaders.len() {
        starts[leader + 1] += starts[leader];
    }
    let mut order = filled(ids.len(), 0u32)?;
    let mut places = filled(ids.len(), 0u32)?;
    for ((near, &id), place) in found.chunks_exact(overlap).zip(&ids).zip(&mut places) {
        let at = &mut starts[usize::from(near[0])];
        order[*at] = id;
        *place = *at as u32;
        *at += 1;
    }
    let mut cells = vec![Vec::new(); leaders.len()];
    for (near, &place) in found.chunks_exact(overlap).zip(&places) {
        near.iter().for_each(|&leader| cells[usize::from(leader)].push(place));
    }
    let entries = entries.iter().map(|&at| places[at as usize]).collect();
    Ok(Root { order, cells: gathered(cells), entries })
}

/// Gives the points of the `cells` their candidates.
pub(super) fn link(
    isa: Isa,
    points: Points,
    cells: Vec<Vec<u32>>,
    params: &BuildGraph,
    slab: &Slab,
) -> Result<()> {
    let work = Work { isa, points, seed: params.seed, slab, nearest: NEAREST * params.degree / 32 };
    let total = cells.iter().map(|cell| cell.len() as u64).sum();
    threads::run(params.threads, params.monitor, "link", (cells.len(), total), |i, worker| {
        work.divide(&cells[i], i as u64, worker);
        Ok(())
    })
}

/// Leaders that a point goes to at level `depth`.
fn overlap(depth: usize) -> usize {
    OVERLAP.get(depth).copied().unwrap_or(1)
}

struct Work<'a> {
    isa: Isa,
    points: Points<'a>,
    seed: u64,
    slab: &'a Slab,
    nearest: usize,
}

impl Work<'_> {
    /// Divides `cell` until it consists of leaves, and links these.
    fn divide(&self, cell: &[u32], number: u64, worker: &Worker) {
        let (mut balls, mut pairs) = (Balls::default(), Leaf::default());
        let mut random = Random(self.seed ^ Random(number).next());
        let mut open = vec![(cell.to_vec(), 1)];
        while let Some((cell, depth)) = open.pop() {
            if !worker.advance(0) {
                return;
            }
            if cell.len() <= LEAF {
                pairs.link(self.isa, self.points, &cell, self.nearest, self.slab);
                continue;
            }
            let leaders = leaders(&cell, depth, random.next());
            balls.load(self.isa, self.points, &leaders);
            let mut cells = vec![Vec::new(); leaders.len()];
            for ids in cell.chunks(BLOCK) {
                balls.assign(self.isa, self.points, ids, overlap(depth), |i, to| {
                    cells[to.1 as usize].push(ids[i]);
                });
                if !worker.advance(0) {
                    return;
                }
            }
            for part in gathered(cells) {
                if part.len() > LEAF && (depth == LEVELS || part.len() > cell.len() / 4 * 3) {
                    open.extend(part.chunks(LEAF).map(|part| (part.to_vec(), depth + 1)));
                } else {
                    open.push((part, depth + 1));
                }
            }
        }
        worker.advance(cell.len() as u64);
    }
}

/// Leaders for `ids`, one at random from each of as many equal parts.
fn leaders(ids: &[u32], depth: usize, seed: u64) -> Vec<u32> {
    let count = (ids.len() * overlap(depth)).div_ceil(LEAF / 2).clamp(2, LEADERS);
    spread(ids, count, seed).collect()
}

/// At most `count` of `ids`: one of each part of the same length, by chance.
fn spread(ids: &[u32], count: usize, seed: u64) -> impl Iterator<Item = u32> {
    let count = count.min(ids.len());
    let mut random = Random(seed);
    let part = move |i: usize| i * ids.len() / count;
    (0..count).map(move |i| ids[part(i) + random.below(part(i + 1) - part(i))])
}

/// Leaders, and memory to find the nearest of them in.
#[derive(Default)]
struct Balls {
    leaders: Nearest,
}

impl Balls {
    fn load(&mut self, isa: Isa, points: Points, leaders: &[u32]) {
        self.leaders.load(isa, (leaders.len(), points.width), |at| points.row(leaders[at] as usize));
    }

    /// Calls `take(i, (rank, leader))` with the `overlap` nearest leaders of each point i of `ids`; rank 0 is the nearest,
    /// the others are in no order.
    fn assign(
        &mut self,
        isa: Isa,
        points: Points,
        ids: &[u32],
        overlap: usize,
        mut take: impl FnMut(usize, (usize, u32)),
    ) {
        let row = |at: usize| points.row(ids[at] as usize);
        self.leaders.search(isa, (ids.len(), overlap), row, |asked, near| {
            // Of equals the first leader: the order of `near` is that of the instruction set.
            let best = (0..near.len())
                .max_by(|&a, &b| near[a].0.total_cmp(&near[b].0).then(near[b].1.cmp(&near[a].1)));
            let best = best.unwrap_or(0);
            for rank in 0..near.len() {
                let at = if rank == 0 {
                    best
                } else if rank == best {
                    0
                } else {
                    rank
                };
                take(asked.at, (rank, near[at].1));
            }
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
