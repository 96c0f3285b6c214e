//! Vectors to search.
//!
//! Most coordinates are multiples of 2⁻¹⁰ below 256: then every sum of products is exact in f64, in whatever order it is
//! taken, and "equal to the oracle bit for bit" is a theorem rather than a likelihood.

use half::{bf16, f16};
use steep::{Dtype, Vectors};

/// SplitMix64: the tests' data must not depend on the library's.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Between −1 and 1.
    pub fn signed(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// Roughly normal, of variance 1, never beyond ±6.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.signed() / 2.0).sum()
    }

    /// `values` in another order.
    pub fn shuffled<T>(&mut self, mut values: Vec<T>) -> Vec<T> {
        for i in (1..values.len()).rev() {
            values.swap(i, self.below(i + 1));
        }
        values
    }
}

/// n × d coordinates of one type, as the library takes them and as numbers.
#[derive(Clone, Debug)]
pub struct Set {
    pub dtype: Dtype,
    pub dim: usize,
    /// What the coordinates are, exactly.
    pub values: Vec<f64>,
    /// The same as `dtype`; words, so that they are aligned for every type.
    words: Vec<u64>,
}

impl Set {
    /// `values`, n × `dim`, each as the nearest value of `dtype`.
    pub fn new(dtype: Dtype, dim: usize, values: impl IntoIterator<Item = f64>) -> Self {
        let mut bytes = Vec::new();
        let rounded = |v: f64| match dtype {
            Dtype::F32 => put(&mut bytes, &(v as f32).to_ne_bytes(), f64::from(v as f32)),
            Dtype::F16 => put(&mut bytes, &f16::from_f64(v).to_ne_bytes(), f16::from_f64(v).to_f64()),
            Dtype::Bf16 => put(&mut bytes, &bf16::from_f64(v).to_ne_bytes(), bf16::from_f64(v).to_f64()),
            Dtype::I8 => put(&mut bytes, &(v.round() as i8).to_ne_bytes(), f64::from(v.round() as i8)),
            Dtype::U8 => put(&mut bytes, &(v.round() as u8).to_ne_bytes(), f64::from(v.round() as u8)),
            other => panic!("no test data of type {other}"),
        };
        let values: Vec<f64> = values.into_iter().map(rounded).collect();
        let mut words = vec![0u64; bytes.len().div_ceil(8)];
        bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(&bytes);
        assert!(values.len().is_multiple_of(dim), "whole rows");
        Self { dtype, dim, values, words }
    }

    /// The same values moved to where `dtype` has most of them to offer: bytes are four times as large, u8 has its
    /// zero in the middle.
    pub fn suited(dtype: Dtype, dim: usize, values: &[f64]) -> Self {
        let (factor, shift) = match dtype {
            Dtype::U8 => (4.0, 128.0),
            Dtype::I8 => (4.0, 0.0),
            _ => (1.0, 0.0),
        };
        Self::new(dtype, dim, values.iter().map(|v| v * factor + shift))
    }

    /// What the library takes.
    pub fn view(&self) -> Vectors<'_> {
        let bytes = &bytemuck::cast_slice(&self.words)[..self.values.len() * self.dtype.size()];
        Vectors::from_bytes(bytes, self.dtype, self.dim).unwrap()
    }

    pub fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.dim..][..self.dim]
    }

    /// Rows `rows` only.
    pub fn rows(&self, rows: std::ops::Range<usize>) -> Self {
        let values = self.values[rows.start * self.dim..rows.end * self.dim].iter().copied();
        Self::new(self.dtype, self.dim, values)
    }

    /// The same with a 1 in every row of zeros, for the cosine's sake.
    pub fn without_zeros(&self) -> Self {
        let mut values = self.values.clone();
        for row in values.chunks_exact_mut(self.dim).filter(|row| row.iter().all(|v| *v == 0.0)) {
            row[0] = 1.0;
        }
        Self::new(self.dtype, self.dim, values)
    }
}

fn put(bytes: &mut Vec<u8>, value: &[u8], exact: f64) -> f64 {
    bytes.extend_from_slice(value);
    exact
}

/// The nearest multiple of 2⁻¹⁰.
fn on_grid(v: f64) -> f64 {
    (v * 1024.0).round() / 1024.0
}

/// n × d values without any structure, on the grid.
pub fn noise(rng: &mut Rng, n: usize, dim: usize) -> Vec<f64> {
    (0..n * dim).map(|_| on_grid(4.0 * rng.normal())).collect()
}

/// n × d values of which four directions carry nearly all variance, as codes like them; on the grid.
pub fn low_rank(rng: &mut Rng, n: usize, dim: usize) -> Vec<f64> {
    let directions: Vec<f64> = (0..4 * dim).map(|_| rng.normal()).collect();
    let mut values = Vec::with_capacity(n * dim);
    for _ in 0..n {
        let at: [f64; 4] = std::array::from_fn(|i| rng.normal() * 4.0 / (i + 1) as f64);
        values.extend((0..dim).map(|j| {
            let signal: f64 = (0..4).map(|i| at[i] * directions[i * dim + j]).sum();
            on_grid(signal + 0.05 * rng.normal())
        }));
    }
    values
}

/// n × d values whose deviation falls with the coordinate's number j as j^−`power`: few directions tell the nearest vectors
/// apart, more are needed for the thousand nearest. On the grid.
pub fn decaying(rng: &mut Rng, n: usize, dim: usize, power: f64) -> Vec<f64> {
    (0..n * dim).map(|at| on_grid(8.0 * rng.normal() / ((at % dim) as f64 + 1.0).powf(power))).collect()
}

/// n × d whole numbers of `0..range`, few enough that many distances are equal.
pub fn whole(rng: &mut Rng, n: usize, dim: usize, range: usize) -> Vec<f64> {
    (0..n * dim).map(|_| rng.below(range) as f64).collect()
}

/// n × d values in clusters of which each has directions of its own, as embeddings have them; on the grid.
pub fn clustered(rng: &mut Rng, n: usize, dim: usize) -> Vec<f64> {
    const CLUSTERS: usize = 25;
    const INNER: usize = 8;
    let centers: Vec<f64> = (0..CLUSTERS * dim).map(|_| 1.5 * rng.normal()).collect();
    let directions: Vec<f64> = (0..CLUSTERS * INNER * dim).map(|_| rng.normal()).collect();
    let mut values = Vec::with_capacity(n * dim);
    for _ in 0..n {
        let cluster = rng.below(CLUSTERS);
        let at: [f64; INNER] = std::array::from_fn(|i| 1.5 * rng.normal() / (i + 1) as f64);
        values.extend((0..dim).map(|j| {
            let inner: f64 = (0..INNER).map(|i| at[i] * directions[(cluster * INNER + i) * dim + j]).sum();
            on_grid(centers[cluster * dim + j] + inner + 0.3 * rng.normal())
        }));
    }
    values
}
