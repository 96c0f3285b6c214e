//! Which ids may be found? A set of ids, asked once for every code that is looked at.

/// A set of ids.
#[derive(Clone, Debug)]
pub enum Selector {
    /// Every id.
    All,
    /// From the first to before the second.
    Range(i64, i64),
    /// Those whose bit is set, counted from the first id on: 64 to a word.
    Dense(i64, Vec<u64>),
    /// Ascending.
    Sparse(Vec<i64>),
    /// Those that the other has not.
    Not(Box<Self>),
    /// Those that both have.
    And(Box<[Self; 2]>),
    /// Those that one or both have.
    Or(Box<[Self; 2]>),
    /// Those that just one has.
    Xor(Box<[Self; 2]>),
}

/// Words of a dense set for each id that it holds, at most: beyond that a search among sorted ids takes less memory.
const WORDS: usize = 8;
/// Sets within each other, at most: asking recurses.
const DEPTH: usize = 64;

impl Selector {
    /// Exactly `ids`, in whatever order.
    pub fn batch(ids: &[i64]) -> Self {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let (Some(&first), Some(&last)) = (ids.first(), ids.last()) else { return Self::Sparse(ids) };
        let words = (last.wrapping_sub(first) as u64 / 64) as usize + 1;
        if words > ids.len().saturating_mul(WORDS).max(1 << 10) {
            return Self::Sparse(ids);
        }
        let mut bits = vec![0; words];
        for id in ids {
            let at = id.wrapping_sub(first) as usize;
            bits[at / 64] |= 1u64 << (at % 64);
        }
        Self::Dense(first, bits)
    }

    /// Those of 0 and more whose bit is set, eight to a byte, the lowest bit first.
    pub fn bitmap(bytes: &[u8]) -> Self {
        let words = bytes.chunks(8).map(|bytes| {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from_le_bytes(word)
        });
        Self::Dense(0, words.collect())
    }

    /// Whether `id` is in the set.
    pub fn has(&self, id: i64) -> bool {
        match self {
            Self::All => true,
            Self::Range(first, end) => (*first..*end).contains(&id),
            Self::Dense(first, bits) => {
                let at = id.wrapping_sub(*first) as u64;
                id >= *first && bits.get((at / 64) as usize).is_some_and(|word| word >> (at % 64) & 1 == 1)
            }
            Self::Sparse(ids) => ids.binary_search(&id).is_ok(),
            Self::Not(other) => !other.has(id),
            Self::And(both) => both[0].has(id) && both[1].has(id),
            Self::Or(both) => both[0].has(id) || both[1].has(id),
            Self::Xor(both) => both[0].has(id) != both[1].has(id),
        }
    }

    /// Whether the set is nested so little that asking it cannot exhaust the stack.
    pub fn is_shallow(&self) -> bool {
        self.within(DEPTH)
    }

    fn within(&self, depth: usize) -> bool {
        match self {
            Self::Not(other) => depth > 0 && other.within(depth - 1),
            Self::And(both) | Self::Or(both) | Self::Xor(both) => {
                depth > 0 && both.iter().all(|set| set.within(depth - 1))
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_its_ids_alone_whether_they_lie_close_or_far() {
        for ids in [vec![], vec![7], vec![5, 3, 900, 3], vec![i64::MIN, 0, i64::MAX], vec![-4, 1 << 50]] {
            let set = Selector::batch(&ids);
            for id in [i64::MIN, -4, -1, 0, 3, 4, 5, 7, 899, 900, 901, 1 << 50, i64::MAX] {
                assert_eq!(set.has(id), ids.contains(&id), "{id} in {ids:?}");
            }
        }
    }

    #[test]
    fn sets_combine_as_logic_says() {
        let (low, even) = (Selector::Range(0, 8), Selector::bitmap(&[0b0101_0101, 0b0101_0101]));
        let pair = || Box::new([low.clone(), even.clone()]);
        let (and, or, xor) = (Selector::And(pair()), Selector::Or(pair()), Selector::Xor(pair()));
        let not = Selector::Not(Box::new(even.clone()));
        for id in -2..20 {
            let (a, b) = ((0..8).contains(&id), (0..16).contains(&id) && id % 2 == 0);
            let expected = [a && b, a || b, a != b, !b];
            assert_eq!([and.has(id), or.has(id), xor.has(id), not.has(id)], expected, "{id}");
        }
        assert!(xor.is_shallow());
        let deep = (0..1000).fold(Selector::All, |set, _| Selector::Not(Box::new(set)));
        assert!(!deep.is_shallow());
    }
}
