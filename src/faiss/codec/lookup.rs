//! What does a number of a code add to the distance? It stands in a table of the query's, made once a query or once a list.
//!
//! ```text
//! whole vectors   l2  ‖q − r‖²                                     a table of the query
//!                 ip  −⟨q,r⟩                                       the same
//! residuals       ip  −⟨q,c⟩ − ⟨q,r⟩                               the same
//!                 l2  ‖q − c‖² + (‖r‖² + 2⟨c,r⟩) − 2⟨q,r⟩          a table of the list plus one of the query
//! ```

use super::lanes::{Judge, Walk};
use super::product::{Line, Product, SIDE};
use super::{Codec, Memory, Residual, Scorer, bits};
use crate::kernels::{Isa, Kernel, Simd};
use crate::metric::Metric;

/// One query against codes of a [`Product`].
pub(super) struct Lookup<'a> {
    product: &'a Product,
    metric: Metric,
    query: &'a [f32],
    /// What all numbers come to with the query, part after part, and by which metric.
    table: Vec<Line>,
    of: Option<Metric>,
    /// The same of what it is off from a list's centre: shared, or its own.
    inside: Option<&'a Memory>,
    own: Memory,
    in_list: bool,
    /// q − c, where the list has no table.
    residual: Vec<f32>,
    offset: f32,
}

impl<'a> Lookup<'a> {
    pub fn new(product: &'a Product, metric: Metric, query: &'a [f32], inside: Option<&'a Memory>) -> Self {
        let (table, of, residual) = (Vec::new(), None, Vec::new());
        let (own, in_list, offset) = (Memory::default(), false, 0.0);
        Self { product, metric, query, table, of, inside, own, in_list, residual, offset }
    }

    /// Makes the table of a metric.
    fn make(&mut self, metric: Metric) {
        if self.of != Some(metric) {
            self.product.table(metric, self.query, &mut self.table);
            self.of = Some(metric);
        }
    }

    fn walk(&self, codes: &[u8], list: Option<&[u32]>, out: &mut [f32]) {
        let inside = self.inside.unwrap_or(&self.own).0.borrow();
        let table = if self.in_list { &*inside } else { &self.table };
        let (tables, offset, size) = (table.as_flattened(), self.offset, self.product.code_size());
        match self.product.bits() {
            8 => {
                let judge = Bytes { tables: tables.as_chunks().0, offset };
                Walk { judge: &judge, codes, size, list, out }.go();
            }
            4 => {
                let judge = Nibbles { tables: tables.as_chunks().0, offset };
                Walk { judge: &judge, codes, size, list, out }.go();
            }
            bits => {
                let judge = Others { tables, bits, stride: self.product.groups() * SIDE, offset };
                Walk { judge: &judge, codes, size, list, out }.go();
            }
        }
    }
}

impl Scorer for Lookup<'_> {
    fn enter(&mut self, list: Option<Residual>) {
        self.in_list = list.is_some() && self.metric == Metric::L2;
        let Some(list) = list.filter(|_| self.metric == Metric::L2) else {
            // Under ip one table serves all lists.
            self.make(self.metric);
            self.offset = list.map_or(0.0, |list| 0.0 - list.coarse);
            return;
        };
        if list.table.is_empty() {
            let mut inside = self.inside.unwrap_or(&self.own).0.borrow_mut();
            self.residual.clear();
            self.residual.extend(self.query.iter().zip(list.center).map(|(q, c)| q - c));
            self.offset = 0.0;
            self.product.table(Metric::L2, &self.residual, &mut inside);
            return;
        }
        self.make(Metric::InnerProduct);
        let mut inside = self.inside.unwrap_or(&self.own).0.borrow_mut();
        inside.resize(self.table.len(), [0.0; SIDE]);
        self.offset = list.coarse;
        Isa::active().run(Sum { list: list.table, along: &self.table, table: &mut inside });
    }

    fn score(&mut self, codes: &[u8], out: &mut [f32]) {
        self.walk(codes, None, out);
    }

    fn gather(&mut self, codes: &[u8], rows: &[u32], out: &mut [f32]) {
        self.walk(codes, Some(rows), out);
    }
}

/// list − 2⟨q,r⟩
struct Sum<'a> {
    list: &'a [f32],
    along: &'a [Line],
    table: &'a mut [Line],
}

impl Kernel for Sum<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let lines = self.list.as_chunks::<SIDE>().0.iter().zip(self.along);
        for (sum, (list, along)) in self.table.iter_mut().zip(lines) {
            for i in 0..SIDE {
                sum[i] = list[i] + 2.0 * along[i];
            }
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
