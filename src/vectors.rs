//! What are the vectors? A borrowed n × d view of one element type: the only door into the engine.

use std::fmt;
use std::str::FromStr;

use bytemuck::Pod;
use half::{bf16, f16};

use crate::error::{Error, Result};
use crate::storage::Buffer;

/// The largest dimension: integer kernels add up to this many products in 32 bits.
pub const MAX_DIM: usize = 65_536;

/// The type of one coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dtype {
    /// 32-bit IEEE float.
    F32,
    /// 16-bit IEEE float.
    F16,
    /// 16-bit "brain" float: the upper half of an f32.
    Bf16,
    /// Signed byte.
    I8,
    /// Unsigned byte.
    U8,
}

impl Dtype {
    /// Every type there is.
    pub const ALL: [Self; 5] = [Self::F32, Self::F16, Self::Bf16, Self::I8, Self::U8];

    /// Bytes of one coordinate.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::I8 | Self::U8 => 1,
        }
    }

    /// The name used in every interface: "f32", "f16", "bf16", "i8", "u8".
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::I8 => "i8",
            Self::U8 => "u8",
        }
    }

    /// Calls `visitor` with the Rust type that this value names: the one place where a run-time
    /// type becomes a compile-time one.
    pub fn visit<V: DtypeVisitor>(self, visitor: V) -> V::Out {
        match self {
            Self::F32 => visitor.visit::<f32>(),
            Self::F16 => visitor.visit::<f16>(),
            Self::Bf16 => visitor.visit::<bf16>(),
            Self::I8 => visitor.visit::<i8>(),
            Self::U8 => visitor.visit::<u8>(),
        }
    }
}

/// Work to be done for whichever element type a [`Dtype`] names.
pub trait DtypeVisitor {
    /// What the work returns.
    type Out;
    /// Does the work for element type `E`.
    fn visit<E: Element>(self) -> Self::Out;
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Dtype {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|d| d.name() == s).ok_or_else(|| {
            Error::argument("dtype", format_args!("{s:?}"), "\"f32\", \"f16\", \"bf16\", \"i8\" or \"u8\"")
        })
    }
}

/// A coordinate type.
pub trait Element: Pod + Send + Sync + PartialOrd + crate::kernels::Widen {
    /// Its name at run time.
    const DTYPE: Dtype;
    /// The value, exactly.
    fn to_f64(self) -> f64;
    /// The nearest value of this type (ties to even; integers saturate).
    fn from_f64(value: f64) -> Self;
    /// False for NaN and infinities.
    fn is_finite(self) -> bool;
}

macro_rules! element {
    ($type:ty, $dtype:ident, $to:expr, $from:expr, $finite:expr) => {
        impl Element for $type {
            const DTYPE: Dtype = Dtype::$dtype;
            #[inline(always)]
            fn to_f64(self) -> f64 {
                $to(self)
            }
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                $from(value)
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                $finite(self)
            }
        }
    };
}
element!(f32, F32, f64::from, |v| v as f32, f32::is_finite);
element!(f16, F16, f16::to_f64, f16::from_f64, f16::is_finite);
element!(bf16, Bf16, bf16::to_f64, bf16::from_f64, bf16::is_finite);
element!(i8, I8, f64::from, |v: f64| v.round_ties_even() as i8, |_| true);
element!(u8, U8, f64::from, |v: f64| v.round_ties_even() as u8, |_| true);

/// A borrowed, row-major n × d matrix of vectors.
///
/// ```
/// use steep::Vectors;
/// let x = Vectors::new(&[0.0f32, 1.0, 2.0, 3.0], 2)?;
/// assert_eq!((x.len(), x.dim()), (2, 2));
/// # Ok::<(), steep::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Vectors<'a> {
    dtype: Dtype,
    dim: usize,
    len: usize,
    /// `len · dim` elements of `dtype`, aligned for it.
    bytes: &'a [u8],
}

impl<'a> Vectors<'a> {
    /// A view of `values`, `n · dim` of them, row after row.
    ///
    /// # Errors
    /// [`Error::Argument`] where `dim` is 0 or above [`MAX_DIM`], [`Error::Shape`] where the
    /// values are not a whole number of rows.
    pub fn new<E: Element>(values: &'a [E], dim: usize) -> Result<Self> {
        check_dim(dim)?;
        if !values.len().is_multiple_of(dim) {
            return Err(Error::Shape { len: values.len(), dim });
        }
        Ok(Self { dtype: E::DTYPE, dim, len: values.len() / dim, bytes: bytemuck::cast_slice(values) })
    }

