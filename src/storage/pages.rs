//! Memory in huge pages: where a search jumps about in hundreds of megabytes, every jump would otherwise cost a walk through the
//! tables of its 4 KB page as well (measured in `benches/limits.rs`).

use memmap2::MmapMut;

/// Zeroed memory of this process alone.
pub(super) struct Pages(MmapMut);

impl Pages {
    /// A huge page: what needs less has no use for one.
    pub const SIZE: usize = 2 << 20;

    /// `None` where the system has no such memory.
    pub fn new(bytes: usize) -> Option<Self> {
        // Whole huge pages; where the system begins the map is its own choice, and where that does not suit, the ends are small pages.
        let map = MmapMut::map_anon(bytes.checked_next_multiple_of(Self::SIZE)?).ok()?;
        // Without huge pages all works the same, slower.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Some(Self(map))
    }

    /// Makes room for `bytes` and half as many again, where there is none, and keeps the first `len`. `None` where the system
    /// has no such memory.
    pub fn reserve(&mut self, bytes: usize, len: usize) -> Option<()> {
        if bytes > self.0.len() {
            let mut more = Self::new(bytes.saturating_add(bytes / 2))?;
            more.0[..len].copy_from_slice(&self.0[..len]);
            *self = more;
        }
        Some(())
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
