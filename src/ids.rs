//! Whose vector is it? The user's ids beside the rows.

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::storage::Buffer;

/// The id that no vector may have: it marks "none" in results, where it reads as −1.
pub const NONE: u64 = u64::MAX;

/// One unique id a row.
#[derive(Clone)]
pub(crate) enum Ids {
    /// Row i has id i.
    Rows,
    /// Row i has the i-th u64.
    Given(Buffer),
}

impl Ids {
    /// The id of row `row`.
    #[inline]
    pub fn get(&self, row: usize) -> u64 {
        match self {
            Self::Rows => row as u64,
            Self::Given(ids) => ids.as_slice::<u64>()[row],
        }
    }

    /// Memory, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Rows => 0,
            Self::Given(ids) => ids.len(),
        }
    }

    /// The same ids with `more` appended, for an index of `len` rows: `new` ids, or consecutive ones from the
    /// largest on.
    ///
    /// # Errors
    /// [`Error::IdCount`], [`Error::DuplicateId`]; [`Error::Argument`] for the id that is kept for "none".
    pub fn extended(&self, len: usize, more: usize, new: Option<&[u64]>) -> Result<Self> {
        let consecutive: Vec<u64>;
        let new = match (self, new) {
            (Self::Rows, None) => return Ok(Self::Rows),
            (Self::Rows, Some(new))
                if new.iter().zip(len as u64..).all(|(&a, b)| a == b) && new.len() == more =>
            {
                return Ok(Self::Rows);
            }
            (_, Some(new)) => new,
            (Self::Given(ids), None) => {
                let first = ids.as_slice::<u64>().iter().max().map_or(0, |&id| id.saturating_add(1));
                if NONE - first < more as u64 {
                    return Err(Error::argument(
                        "ids",
                        first,
                        "ids given, for there are none left above the largest",
                    ));
                }
                consecutive = (first..first + more as u64).collect();
                &consecutive
            }
        };
        if new.len() != more {
            return Err(Error::IdCount { ids: new.len(), vectors: more });
        }
        let mut taken: HashSet<u64> = HashSet::with_capacity(len + more);
        taken.extend((0..len).map(|row| self.get(row)));
        for (row, &id) in new.iter().enumerate() {
            if id == NONE {
                return Err(Error::argument(
                    "ids",
                    id,
                    "ids of at most 2^64 - 2: the largest means \"none\"",
                ));
            }
            if !taken.insert(id) {
                return Err(Error::DuplicateId { id, row });
            }
        }
        let mut ids = match self {
            Self::Given(ids) => ids.clone(),
            Self::Rows => {
                let mut ids = Buffer::new();
                ids.extend("ids", bytemuck::cast_slice(&(0..len as u64).collect::<Vec<_>>()))?;
                ids
            }
        };
        ids.extend("ids", bytemuck::cast_slice(new))?;
        Ok(Self::Given(ids))
    }
}