    /// The same from raw bytes in native byte order, for files and foreign buffers.
    ///
    /// # Errors
    /// As [`Vectors::new`]; [`Error::Argument`] where the bytes are not aligned for `dtype`.
    pub fn from_bytes(bytes: &'a [u8], dtype: Dtype, dim: usize) -> Result<Self> {
        check_dim(dim)?;
        // Nothing may lie anywhere.
        let bytes = if bytes.is_empty() { bytemuck::cast_slice::<u64, u8>(&[]) } else { bytes };
        if !(bytes.as_ptr() as usize).is_multiple_of(dtype.size()) {
            return Err(Error::argument(
                "bytes",
                "unaligned buffer",
                "a buffer aligned for its element type",
            ));
        }
        if !bytes.len().is_multiple_of(dim * dtype.size()) {
            return Err(Error::Shape { len: bytes.len() / dtype.size(), dim });
        }
        Ok(Self { dtype, dim, len: bytes.len() / (dim * dtype.size()), bytes })
    }

    /// Number of vectors, n.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True where there is no vector.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Coordinates of one vector, d.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Type of one coordinate.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The raw bytes, row after row.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// All coordinates, row after row; `None` where they are of another type than `E`.
    pub fn as_slice<E: Element>(&self) -> Option<&'a [E]> {
        (E::DTYPE == self.dtype).then(|| bytemuck::cast_slice(self.bytes))
    }

    /// Rows `range` only.
    ///
    /// # Panics
    /// Where `range` reaches beyond `len`.
    pub fn rows(&self, range: std::ops::Range<usize>) -> Vectors<'a> {
        let row = self.dim * self.dtype.size();
        Self { len: range.len(), bytes: &self.bytes[range.start * row..range.end * row], ..*self }
    }

    /// The bytes of the rows `chosen`, one after the other.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn gathered(&self, chosen: &[usize]) -> Result<Buffer> {
        let row = self.dim * self.dtype.size();
        let mut rows = Buffer::with_capacity("sample", chosen.len() * row)?;
        for &at in chosen {
            rows.extend("sample", &self.bytes[at * row..][..row])?;
        }
        Ok(rows)
    }

    /// Refuses NaN and infinities. `what` names the vectors in the error.
    ///
    /// # Errors
    /// [`Error::NotFinite`] with the first such row and column.
    pub fn check_finite(&self, what: &'static str) -> Result<()> {
        struct First<'a>(Vectors<'a>);
        impl DtypeVisitor for First<'_> {
            type Out = Option<(usize, f64)>;
            fn visit<E: Element>(self) -> Self::Out {
                let values = self.0.as_slice::<E>()?;
                // Chunks without an early exit vectorise; the exact place is sought only on failure.
                let chunk =
                    values.chunks(4096).position(|c| !c.iter().fold(true, |ok, v| ok & v.is_finite()))?;
                let at = chunk * 4096 + values[chunk * 4096..].iter().position(|v| !v.is_finite())?;
                Some((at, values[at].to_f64()))
            }
        }
        match self.dtype.visit(First(*self)) {
            None => Ok(()),
            Some((at, value)) => {
                Err(Error::NotFinite { what, row: at / self.dim, column: at % self.dim, value: value as f32 })
            }
        }
    }

    /// Refuses all-zero rows, which have no cosine. `what` names the vectors in the error.
    ///
    /// # Errors
    /// [`Error::ZeroVector`] with the first such row.
    pub fn check_nonzero(&self, what: &'static str) -> Result<()> {
        struct First<'a>(Vectors<'a>);
        impl DtypeVisitor for First<'_> {
            type Out = Option<usize>;
            fn visit<E: Element>(self) -> Self::Out {
                let zero = E::from_f64(0.0);
                self.0
                    .as_slice::<E>()?
                    .chunks_exact(self.0.dim)
                    .position(|row| row.iter().all(|v| *v == zero))
            }
        }
        self.dtype.visit(First(*self)).map_or(Ok(()), |row| Err(Error::ZeroVector { what, row }))
    }
}

impl fmt::Debug for Vectors<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vectors({} × {} {})", self.len, self.dim, self.dtype)
    }
}

/// Refuses a dimension of 0 or above [`MAX_DIM`].
pub(crate) fn check_dim(dim: usize) -> Result<()> {
    match dim {
        1..=MAX_DIM => Ok(()),
        _ => Err(Error::argument("dim", dim, "1 to 65536")),
    }
}
