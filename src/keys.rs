//! A distance and a number as one integer of the same order: comparing two of them settles ties as well, and is no branch.

/// An integer of the order of [`f32::total_cmp`].
#[inline(always)]
pub(crate) fn ordered(value: f32) -> u32 {
    let bits = value.to_bits();
    bits ^ ((bits as i32 >> 31) as u32 | 1 << 31)
}

/// The value that [`ordered`] was made of.
#[inline(always)]
pub(crate) fn value_of(ordered: u32) -> f32 {
    f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
}

/// Ordered as distances are, then as numbers are; the number is its lower half.
#[inline(always)]
pub(crate) fn key(distance: f32, number: u32) -> u64 {
    u64::from(ordered(distance)) << 32 | u64::from(number)
}

/// The distance that [`key`] was made of.
#[inline(always)]
pub(crate) fn distance_of(key: u64) -> f32 {
    value_of((key >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_are_ordered_as_distances_and_numbers_are_and_give_them_back(
            a in any::<(u32, u32)>(), b in any::<(u32, u32)>()
        ) {
            // Any bits: infinities, NaN and both zeros among them.
            let [(a, i), (b, j)] = [a, b].map(|(bits, number)| (f32::from_bits(bits), number));
            prop_assert_eq!(key(a, i).cmp(&key(b, j)), a.total_cmp(&b).then(i.cmp(&j)));
            prop_assert_eq!(key(a, i).cmp(&key(a, j)), i.cmp(&j));
            prop_assert_eq!((distance_of(key(a, i)).to_bits(), key(a, i) as u32), (a.to_bits(), i));
        }
    }
}
