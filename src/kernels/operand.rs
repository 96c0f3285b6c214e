//! What can a tile multiply? Bytes, and codes of seven bits: how each meets a query, and what its sums are.

use bytemuck::Pod;
use half::bf16;

use super::Simd;
use super::tile::{Line, PANEL};

/// What a tile multiplies.
pub trait Operand: Copy + Send + Sync + 'static {
    /// The coordinates of a query that meet one step.
    type Query: Copy + Send + Sync + Default;
    /// A vector's factor `a` or `t`.
    type Factor: Factor;
    /// Sums of 16 vectors over some steps.
    type Part<S: Simd>: Copy;
    /// Their sums over all steps.
    type Acc<S: Simd>: Copy;
    /// Coordinates in one step.
    const WIDTH: usize;
    /// Queries that pass through the registers together.
    fn queries<S: Simd>() -> usize;
    /// Steps that a part is made of, at most.
    fn steps<S: Simd>() -> usize {
        usize::MAX
    }
    /// Sums of nothing.
    fn zero<S: Simd>(s: S) -> Self::Part<S>;
    /// part + x·q.
    fn step<S: Simd>(s: S, part: Self::Part<S>, x: &Line, q: &Self::Query) -> Self::Part<S>;
    /// A part as the first of the sums.
    fn first<S: Simd>(s: S, part: Self::Part<S>) -> Self::Acc<S>;
    /// acc + a part more.
    fn add<S: Simd>(s: S, acc: Self::Acc<S>, part: Self::Part<S>) -> Self::Acc<S>;
    /// As floats.
    fn finish<S: Simd>(s: S, acc: Self::Acc<S>) -> S::F32;
}

/// The type that the factors of 16 vectors are stored in.
pub trait Factor: Pod + Send + Sync {
    /// As floats.
    fn load<S: Simd>(s: S, v: &[Self; PANEL]) -> S::F32;
}

impl Factor for f32 {
    #[inline(always)]
    fn load<S: Simd>(s: S, v: &[f32; PANEL]) -> S::F32 {
        s.load_f32(v)
    }
}

impl Factor for bf16 {
    #[inline(always)]
    fn load<S: Simd>(s: S, v: &[bf16; PANEL]) -> S::F32 {
        s.load_bf16(v)
    }
}

/// Any bytes against any signed bytes (query coordinates packed by [`Simd::pack_bytes`]); sums in i32.
#[derive(Clone, Copy, Debug)]
pub struct Bytes;

/// Codes of at most [`CODE_LIMIT`](super::simd::CODE_LIMIT) against four i8 a step, within [`Simd::CODE_SUM`]; sums in i32.
#[derive(Clone, Copy, Debug)]
pub struct Codes;

impl Operand for Bytes {
    type Factor = f32;
    type Query = [i32; 2];
    type Part<S: Simd> = S::I32;
    type Acc<S: Simd> = S::I32;
    const WIDTH: usize = 4;
    fn queries<S: Simd>() -> usize {
        S::BYTE_QUERIES
    }
    #[inline(always)]
    fn zero<S: Simd>(s: S) -> S::I32 {
        s.zero_i32()
    }
    #[inline(always)]
    fn step<S: Simd>(s: S, acc: S::I32, x: &Line, q: &[i32; 2]) -> S::I32 {
        s.dot_bytes(acc, &x.0, q)
    }
    #[inline(always)]
    fn first<S: Simd>(_: S, part: S::I32) -> S::I32 {
        part
    }
    #[inline(always)]
    fn add<S: Simd>(s: S, acc: S::I32, part: S::I32) -> S::I32 {
        s.add_i32(acc, part)
    }
    #[inline(always)]
    fn finish<S: Simd>(s: S, acc: S::I32) -> S::F32 {
        s.to_f32(acc)
    }
}

impl Operand for Codes {
    type Factor = bf16;
    type Query = i32;
    type Part<S: Simd> = S::CodeSums;
    type Acc<S: Simd> = S::I32;
    const WIDTH: usize = 4;
    fn queries<S: Simd>() -> usize {
        S::CODE_QUERIES
    }
    #[inline(always)]
    fn steps<S: Simd>() -> usize {
        S::CODE_LINES
    }
    #[inline(always)]
    fn zero<S: Simd>(s: S) -> S::CodeSums {
        s.zero_codes()
    }
    #[inline(always)]
    fn step<S: Simd>(s: S, part: S::CodeSums, x: &Line, q: &i32) -> S::CodeSums {
        s.dot_codes(part, &x.0, *q)
    }
    #[inline(always)]
    fn first<S: Simd>(s: S, part: S::CodeSums) -> S::I32 {
        s.widen_codes(part)
    }
    #[inline(always)]
    fn add<S: Simd>(s: S, acc: S::I32, part: S::CodeSums) -> S::I32 {
        s.add_i32(acc, s.widen_codes(part))
    }
    #[inline(always)]
    fn finish<S: Simd>(s: S, acc: S::I32) -> S::F32 {
        s.to_f32(acc)
    }
}
