//! Numbers of any width in a string of bits, the lowest bit first.

/// The next `width` ≤ 64 bits from bit `at` on, which moves behind them. `None` beyond the end.
pub(super) fn get(bytes: &[u8], at: &mut usize, width: u32) -> Option<u64> {
    let end = at.checked_add(width as usize)?;
    if end > bytes.len().checked_mul(8)? {
        return None;
    }
    let mut value = 0u64;
    let mut done = 0;
    while done < width {
        let (byte, shift) = (bytes[*at / 8], *at as u32 % 8);
        let taken = (8 - shift).min(width - done);
        let part = u64::from(byte >> shift) & ((1 << taken) - 1);
        value |= part << done;
        (*at, done) = (*at + taken as usize, done + taken);
    }
    Some(value)
}

/// Appends the lowest `width` bits of `value` behind bit `at`, which moves.
pub(super) fn put(bytes: &mut Vec<u8>, at: &mut usize, width: u32, value: u64) {
    let mut done = 0;
    while done < width {
        if at.is_multiple_of(8) {
            bytes.push(0);
        }
        let shift = *at as u32 % 8;
        let taken = (8 - shift).min(width - done);
        let part = (value >> done) & ((1 << taken) - 1);
        if let Some(last) = bytes.last_mut() {
            *last |= (part as u8) << shift;
        }
        (*at, done) = (*at + taken as usize, done + taken);
    }
}
