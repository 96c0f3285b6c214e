//! Which codes are in which list? Inverted lists as Faiss has them: codes and ids, appended, removed, moved.

mod native;
mod scan;
mod terms;

pub use native::Native;
pub use scan::{Found, Probes, Within};

use terms::Terms;

use super::codec::Codec;
use super::learned::Learned;
use super::selector::Selector;
use super::sketch::Sketched;
use crate::error::{Error, Result};
use crate::metric::Metric;
use crate::threads::{self, Monitor};

/// Vectors that a thread codes at a time.
const PIECE: usize = 256;

/// Codes and their ids, in lists.
#[derive(Clone, Debug)]
pub struct Lists {
    code_size: usize,
    block: usize,
    lists: Vec<List>,
}

/// One of them.
#[derive(Clone, Debug, Default)]
struct List {
    ids: Vec<i64>,
    /// Whole blocks; what is beyond the last id is zeros.
    codes: Vec<u8>,
    terms: Learned<Terms>,
    sketched: Sketched,
}

impl List {
    /// Its ids and codes, to be changed.
    fn change(&mut self) -> (&mut Vec<i64>, &mut Vec<u8>) {
        self.terms.forget();
        self.sketched.forget();
        (&mut self.ids, &mut self.codes)
    }
}

/// The centres that residuals are taken from, one for each list.
pub struct Centers {
    dim: usize,
    rows: Vec<f32>,
    metric: Metric,
    /// Unlike that of any others.
    number: u64,
}

impl Centers {
    /// Centres of `codec`'s vectors, row after row.
    ///
    /// # Errors
    /// [`Error::Shape`].
    pub fn new(codec: &dyn Codec, metric: Metric, rows: Vec<f32>) -> Result<Self> {
        let dim = codec.dim();
        if dim == 0 || !rows.len().is_multiple_of(dim) {
            return Err(Error::Shape { len: rows.len(), dim });
        }
        Ok(Self { dim, rows, metric, number: terms::number() })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len() / self.dim
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The centre of `list`.
    pub fn center(&self, list: usize) -> &[f32] {
        &self.rows[list * self.dim..][..self.dim]
    }
}

impl Lists {
    /// So many empty lists of codes of `code_size` bytes, in blocks of `block` codes.
    ///
    /// # Errors
    /// [`Error::Argument`] where there is nothing to a code or a block, [`Error::OutOfMemory`].
    pub fn new(count: usize, code_size: usize, block: usize) -> Result<Self> {
        if code_size == 0 {
            return Err(Error::argument("code_size", 0, "at least 1"));
        }
        if block == 0 || !scan::PIECE.is_multiple_of(block) {
            return Err(Error::argument("block", block, "a power of two up to 512"));
        }
        let mut lists = Vec::new();
        let bytes = (count as u64).saturating_mul(size_of::<List>() as u64);
        lists.try_reserve_exact(count).map_err(|_| Error::OutOfMemory { what: "lists", bytes })?;
        lists.resize_with(count, List::default);
        Ok(Self { code_size, block, lists })
    }

    /// How many lists there are.
    pub fn count(&self) -> usize {
        self.lists.len()
    }

    /// Bytes of a code.
    pub fn code_size(&self) -> usize {
        self.code_size
    }

    /// Codes in a block.
    pub fn block(&self) -> usize {
        self.block
    }

    /// How many codes `list` has.
    pub fn len(&self, list: usize) -> usize {
        self.lists[list].ids.len()
    }

    /// True where no list has a code.
    pub fn is_empty(&self) -> bool {
        self.lists.iter().all(|list| list.ids.is_empty())
    }

    /// The ids of `list`, in the order in which they came.
    pub fn ids(&self, list: usize) -> &[i64] {
        &self.lists[list].ids
    }

    /// The codes of `list` as they lie: whole blocks.
    pub fn blocks(&self, list: usize) -> &[u8] {
        &self.lists[list].codes
    }

    /// The sketch of `list`.
    fn sketched(&self, list: usize) -> &Sketched {
        &self.lists[list].sketched
    }

    /// The codes of `list`, one after the other, from the one at `from` to before `to`.
    pub fn codes(&self, list: usize, from: usize, to: usize) -> Vec<u8> {
        let (size, codes) = (self.code_size, &self.lists[list].codes);
        if self.block == 1 {
            return codes[from * size..to * size].to_vec();
        }
        let mut rows = Vec::with_capacity((to - from) * size);
        for row in from..to {
            let at = row / self.block * self.block * size + row % self.block;
            rows.extend((0..size).map(|byte| codes[at + byte * self.block]));
        }
        rows
    }

    /// Memory, in bytes.
    pub fn bytes(&self) -> u64 {
        let bytes = |list: &List| {
            (list.codes.len() + list.ids.len() * 8) as u64 + list.terms.bytes() + list.sketched.bytes()
        };
        self.lists.iter().map(bytes).sum()
    }

