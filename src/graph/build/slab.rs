//! The nearest candidates of every point, whoever brings them and in whatever order.
//!
//! A point's list takes what comes; when it is full it is sorted, freed of repetitions and cut to the `keep` nearest, and
//! from then on whatever is farther than the last of them is turned away. What remains in the end are the `keep` nearest of
//! all that came: the order of arrival leaves no trace.

use std::sync::Mutex;

use super::{BuildGraph, Near, lock};
use crate::error::{Error, Result};
use crate::threads;

/// Points that share a lock.
const SHARD: usize = 64;

pub(super) struct Slab {
    keep: usize,
    /// Entries a point has room for: a quarter more, so that a list is sorted only now and then.
    room: usize,
    shards: Vec<Mutex<Shard>>,
}

struct Shard {
    near: Vec<Near>,
    lists: [List; SHARD],
}

#[derive(Clone, Copy, Default)]
struct List {
    len: u32,
    /// Whether the list was cut, so that its entry `keep` − 1 bounds what may still come in.
    bound: Option<Near>,
}

impl Slab {
    /// Empty lists for `n` points.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new(n: usize, keep: usize) -> Result<Self> {
        let room = keep + keep / 4;
        let bytes = (SHARD * room * size_of::<Near>()) as u64;
        let mut shards = Vec::new();
        let none = |_| Error::OutOfMemory {
            what: "candidates of the graph",
            bytes: bytes * n.div_ceil(SHARD) as u64,
        };
        shards.try_reserve_exact(n.div_ceil(SHARD)).map_err(none)?;
        for _ in 0..n.div_ceil(SHARD) {
            let mut near = Vec::new();
            near.try_reserve_exact(SHARD * room).map_err(none)?;
            near.resize(SHARD * room, Near::default());
            shards.push(Mutex::new(Shard { near, lists: [List::default(); SHARD] }));
        }
        Ok(Self { keep, room, shards })
    }

    /// Adds candidates of `point`.
    pub fn insert(&self, point: usize, near: &[Near]) {
        let shard = &mut *lock(&self.shards[point / SHARD]);
        let at = point % SHARD;
        let (entries, list) = (&mut shard.near[at * self.room..][..self.room], &mut shard.lists[at]);
        for &near in near {
            if list.bound.is_some_and(|bound| near >= bound) {
                continue;
            }
            entries[list.len as usize] = near;
            list.len += 1;
            if list.len as usize == self.room {
                list.settle(entries, self.keep);
            }
        }
    }

    /// Brings every list to its final form: ascending, without repetitions, at most `keep`.
    pub fn settle(&mut self, params: &BuildGraph) -> Result<()> {
        let (keep, room) = (self.keep, self.room);
        let total = (self.shards.len() * SHARD) as u64;
        let shards = &self.shards;
        threads::run(params.threads, params.monitor, "sort", (shards.len(), total), |i, worker| {
            let shard = &mut *lock(&shards[i]);
            for (entries, list) in shard.near.chunks_exact_mut(room).zip(&mut shard.lists) {
                list.settle(entries, keep);
            }
            worker.advance(SHARD as u64);
            Ok(())
        })
    }

    /// The candidates of `point`.
    pub fn read<T>(&self, point: usize, take: impl FnOnce(&[Near]) -> T) -> T {
        let shard = lock(&self.shards[point / SHARD]);
        let at = point % SHARD;
        take(&shard.near[at * self.room..][..shard.lists[at].len as usize])
    }
}

impl List {
    fn settle(&mut self, entries: &mut [Near], keep: usize) {
        let entries = &mut entries[..self.len as usize];
        entries.sort_unstable();
        let mut len = 0;
        for i in 0..entries.len() {
            if i == 0 || entries[i] != entries[i - 1] {
                entries[len] = entries[i];
                len += 1;
            }
        }
        if len >= keep {
            len = keep;
            self.bound = Some(entries[keep - 1]);
        }
        self.len = len as u32;
    }
}
