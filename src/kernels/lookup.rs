//! Codes of a byte for each part of the coordinates, one vector at a time: what is left open by the look-up of their upper halves.
//!
//! The upper nibble of each byte is in the vector's block ([`fastscan`](super::fastscan)) and stands for a centroid near those of all
//! bytes that begin with it; the lower one is in a row of the vector's own, two to a byte as there. A whole byte chooses one of 256
//! sums, what its centroid adds to ⟨x̄,q⟩: too many for a table in registers, so that each is read from memory.

use super::fastscan::BLOCK;

/// What a byte stands for.
pub const VALUES: usize = 256;
/// Stands, among numbers of bits beyond the block's, for rows of lower nibbles.
pub const LOWER: usize = 9;

/// A query's sums.
#[derive(Clone, Debug, Default)]
pub struct ByteTables {
    /// What each value of each part adds to ⟨x̄,q⟩.
    pub sums: Vec<[f32; VALUES]>,
}

impl ByteTables {
    /// Bytes of the tables of `parts` parts.
    pub const fn size(parts: usize) -> usize {
        parts * size_of::<[f32; VALUES]>()
    }

    /// ⟨x̄,q⟩ of vector `lane` of the block `codes`, whose lower nibbles are the first of `row`.
    #[inline(always)]
    pub fn dot(&self, codes: &[[u8; BLOCK]], lane: usize, row: &[u8]) -> f32 {
        // Sums side by side, so that they need not wait for each other.
        let mut dots = [0f32; 2];
        let pairs = self.sums.as_chunks::<2>();
        for ((codes, &low), [first, second]) in codes.iter().zip(row).zip(pairs.0) {
            let high = codes[lane % BLOCK];
            dots[0] += first[usize::from(high << 4 | low & 15)];
            dots[1] += second[usize::from(high & 0xF0 | low >> 4)];
        }
        if let ([last], Some(codes), Some(&low)) = (pairs.1, codes.last(), row.get(pairs.0.len())) {
            dots[0] += last[usize::from(codes[lane % BLOCK] << 4 | low & 15)];
        }
        dots[0] + dots[1]
    }
}
