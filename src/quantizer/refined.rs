//! Nibbles of one code, and eight bits a coordinate beside them: the first tell what is far, the others how far the rest is.

use std::sync::Arc;

use super::scalar::{Scalar, Step};
use super::{Code, Factors, Quantizer};
use crate::kernels::Isa;
use crate::kernels::fastscan::Tables;
use crate::kernels::lookup::ByteTables;
use crate::kernels::planes::WHOLE;

/// A code of nibbles alone, refined.
pub(crate) struct Refined {
    first: Arc<dyn Quantizer>,
    second: Scalar,
}

impl Refined {
    /// `first`, refined.
    pub fn new(first: Arc<dyn Quantizer>) -> Self {
        Self { second: Scalar::whole(Step::Rabitq, first.width()), first }
    }
}

impl Quantizer for Refined {
    fn name(&self) -> String {
        format!("{} and 8 bits each", self.first.name())
    }

    fn width(&self) -> usize {
        self.first.width()
    }

    fn nibbles(&self) -> usize {
        self.first.nibbles()
    }

    fn extra(&self) -> usize {
        WHOLE
    }

    fn planes(&self) -> usize {
        self.width()
    }

    fn encode(&self, isa: Isa, residual: &[f32], center: &[f32], code: Code) -> [Factors; 2] {
        let Code { nibbles, planes } = code;
        let [first, _] = self.first.encode(isa, residual, center, Code { nibbles, planes: &mut [] });
        let [_, second] = self.second.encode(isa, residual, center, Code { nibbles: &mut [], planes });
        [first, second]
    }

    fn decode(&self, nibbles: &[u8], planes: &[u8], x: &mut [f32]) {
        if planes.is_empty() {
            self.first.decode(nibbles, &[], x);
        } else {
            self.second.decode(&[], planes, x);
        }
    }

    fn tables(&self, isa: Isa, query: &[f32], tables: &mut Tables, bytes: &mut ByteTables) {
        self.first.tables(isa, query, tables, bytes);
    }

    fn deviations(&self) -> [f32; 2] {
        [self.first.deviations()[0], self.second.deviations()[1]]
    }

    fn state(&self) -> Vec<f32> {
        self.first.state()
    }
}
