//! The register operations one by one.

use std::array::from_fn;

use half::{bf16, f16};
use proptest::prelude::*;

use super::tile::fit_codes;
use super::{Rng, config};
use crate::kernels::simd::CODE_LIMIT;
use crate::kernels::tile::pack_bytes;
use crate::kernels::{Isa, Kernel, Simd, Widen};

/// Runs a computation over `s: S` on an instruction set.
macro_rules! on {
    ($isa:expr, |$s:ident: $simd:ident $(, $name:ident: $type:ty)*| -> $out:ty $body:block) => {{
        struct Body($($type),*);
        impl Kernel for Body {
            type Out = $out;
            #[inline(always)]
            fn run<$simd: Simd>(self, $s: $simd) -> $out {
                let Self($($name),*) = self;
                $body
            }
        }
        $isa.run(Body($($name),*))
    }};
}

/// The lanes of a sum of i32, by way of f32: exact below 2²⁴.
fn small_lanes(lanes: [f32; 16]) -> [i64; 16] {
    lanes.map(|v| v as i64)
}

fn lane_bits(isa: Isa) -> ([u8; 32], u32, u32) {
    on!(isa, |_s: S| -> ([u8; 32], u32, u32) { (S::LANE_OF_BIT, S::LANE_BITS, S::ALL_LANES) })
}

fn not_less(isa: Isa, a: [f32; 16], b: [f32; 16]) -> u32 {
    on!(isa, |s: S, a: [f32; 16], b: [f32; 16]| -> u32 { s.not_less_f32(s.load_f32(&a), s.load_f32(&b)) })
}

fn lesser(isa: Isa, a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
    on!(isa, |s: S, a: [f32; 16], b: [f32; 16]| -> [f32; 16] {
        s.lanes_f32(s.min_f32(s.load_f32(&a), s.load_f32(&b)))
    })
}

/// `a` and `b` with the lanes' numbers beside them, those of `b` from 16 on.
fn lesser_of_pairs(isa: Isa, a: [f32; 16], b: [f32; 16]) -> [[f32; 16]; 2] {
    on!(isa, |s: S, a: [f32; 16], b: [f32; 16]| -> [[f32; 16]; 2] {
        let numbers = |first: f32| s.load_f32(&from_fn(|i| first + i as f32));
        let [least, number] = s.lesser_f32([s.load_f32(&a), numbers(0.0)], [s.load_f32(&b), numbers(16.0)]);
        [s.lanes_f32(least), s.lanes_f32(number)]
    })
}

/// The lanes of `a` that are not less than those of `b`, as bits.
fn compressed(isa: Isa, a: [f32; 16], b: [f32; 16]) -> Vec<u32> {
    on!(isa, |s: S, a: [f32; 16], b: [f32; 16]| -> Vec<u32> {
        let mut out = [0.0; 16];
        let len = s.compress(s.not_less_f32(s.load_f32(&a), s.load_f32(&b)), s.load_f32(&a), &mut out);
        out[..len].iter().map(|v| v.to_bits()).collect()
    })
}

fn places_of(isa: Isa, v: [u32; 16], a: u32) -> u32 {
    on!(isa, |s: S, v: [u32; 16], a: u32| -> u32 { s.places_of(&v, a) })
}

fn nibble_tables(isa: Isa, units: [i16; 8]) -> [[u8; 16]; 2] {
    on!(isa, |s: S, units: [i16; 8]| -> [[u8; 16]; 2] { s.nibble_tables(&units) })
}

/// The lanes whose bits are set, where each lane's must all be set or all clear.
fn lanes_of(isa: Isa, mask: u32) -> [bool; 16] {
    let (lane_of_bit, _, all) = lane_bits(isa);
    let mut lanes = [None; 16];
    for bit in (0..32).filter(|bit| all & (1 << bit) != 0) {
        let (lane, set) = (&mut lanes[usize::from(lane_of_bit[bit])], mask & (1 << bit) != 0);
        assert_eq!(*lane.get_or_insert(set), set, "{}: the bits of a lane agree", isa.name());
    }
    assert_eq!(mask & !all, 0, "{}: no bit beyond the lanes", isa.name());
    lanes.map(|lane| lane.expect("every lane has a bit"))
}

