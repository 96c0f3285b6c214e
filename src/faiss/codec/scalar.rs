//! Each coordinate by itself, in four to sixteen bits: Faiss's scalar quantizers.
//!
//! A code c of B bits stands for low + (c + ½) / (2ᴮ − 1) · width, of a range for all coordinates or for each.

use half::{bf16, f16};

use super::lanes::{Bf16, Bits, Coordinates, F16, Lanes, LinearScorer, U8};
use super::whole::Whole;
use super::{Codec, Scorer, bits};
use crate::error::{Error, Result};
use crate::kernels::simd::ROUND;
use crate::kernels::{Isa, Kernel, Simd};
use crate::metric::Metric;

/// How coordinates lie in bytes: Faiss's `QuantizerType`, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `QT_8bit`: eight bits, and a range for each coordinate.
    Eight,
    /// `QT_4bit`: four.
    Four,
    /// `QT_8bit_uniform`: eight bits, and a range for all coordinates.
    EightUniform,
    /// `QT_4bit_uniform`: four.
    FourUniform,
    /// `QT_fp16`: half precision.
    Half,
    /// `QT_8bit_direct`: whole numbers of 0 to 255.
    Direct,
    /// `QT_6bit`: six bits, and a range for each coordinate.
    Six,
    /// `QT_bf16`: the upper half of an f32.
    Brain,
    /// `QT_8bit_direct_signed`: whole numbers of −128 to 127.
    DirectSigned,
}

/// Faiss's names of what follows [`Layout::DirectSigned`] there.
const OTHERS: [&str; 18] = [
    "QT_0bit",
    "QT_1bit_tqmse",
    "QT_2bit_tqmse",
    "QT_3bit_tqmse",
    "QT_4bit_tqmse",
    "QT_8bit_tqmse",
    "QT_2bit_tq",
    "QT_3bit_tq",
    "QT_4bit_tq",
    "QT_5bit_tq",
    "QT_1bit_eden",
    "QT_2bit_eden",
    "QT_3bit_eden",
    "QT_4bit_eden",
    "QT_5bit_eden",
    "QT_6bit_eden",
    "QT_7bit_eden",
    "QT_8bit_eden",
];

impl Layout {
    const ALL: [Self; 9] = [
        Self::Eight,
        Self::Four,
        Self::EightUniform,
        Self::FourUniform,
        Self::Half,
        Self::Direct,
        Self::Six,
        Self::Brain,
        Self::DirectSigned,
    ];

    /// By Faiss's number.
    ///
    /// # Errors
    /// [`Error::Argument`] for others, those that Faiss has by name.
    pub fn from_number(number: usize) -> Result<Self> {
        const EXPECTED: &str = "a scalar quantizer of 4, 6, 8 or 16 bits: QT_8bit, QT_4bit, QT_8bit_uniform, QT_4bit_uniform, \
                                QT_fp16, QT_8bit_direct, QT_6bit, QT_bf16 or QT_8bit_direct_signed";
        Self::ALL.get(number).copied().ok_or_else(|| {
            match OTHERS.get(number.saturating_sub(Self::ALL.len())) {
                Some(name) => Error::argument("qtype", format_args!("{number} ({name})"), EXPECTED),
                None => Error::argument("qtype", number, EXPECTED),
            }
        })
    }

    /// Faiss's number.
    pub fn number(self) -> usize {
        self as usize
    }

    /// Bits of a coordinate.
    pub fn bits(self) -> usize {
        match self {
            Self::Four | Self::FourUniform => 4,
            Self::Six => 6,
            Self::Eight | Self::EightUniform | Self::Direct | Self::DirectSigned => 8,
            Self::Half | Self::Brain => 16,
        }
    }

    /// Whether all coordinates have one range.
    pub fn uniform(self) -> bool {
        matches!(self, Self::EightUniform | Self::FourUniform)
    }

    /// Values that it has to know of vectors of `dim` coordinates: low end and width of ranges.
    pub fn trained(self, dim: usize) -> usize {
        match self {
            Self::Eight | Self::Four | Self::Six => 2 * dim,
            Self::EightUniform | Self::FourUniform => 2,
            Self::Half | Self::Direct | Self::Brain | Self::DirectSigned => 0,
        }
    }
}

/// A scalar quantizer.
pub struct Scalar {
    dim: usize,
    layout: Layout,
    /// Of each coordinate, where the layout has ranges.
    lows: Vec<f32>,
    widths: Vec<f32>,
    /// What a code is multiplied with, and what is added: see [`Coordinates`].
    scales: Vec<f32>,
    biases: Vec<f32>,
}

