//! How do numbers of a few bits lie in bytes? One after the other, the lowest bit first.

/// Writes numbers of `bits` bits, 1 to 16; bytes of `out` that they do not reach stay.
#[inline(always)]
pub(super) fn pack(levels: impl Iterator<Item = u32>, bits: usize, out: &mut [u8]) {
    let (mut word, mut have) = (0u64, 0);
    let mut out = out.iter_mut();
    let mut put = |word: u64| {
        if let Some(byte) = out.next() {
            *byte = word as u8;
        }
    };
    for level in levels {
        word |= u64::from(level) << have;
        have += bits;
        while have >= 8 {
            put(word);
            word >>= 8;
            have -= 8;
        }
    }
    if have > 0 {
        put(word);
    }
}

/// Numbers of `bits` bits, 1 to 16, as many as there are whole ones in `bytes`.
#[inline(always)]
pub(super) fn unpack(bytes: &[u8], bits: usize) -> impl Iterator<Item = u32> + '_ {
    let (mut word, mut have) = (0u64, 0);
    let mut bytes = bytes.iter();
    std::iter::from_fn(move || {
        while have < bits {
            word |= u64::from(*bytes.next()?) << have;
            have += 8;
        }
        let level = word & ((1 << bits) - 1);
        word >>= bits;
        have -= bits;
        Some(level as u32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        for bits in 1..=16usize {
            let levels: Vec<u32> = (0..37).map(|i| i * 7919 % (1 << bits)).collect();
            let mut bytes = vec![0; (37usize * bits).div_ceil(8)];
            pack(levels.iter().copied(), bits, &mut bytes);
            let found: Vec<u32> = unpack(&bytes, bits).take(37).collect();
            assert_eq!(found, levels, "{bits} bits");
        }
        let mut bytes = [0; 2];
        pack([1, 2, 3].into_iter(), 4, &mut bytes);
        assert_eq!(bytes, [0x21, 0x03]);
    }
}
