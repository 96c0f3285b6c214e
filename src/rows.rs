//! Where are the vectors themselves? In rows of the smallest type that holds them exactly, or of the type that was asked for, or
//! nowhere: then codes are all there is of them.

use crate::error::{Error, Result};
use crate::kernels::simd::ROUND;
use crate::kernels::{Isa, Kernel, Simd};
use crate::storage::Buffer;
use crate::vectors::{Dtype, DtypeVisitor, Element, Vectors};

/// Values that are converted at a time.
const PIECE: usize = 1 << 16;

/// What is kept of vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Their values.
    Exact,
    /// Their values, rounded to a type.
    As(Dtype),
    /// How many they are.
    Nothing,
}

/// n × d values. Floats that are all integers of 0…255 (descriptors, histograms, pixels) are kept as u8: a quarter of the
/// bytes, and exact in integer arithmetic. The first vector that is not such an integer turns all of them back.
#[derive(Clone)]
pub(crate) struct Rows {
    /// The type the user named.
    declared: Dtype,
    /// The type of `values`: `declared`, u8, or what was asked for.
    stored: Dtype,
    kept: Kept,
    dim: usize,
    len: usize,
    values: Buffer,
}

impl Rows {
    pub fn new(dim: usize, declared: Dtype, kept: Kept) -> Self {
        let stored = if let Kept::As(dtype) = kept { dtype } else { declared };
        Self { declared, stored, kept, dim, len: 0, values: Buffer::new() }
    }

    /// The same, none yet, for those that are read in order.
    pub fn in_order(self) -> Self {
        Self { values: Buffer::in_order(), ..self }
    }

    /// From a file's section, `len` × d values of `stored`, or none.
    pub fn from_parts(
        (dim, len): (usize, usize),
        declared: Dtype,
        stored: Dtype,
        kept: Kept,
        values: Buffer,
    ) -> Self {
        Self { declared, stored, kept, dim, len, values }
    }

    pub fn declared(&self) -> Dtype {
        self.declared
    }

    pub fn stored(&self) -> Dtype {
        self.stored
    }

    pub fn dim(&self) -> usize {
        self.dim
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn buffer(&self) -> &Buffer {
        &self.values
    }

    /// The values there are: of all vectors, or of none.
    pub fn view(&self) -> Vectors<'_> {
        Vectors::from_bytes(self.values.bytes(), self.stored, self.dim).expect("rows are aligned and whole")
    }

    /// Appends `vectors`, which have the same dimension. Returns what [`Rows::take_back`] wants.
    ///
    /// # Errors
    /// [`Error::Inexact`] where the declared type cannot hold a value exactly, or one that was asked for not at all, [`Error::OutOfMemory`]; the rows are then
    /// as they were.
    pub fn extend(&mut self, vectors: Vectors) -> Result<Before> {
        let mut before =
            Before { stored: self.stored, len: self.len, bytes: self.values.len(), values: None };
        let done = match self.kept {
            Kept::Nothing => Ok(()),
            Kept::As(dtype) => append(&mut self.values, vectors, dtype, Rounding::Allowed),
            Kept::Exact => self.extend_exactly(vectors, &mut before),
        };
        match done {
            Ok(()) => {
                self.len += vectors.len();
                Ok(before)
            }
            Err(error) => {
                self.take_back(before);
                Err(error)
            }
        }
    }

    fn extend_exactly(&mut self, vectors: Vectors, before: &mut Before) -> Result<()> {
        let float = matches!(self.declared, Dtype::F32 | Dtype::F16 | Dtype::Bf16);
        let bytes = float && !vectors.is_empty() && (self.values.is_empty() || self.stored == Dtype::U8);
        if bytes && append_bytes(&mut self.values, vectors)? {
            self.stored = Dtype::U8;
            return Ok(());
        }
        self.values.truncate(before.bytes);
        if self.values.is_empty() {
            self.stored = self.declared;
        } else if bytes {
            let mut all = Buffer::with_capacity("vectors", self.len * self.declared.row_bytes(self.dim))?;
            append(&mut all, self.view(), self.declared, Rounding::Refused)?;
            self.stored = self.declared;
            before.values = Some(std::mem::replace(&mut self.values, all));
        }
        append(&mut self.values, vectors, self.stored, Rounding::Refused)
    }