impl Scalar {
    /// Of what [`train_ranges`](super::train_ranges) gave.
    ///
    /// # Errors
    /// [`Error::Argument`] where it is of another length.
    pub fn new(dim: usize, layout: Layout, trained: &[f32]) -> Result<Self> {
        super::check_dim(dim)?;
        if trained.len() != layout.trained(dim) {
            return Err(Error::argument(
                "trained",
                format_args!("{} values", trained.len()),
                "low ends and widths: of each coordinate, of all together for uniform types, or none for types without ranges",
            ));
        }
        let (lows, widths) = match *trained {
            [low, width] if layout.uniform() => (vec![low; dim], vec![width; dim]),
            _ => {
                let (lows, widths) = trained.split_at(trained.len() / 2);
                (lows.to_vec(), widths.to_vec())
            }
        };
        let top = ((1 << layout.bits()) - 1) as f32;
        let scales = widths.iter().map(|width| width / top).collect();
        let mut biases: Vec<f32> =
            lows.iter().zip(&widths).map(|(low, width)| low + 0.5 / top * width).collect();
        if layout == Layout::DirectSigned {
            biases = vec![-128.0; dim];
        }
        Ok(Self { dim, layout, lows, widths, scales, biases })
    }

    /// How its codes lie in bytes.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    #[inline(always)]
    fn encode_row(&self, x: &[f32], code: &mut [u8]) {
        let ranges =
            || x.iter().zip(&self.lows).zip(&self.widths).map(|((&x, &low), &width)| share(x, low, width));
        // Products in the precision that Faiss takes them in: f64 but for eight bits.
        match self.layout {
            Layout::Eight | Layout::EightUniform => {
                for (code, share) in code.iter_mut().zip(ranges()) {
                    // Rounded down: a conversion that minds what is no number is no vector instruction.
                    *code = ((255.0 * share).floor() + ROUND).to_bits() as u8;
                }
            }
            Layout::Four | Layout::FourUniform => {
                bits::pack(ranges().map(|share| (f64::from(share) * 15.0) as u32), 4, code);
            }
            Layout::Six => bits::pack(ranges().map(|share| (f64::from(share) * 63.0) as u32), 6, code),
            Layout::Half => {
                for (code, &x) in code.as_chunks_mut::<2>().0.iter_mut().zip(x) {
                    *code = half(x).to_le_bytes();
                }
            }
            Layout::Brain => {
                for (code, &x) in code.as_chunks_mut::<2>().0.iter_mut().zip(x) {
                    // Halves away from zero, as there; not to even, as `bf16::from_f32` does.
                    let rounded = x.to_bits().wrapping_add(0x8000) >> 16;
                    *code = (rounded as u16).to_le_bytes();
                }
            }
            Layout::Direct => {
                for (code, &x) in code.iter_mut().zip(x) {
                    *code = x as i32 as u8;
                }
            }
            Layout::DirectSigned => {
                for (code, &x) in code.iter_mut().zip(x) {
                    *code = (x + 128.0) as i32 as u8;
                }
            }
        }
    }

    #[inline(always)]
    fn decode_row(&self, code: &[u8], x: &mut [f32]) {
        match self.layout {
            Layout::Eight | Layout::EightUniform => {
                self.stretch(code.iter().map(|&c| u32::from(c)), 255.0, x)
            }
            Layout::Four | Layout::FourUniform => self.stretch(bits::unpack(code, 4), 15.0, x),
            Layout::Six => self.stretch(bits::unpack(code, 6), 63.0, x),
            Layout::Half => {
                for (x, &code) in x.iter_mut().zip(code.as_chunks::<2>().0) {
                    *x = f16::from_le_bytes(code).to_f32();
                }
            }
            Layout::Brain => {
                for (x, &code) in x.iter_mut().zip(code.as_chunks::<2>().0) {
                    *x = bf16::from_le_bytes(code).to_f32();
                }
            }
            Layout::Direct => {
                for (x, &code) in x.iter_mut().zip(code) {
                    *x = f32::from(code);
                }
            }
            Layout::DirectSigned => {
                for (x, &code) in x.iter_mut().zip(code) {
                    *x = f32::from(code) - 128.0;
                }
            }
        }
    }

