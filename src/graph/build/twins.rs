//! Identical points. One of each kind takes part in the construction; the others are attached to it.
//!
//! The k members of a group form a ring, in which each also sees those 2, 4, 8 … places on: whoever reaches one reaches all in
//! about log₂ k steps. The rest of a member's row are the neighbours of its representative.

use super::{BuildGraph, CHUNK, Graph, NONE, Points, chunks, each_point, filled, lock};
use crate::error::Result;

pub(super) struct Twins {
    /// One of each kind, ascending.
    pub single: Vec<u32>,
    /// Groups of identical points, the representative first.
    groups: Vec<Vec<u32>>,
}

/// Finds identical points.
pub(super) fn find(points: Points, params: &BuildGraph) -> Result<Twins> {
    let n = points.len();
    let mut hashes = filled(n, (0u64, 0u32))?;
    let parts = chunks(&mut hashes, CHUNK);
    each_point(params, "hash", n, |chunk, worker| {
        let mut part = lock(&parts[chunk]);
        for (i, entry) in part.iter_mut().enumerate() {
            let id = chunk * CHUNK + i;
            *entry = (hash(points.row(id)), id as u32);
        }
        worker.advance(part.len() as u64);
    })?;
    drop(parts);
    hashes.sort_unstable();
    let mut single = Vec::with_capacity(n);
    let mut groups = Vec::new();
    for run in hashes.chunk_by(|a, b| a.0 == b.0) {
        let first = run[0].1;
        single.push(first);
        let mut group = vec![first];
        for &(_, id) in &run[1..] {
            // Points that only share the hash are no twins.
            let same = points.row(id as usize) == points.row(first as usize);
            if same { group.push(id) } else { single.push(id) }
        }
        if group.len() > 1 {
            groups.push(group);
        }
    }
    single.sort_unstable();
    Ok(Twins { single, groups })
}

fn hash(row: &[i8]) -> u64 {
    let (words, _) = bytemuck::cast_slice::<i8, u8>(row).as_chunks::<8>();
    words.iter().fold(0, |h: u64, word| {
        let h = (h ^ u64::from_le_bytes(*word)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        h ^ h >> 32
    })
}

impl Twins {
    /// Gives those that are no representatives their rows.
    pub fn join(&self, graph: &mut Graph) {
        let degree = graph.degree;
        for group in &self.groups {
            let first = graph.row(group[0] as usize).to_vec();
            // Half of a row at most, so that none loses sight of the others around it.
            let steps: Vec<usize> =
                (0..degree / 2).map_while(|i| Some(1usize << i).filter(|&s| s < group.len())).collect();
            for (i, &member) in group.iter().enumerate() {
                let row = &mut graph.neighbours[member as usize * degree..][..degree];
                row.fill(NONE);
                let ring = steps.iter().map(|step| group[(i + step) % group.len()]);
                row.iter_mut().zip(ring.chain(first.iter().copied())).for_each(|(to, id)| *to = id);
            }
        }
    }
}
