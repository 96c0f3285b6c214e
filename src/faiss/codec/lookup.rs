//! What does a number of a code add to the distance? It stands in a table of the query's, made once a query.
//!
//! ```text
//! whole vectors   l2  ‖q − r‖²
//!                 ip  −⟨q,r⟩
//! residuals       ip  −⟨q,c⟩ − ⟨q,r⟩
//!                 l2  ‖q − c‖² + (‖r‖² + 2⟨c,r⟩) − 2⟨q,r⟩
//! ```
//!
//! What is in brackets is one number for each code, whatever the query ([`Codec::terms`](super::Codec::terms)): four bytes beside a code
//! spare a table for each list and query.
//!
//! Numbers of eight bits are told apart by a table in bytes first, 64 codes at a time, where the processor can: that is off by little, and what
//! may be near is summed again.

use super::lanes::{Judge, Walk};
use super::product::{Line, Product, SIDE};
use super::{Codec, Residual, Scorer, bits};
use crate::kernels::lookup::RoundedTables;
use crate::kernels::{Isa, Simd};
use crate::metric::Metric;

/// One query against codes of a [`Product`].
pub(super) struct Lookup<'a> {
    product: &'a Product,
    metric: Metric,
    query: &'a [f32],
    /// What all numbers come to with the query, part after part, and whether in a list.
    table: Vec<Line>,
    of: Option<bool>,
    offset: f32,
    /// The table in bytes, once codes were scored by it.
    rounded: RoundedTables,
    rounds: Rounds,
}

/// Whether a table is rounded.
#[derive(Clone, Copy, PartialEq)]
enum Rounds {
    /// Nobody asked yet.
    Unknown,
    Yes,
    No,
}

impl<'a> Lookup<'a> {
    pub fn new(product: &'a Product, metric: Metric, query: &'a [f32]) -> Self {
        let (table, rounded) = (Vec::new(), RoundedTables::default());
        Self { product, metric, query, table, of: None, offset: 0.0, rounded, rounds: Rounds::Unknown }
    }
}

impl Scorer for Lookup<'_> {
    fn enter(&mut self, list: Option<Residual>) {
        self.offset = match list {
            Some(list) if self.metric == Metric::L2 => list.coarse,
            Some(list) => 0.0 - list.coarse,
            None => 0.0,
        };
        if self.of == Some(list.is_some()) {
            return;
        }
        (self.of, self.rounds) = (Some(list.is_some()), Rounds::Unknown);
        if list.is_some() && self.metric == Metric::L2 {
            let twice: Vec<f32> = self.query.iter().map(|v| 2.0 * v).collect();
            self.product.table(Metric::InnerProduct, &twice, &mut self.table);
        } else {
            self.product.table(self.metric, self.query, &mut self.table);
        }
    }

    fn score(&mut self, codes: &[u8], out: &mut [f32]) {
        let isa = Isa::active();
        if self.rounds == Rounds::Unknown {
            let bytes = self.product.bits() == 8 && RoundedTables::pay(isa);
            let rounded = bytes && self.rounded.set(isa, self.table.as_flattened().as_chunks().0);
            self.rounds = if rounded { Rounds::Yes } else { Rounds::No };
        }
        if self.rounds == Rounds::Yes {
            return self.rounded.least(isa, codes, self.offset, out);
        }
        sums(self.product, &self.table, self.offset, codes, None, out);
    }

    fn gather(&mut self, codes: &[u8], rows: &[u32], out: &mut [f32]) {
        sums(self.product, &self.table, self.offset, codes, Some(rows), out);
    }

    fn is_below(&self) -> bool {
        self.rounds == Rounds::Yes
    }
}

/// What the numbers of each code, or of those at `list`, come to in `table`, and `offset`.
pub(super) fn sums(
    product: &Product,
    table: &[Line],
    offset: f32,
    codes: &[u8],
    list: Option<&[u32]>,
    out: &mut [f32],
) {
    let (tables, size) = (table.as_flattened(), product.code_size());
    match product.bits() {
        8 => {
            let judge = Bytes { tables: tables.as_chunks().0, offset };
            Walk { judge: &judge, codes, size, list, out }.go();
        }
        4 => {
            let judge = Nibbles { tables: tables.as_chunks().0, offset };
            Walk { judge: &judge, codes, size, list, out }.go();
        }
        bits => {
            let judge = Others { tables, bits, stride: product.groups() * SIDE, offset };
            Walk { judge: &judge, codes, size, list, out }.go();
        }
    }
}

/// Numbers of eight bits.
struct Bytes<'a> {
    tables: &'a [[f32; 256]],
    offset: f32,
}

impl Judge for Bytes<'_> {
    #[inline(always)]
    fn judge<S: Simd, const N: usize>(&self, _: S, codes: [&[u8]; N]) -> [f32; N] {
        let parts = self.tables.len();
        let mut rows: [&[u8]; N] = [&[]; N];
        for n in 0..N {
            rows[n] = &codes[n][..parts];
        }
        let mut sums = [self.offset; N];
        for part in 0..parts {
            for n in 0..N {
                sums[n] += self.tables[part][usize::from(rows[n][part])];
            }
        }
        sums
    }
}

/// Numbers of four bits.
struct Nibbles<'a> {
    tables: &'a [Line],
    offset: f32,
}

impl Judge for Nibbles<'_> {
    #[inline(always)]
    fn judge<S: Simd, const N: usize>(&self, _: S, codes: [&[u8]; N]) -> [f32; N] {
        let (pairs, last) = self.tables.as_chunks::<2>();
        let mut rows: [&[u8]; N] = [&[]; N];
        for n in 0..N {
            rows[n] = &codes[n][..pairs.len()];
        }
        let mut sums = [self.offset; N];
        for at in 0..pairs.len() {
            for n in 0..N {
                let byte = usize::from(rows[n][at]);
                sums[n] += pairs[at][0][byte & 15] + pairs[at][1][byte >> 4];
            }
        }
        if let [last] = last {
            for n in 0..N {
                sums[n] += codes[n].last().map_or(0.0, |byte| last[usize::from(byte & 15)]);
            }
        }
        sums
    }
}

/// Numbers of any bits.
struct Others<'a> {
    tables: &'a [f32],
    bits: usize,
    stride: usize,
    offset: f32,
}

impl Judge for Others<'_> {
    #[inline(always)]
    fn judge<S: Simd, const N: usize>(&self, _: S, codes: [&[u8]; N]) -> [f32; N] {
        let mut sums = [self.offset; N];
        for n in 0..N {
            let numbers = bits::unpack(codes[n], self.bits);
            for (table, number) in self.tables.chunks_exact(self.stride).zip(numbers) {
                sums[n] += table[number as usize];
            }
        }
        sums
    }
}
