//! The register operations that kernels are written in.
//!
//! Widths are fixed in lanes, not in bits: 16 × f32 or i32, 8 × f64. An instruction set holds them in as
//! many registers as it needs, so that one kernel gives the same sums, in the same order, everywhere.

use half::{bf16, f16};

/// The largest code of [`Simd::dot_codes`], and the largest magnitude of what a query has for it: two products fit 16 bits.
pub const CODE_LIMIT: u8 = 127;

/// The fewest [`Simd::CODE_LINES`] and the least [`Simd::CODE_SUM`] of all instruction sets: what all of them take.
pub(super) const PART_LINES: usize = 8;
pub(super) const PART_SUM: i32 = i16::MAX as i32 / CODE_LIMIT as i32;

/// The largest entry of [`Simd::look_up`]'s tables: two of them fit a byte, so that both halves of a code cost one
/// addition of 16 bits.
pub const ENTRY_LIMIT: u8 = 127;
/// Added to a number below 2²², it leaves the nearest whole one in the lowest bits: conversions that mind NaN are no vector instructions.
pub const ROUND: f32 = 1.5 * (1u32 << 23) as f32;

/// The least and the greatest of `values`, but for NaN: infinities the other way round where there is none.
#[inline(always)]
pub fn ends(values: &[f32]) -> (f32, f32) {
    // Side by side, which registers compare whole.
    let (mut lows, mut highs) = ([f32::INFINITY; 16], [f32::NEG_INFINITY; 16]);
    for group in values.chunks(16) {
        for ((low, high), &v) in lows.iter_mut().zip(&mut highs).zip(group) {
            *low = if v < *low { v } else { *low };
            *high = if v > *high { v } else { *high };
        }
    }
    (lows.into_iter().fold(f32::INFINITY, f32::min), highs.into_iter().fold(f32::NEG_INFINITY, f32::max))
}

/// The nearest signed byte, but for -128; no call for each value, as `round` is.
#[inline(always)]
pub fn nearest_byte(value: f32) -> i8 {
    (value.clamp(-127.0, 127.0) + ROUND).to_bits() as i8
}

/// The lanes in order, one bit each.
pub(super) const IN_ORDER: [u8; 32] = {
    let mut lanes = [0; 32];
    let mut i = 0;
    while i < 16 {
        lanes[i] = i as u8;
        i += 1;
    }
    lanes
};

/// All ones where a value of a nibble does not have the bit: v ^ sign − sign is v with it, −v without.
pub(super) const SIGNS: [[i16; 16]; 4] = {
    let mut signs = [[0; 16]; 4];
    let mut at = 0;
    while at < 64 {
        signs[at / 16][at % 16] = ((at % 16) >> (at / 16) & 1) as i16 - 1;
        at += 1;
    }
    signs
};

/// How eight numbers of `B` bits come out of a word: two bytes for each, moved up until the number ends eight bits below the top.
pub(super) struct Spread<const B: usize>;

impl<const B: usize> Spread<B> {
    /// The two bytes of each.
    pub const PLACES: [u8; 16] = {
        let mut places = [0; 16];
        let mut j = 0;
        while j < 8 {
            places[2 * j] = (j * B / 8) as u8;
            places[2 * j + 1] = (j * B / 8 + 1) as u8;
            j += 1;
        }
        places
    };
    /// What moves it up.
    pub const FACTORS: [u16; 8] = {
        let mut factors = [0; 8];
        let mut j = 0;
        while j < 8 {
            factors[j] = 1 << (8 - j * B % 8);
            j += 1;
        }
        factors
    };
    /// Its bits, once moved down by eight.
    pub const MASK: u16 = (1 << B) - 1;
}

/// A computation over the operations of some [`Simd`].
pub trait Kernel {
    /// What it returns.
    type Out;
    /// Computes. Implementations are `#[inline(always)]`, so that they are compiled with the features of
    /// the function they are called from.
    fn run<S: Simd>(self, s: S) -> Self::Out;
}

