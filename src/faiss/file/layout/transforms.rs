//! Transforms of vectors. Their dimensions come last, so what depends on them is checked in the end.

use super::super::io::Io;
use super::super::record::Value;
use crate::error::Result;

/// A transform, behind its fourcc.
pub(in super::super) fn body(io: &mut impl Io) -> Result<()> {
    match &io.fourcc().0 {
        b"rrot" | b"LTra" => linear(io),
        b"PCAm" | b"PcAm" | b"Pcam" => pca(io),
        b"Viqm" => {
            io.int::<i32>("max_iter")?;
            io.int::<i32>("seed")?;
            linear(io)
        }
        b"Viqt" => itq(io),
        b"RmDT" => remap(io),
        b"VNrm" => {
            io.float("norm")?;
            let (d_in, d_out, _) = dimensions(io)?;
            io.check(d_in == d_out, || format!("d_out is {d_out}, not d_in = {d_in}"))
        }
        b"VCnt" => {
            let mean = io.array::<f32>("mean")?;
            let (d_in, d_out, trained) = dimensions(io)?;
            io.check(d_in == d_out, || format!("d_out is {d_out}, not d_in = {d_in}"))?;
            full(io, "mean", mean, d_in, trained)
        }
        b"HRot" => {
            io.int::<u32>("seed")?;
            let (d_in, d_out, _) = dimensions(io)?;
            io.check(d_in > 0 && d_out == d_in.next_power_of_two(), || {
                format!("d_out is {d_out}: expected the power of two from d_in = {d_in} on")
            })
        }
        _ => Err(super::unknown(io, "a transform")),
    }
}

fn dimensions(io: &mut impl Io) -> Result<(usize, usize, bool)> {
    let d_in = io.within::<i32>("d_in", 0, i32::MAX.into())?;
    let d_out = io.within::<i32>("d_out", 0, i32::MAX.into())?;
    Ok((d_in as usize, d_out as usize, io.flag("is_trained")?))
}

/// That a trained transform has `expected` values; one that is not may have none.
fn full(io: &impl Io, what: &str, len: usize, expected: usize, trained: bool) -> Result<()> {
    if len == 0 && !trained { Ok(()) } else { io.expect(what, len, expected) }
}

fn linear(io: &mut impl Io) -> Result<()> {
    let biased = io.flag("have_bias")?;
    let (a, b) = (io.array::<f32>("A")?, io.array::<f32>("b")?);
    let (d_in, d_out, trained) = dimensions(io)?;
    full(io, "A", a, io.product("A", &[d_in, d_out])?, trained)?;
    if biased { full(io, "b", b, d_out, trained) } else { Ok(()) }
}

fn pca<I: Io>(io: &mut I) -> Result<()> {
    let kind = io.fourcc().0;
    io.check(I::READS || &kind == b"Pcam", || "an old form: write Pcam".to_owned())?;
    io.float("eigen_power")?;
    if &kind == b"Pcam" {
        io.float("epsilon")?;
    } else {
        io.supply("epsilon", Value::Float(0.0));
    }
    io.flag("random_rotation")?;
    if &kind == b"PCAm" {
        io.supply("balanced_bins", Value::Int(0));
    } else {
        io.int::<i32>("balanced_bins")?;
    }
    io.rename(b"Pcam");
    let (mean, values) = (io.array::<f32>("mean")?, io.array::<f32>("eigenvalues")?);
    let matrix = io.array::<f32>("PCAMat")?;
    linear(io)?;
    let d_in = io.seen().int("d_in").unwrap_or(0) as usize;
    let trained = io.seen().int("is_trained") == Some(1);
    full(io, "mean", mean, d_in, trained)?;
    full(io, "eigenvalues", values, d_in, trained)?;
    let most = io.product("PCAMat", &[d_in, d_in])?;
    // Learned from fewer vectors than dimensions, it has a row for each vector.
    let few = matrix > 0 && matrix < most && matrix.is_multiple_of(d_in.max(1));
    full(io, "PCAMat", matrix, if few { matrix } else { most }, trained)
}

fn itq(io: &mut impl Io) -> Result<()> {
    let mean = io.array::<f32>("mean")?;
    io.flag("do_pca")?;
    io.object("itq", false, |io| match &io.fourcc().0 {
        b"Viqm" => body(io),
        _ => Err(io.fail("expected the matrix of an ITQ (Viqm)")),
    })?;
    io.object("pca_then_itq", false, |io| match &io.fourcc().0 {
        b"LTra" => body(io),
        _ => Err(io.fail("expected a linear transform (LTra)")),
    })?;
    let (d_in, _, trained) = dimensions(io)?;
    full(io, "mean", mean, d_in, trained)
}

fn remap(io: &mut impl Io) -> Result<()> {
    let len = io.array::<i32>("map")?;
    let (d_in, d_out, _) = dimensions(io)?;
    io.expect("map", len, d_out)?;
    let map = io.seen().array::<i32>("map").unwrap_or_default();
    match map.iter().find(|&&from| from < -1 || from as i64 >= d_in as i64) {
        Some(from) => Err(io.fail(format!("map holds {from}: expected -1 to {}", d_in as i64 - 1))),
        None => Ok(()),
    }
}