    /// Makes the rows what they were before an [`Rows::extend`].
    pub fn take_back(&mut self, before: Before) {
        self.stored = before.stored;
        self.len = before.len;
        if let Some(values) = before.values {
            self.values = values;
        }
        self.values.truncate(before.bytes);
    }
}

/// What rows were before they were extended.
pub(crate) struct Before {
    stored: Dtype,
    len: usize,
    bytes: usize,
    /// The values, where they were turned into another type.
    values: Option<Buffer>,
}

/// Appends `vectors` as bytes. False where a value is none; some of the others are then appended.
fn append_bytes(out: &mut Buffer, vectors: Vectors) -> Result<bool> {
    let Some(values) = vectors.as_slice::<f32>() else {
        return match append(out, vectors, Dtype::U8, Rounding::Refused) {
            Err(Error::Inexact { .. }) => Ok(false),
            done => done.map(|()| true),
        };
    };
    let (isa, mut piece) = (Isa::active(), vec![0; PIECE.min(values.len())]);
    for values in values.chunks(PIECE) {
        let piece = &mut piece[..values.len()];
        if !isa.run(Bytes(values, piece)) {
            return Ok(false);
        }
        out.extend("vectors", piece)?;
    }
    Ok(true)
}

/// Tells whether values are whole numbers of 0 to 255, and which.
struct Bytes<'a>(&'a [f32], &'a mut [u8]);

impl Kernel for Bytes<'_> {
    type Out = bool;
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> bool {
        let mut all = true;
        for (&v, byte) in self.0.iter().zip(self.1) {
            let raised = v + ROUND;
            let units = raised.to_bits().wrapping_sub(ROUND.to_bits());
            *byte = units as u8;
            all &= (raised - ROUND == v) & (units <= 255);
        }
        all
    }
}

/// What may become of values that a type does not have.
#[derive(Clone, Copy, PartialEq)]
enum Rounding {
    /// They are an error.
    Refused,
    /// They become the nearest, unless that is infinite.
    Allowed,
}

/// Hands `vectors` to `out` as `dtype`, or fails before the first value that may not.
fn append(out: &mut Buffer, vectors: Vectors, dtype: Dtype, rounding: Rounding) -> Result<()> {
    if vectors.dtype() == dtype {
        return out.extend("vectors", vectors.bytes());
    }
    struct From<'a>(Vectors<'a>, Dtype, Rounding, &'a mut Buffer);
    struct To<'a, E>(&'a [E], usize, Rounding, &'a mut Buffer);
    impl DtypeVisitor for From<'_> {
        type Out = Result<()>;
        fn visit<E: Element>(self) -> Result<()> {
            self.1.visit(To(self.0.as_slice::<E>().unwrap_or_default(), self.0.dim(), self.2, self.3))
        }
    }
    impl<A: Element> DtypeVisitor for To<'_, A> {
        type Out = Result<()>;
        fn visit<B: Element>(self) -> Result<()> {
            let Self(values, dim, rounding, out) = self;
            let mut piece = Vec::with_capacity(PIECE);
            for (values, start) in values.chunks(PIECE).zip((0..).step_by(PIECE)) {
                piece.clear();
                piece.extend(values.iter().map(|v| B::from_f64(v.to_f64())));
                let same = |(a, b): (&A, &B)| match rounding {
                    Rounding::Refused => a.to_f64() == b.to_f64(),
                    Rounding::Allowed => b.to_f64().is_finite(),
                };
                if let Some(at) = values.iter().zip(&piece).position(|pair| !same(pair)) {
                    let (row, column) = ((start + at) / dim, (start + at) % dim);
                    let value = values[at].to_f64();
                    return Err(Error::Inexact { what: "vectors", row, column, value, dtype: B::DTYPE });
                }
                out.extend("vectors", bytemuck::cast_slice(&piece))?;
            }
            Ok(())
        }
    }
    vectors.dtype().visit(From(vectors, dtype, rounding, out))
}