    #[inline(always)]
    fn stretch(&self, levels: impl Iterator<Item = u32>, top: f32, x: &mut [f32]) {
        for (((x, level), low), width) in x.iter_mut().zip(levels).zip(&self.lows).zip(&self.widths) {
            *x = low + (level as i32 as f32 + 0.5) / top * width;
        }
    }

    fn linear<'a, L: Lanes>(&'a self, metric: Metric, query: &'a [f32]) -> LinearScorer<'a, L> {
        let codes = Coordinates { size: self.code_size(), scales: &self.scales, biases: &self.biases };
        LinearScorer::new(codes, metric, query)
    }

    /// Codes that are whole numbers from `low` on.
    fn whole<'a>(&'a self, metric: Metric, query: &'a [f32], low: f32) -> Box<dyn Scorer + 'a> {
        match Whole::new(self.linear(metric, query), metric, query, low) {
            Ok(whole) => Box::new(whole),
            Err(other) => Box::new(other),
        }
    }
}

impl Codec for Scalar {
    fn dim(&self) -> usize {
        self.dim
    }

    fn code_size(&self) -> usize {
        (self.dim * self.layout.bits()).div_ceil(8)
    }

    fn encode(&self, x: &[f32], _: Option<&[f32]>, codes: &mut [u8]) {
        struct Rows<'a>(&'a Scalar, &'a [f32], &'a mut [u8]);
        impl Kernel for Rows<'_> {
            type Out = ();
            #[inline(always)]
            fn run<S: Simd>(self, _: S) {
                let Self(codec, x, codes) = self;
                for (x, code) in x.chunks_exact(codec.dim).zip(codes.chunks_exact_mut(codec.code_size())) {
                    codec.encode_row(x, code);
                }
            }
        }
        Isa::active().run(Rows(self, x, codes));
    }

    fn decode(&self, codes: &[u8], x: &mut [f32]) {
        struct Rows<'a>(&'a Scalar, &'a [u8], &'a mut [f32]);
        impl Kernel for Rows<'_> {
            type Out = ();
            #[inline(always)]
            fn run<S: Simd>(self, _: S) {
                let Self(codec, codes, x) = self;
                for (x, code) in x.chunks_exact_mut(codec.dim).zip(codes.chunks_exact(codec.code_size())) {
                    codec.decode_row(code, x);
                }
            }
        }
        Isa::active().run(Rows(self, codes, x));
    }

    fn scorer<'a>(&'a self, metric: Metric, query: &'a [f32]) -> Box<dyn Scorer + 'a> {
        match self.layout {
            Layout::Direct => self.whole(metric, query, 0.0),
            // Under l2 it is the same where both are moved.
            Layout::DirectSigned if metric == Metric::L2 => self.whole(metric, query, -128.0),
            Layout::Eight | Layout::EightUniform | Layout::DirectSigned => {
                Box::new(self.linear::<U8>(metric, query))
            }
            Layout::Four | Layout::FourUniform => Box::new(self.linear::<Bits<4>>(metric, query)),
            Layout::Six => Box::new(self.linear::<Bits<6>>(metric, query)),
            Layout::Half => Box::new(self.linear::<F16>(metric, query)),
            Layout::Brain => Box::new(self.linear::<Bf16>(metric, query)),
        }
    }
}

/// The bits of the nearest half-precision number, the greater of two that are as near: there, halves are not rounded to even.
#[inline(always)]
fn half(x: f32) -> u16 {
    const LEAST: u32 = 0x3880_0000; // 2⁻¹⁴, below which numbers are multiples of 2⁻²⁴
    const INFINITY: u32 = 0x7C00;
    let (bits, size) = (x.to_bits(), x.abs());
    let small = (f64::from(size) * f64::from(1u32 << 24) + 0.5) as u32;
    let whole = (size.to_bits().wrapping_add(0x1000) >> 13).wrapping_sub(112 << 10).min(INFINITY);
    let magnitude = if size.to_bits() < LEAST { small } else { whole };
    let magnitude = if size.is_nan() { 0x7E00 } else { magnitude };
    (magnitude | bits >> 16 & 0x8000) as u16
}

/// Where in its range a coordinate is, 0 to 1; 0 where that is no number. Without a branch.
#[inline(always)]
fn share(x: f32, low: f32, width: f32) -> f32 {
    let share = (x - low) / width;
    let share = if share > 0.0 && width != 0.0 { share } else { 0.0 };
    if share < 1.0 { share } else { 1.0 }
}
