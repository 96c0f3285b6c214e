//! Memory in whole pages, huge ones where a search jumps about in hundreds of megabytes: every jump would otherwise cost a walk through the
//! tables of its 4 KB page as well (measured in `benches/limits.rs`). What is read in order needs none, and is better off without: under a
//! hypervisor that takes free huge pages back, to write to the first of them takes five times as long (146 MB in 0.5 s, not 0.1).

use memmap2::MmapMut;

/// Zeroed memory of this process alone.
pub(super) struct Pages {
    map: MmapMut,
    huge: bool,
}

impl Pages {
    /// A huge page: what needs less has no use for one.
    pub const SIZE: usize = 2 << 20;

    /// `None` where the system has no such memory.
    pub fn new(bytes: usize, huge: bool) -> Option<Self> {
        // Whole huge pages; where the system begins the map is its own choice, and where that does not suit, the ends are small pages.
        let map = MmapMut::map_anon(bytes.checked_next_multiple_of(Self::SIZE)?).ok()?;
        // Without huge pages all works the same, slower.
        #[cfg(target_os = "linux")]
        if huge {
            let _ = map.advise(memmap2::Advice::HugePage);
        }
        Some(Self { map, huge })
    }

    /// Makes room for `bytes` and half as many again, where there is none, and keeps the first `len`. `None` where the system
    /// has no such memory.
    pub fn reserve(&mut self, bytes: usize, len: usize) -> Option<()> {
        if bytes > self.map.len() {
            let mut more = Self::new(bytes.saturating_add(bytes / 2), self.huge)?;
            more.write(0, &self.map[..len]);
            *self = more;
        }
        Some(())
    }

    pub fn are_huge(&self) -> bool {
        self.huge
    }

    /// Writes `bytes` at `at`. Small pages are had from the system many at a time, each part just before it is written: one at a time, by
    /// faults, they take as long as the copy.
    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        const PART: usize = 1 << 20;
        for (part, at) in bytes.chunks(PART).zip((at..).step_by(PART)) {
            // Where the system cannot, faults do it.
            #[cfg(target_os = "linux")]
            if !self.huge {
                let _ = self.map.advise_range(memmap2::Advice::PopulateWrite, at, part.len());
            }
            self.map[at..at + part.len()].copy_from_slice(part);
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.map
    }
}