#[test]
fn each_lane_has_its_own_bits_and_the_lowest_of_them_clears_all() {
    for isa in Isa::available() {
        let (lane_of_bit, lane_bits, all) = lane_bits(isa);
        for lane in 0..16 {
            let a = from_fn(|i| if i == lane { 1.0 } else { -1.0 });
            let mask = not_less(isa, a, [0.0; 16]);
            assert_eq!(lane_bits << mask.trailing_zeros(), mask, "{} lane {lane}", isa.name());
            assert_eq!(usize::from(lane_of_bit[mask.trailing_zeros() as usize]), lane, "{}", isa.name());
        }
        assert_eq!(not_less(isa, [0.0; 16], [0.0; 16]), all, "{}", isa.name());
    }
}

proptest! {
    #![proptest_config(config(256))]
    #[test]
    fn not_less_is_true_of_nan_and_equals(
        a in proptest::array::uniform16(special()),
        b in proptest::array::uniform16(special()),
    ) {
        let want: [bool; 16] = from_fn(|i| a[i].is_nan() || b[i].is_nan() || a[i] >= b[i]);
        for isa in Isa::available() {
            prop_assert_eq!(lanes_of(isa, not_less(isa, a, b)), want, "{}", isa.name());
        }
    }

    #[test]
    fn what_stands_beside_the_lesser_number_comes_with_it(
        a in proptest::array::uniform16(special()),
        b in proptest::array::uniform16(special()),
    ) {
        for isa in Isa::available() {
            let [least, number] = lesser_of_pairs(isa, a, b);
            for i in 0..16 {
                let (value, at) = if b[i] < a[i] { (b[i], 16 + i) } else { (a[i], i) };
                prop_assert_eq!(least[i].to_bits(), value.to_bits(), "{} lane {}", isa.name(), i);
                prop_assert_eq!(number[i], at as f32, "{} lane {}", isa.name(), i);
            }
        }
    }

    #[test]
    fn the_lanes_of_a_mask_come_to_the_front_in_order(
        a in proptest::array::uniform16(special()),
        b in proptest::array::uniform16(special()),
    ) {
        let chosen = |i: &usize| !matches!(a[*i].partial_cmp(&b[*i]), Some(std::cmp::Ordering::Less));
        let want: Vec<u32> = (0..16).filter(chosen).map(|i| a[i].to_bits()).collect();
        for isa in Isa::available() {
            prop_assert_eq!(&compressed(isa, a, b), &want, "{}", isa.name());
        }
    }

    #[test]
    fn the_places_of_a_number_are_told_and_no_others(
        v in proptest::array::uniform16(prop::sample::select(vec![0, 7, 8, 1 << 31, u32::MAX])),
        a in prop::sample::select(vec![0, 7, 9, 1 << 31, u32::MAX]),
    ) {
        for isa in Isa::available() {
            prop_assert_eq!(lanes_of(isa, places_of(isa, v, a)), v.map(|v| v == a), "{}", isa.name());
        }
    }

    #[test]
    fn an_entry_of_a_nibble_is_what_its_bits_add_less_the_least_of_all(units in proptest::array::uniform8(-8000i16..8000)) {
        let want: [[u8; 16]; 2] = from_fn(|nibble| from_fn(|value| {
            let of = |bit: usize| i32::from(units[4 * nibble + bit]) * if value >> bit & 1 == 1 { 1 } else { -1 };
            ((128 + (0..4).map(|bit| of(bit).max(0)).sum::<i32>()) >> 8) as u8
        }));
        for isa in Isa::available() {
            prop_assert_eq!(nibble_tables(isa, units), want, "{}", isa.name());
        }
    }

    #[test]
    fn the_lesser_of_numbers_is_taken_lane_by_lane(
        a in proptest::array::uniform16(special()),
        b in proptest::array::uniform16(special()),
    ) {
        for isa in Isa::available() {
            let lesser = lesser(isa, a, b);
            for i in (0..16).filter(|&i| !a[i].is_nan() && !b[i].is_nan()) {
                prop_assert_eq!(lesser[i], a[i].min(b[i]), "{} lane {}", isa.name(), i);
            }
        }
    }

    #[test]
    fn widening_is_exact(seed: u64) {
        let mut rng = Rng(seed);
        // Any bits: also denormals and infinities; a NaN stays one.
        let bits: [u64; 8] = from_fn(|_| rng.next());
        fn widen<E: Widen + Copy + 'static>(isa: Isa, v: [E; 8]) -> [f64; 8] {
            struct Each<E>([E; 8]);
            impl<E: Widen> Kernel for Each<E> {
                type Out = [f64; 8];
                #[inline(always)]
                fn run<S: Simd>(self, s: S) -> [f64; 8] {
                    let v = E::widen(s, &self.0);
                    // One lane at a time: the others are multiplied by zero, or left out by hand if that is NaN.
                    let mut lanes = [0.0; 8];
                    for (i, lane) in lanes.iter_mut().enumerate() {
                        let mut one = [0.0; 8];
                        one[i] = 1.0;
                        *lane = s.sum_f64(s.mul_add_f64(v, s.load_f64(&one), s.zero_f64()));
                    }
                    lanes
                }
            }
            isa.run(Each(v))
        }
        let finite = |v: [f64; 8]| v.map(|v| if v.is_finite() { v } else { 1.5 });
        for isa in Isa::available() {
            let v = finite(bits.map(|b| f64::from(f32::from_bits(b as u32)))).map(|v| v as f32);
            prop_assert_eq!(widen(isa, v), v.map(f64::from), "{} f32", isa.name());
            let v = finite(bits.map(|b| f16::from_bits(b as u16).to_f64())).map(f16::from_f64);
            prop_assert_eq!(widen(isa, v), v.map(f16::to_f64), "{} f16", isa.name());
            let v = finite(bits.map(|b| bf16::from_bits(b as u16).to_f64())).map(bf16::from_f64);
            prop_assert_eq!(widen(isa, v), v.map(bf16::to_f64), "{} bf16", isa.name());
            let v = bits.map(|b| b as i8);
            prop_assert_eq!(widen(isa, v), v.map(f64::from), "{} i8", isa.name());
            let v = bits.map(|b| b as u8);
            prop_assert_eq!(widen(isa, v), v.map(f64::from), "{} u8", isa.name());
        }
    }

    #[test]
    fn sixteen_floats_are_what_was_loaded(seed: u64) {
        let mut rng = Rng(seed);
        let a: [f32; 16] = from_fn(|_| (rng.unit() * 1e3) as f32);
        let b: [bf16; 16] = from_fn(|_| bf16::from_bits(rng.next() as u16));
        for isa in Isa::available() {
            let got = on!(isa, |s: S, a: [f32; 16]| -> [f32; 16] { s.lanes_f32(s.load_f32(&a)) });
            prop_assert_eq!(got, a);
            let got = on!(isa, |s: S, b: [bf16; 16]| -> [f32; 16] { s.lanes_f32(s.load_bf16(&b)) });
            for i in 0..16 {
                prop_assert!(got[i].to_bits() == b[i].to_f32().to_bits() || got[i].is_nan() && b[i].is_nan());
            }
            let got = on!(isa, |s: S, a: [f32; 16]| -> [f32; 16] {
                s.lanes_f32(s.mul_add_f32(s.load_f32(&a), s.splat_f32(3.0), s.splat_f32(1e3)))
            });
            for i in 0..16 {
                let want = f64::from(a[i]) * 3.0 + 1e3;
                prop_assert!((f64::from(got[i]) - want).abs() <= 4e-4, "{} {} {}", isa.name(), got[i], want);
            }
        }
    }

    #[test]
    fn codes_are_read_where_they_lie(seed: u64) {
        let mut rng = Rng(seed);
        let a: [u8; 64] = from_fn(|_| rng.next() as u8);
        let b: [u8; 32] = from_fn(|i| a[i]);
        let c: [u8; 16] = from_fn(|i| a[i]);
        let words = [rng.next(), rng.next()];
        let singles: [f32; 16] = bytemuck::cast(a);
        let (halves, brains): ([f16; 16], [bf16; 16]) = (bytemuck::cast(b), bytemuck::cast(b));
        let same = |a: f32, b: f32| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
        for isa in Isa::available() {
            let got = on!(isa, |s: S, a: [u8; 64]| -> [f32; 16] { s.lanes_f32(s.read_f32(&a)) });
            prop_assert!((0..16).all(|i| same(got[i], singles[i])), "{} f32", isa.name());
            let got = on!(isa, |s: S, b: [u8; 32]| -> [f32; 16] { s.lanes_f32(s.read_f16(&b)) });
            prop_assert!((0..16).all(|i| same(got[i], halves[i].to_f32())), "{} f16", isa.name());
            let got = on!(isa, |s: S, b: [u8; 32]| -> [f32; 16] { s.lanes_f32(s.read_bf16(&b)) });
            prop_assert!((0..16).all(|i| same(got[i], brains[i].to_f32())), "{} bf16", isa.name());
            let got = on!(isa, |s: S, c: [u8; 16]| -> [f32; 16] { s.lanes_f32(s.read_u8(&c)) });
            prop_assert_eq!(got, c.map(f32::from), "{} u8", isa.name());
            macro_rules! spread {
                ($($bits:literal),*) => {$(
                    let got = on!(isa, |s: S, words: [u64; 2]| -> [f32; 16] {
                        s.lanes_f32(s.spread::<$bits>(words))
                    });
                    for i in 0..16 {
                        let wanted = words[i / 8] >> (i % 8 * $bits) & ((1 << $bits) - 1);
                        prop_assert_eq!(got[i], wanted as f32, "{} {} bits", isa.name(), $bits);
                    }
                )*};
            }
            spread!(1, 2, 3, 4, 5, 6, 7);
        }
    }

    #[test]
    fn four_totals_are_the_same_everywhere(seed: u64) {
        let mut rng = Rng(seed);
        let a: [[f32; 16]; 4] = from_fn(|_| from_fn(|_| (rng.unit() * 1e3) as f32));
        let wanted = a.map(|a| {
            let t: [f32; 8] = from_fn(|i| a[i] + a[i + 8]);
            ((t[0] + t[1]) + (t[2] + t[3])) + ((t[4] + t[5]) + (t[6] + t[7]))
        });
        for isa in Isa::available() {
            let got = on!(isa, |s: S, a: [[f32; 16]; 4]| -> [f32; 4] {
                s.totals_f32([s.load_f32(&a[0]), s.load_f32(&a[1]), s.load_f32(&a[2]), s.load_f32(&a[3])])
            });
            prop_assert_eq!(got, wanted, "{}", isa.name());
        }
    }

    #[test]
    fn lanes_are_added_up(seed: u64) {
        let mut rng = Rng(seed);
        let v: [f64; 8] = from_fn(|_| rng.int(-(1 << 40), 1 << 40) as f64);
        for isa in Isa::available() {
            let got = on!(isa, |s: S, v: [f64; 8]| -> [f64; 2] {
                let v = s.load_f64(&v);
                [s.sum_f64(v), s.sum_f64(s.sub_f64(s.add_f64(v, v), s.zero_f64()))]
            });
            let sum: f64 = v.iter().sum();
            prop_assert_eq!(got, [sum, 2.0 * sum], "{}", isa.name());
        }
    }

    #[test]
    fn any_byte_times_any_packed_coordinate_is_exact(
        seed: u64,
        q in proptest::array::uniform4(prop_oneof![Just(-128i16), Just(127), -128i16..=127]),
        extreme: bool,
    ) {
        let mut rng = Rng(seed);
        let x: [u8; 64] = from_fn(|_| if extreme { [0, 255][rng.next() as usize % 2] } else { rng.next() as u8 });
        let want: [i64; 16] = from_fn(|i| (0..4).map(|j| i64::from(x[4 * i + j]) * i64::from(q[j])).sum());
        for isa in Isa::available() {
            let packed = pack_bytes(isa, q);
            let got = on!(isa, |s: S, x: [u8; 64], packed: [i32; 2]| -> [f32; 16] {
                let once = s.dot_bytes(s.zero_i32(), &x, &packed);
                s.lanes_f32(s.to_f32(s.dot_bytes(once, &x, &packed)))
            });
            prop_assert_eq!(small_lanes(got), want.map(|v| 2 * v), "{}", isa.name());
        }
    }

    #[test]
    fn codes_to_the_limits_are_exact(seed: u64, extreme: bool) {
        let mut rng = Rng(seed);
        for isa in Isa::available() {
            let lines = on!(isa, |_s: S| -> usize { S::CODE_LINES }).min(11);
            let limit = i64::from(CODE_LIMIT);
            let x: Vec<[u8; 64]> = (0..lines)
                .map(|_| from_fn(|_| if extreme { CODE_LIMIT } else { rng.int(0, limit) as u8 }))
                .collect();
            let sign = [-1, 1][rng.next() as usize % 2];
            let mut q: Vec<f64> = (0..4 * lines)
                .map(|_| (if extreme { sign * limit } else { rng.int(-limit, limit) }) as f64)
                .collect();
            fit_codes(isa, &mut q);
            let want: [i64; 16] = from_fn(|i| {
                (0..4 * lines).map(|j| i64::from(x[j / 4][4 * i + j % 4]) * q[j] as i64).sum()
            });
            let q: Vec<i32> =
                q.as_chunks::<4>().0.iter().map(|q| bytemuck::must_cast(q.map(|v| v as i8))).collect();
            let got = on!(isa, |s: S, x: Vec<[u8; 64]>, q: Vec<i32>| -> [f32; 16] {
                let mut sums = s.zero_codes();
                for (x, &q) in x.iter().zip(&q) {
                    sums = s.dot_codes(sums, x, q);
                }
                s.lanes_f32(s.to_f32(s.widen_codes(sums)))
            });
            prop_assert_eq!(small_lanes(got), want, "{}", isa.name());
        }
    }

    #[test]
    fn pairs_of_bytes_are_summed_whatever_their_sign(seed: u64, extreme: bool) {
        let mut rng = Rng(seed);
        let mut byte = || if extreme { [0, 127, 128, 255][rng.next() as usize % 4] } else { rng.next() as u8 };
        let (a, b): ([u8; 32], [u8; 32]) = (from_fn(|_| byte()), from_fn(|_| byte()));
        let sum = |f: &dyn Fn(u8, u8) -> i64| (0..32).map(|i| f(a[i], b[i])).sum::<i64>();
        let signed = |v: u8| i64::from(v as i8);
        let want = [
            sum(&|a, b| i64::from(a) * i64::from(b)),
            sum(&|a, b| (i64::from(a) - i64::from(b)).pow(2)),
            sum(&|a, b| signed(a) * signed(b)),
            sum(&|a, b| (signed(a) - signed(b)).pow(2)),
        ];
        for isa in Isa::available() {
            let got = on!(isa, |s: S, a: [u8; 32], b: [u8; 32]| -> [i64; 4] {
                let (p, r): ([i8; 32], [i8; 32]) = (bytemuck::must_cast(a), bytemuck::must_cast(b));
                let zero = s.zero_i32();
                // Twice, so that what is added to is not lost.
                [
                    s.sum_i32(s.dot_u8(s.dot_u8(zero, &a, &b), &a, &b)),
                    s.sum_i32(s.square_u8(s.square_u8(zero, &a, &b), &a, &b)),
                    s.sum_i32(s.dot_i8(s.dot_i8(zero, &p, &r), &p, &r)),
                    s.sum_i32(s.square_i8(s.square_i8(zero, &p, &r), &p, &r)),
                ]
            });
            prop_assert_eq!(got, want.map(|v| 2 * v), "{}", isa.name());
        }
    }
}

