//! Product codes of four bits, 32 together: Faiss's fast scan (André, Kermarrec, Le Scouarnec 2015) by the crate's own kernel.
//!
//! Tables are rounded to bytes for the look-up, which may be off by √(M/12) of their step in the mean square. What could be near
//! enough by three such deviations is then added up from the tables as they are: distances are those of the codes.

use std::sync::Arc;

use super::product::{Line, Product};
use super::{Codec, Residual, Scorer};
use crate::error::{Error, Result};
use crate::kernels::fastscan::{BLOCK, Tables};
use crate::kernels::{Isa, Kernel, Simd};
use crate::metric::Metric;

/// Deviations of the look-up that a code may be off and still be added up.
const DEVIATIONS: f32 = 3.0;

/// A [`Product`] of four bits whose codes lie in blocks.
pub struct FastScan {
    product: Arc<Product>,
}

impl FastScan {
    /// Of `product`.
    ///
    /// # Errors
    /// [`Error::Argument`] where its numbers are not of four bits.
    pub fn new(product: Arc<Product>) -> Result<Self> {
        if product.bits() != 4 {
            return Err(Error::argument("nbits", product.bits(), "4 for fast scan"));
        }
        Ok(Self { product })
    }
}

impl Codec for FastScan {
    fn dim(&self) -> usize {
        self.product.dim()
    }

    fn code_size(&self) -> usize {
        self.product.code_size()
    }

    fn block(&self) -> usize {
        BLOCK
    }

    fn encode(&self, x: &[f32], centers: Option<&[f32]>, codes: &mut [u8]) {
        self.product.encode(x, centers, codes);
    }

    fn decode(&self, codes: &[u8], x: &mut [f32]) {
        self.product.decode(codes, x);
    }

    fn scorer<'a>(&'a self, metric: Metric, query: &'a [f32]) -> Box<dyn Scorer + 'a> {
        Box::new(Scan {
            product: &self.product,
            metric,
            query,
            sums: Vec::new(),
            whole: false,
            tables: Tables::default(),
            residual: Vec::new(),
            offset: 0.0,
        })
    }
}

/// One query against blocks of codes.
struct Scan<'a> {
    product: &'a Product,
    metric: Metric,
    query: &'a [f32],
    /// What each number adds to the distance, part after part.
    sums: Vec<Line>,
    /// Whether these are of the query itself, not of a residual.
    whole: bool,
    /// The same, rounded.
    tables: Tables,
    residual: Vec<f32>,
    /// What is added to all distances.
    offset: f32,
}

impl Scan<'_> {
    fn set(&mut self) {
        struct Set<'a>(&'a mut Tables, &'a [Line]);
        impl Kernel for Set<'_> {
            type Out = ();
            #[inline(always)]
            fn run<S: Simd>(self, _: S) {
                self.0.set_sums(self.1);
            }
        }
        Isa::active().run(Set(&mut self.tables, &self.sums));
    }

    /// The distance of the code at `row`, whose bytes are a block apart.
    fn sum(&self, codes: &[u8], row: usize) -> f32 {
        let first = row / BLOCK * BLOCK * self.product.code_size() + row % BLOCK;
        let (fours, rest) = self.sums.as_chunks::<4>();
        // Sums side by side, so that they need not wait for each other.
        let mut sums = [self.offset, 0.0, 0.0, 0.0];
        let mut at = first;
        for tables in fours {
            let (even, odd) = (usize::from(codes[at]), usize::from(codes[at + BLOCK]));
            sums[0] += tables[0][even & 15];
            sums[1] += tables[1][even >> 4];
            sums[2] += tables[2][odd & 15];
            sums[3] += tables[3][odd >> 4];
            at += 2 * BLOCK;
        }
        for (place, table) in rest.iter().enumerate() {
            let code = codes[at + place / 2 * BLOCK] >> (place % 2 * 4);
            sums[place] += table[usize::from(code & 15)];
        }
        sums[0] + sums[1] + (sums[2] + sums[3])
    }
}

impl Scorer for Scan<'_> {
    fn enter(&mut self, list: Option<Residual>) {
        self.offset = match list {
            Some(list) if self.metric == Metric::InnerProduct => -list.coarse,
            _ => 0.0,
        };
        if let Some(list) = list.filter(|_| self.metric == Metric::L2) {
            self.residual.clear();
            self.residual.extend(self.query.iter().zip(list.center).map(|(q, c)| q - c));
            self.product.table(Metric::L2, &self.residual, &mut self.sums);
            self.whole = false;
            self.set();
        } else if !self.whole {
            self.product.table(self.metric, self.query, &mut self.sums);
            self.whole = true;
            self.set();
        }
    }

    fn score(&mut self, codes: &[u8], out: &mut [f32]) {
        struct Blocks<'a>(&'a Tables, &'a [u8], usize, f32, &'a mut [f32]);
        impl Kernel for Blocks<'_> {
            type Out = ();
            #[inline(always)]
            fn run<S: Simd>(self, s: S) {
                let Self(tables, codes, size, offset, out) = self;
                let blocks = codes.chunks_exact(size * BLOCK);
                for (block, out) in blocks.zip(out.as_chunks_mut::<BLOCK>().0) {
                    let [first, second] = tables.dots(s, block.as_chunks().0, offset, &[]);
                    out[..16].copy_from_slice(&s.lanes_f32(first));
                    out[16..].copy_from_slice(&s.lanes_f32(second));
                }
            }
        }
        let off = DEVIATIONS * self.tables.step() * (self.product.parts() as f32 / 12.0).sqrt();
        Isa::active().run(Blocks(&self.tables, codes, self.product.code_size(), self.offset - off, out));
    }

    fn gather(&mut self, codes: &[u8], rows: &[u32], out: &mut [f32]) {
        for (out, &row) in out.iter_mut().zip(rows) {
            *out = self.sum(codes, row as usize);
        }
    }

    fn is_below(&self) -> bool {
        true
    }
}