/// Proof that the processor has an instruction set, and its operations.
pub trait Simd: Copy + Send + Sync + 'static {
    /// 8 × f64.
    type F64: Copy;
    /// 16 × f32.
    type F32: Copy;
    /// 16 × i32.
    type I32: Copy;
    /// Products of codes of 16 vectors as [`Simd::dot_codes`] sums them.
    type CodeSums: Copy;
    /// 32 sums of 16 bits, in whatever order suits [`Simd::look_up`].
    type Sums: Copy;
    /// 32 × u8.
    type Bytes: Copy;
    /// The largest magnitude of a query's coordinate in [`Simd::dot_bytes`].
    const BYTE_MAX: i32;
    /// Lines of codes whose products one [`Simd::CodeSums`] holds.
    const CODE_LINES: usize;
    /// What the query's positive coordinates may come to that meet in one lane of it, and the negative ones: the first two of every four
    /// in [`Simd::CODE_LINES`] lines, or the last two.
    const CODE_SUM: i32;
    /// Queries that pass through the registers with [`Simd::PANELS`] panels of bytes.
    const BYTE_QUERIES: usize;
    /// The same for codes.
    const CODE_QUERIES: usize;
    /// Lines of codes that [`Simd::look_up_some`] takes at once: 1 or 2.
    const LOOK_UP_LINES: usize = 1;
    /// True where [`Simd::look_up_bytes`] takes less time than as many reads of memory.
    const LONG_TABLES: bool = false;
    /// True where [`Simd::dot_bytes`] takes no longer than [`Simd::dot_codes`].
    const BYTES_AS_CODES: bool = false;
    /// Panels that pass through the registers together.
    const PANELS: usize;

    /// The lane that each bit of [`Simd::not_less_f32`] stands for.
    const LANE_OF_BIT: [u8; 32];
    /// The bits of one lane, shifted to the lowest of them.
    const LANE_BITS: u32;
    /// The bits of all lanes.
    const ALL_LANES: u32;

    /// Eight zeros.
    fn zero_f64(self) -> Self::F64;
    /// Eight f64.
    fn load_f64(self, v: &[f64; 8]) -> Self::F64;
    /// Eight f32, widened.
    fn widen_f32(self, v: &[f32; 8]) -> Self::F64;
    /// Eight f16, widened.
    fn widen_f16(self, v: &[f16; 8]) -> Self::F64;
    /// Eight bf16, widened.
    fn widen_bf16(self, v: &[bf16; 8]) -> Self::F64;
    /// Eight i8, widened.
    fn widen_i8(self, v: &[i8; 8]) -> Self::F64;
    /// Eight u8, widened.
    fn widen_u8(self, v: &[u8; 8]) -> Self::F64;
    /// a − b.
    fn sub_f64(self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// a + b.
    fn add_f64(self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// a · b + c.
    fn mul_add_f64(self, a: Self::F64, b: Self::F64, c: Self::F64) -> Self::F64;
    /// a / b.
    fn div_f64(self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// The magnitudes.
    fn abs_f64(self, a: Self::F64) -> Self::F64;
    /// The lesser in each lane, where neither is NaN.
    fn min_f64(self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// The greater in each lane, where neither is NaN.
    fn max_f64(self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// The lanes that are not NaN, 0 for the others; and beside them 1 and 0.
    fn known_f64(self, a: Self::F64) -> [Self::F64; 2];
    /// The lanes.
    fn lanes_f64(self, a: Self::F64) -> [f64; 8];
    /// The sum of the lanes.
    fn sum_f64(self, a: Self::F64) -> f64;

    /// Sixteen zeros.
    fn zero_f32(self) -> Self::F32;
    /// Sixteen f32.
    fn load_f32(self, v: &[f32; 16]) -> Self::F32;
    /// Sixteen bf16, widened.
    fn load_bf16(self, v: &[bf16; 16]) -> Self::F32;
    /// Sixteen f32 that need not be aligned.
    fn read_f32(self, v: &[u8; 64]) -> Self::F32;
    /// Sixteen f16 that need not be aligned, widened.
    fn read_f16(self, v: &[u8; 32]) -> Self::F32;
    /// Sixteen bf16 that need not be aligned, widened.
    fn read_bf16(self, v: &[u8; 32]) -> Self::F32;
    /// Sixteen bytes, widened.
    fn read_u8(self, v: &[u8; 16]) -> Self::F32;
    /// Sixteen numbers of `B` bits, 1 to 7: eight of each word, the lowest bits first.
    fn spread<const B: usize>(self, words: [u64; 2]) -> Self::F32;
    /// The sum of the lanes of each of the four: of t = lane i + lane i + 8, ((t₀ + t₁) + (t₂ + t₃)) + ((t₄ + t₅) + (t₆ + t₇)).
    fn totals_f32(self, a: [Self::F32; 4]) -> [f32; 4];
    /// One value in every lane.
    fn splat_f32(self, v: f32) -> Self::F32;
    /// a · b + c.
    fn mul_add_f32(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// acc + |a − b|.
    fn add_apart_f32(self, acc: Self::F32, a: Self::F32, b: Self::F32) -> Self::F32;
    /// The lesser in each lane, where neither is NaN.
    fn min_f32(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// In each lane of the two numbers of `b`, where the first is less than that of `a`; else those of `a`. No NaN is less.
    fn lesser_f32(self, a: [Self::F32; 2], b: [Self::F32; 2]) -> [Self::F32; 2];
    /// A bit set for every lane of `a` that is not less than that of `b`; a NaN on either side sets it. Which bit is
    /// whose say [`Simd::LANE_OF_BIT`] and [`Simd::LANE_BITS`].
    fn not_less_f32(self, a: Self::F32, b: Self::F32) -> u32;
    /// Writes the lanes of `v` that have their bits in `mask` to the front of `out`, in order; returns how many these are. What comes behind
    /// them may be anything.
    #[inline(always)]
    fn compress(self, mask: u32, v: Self::F32, out: &mut [f32; 16]) -> usize {
        // Without a branch: there is no telling which way it would go.
        let (lanes, mut len) = (self.lanes_f32(v), 0);
        let bits = Self::LANE_BITS.count_ones() as usize;
        for (bit, &lane) in Self::LANE_OF_BIT.iter().enumerate().step_by(bits).take(16) {
            out[len % 16] = lanes[usize::from(lane)];
            len += (mask >> bit & 1) as usize;
        }
        len
    }
    /// The lanes.
    fn lanes_f32(self, a: Self::F32) -> [f32; 16];
    /// A bit set for every lane of `v` that is `a`, as of [`Simd::not_less_f32`].
    fn places_of(self, v: &[u32; 16], a: u32) -> u32;

    /// Sixteen zeros.
    fn zero_i32(self) -> Self::I32;
    /// Rounded to f32.
    fn to_f32(self, a: Self::I32) -> Self::F32;
    /// a + b.
    fn add_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// The sum of the lanes.
    fn sum_i32(self, a: Self::I32) -> i64;
    /// Four coordinates of a query in the form [`Simd::dot_bytes`] reads; magnitudes at most
    /// [`Simd::BYTE_MAX`].
    fn pack_bytes(self, q: [i16; 4]) -> [i32; 2];
    /// acc + Σ x·q over four coordinates of each of 16 vectors, `x` any bytes. Exact modulo 2³².
    fn dot_bytes(self, acc: Self::I32, x: &[u8; 64], q: &[i32; 2]) -> Self::I32;
    /// Sums of nothing.
    fn zero_codes(self) -> Self::CodeSums;
    /// acc + Σ x·q over four coordinates of each of 16 vectors, where `x` is at most [`CODE_LIMIT`] and `q`, four i8 in order, at most
    /// that in magnitude. Exact over at most [`Simd::CODE_LINES`] lines, within [`Simd::CODE_SUM`].
    fn dot_codes(self, acc: Self::CodeSums, x: &[u8; 64], q: i32) -> Self::CodeSums;
    /// The sums of each vector.
    fn widen_codes(self, sums: Self::CodeSums) -> Self::I32;

    /// acc + products of 32 pairs of u8, two to a lane.
    fn dot_u8(self, acc: Self::I32, a: &[u8; 32], b: &[u8; 32]) -> Self::I32;
    /// acc + products of 32 pairs of i8, two to a lane.
    fn dot_i8(self, acc: Self::I32, a: &[i8; 32], b: &[i8; 32]) -> Self::I32;
    /// acc + squared differences of 32 pairs of u8, two to a lane.
    fn square_u8(self, acc: Self::I32, a: &[u8; 32], b: &[u8; 32]) -> Self::I32;
    /// acc + squared differences of 32 pairs of i8, two to a lane.
    fn square_i8(self, acc: Self::I32, a: &[i8; 32], b: &[i8; 32]) -> Self::I32;

    /// acc + products of 32 pairs of an i8 and an i16 of a magnitude below 2¹⁵, two to a lane.
    fn dot_i16(self, acc: Self::I32, x: &[i8; 32], q: &[i16; 32]) -> Self::I32;
    /// Thirty-two bytes.
    fn load_bytes(self, v: &[u8; 32]) -> Self::Bytes;
    /// Sixteen bytes, and the same moved down by four; what comes in above may be anything.
    fn load_twice(self, v: &[u8; 16]) -> Self::Bytes;
    /// Each byte of `acc` with those bits besides that `mask` has of `v`, moved `shift` up, or down where that is negative; none
    /// of them may come from beyond the byte.
    fn pick_bytes(self, acc: Self::Bytes, v: Self::Bytes, shift: i32, mask: u8) -> Self::Bytes;
    /// acc + products of 32 pairs of a byte and an i16, two to a lane.
    fn dot_bytes_i16(self, acc: Self::I32, x: Self::Bytes, q: &[i16; 32]) -> Self::I32;
    /// acc + the bits in which 32 bytes differ, in any lanes.
    fn add_differing(self, acc: Self::I32, a: &[u8; 32], b: &[u8; 32]) -> Self::I32;
    /// acc + those of 64 bytes whose bit is set, the lowest bit the first one's, in any lanes.
    #[inline(always)]
    fn add_where(self, acc: Self::I32, bits: &[u8; 8], v: &[u8; 64]) -> Self::I32 {
        let mut kept = [[0; 32]; 2];
        for (i, kept) in kept.as_flattened_mut().iter_mut().enumerate() {
            *kept = v[i] & 0u8.wrapping_sub(bits[i / 8] >> (i % 8) & 1);
        }
        self.dot_u8(self.dot_u8(acc, &kept[0], &[1; 32]), &kept[1], &[1; 32])
    }
    /// The sum of the lanes of each of the four, modulo 2³².
    fn sums_i32(self, a: [Self::I32; 4]) -> [i32; 4];

    /// Thirty-two zeros.
    fn zero_sums(self) -> Self::Sums;
    /// What each value of two nibbles adds to a product with the coordinates `units`, in whole 256ths, less the least of all: of each v it
    /// has max(v, 0) where it has the bit, max(−v, 0) where not. Wrapping: a query that overflowed has NaN for an estimate, whatever
    /// its tables.
    #[inline(always)]
    fn nibble_tables(self, units: &[i16; 8]) -> [[u8; 16]; 2] {
        let mut tables = [[0; 16]; 2];
        for (table, units) in tables.iter_mut().zip(units.as_chunks::<4>().0) {
            let mut sums = [128i16; 16];
            for (unit, signs) in units.iter().zip(&SIGNS) {
                for (sum, sign) in sums.iter_mut().zip(signs) {
                    *sum = sum.wrapping_add((unit ^ sign).wrapping_sub(*sign).max(0));
                }
            }
            for (entry, sum) in table.iter_mut().zip(sums) {
                *entry = (sum >> 8) as u8;
            }
        }
        tables
    }
    /// acc + low\[code & 15\] + high\[code >> 4\] for each of 32 codes; table entries are at most [`ENTRY_LIMIT`].
    fn look_up(self, acc: Self::Sums, codes: &[u8; 32], tables: &[[u8; 16]; 2]) -> Self::Sums;
    /// The same of [`Simd::LOOK_UP_LINES`] lines of codes, or fewer, each with tables of its own.
    #[inline(always)]
    fn look_up_some<const N: usize>(
        self,
        mut acc: Self::Sums,
        codes: &[[u8; 32]; N],
        tables: &[[[u8; 16]; 2]; N],
    ) -> Self::Sums {
        for line in 0..N {
            acc = self.look_up(acc, &codes[line], &tables[line]);
        }
        acc
    }
    /// Thirty-two zeros.
    fn zero_bytes(self) -> Self::Bytes;
    /// acc + table\[nibble\] for each of 32 bytes below 16, modulo 256.
    fn add_entries(self, acc: Self::Bytes, nibbles: &[u8; 32], table: &[u8; 16]) -> Self::Bytes;
    /// acc + v, modulo 2¹⁶.
    fn add_bytes(self, acc: Self::Sums, v: Self::Bytes) -> Self::Sums;
    /// A bit set for each sum that is at most `limit`, in the order of the codes.
    fn at_most(self, sums: Self::Sums, limit: u16) -> u32;
    /// The sums in the order of the codes, as floats.
    fn sums_f32(self, sums: Self::Sums) -> [Self::F32; 2];

    /// Adds to the sums of 64 codes what tables say of up to sixteen of their bytes, `tables[j][codes[i · stride + j]]` to that of code i,
    /// modulo 2¹⁶. The sums of even codes come first, then those of odd ones.
    fn look_up_bytes(self, sums: &mut [[u16; 32]; 2], codes: &[u8], stride: usize, tables: &[[u8; 256]]) {
        for i in 0..64 {
            let codes = codes[i * stride..].iter().zip(tables);
            let sum = &mut sums[i % 2][i / 2];
            codes.for_each(|(&code, table)| *sum = sum.wrapping_add(table[usize::from(code)].into()));
        }
    }

    /// Asks for the cache line that holds the first byte; a hint without effect on results.
    fn prefetch(self, line: &[u8]);
    /// Asks for all lines of a row.
    #[inline(always)]
    fn prefetch_row(self, row: &[u8]) {
        for line in row.chunks(64) {
            self.prefetch(line);
        }
    }
}

/// An element type that the kernels can widen to f64, eight at a time.
pub trait Widen: Sized {
    /// Eight elements as f64, exactly.
    fn widen<S: Simd>(s: S, v: &[Self; 8]) -> S::F64;
}

macro_rules! widen {
    ($($type:ty => $method:ident),*) => {$(
        impl Widen for $type {
            #[inline(always)]
            fn widen<S: Simd>(s: S, v: &[Self; 8]) -> S::F64 {
                s.$method(v)
            }
        }
    )*};
}
widen!(f32 => widen_f32, f16 => widen_f16, bf16 => widen_bf16, i8 => widen_i8, u8 => widen_u8);
