//! What a walk knows of the nodes that it met: a hash table of its own size, not of the graph's.

use crate::graph::NONE;

/// Entries that a table begins with at most; it gets more when it needs them.
const LARGE: usize = 1 << 16;

/// What is known of a node.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    node: u32,
    /// The mean of its estimates, [`NEW`] or [`TAKEN`].
    pub mean: f32,
    /// Its slot in the pool, unless another node is there by now.
    pub slot: u32,
}

/// The mean of a node that was not met before: no estimate is infinite.
pub(super) const NEW: f32 = f32::INFINITY;
/// The mean of a node that needs no estimate any more.
pub(super) const TAKEN: f32 = f32::NEG_INFINITY;

const EMPTY: Entry = Entry { node: NONE, mean: NEW, slot: 0 };

/// Open addressing, at most half full.
#[derive(Default)]
pub(super) struct Seen {
    entries: Vec<Entry>,
    /// Memory for entries that move to a larger table.
    moving: Vec<Entry>,
    len: usize,
}

impl Seen {
    /// Empties it, for a walk with a pool of `ef`: a small table, which is quick to empty and stays near. What an uncommon walk
    /// made large is given back.
    pub fn clear(&mut self, ef: usize) {
        self.len = 0;
        if self.entries.capacity() > LARGE {
            (self.entries, self.moving) = (Vec::new(), Vec::new());
        }
        self.entries.clear();
        let len = ef.saturating_mul(24).clamp(512, LARGE).next_power_of_two();
        self.entries.resize(len, EMPTY);
    }

    /// What is known of `node`.
    #[inline(always)]
    pub fn entry(&mut self, node: u32) -> &mut Entry {
        if self.len * 2 >= self.entries.len() {
            self.grow();
        }
        let at = self.place(node);
        let entry = &mut self.entries[at];
        self.len += usize::from(entry.node != node);
        entry.node = node;
        entry
    }

    /// Where `node` is, or belongs.
    #[inline(always)]
    fn place(&self, node: u32) -> usize {
        let mask = self.entries.len() - 1;
        let mut at = (node.wrapping_mul(0x9E37_79B9) >> 7) as usize & mask;
        while self.entries[at].node != node && self.entries[at].node != NONE {
            at = (at + 1) & mask;
        }
        at
    }

    #[cold]
    fn grow(&mut self) {
        let len = self.entries.len() * 2;
        self.moving.clear();
        self.moving.extend(self.entries.iter().filter(|entry| entry.node != NONE));
        self.entries.clear();
        self.entries.resize(len, EMPTY);
        for at in 0..self.moving.len() {
            let entry = self.moving[at];
            let place = self.place(entry.node);
            self.entries[place] = entry;
        }
    }
}
