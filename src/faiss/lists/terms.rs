//! What a list's centre and a code add to the distance whatever the query: learned when a list is first looked at, and kept until its codes
//! change or its centre does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Centers, Lists};
use crate::faiss::codec::Codec;
use crate::faiss::learned::Learned;

/// A number that nothing else has.
pub(super) fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A number for each code of a list, by the centres of this number.
#[derive(Debug)]
pub(super) struct Terms {
    centers: u64,
    pub values: Vec<f32>,
}

impl Learned<Terms> {
    /// Memory, in bytes.
    pub fn bytes(&self) -> u64 {
        let known = self.known().and_then(|known| known.clone());
        known.map_or(0, |terms| size_of_val(&*terms.values) as u64)
    }
}

impl Lists {
    /// The terms of the codes of `list`; none where the codec has none.
    pub(super) fn terms(&self, list: usize, codec: &dyn Codec, centers: &Centers) -> Option<Arc<Terms>> {
        let mut known = self.lists[list].terms.known();
        if let Some(Some(terms)) = known.as_deref()
            && terms.centers == centers.number
        {
            return Some(terms.clone());
        }
        let codes = || self.codes(list, 0, self.len(list));
        let values = codec.terms(centers.metric, centers.center(list), &codes)?;
        let terms = Arc::new(Terms { centers: centers.number, values });
        if let Some(known) = &mut known {
            **known = Some(terms.clone());
        }
        Some(terms)
    }
}

#[cfg(test)]
mod tests {
    use crate::faiss::codec::Product;
    use crate::faiss::lists::{Centers, Lists, Probes, Within};
    use crate::faiss::selector::Selector;
    use crate::metric::Metric;
    use crate::random::Random;

    const DIM: usize = 6;

    fn values(seed: u64, count: usize) -> Vec<f32> {
        let mut random = Random(seed);
        (0..count * DIM).map(|_| (random.unit() * 4.0 - 2.0) as f32).collect()
    }

    /// What three queries find in both lists, as what a copy finds that has never been asked.
    fn found(lists: &Lists, codec: &Product, centers: &Centers) -> Vec<Vec<(f32, u64)>> {
        let queries = values(9, 3);
        let coarse: Vec<f32> = (0..6)
            .map(|at| {
                let apart = queries[at / 2 * DIM..].iter().zip(centers.center(at % 2));
                apart.map(|(q, c)| (q - c) * (q - c)).sum()
            })
            .collect();
        let look = |lists: &Lists| -> Vec<Vec<(f32, u64)>> {
            let (keys, max_codes, selector, places) = (&[0, 1, 0, 1, 0, 1], usize::MAX, None, false);
            let (metric, centers, coarse) = (Metric::L2, Some(centers), &coarse[..]);
            let probes = Probes { lists, codec, metric, centers, keys, coarse, max_codes, selector, places };
            let found = probes.run(&queries, Within::Nearest(20), (Some(1), None)).unwrap();
            found.into_iter().map(|row| row.into_iter().map(|n| (n.distance, n.id)).collect()).collect()
        };
        let before = look(lists);
        assert_eq!(before, look(&lists.clone()), "a copy learns the same");
        assert_eq!(before, look(lists), "what is known is what was learned");
        before
    }

    #[test]
    fn what_is_known_of_codes_goes_when_they_change_or_their_centres_do() {
        let codec = Product::new(DIM, 3, 4, &values(1, 16)).unwrap();
        let centers = |seed| Centers::new(&codec, Metric::L2, values(seed, 2)).unwrap();
        let (first, other) = (centers(2), centers(3));
        let mut lists = Lists::new(2, 2, 1).unwrap();
        let keys: Vec<i64> = (0..16).map(|i| i % 2).collect();
        let ids: Vec<i64> = (0..16).collect();
        lists.add(&codec, &values(4, 16), &keys, &ids, Some(&first), (1, None)).unwrap();
        let mut seen = vec![found(&lists, &codec, &first)];
        assert!(lists.bytes() >= 16 * (2 + 8 + 4), "terms are memory");
        seen.push(found(&lists, &codec, &other));
        assert_eq!(found(&lists, &codec, &first), seen[0]);
        lists.replace(1, 3, 99, &[0x5A, 0x0C]).unwrap();
        seen.push(found(&lists, &codec, &first));
        lists.append(0, &[50], &[0x21, 0x03]).unwrap();
        seen.push(found(&lists, &codec, &first));
        assert_eq!(lists.remove(&Selector::Range(2, 7)), 5);
        seen.push(found(&lists, &codec, &first));
        lists.truncate(0, 2);
        seen.push(found(&lists, &codec, &first));
        for (at, found) in seen.iter().enumerate() {
            assert!(!seen[..at].contains(found), "change {at} was not seen");
        }
    }
}