/// Floats among which NaN, infinities, zeros of either sign and equals are common.
fn special() -> impl Strategy<Value = f32> {
    prop_oneof![
        proptest::sample::select(vec![
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            0.0,
            -0.0,
            1.0,
            f32::MIN_POSITIVE
        ]),
        -1f32..1.0,
        any::<f32>(),
    ]
}

proptest! {
    #![proptest_config(config(128))]
    #[test]
    fn eight_lanes_are_taken_one_by_one(
        a in proptest::array::uniform8(any::<f64>()),
        b in proptest::array::uniform8(prop::num::f64::NORMAL),
    ) {
        let (any, a) = (a, a.map(|v| if v.is_nan() { 1.5 } else { v }));
        for isa in Isa::available() {
            let got = on!(isa, |s: S, a: [f64; 8], b: [f64; 8], any: [f64; 8]| -> [[f64; 8]; 6] {
                let [known, ones] = s.known_f64(s.load_f64(&any));
                let (a, b) = (s.load_f64(&a), s.load_f64(&b));
                let some = [s.div_f64(a, b), s.abs_f64(a), s.min_f64(a, b), s.max_f64(a, b), known, ones];
                [
                    s.lanes_f64(some[0]),
                    s.lanes_f64(some[1]),
                    s.lanes_f64(some[2]),
                    s.lanes_f64(some[3]),
                    s.lanes_f64(some[4]),
                    s.lanes_f64(some[5]),
                ]
            });
            for i in 0..8 {
                let (x, y) = (a[i], b[i]);
                let there = !any[i].is_nan();
                let want = [x / y, x.abs(), x.min(y), x.max(y), if there { any[i] } else { 0.0 }, f64::from(u8::from(there))];
                for (got, want) in got.iter().zip(want) {
                    prop_assert!(got[i] == want, "{} {} {}: {} not {}", isa.name(), x, y, got[i], want);
                }
            }
        }
    }

    #[test]
    fn magnitudes_of_differences_are_added(
        acc in proptest::array::uniform16(0f32..1e6),
        a in proptest::array::uniform16(-1e6f32..1e6),
        b in proptest::array::uniform16(-1e6f32..1e6),
    ) {
        for isa in Isa::available() {
            let got = on!(isa, |s: S, acc: [f32; 16], a: [f32; 16], b: [f32; 16]| -> [f32; 16] {
                s.lanes_f32(s.add_apart_f32(s.load_f32(&acc), s.load_f32(&a), s.load_f32(&b)))
            });
            prop_assert_eq!(got, from_fn(|i| acc[i] + (a[i] - b[i]).abs()), "{}", isa.name());
        }
    }

    #[test]
    fn bytes_whose_bits_are_set_are_added(seed: u64, rounds in 0usize..9) {
        let mut rng = Rng(seed);
        let (bits, v): ([u8; 8], [u8; 64]) = (from_fn(|_| rng.next() as u8), from_fn(|_| rng.next() as u8));
        let set = (0..64).filter(|i| bits[i / 8] >> (i % 8) & 1 == 1);
        let want = set.map(|i| i64::from(v[i])).sum::<i64>() * rounds as i64;
        for isa in Isa::available() {
            let got = on!(isa, |s: S, bits: [u8; 8], v: [u8; 64], rounds: usize| -> i64 {
                let mut acc = s.zero_i32();
                for _ in 0..rounds {
                    acc = s.add_where(acc, &bits, &v);
                }
                s.sum_i32(acc)
            });
            prop_assert_eq!(got, want, "{}", isa.name());
        }
    }

    #[test]
    fn columns_of_codes_are_looked_up_and_added(
        seed: u64,
        stride in 1usize..80,
        tables in 0usize..17,
    ) {
        let mut rng = Rng(seed);
        let all_codes: Vec<u8> = (0..63 * stride + 16).map(|_| rng.next() as u8).collect();
        let all_tables: Vec<[u8; 256]> = (0..tables).map(|_| from_fn(|_| rng.next() as u8)).collect();
        let before: [[u16; 32]; 2] = from_fn(|_| from_fn(|_| rng.next() as u16));
        for isa in Isa::available() {
            let (codes, tables) = (all_codes.clone(), all_tables.clone());
            let got = on!(isa, |s: S, before: [[u16; 32]; 2], codes: Vec<u8>, stride: usize, tables: Vec<[u8; 256]>| -> [[u16; 32]; 2] {
                let mut sums = before;
                s.look_up_bytes(&mut sums, &codes, stride, &tables);
                sums
            });
            for i in 0..64 {
                let entries = all_tables.iter().zip(&all_codes[i * stride..]).map(|(table, &code)| u16::from(table[usize::from(code)]));
                let want = entries.fold(before[i % 2][i / 2], u16::wrapping_add);
                prop_assert_eq!(got[i % 2][i / 2], want, "{} {}", isa.name(), i);
            }
        }
    }

    #[test]
    fn bits_that_differ_are_added(seed: u64, rounds in 0usize..9) {
        let mut rng = Rng(seed);
        let (a, b): ([u8; 32], [u8; 32]) = (from_fn(|_| rng.next() as u8), from_fn(|_| rng.next() as u8));
        let want: u32 = a.iter().zip(&b).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>() * rounds as u32;
        for isa in Isa::available() {
            let got = on!(isa, |s: S, a: [u8; 32], b: [u8; 32], rounds: usize| -> i64 {
                let mut acc = s.zero_i32();
                for _ in 0..rounds {
                    acc = s.add_differing(acc, &a, &b);
                }
                s.sum_i32(acc)
            });
            prop_assert_eq!(got, i64::from(want), "{}", isa.name());
        }
    }
}

#[test]
fn integer_lanes_sum_to_64_bits() {
    // 255² · 2 a lane and step: enough steps for 16 lanes to pass 2³¹ together, as none of them does alone.
    for isa in Isa::available() {
        let sum = on!(isa, |s: S| -> i64 {
            let mut acc = s.zero_i32();
            for _ in 0..4096 {
                acc = s.dot_u8(acc, &[255; 32], &[255; 32]);
            }
            s.sum_i32(s.add_i32(acc, s.zero_i32()))
        });
        assert_eq!(sum, 4096 * 32 * 65_025, "{}", isa.name());
        let sum = on!(isa, |s: S| -> i64 {
            let mut acc = s.zero_i32();
            for _ in 0..4096 {
                acc = s.dot_i8(acc, &[-128; 32], &[127; 32]);
            }
            s.sum_i32(s.add_i32(acc, acc))
        });
        assert_eq!(sum, -2 * 4096 * 32 * 128 * 127, "{}", isa.name());
    }
}

#[test]
fn a_prefetch_may_name_anything() {
    for isa in Isa::available() {
        on!(isa, |s: S| -> () {
            s.prefetch(&[]);
            s.prefetch(&[1, 2, 3]);
        });
    }
}