    /// Appends codes that lie one after the other.
    ///
    /// # Errors
    /// [`Error::Argument`] where there is no such list, [`Error::IdCount`], [`Error::OutOfMemory`].
    pub fn append(&mut self, list: usize, ids: &[i64], codes: &[u8]) -> Result<()> {
        if list >= self.lists.len() {
            return Err(Error::argument("list", list, "the number of a list, counted from 0"));
        }
        if codes.len() != ids.len() * self.code_size {
            return Err(Error::IdCount { ids: ids.len(), vectors: codes.len() / self.code_size });
        }
        self.extend(list, ids.iter().copied().zip(codes.chunks_exact(self.code_size)))
    }

    /// Appends ids and their codes to a list that there is.
    fn extend<'a>(&mut self, list: usize, new: impl ExactSizeIterator<Item = (i64, &'a [u8])>) -> Result<()> {
        let (size, block, len) = (self.code_size, self.block, new.len());
        let List { ids, codes, terms, sketched } = &mut self.lists[list];
        terms.forget();
        let before = ids.len();
        let more = ((before + len).next_multiple_of(block) * size).saturating_sub(codes.len());
        let room = codes.try_reserve(more).and(ids.try_reserve(len));
        room.map_err(|_| Error::OutOfMemory { what: "lists", bytes: (more + len * 8) as u64 })?;
        if block == 1 {
            for (id, code) in new {
                ids.push(id);
                codes.extend_from_slice(code);
            }
            sketched.extend(&codes[before * size..]);
            return Ok(());
        }
        codes.resize(codes.len() + more, 0);
        for (row, (id, code)) in (before..).zip(new) {
            ids.push(id);
            let at = row / block * block * size + row % block;
            for (byte, &value) in code.iter().enumerate() {
                codes[at + byte * block] = value;
            }
        }
        Ok(())
    }

    /// Codes `x` and appends each code to the list that `keys` tells for it; negative keys leave a vector out. With `centers` codes are
    /// of what a vector is off from its list's.
    ///
    /// # Errors
    /// As [`Lists::append`]; [`Error::Dimension`]; [`Error::Interrupted`]. Where it fails, nothing is appended.
    pub fn add(
        &mut self,
        codec: &dyn Codec,
        x: &[f32],
        keys: &[i64],
        ids: &[i64],
        centers: Option<&Centers>,
        (threads, monitor): (usize, Option<&dyn Monitor>),
    ) -> Result<()> {
        self.check(codec)?;
        if keys.len() != ids.len() || x.len() != keys.len() * codec.dim() {
            return Err(Error::IdCount { ids: ids.len(), vectors: keys.len() });
        }
        let count = self.lists.len().min(centers.map_or(usize::MAX, Centers::len));
        if count == 0 || centers.is_some_and(|centers| centers.dim != codec.dim()) {
            return Err(Error::argument("centers", count, "a centre of the codec's dimension for each list"));
        }
        if let Some(&key) = keys.iter().find(|&&key| key >= count as i64) {
            return Err(Error::argument("list", key, "the number of a list, counted from 0"));
        }
        let plain = codec.is_plain() && centers.is_none();
        let coded = if plain { Vec::new() } else { encode(codec, x, keys, centers, (threads, monitor))? };
        let codes = if plain { bytemuck::cast_slice(x) } else { &coded[..] };
        let mut order: Vec<u32> = (0..keys.len() as u32).filter(|&row| keys[row as usize] >= 0).collect();
        order.sort_by_key(|&row| keys[row as usize]);
        let size = self.code_size;
        for run in order.chunk_by(|&a, &b| keys[a as usize] == keys[b as usize]) {
            let rows = run.iter().map(|&row| row as usize);
            let code = |row: usize| &codes[row * size..][..size];
            self.extend(keys[run[0] as usize] as usize, rows.map(|row| (ids[row], code(row))))?;
        }
        Ok(())
    }

    /// Refuses a codec of other codes.
    ///
    /// # Errors
    /// [`Error::Argument`].
    fn check(&self, codec: &dyn Codec) -> Result<()> {
        if codec.code_size() != self.code_size {
            return Err(Error::argument(
                "codec",
                codec.code_size(),
                "one of codes as long as those in the lists",
            ));
        }
        if codec.block() != self.block {
            return Err(Error::argument(
                "codec",
                codec.block(),
                "one whose codes lie in blocks as those in the lists",
            ));
        }
        Ok(())
    }

    /// Replaces the code and the id at `at` of `list`.
    ///
    /// # Errors
    /// [`Error::Argument`] where there is no such code or `code` is of another length.
    pub fn replace(&mut self, list: usize, at: usize, id: i64, code: &[u8]) -> Result<()> {
        let (size, block) = (self.code_size, self.block);
        let Some(list) = self.lists.get_mut(list).filter(|list| at < list.ids.len()) else {
            return Err(Error::argument("offset", at, "the place of a code in its list"));
        };
        if code.len() != size {
            return Err(Error::argument("code", code.len(), "as many bytes as the other codes have"));
        }
        let (ids, codes) = list.change();
        ids[at] = id;
        let first = at / block * block * size + at % block;
        for (byte, &value) in code.iter().enumerate() {
            codes[first + byte * block] = value;
        }
        Ok(())
    }

    /// Cuts `list` short.
    pub fn truncate(&mut self, list: usize, len: usize) {
        let (size, block) = (self.code_size, self.block);
        let (ids, codes) = self.lists[list].change();
        ids.truncate(len);
        codes.truncate(ids.len().next_multiple_of(block) * size);
    }

    /// Removes the codes whose id `selector` has; the last of a list takes the place of one that goes. How many went.
    pub fn remove(&mut self, selector: &Selector) -> usize {
        let mut removed = 0;
        for list in 0..self.lists.len() {
            let (mut at, mut len) = (0, self.len(list));
            let before = len;
            while at < len {
                if selector.has(self.lists[list].ids[at]) {
                    len -= 1;
                    self.shift(list, len, at);
                } else {
                    at += 1;
                }
            }
            self.truncate(list, len);
            removed += before - len;
        }
        removed
    }

    /// Removes the codes whose id `selector` has; those behind move up. How many went.
    pub fn squeeze(&mut self, selector: &Selector) -> usize {
        let mut removed = 0;
        for list in 0..self.lists.len() {
            let mut kept = 0;
            let before = self.len(list);
            for at in 0..before {
                if !selector.has(self.lists[list].ids[at]) {
                    self.shift(list, at, kept);
                    kept += 1;
                }
            }
            self.truncate(list, kept);
            removed += before - kept;
        }
        removed
    }

    /// Numbers the codes of `list` 0, 1, 2 …
    pub fn number(&mut self, list: usize) {
        for (row, id) in self.lists[list].ids.iter_mut().enumerate() {
            *id = row as i64;
        }
    }

    fn shift(&mut self, list: usize, from: usize, to: usize) {
        let (size, block) = (self.code_size, self.block);
        let (ids, codes) = self.lists[list].change();
        ids[to] = ids[from];
        if block == 1 {
            codes.copy_within(from * size..(from + 1) * size, to * size);
            return;
        }
        let place = |row: usize| row / block * block * size + row % block;
        let (from, to) = (place(from), place(to));
        for byte in 0..size {
            codes[to + byte * block] = codes[from + byte * block];
        }
    }

    /// Takes the codes of `other` over, whose ids grow by `add`; it is left empty.
    ///
    /// # Errors
    /// [`Error::Argument`] where codes or the number of lists differ; [`Error::OutOfMemory`].
    pub fn merge(&mut self, other: &mut Self, add: i64) -> Result<()> {
        if (self.code_size, self.lists.len()) != (other.code_size, other.lists.len()) {
            return Err(Error::argument(
                "lists",
                other.lists.len(),
                "as many lists, of codes of the same size",
            ));
        }
        for list in 0..self.lists.len() {
            let ids: Vec<i64> = other.ids(list).iter().map(|id| id.wrapping_add(add)).collect();
            self.append(list, &ids, &other.codes(list, 0, ids.len()))?;
            other.lists[list] = List::default();
        }
        Ok(())
    }
}

