//! What a graph owes to every search: full rows, and no point that cannot be reached.

use super::{BuildGraph, CHUNK, Graph, NONE, Near, Points, chunks, each_point, lock};
use crate::error::Result;
use crate::kernels::{Isa, squares};
use crate::threads;

/// Fills rows that are too short: with the neighbours of the neighbours, then with whoever follows.
pub(super) fn complete_rows(isa: Isa, points: Points, params: &BuildGraph, graph: &mut Graph) -> Result<()> {
    let (n, degree) = (points.len(), graph.degree);
    let short: Vec<u32> =
        (0..n).filter(|&i| graph.neighbours[(i + 1) * degree - 1] == NONE).map(|i| i as u32).collect();
    let mut filled = super::filled(short.len() * degree, NONE)?;
    {
        let (graph, short) = (&*graph, &short);
        let rows = chunks(&mut filled, CHUNK * degree);
        each_point(params, "fill", short.len(), |chunk, worker| {
            let mut rows = lock(&rows[chunk]);
            for (i, to) in rows.chunks_exact_mut(degree).enumerate() {
                complete_row(isa, points, graph, short[chunk * CHUNK + i], to);
            }
            worker.advance((rows.len() / degree) as u64);
        })?;
    }
    for (&id, row) in short.iter().zip(filled.chunks_exact(degree)) {
        graph.neighbours[id as usize * degree..][..degree].copy_from_slice(row);
    }
    Ok(())
}

/// Neighbours whose neighbours may fill a row.
const AROUND: usize = 8;

fn complete_row(isa: Isa, points: Points, graph: &Graph, id: u32, to: &mut [u32]) {
    let row = graph.row(id as usize);
    let mut taken = row.to_vec();
    taken.push(id);
    taken.sort_unstable();
    let mut second: Vec<u32> =
        row.iter().take(AROUND).flat_map(|&next| graph.row(next as usize)).copied().collect();
    second.sort_unstable();
    second.dedup();
    second.retain(|other| taken.binary_search(other).is_err());
    let mut squares = Vec::new();
    squares::to_list(isa, points.row(id as usize), points.codes, &second, &mut squares);
    let mut near: Vec<Near> = squares.iter().zip(&second).map(|(&s, &id)| Near::new(s, id)).collect();
    near.sort_unstable();
    near.truncate(to.len() - row.len());
    taken.extend(near.iter().map(|near| near.id()));
    taken.sort_unstable();
    let n = points.len() as u32;
    let others = (1..n).map(|step| (id + step) % n).filter(|other| taken.binary_search(other).is_err());
    let all = row.iter().copied().chain(near.iter().map(|near| near.id())).chain(others);
    to.iter_mut().zip(all).for_each(|(to, id)| *to = id);
}

/// Sweeps that look for unreachable points next to reachable ones.
const SWEEPS: usize = 4;
/// Entries that repair may add.
const MORE: usize = 256;

/// Makes every point reachable from the entries.
pub(super) fn reach_all(isa: Isa, points: Points, params: &BuildGraph, graph: &mut Graph) -> Result<()> {
    let n = points.len();
    let mut reach = Reach { graph, parent: super::filled(n, NONE)?, stack: Vec::new() };
    for entry in reach.graph.entries.clone() {
        reach.flood(entry, entry);
    }
    let mut lost: Vec<u32> = (0..n as u32).filter(|&id| reach.parent[id as usize] == NONE).collect();
    for sweep in 0..SWEEPS {
        threads::pause(params.monitor, "repair", sweep as u64, SWEEPS as u64 + 1)?;
        let before = lost.len();
        for &id in &lost {
            if reach.parent[id as usize] != NONE {
                continue;
            }
            let near =
                reach.graph.row(id as usize).iter().copied().find_map(|at| Some((at, reach.spare(at)?)));
            if let Some((from, slot)) = near {
                reach.attach(from, slot, id);
            }
        }
        lost.retain(|&id| reach.parent[id as usize] == NONE);
        if lost.is_empty() || lost.len() == before {
            break;
        }
    }
    let mut more = MORE;
    let (mut list, mut squares) = (Vec::new(), Vec::new());
    for (i, &id) in lost.iter().enumerate() {
        if reach.parent[id as usize] != NONE {
            continue;
        }
        threads::pause(params.monitor, "repair", i as u64, lost.len() as u64)?;
        if more > 0 {
            more -= 1;
            reach.graph.entries.push(id);
            reach.flood(id, id);
            continue;
        }
        list.clear();
        list.extend_from_slice(&reach.graph.entries);
        squares::to_list(isa, points.row(id as usize), points.codes, &list, &mut squares);
        let nearest = list.iter().zip(&squares).min_by_key(|(_, square)| **square).map(|(&entry, _)| entry);
        let Some((from, slot)) = nearest.and_then(|entry| reach.spare_around(entry)) else {
            // Every edge of every reachable point is in use: not with two edges or more a point.
            reach.graph.entries.push(id);
            reach.flood(id, id);
            continue;
        };
        reach.attach(from, slot, id);
    }
    Ok(())
}

/// A forest over the reachable points, rooted in the entries.
struct Reach<'a> {
    graph: &'a mut Graph,
    /// From where a point is reached: itself for an entry, [`NONE`] where it is not.
    parent: Vec<u32>,
    stack: Vec<u32>,
}

impl Reach<'_> {
    /// Marks everything that can be reached from `id`, itself reached from `from`.
    fn flood(&mut self, id: u32, from: u32) {
        if self.parent[id as usize] != NONE {
            return;
        }
        self.parent[id as usize] = from;
        self.stack.push(id);
        while let Some(at) = self.stack.pop() {
            for &next in self.graph.row(at as usize) {
                if self.parent[next as usize] == NONE {
                    self.parent[next as usize] = at;
                    self.stack.push(next);
                }
            }
        }
    }

    /// The last edge of `at` that nothing depends on, if `at` is reached and has one.
    fn spare(&self, at: u32) -> Option<usize> {
        if self.parent[at as usize] == NONE {
            return None;
        }
        self.graph.row(at as usize).iter().rposition(|&next| self.parent[next as usize] != at)
    }

    /// A reached point with such an edge, as few steps from `start` as can be.
    fn spare_around(&self, start: u32) -> Option<(u32, usize)> {
        let mut seen = std::collections::HashSet::from([start]);
        let mut queue = std::collections::VecDeque::from([start]);
        while let Some(at) = queue.pop_front() {
            if let Some(slot) = self.spare(at) {
                return Some((at, slot));
            }
            queue.extend(self.graph.row(at as usize).iter().copied().filter(|&next| seen.insert(next)));
        }
        None
    }

    fn attach(&mut self, from: u32, slot: usize, id: u32) {
        self.graph.neighbours[from as usize * self.graph.degree + slot] = id;
        self.flood(id, from);
    }
}
