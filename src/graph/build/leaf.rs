//! All pairs of some hundred points: the nearest of each become candidates, both ways.

use super::slab::Slab;
use super::{Near, Points};
use crate::kernels::nearest::Nearest;
use crate::kernels::{Isa, squares};

/// Memory to work in.
#[derive(Default)]
pub(super) struct Leaf {
    nearest: Nearest,
    /// (point of the leaf, candidate).
    edges: Vec<(u32, Near)>,
    list: Vec<u32>,
    squares: Vec<u32>,
    starts: Vec<usize>,
    sorted: Vec<Near>,
}

impl Leaf {
    /// Makes the `k` nearest of each of the points `ids` its candidates in `slab`, and it theirs.
    pub fn link(&mut self, isa: Isa, points: Points, ids: &[u32], k: usize, slab: &Slab) {
        let Self { nearest, edges, list, squares, starts, sorted } = self;
        let row = |at: usize| points.row(ids[at] as usize);
        nearest.load(isa, (ids.len(), points.width), row);
        edges.clear();
        // One more, since each is the nearest of itself.
        nearest.search(isa, (ids.len(), k + 1), row, |asked, near| {
            let i = asked.at;
            list.clear();
            let others = || near.iter().map(|&(_, j)| j).filter(|&j| j as usize != i);
            list.extend(others().map(|j| ids[j as usize]));
            squares::to_list(isa, row(i), points.codes, list, squares);
            for (j, &distance) in others().zip(squares.iter()) {
                edges.push((i as u32, Near::new(distance, ids[j as usize])));
                edges.push((j, Near::new(distance, ids[i])));
            }
        });
        starts.clear();
        starts.resize(ids.len() + 1, 0);
        for (i, _) in edges.iter() {
            starts[*i as usize + 1] += 1;
        }
        for i in 0..ids.len() {
            starts[i + 1] += starts[i];
        }
        sorted.resize(edges.len(), Near::default());
        // Afterwards starts[i] is where the list of i ends.
        for &(i, near) in edges.iter() {
            sorted[starts[i as usize]] = near;
            starts[i as usize] += 1;
        }
        let mut from = 0;
        for (&id, &end) in ids.iter().zip(starts.iter()) {
            slab.insert(id as usize, &sorted[from..end]);
            from = end;
        }
    }
}
