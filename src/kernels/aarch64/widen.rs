//! What memory holds, in NEON's registers.
#![expect(unsafe_code, reason = "vendor intrinsics; every aarch64 processor has the ones used here")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "one reason serves every block: see `Safety` in the module above"
)]

use std::arch::aarch64::*;
use std::arch::asm;

/// Eight f32 as f64.
#[inline(always)]
pub(super) fn wide(low: float32x4_t, high: float32x4_t) -> [float64x2_t; 4] {
    unsafe {
        [
            vcvt_f64_f32(vget_low_f32(low)),
            vcvt_high_f64_f32(low),
            vcvt_f64_f32(vget_low_f32(high)),
            vcvt_high_f64_f32(high),
        ]
    }
}

/// Four f16 as f32. FCVTL is in the baseline; only its intrinsic waits for a stable f16.
#[inline(always)]
pub(super) fn widen_half(v: uint16x4_t) -> float32x4_t {
    let wide;
    unsafe {
        asm!("fcvtl {wide:v}.4s, {v:v}.4h", wide = lateout(vreg) wide, v = in(vreg) v,
            options(pure, nomem, nostack, preserves_flags));
    }
    wide
}

/// Sixteen numbers as f32.
#[inline(always)]
pub(super) fn widen_numbers(v: [uint16x8_t; 2]) -> [float32x4_t; 4] {
    unsafe {
        [
            vcvtq_f32_u32(vmovl_u16(vget_low_u16(v[0]))),
            vcvtq_f32_u32(vmovl_high_u16(v[0])),
            vcvtq_f32_u32(vmovl_u16(vget_low_u16(v[1]))),
            vcvtq_f32_u32(vmovl_high_u16(v[1])),
        ]
    }
}

/// Four bf16 as f32: its upper half.
#[inline(always)]
pub(super) fn widen_brain(v: uint16x4_t) -> float32x4_t {
    unsafe { vreinterpretq_f32_u32(vshll_n_u16::<16>(v)) }
}

/// 32 bytes.
#[inline(always)]
pub(super) fn load_u8(v: &[u8; 32]) -> [uint8x16_t; 2] {
    unsafe { [vld1q_u8(v.as_ptr()), vld1q_u8(v.as_ptr().add(16))] }
}

/// 32 signed bytes.
#[inline(always)]
pub(super) fn load_i8(v: &[i8; 32]) -> [int8x16_t; 2] {
    unsafe { [vld1q_s8(v.as_ptr()), vld1q_s8(v.as_ptr().add(16))] }
}
