//! What a list's centre and a code add to the distance whatever the query: learned when a list is first looked at, and kept until its codes
//! change or its centre does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Centers, Lists};
use crate::faiss::codec::Codec;

/// A number that nothing else has.
pub(super) fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A number for each code of a list, and whose they are: those of so many codes, by the centres of this number.
#[derive(Debug, Default)]
pub(super) struct Terms(Mutex<Option<Known>>);

type Known = (u64, Arc<[f32]>);

/// A copy learns its own.
impl Clone for Terms {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Terms {
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// What is known, which is whole or nothing, whatever became of a thread that held it.
    fn lock(&self) -> MutexGuard<'_, Option<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory, in bytes.
    pub fn bytes(&self) -> u64 {
        self.lock().as_ref().map_or(0, |(_, terms)| size_of_val(&**terms) as u64)
    }
}

impl Lists {
    /// The terms of the codes of `list`; none where the codec has none.
    pub(super) fn terms(&self, list: usize, codec: &dyn Codec, centers: &Centers) -> Option<Arc<[f32]>> {
        let mut known = self.lists[list].terms.lock();
        if let Some((number, terms)) = &*known
            && *number == centers.number
        {
            return Some(terms.clone());
        }
        let codes = self.codes(list, 0, self.len(list));
        let terms: Arc<[f32]> = codec.terms(centers.metric, centers.center(list), &codes)?.into();
        *known = Some((centers.number, terms.clone()));
        Some(terms)
    }
}
