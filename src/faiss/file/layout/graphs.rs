//! Graphs, and the proof that a walk in them stays within: levels, offsets and neighbours of a file are checked before anyone walks.

use super::super::io::Io;
use super::super::record::Record;
use crate::error::Result;

/// The graph "hnsw" over `n` vectors.
pub(super) fn hnsw(io: &mut impl Io, n: usize) -> Result<()> {
    io.part("hnsw", |io| {
        io.array::<f64>("assign_probas")?;
        io.array::<i32>("cum_nneighbor_per_level")?;
        io.array::<i32>("levels")?;
        io.array::<u64>("offsets")?;
        io.array::<i32>("neighbors")?;
        io.int::<i32>("entry_point")?;
        io.int::<i32>("max_level")?;
        io.int::<i32>("efConstruction")?;
        io.int::<i32>("efSearch")?;
        io.implied::<i32>(|_| Some(1))?; // a setting that is no more
        match wrong(io.seen(), n) {
            Some(problem) => Err(io.fail(problem)),
            None => Ok(()),
        }
    })
}

/// What is wrong with a graph, where something is.
fn wrong(graph: &Record<'_>, n: usize) -> Option<String> {
    let numbers = |name| graph.array::<i32>(name).unwrap_or_default();
    let (room, levels, neighbors) =
        (numbers("cum_nneighbor_per_level"), numbers("levels"), numbers("neighbors"));
    let offsets = graph.array::<u64>("offsets").unwrap_or_default();
    let int = |name| graph.int(name).unwrap_or(-2);
    let (entry, top) = (int("entry_point"), int("max_level"));

    if room.first().is_some_and(|&first| first != 0) {
        return Some(format!("cum_nneighbor_per_level begins with {}, not 0", room[0]));
    }
    if let Some(at) = room.windows(2).position(|pair| pair[0] > pair[1]) {
        return Some(format!("cum_nneighbor_per_level falls from {} to {}", room[at], room[at + 1]));
    }
    if levels.len() != n {
        return Some(format!("levels has {} values, but ntotal is {n}", levels.len()));
    }
    if let Some(node) = levels.iter().position(|&level| level < 1 || level as usize >= room.len()) {
        let most = room.len().saturating_sub(1);
        return Some(format!("levels[{node}] is {}: expected 1 to {most}", levels[node]));
    }
    if offsets.len() != n + 1 || offsets[0] != 0 {
        return Some(format!(
            "offsets has {} values from {:?} on, not {} from 0 on",
            offsets.len(),
            offsets.first(),
            n + 1
        ));
    }
    for (node, &level) in levels.iter().enumerate() {
        let space = room[level as usize] as u64;
        if offsets[node].checked_add(space) != Some(offsets[node + 1]) {
            let (from, to) = (offsets[node], offsets[node + 1]);
            return Some(format!("offsets[{node}] and the next are {from} and {to}, not {space} apart"));
        }
    }
    if offsets[n] != neighbors.len() as u64 {
        return Some(format!(
            "neighbors has {} values, but offsets end with {}",
            neighbors.len(),
            offsets[n]
        ));
    }
    if let Some(at) = neighbors.iter().position(|&id| id < -1 || i64::from(id) >= n as i64) {
        return Some(format!("neighbors[{at}] is {}: expected -1 to {}", neighbors[at], n as i64 - 1));
    }
    let begins = if n == 0 { entry == -1 && top < room.len() as i64 } else { (0..n as i64).contains(&entry) };
    if !begins {
        return Some(format!("entry_point is {entry} of {n} nodes, and max_level {top}"));
    }
    // A walk on a level reads the neighbours of that level, which only nodes that are on it have.
    if n > 0 && !(0..i64::from(levels[entry as usize])).contains(&top) {
        return Some(format!(
            "max_level is {top}, but the entry point has {} levels",
            levels[entry as usize]
        ));
    }
    for (node, &own) in levels.iter().enumerate().filter(|&(_, &own)| own > 1) {
        for level in 1..own as usize {
            let range = offsets[node] as usize + room[level] as usize
                ..offsets[node] as usize + room[level + 1] as usize;
            let low = |&&id: &&i32| id >= 0 && levels[id as usize] as usize <= level;
            if let Some(id) = neighbors[range].iter().find(low) {
                return Some(format!(
                    "node {node} has neighbour {id} on level {level}, which that node is not on"
                ));
            }
        }
    }
    None
}

/// The graph "nsg" over `n` vectors.
pub(super) fn nsg(io: &mut impl Io, n: usize) -> Result<()> {
    io.part("nsg", |io| {
        let nodes = io.within::<i32>("ntotal", 0, i32::MAX.into())? as usize;
        let width = io.within::<i32>("R", 1, i32::MAX.into())? as usize;
        for name in ["L", "C", "search_L"] {
            io.int::<i32>(name)?;
        }
        let entry = io.int::<i32>("enterpoint")?;
        if !io.flag("is_built")? {
            return Ok(());
        }
        io.check(nodes == n, || format!("ntotal is {nodes}, but {n} in the index"))?;
        io.rows("final_graph", nodes, width)?;
        let graph = io.seen().array::<i32>("final_graph").unwrap_or_default();
        if let Some(id) = graph.iter().find(|&&id| id < -1 || i64::from(id) >= n as i64) {
            return Err(io.fail(format!("a neighbour is {id}: expected 0 to {}", n as i64 - 1)));
        }
        io.check((0..n as i64).contains(&entry), || format!("enterpoint is {entry} of {n} nodes"))
    })
}