/// Codes `x`, each of what it is off from its list's centre where there are centres, on several threads.
///
/// # Errors
/// [`Error::OutOfMemory`], [`Error::Interrupted`].
pub fn encode(
    codec: &dyn Codec,
    x: &[f32],
    keys: &[i64],
    centers: Option<&Centers>,
    (threads, monitor): (usize, Option<&dyn Monitor>),
) -> Result<Vec<u8>> {
    let (dim, size, n) = (codec.dim(), codec.code_size(), x.len() / codec.dim());
    let mut codes = Vec::new();
    let bytes = n.saturating_mul(size);
    codes.try_reserve_exact(bytes).map_err(|_| Error::OutOfMemory { what: "codes", bytes: bytes as u64 })?;
    codes.resize(bytes, 0u8);
    let pieces: Vec<_> = codes.chunks_mut(PIECE * size).map(std::sync::Mutex::new).collect();
    threads::run(threads, monitor, "encode", (pieces.len(), n as u64), |at, worker| {
        let mut piece = pieces[at].lock().map_err(|_| Error::Interrupted)?;
        let rows = at * PIECE..(at * PIECE + PIECE).min(n);
        let x = &x[rows.start * dim..rows.end * dim];
        match centers {
            None => codec.encode(x, None, &mut piece),
            Some(centers) => {
                let (mut residuals, mut near) = (x.to_vec(), Vec::with_capacity(x.len()));
                for (residual, &key) in residuals.chunks_exact_mut(dim).zip(&keys[rows.clone()]) {
                    // A vector of no list is coded, and left out.
                    let center = centers.center((key.max(0) as usize).min(centers.len() - 1));
                    near.extend_from_slice(center);
                    residual.iter_mut().zip(center).for_each(|(v, c)| *v -= c);
                }
                codec.encode(&residuals, Some(&near), &mut piece);
            }
        }
        worker.advance(rows.len() as u64);
        Ok(())
    })?;
    drop(pieces);
    Ok(codes)
}
