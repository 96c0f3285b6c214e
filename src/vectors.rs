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
    /// One bit, eight to a byte; in which order is of no consequence to distances.
    B1,
}

impl Dtype {
    /// Every type there is.
    pub const ALL: [Self; 6] = [Self::F32, Self::F16, Self::Bf16, Self::I8, Self::U8, Self::B1];
    /// Those of which a coordinate is a number.
    pub const NUMBERS: [Self; 5] = [Self::F32, Self::F16, Self::Bf16, Self::I8, Self::U8];

    /// Bytes of what lies in memory as one: a coordinate, or eight of them under `b1`.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::I8 | Self::U8 | Self::B1 => 1,
        }
    }

    /// Bytes of a vector of `dim` coordinates.
    pub fn row_bytes(self, dim: usize) -> usize {
        match self {
            Self::B1 => dim / 8,
            _ => dim * self.size(),
        }
    }

    /// Refuses dimensions that vectors of this type cannot have.
    ///
    /// # Errors
    /// [`Error::Argument`] where `dim` is 0 or above [`MAX_DIM`], or bits are not whole bytes.
    pub(crate) fn check_dim(self, dim: usize) -> Result<()> {
        check_dim(dim)?;
        match self {
            Self::B1 if !dim.is_multiple_of(8) => {
                Err(Error::argument("dim", dim, "a multiple of 8 under dtype \"b1\", as in 256"))
            }
            _ => Ok(()),
        }
    }

    /// The name used in every interface: "f32", "f16", "bf16", "i8", "u8", "b1".
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::B1 => "b1",
        }
    }

    /// Calls `visitor` with the Rust type that this value names: the one place where a run-time
    /// type becomes a compile-time one. Bits are visited as the bytes that hold them.
    pub fn visit<V: DtypeVisitor>(self, visitor: V) -> V::Out {
        match self {
            Self::F32 => visitor.visit::<f32>(),
            Self::F16 => visitor.visit::<f16>(),
            Self::Bf16 => visitor.visit::<bf16>(),
            Self::I8 => visitor.visit::<i8>(),
            Self::U8 | Self::B1 => visitor.visit::<u8>(),
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
            let expected = "\"f32\", \"f16\", \"bf16\", \"i8\" or \"u8\", or \"b1\" under metric \"hamming\"";
            Error::argument("dtype", format_args!("{s:?}"), expected)
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
        dtype.check_dim(dim)?;
        // Nothing may lie anywhere.
        let bytes = if bytes.is_empty() { bytemuck::cast_slice::<u64, u8>(&[]) } else { bytes };
        if !(bytes.as_ptr() as usize).is_multiple_of(dtype.size()) {
            return Err(Error::argument(
                "bytes",
                "unaligned buffer",
                "a buffer aligned for its element type",
            ));
        }
        let row = dtype.row_bytes(dim);
        if !bytes.len().is_multiple_of(row) {
            return Err(Error::Shape { len: bytes.len() / dtype.size(), dim: row / dtype.size() });
        }
        Ok(Self { dtype, dim, len: bytes.len() / row, bytes })
    }

    /// The bits of these bytes, as many vectors of eight times the coordinates.
    ///
    /// # Errors
    /// [`Error::Argument`] where they are no bytes, or more than [`MAX_DIM`] / 8 to a vector.
    pub fn bits(self) -> Result<Self> {
        if self.dtype != Dtype::U8 {
            return Err(Error::argument("dtype", self.dtype, "\"u8\", eight bits to a byte"));
        }
        Dtype::B1.check_dim(8 * self.dim)?;
        Ok(Self { dtype: Dtype::B1, dim: 8 * self.dim, ..self })
    }

    /// Bits as the bytes that hold them; anything else as it is.
    pub fn packed(self) -> Self {
        match self.dtype {
            Dtype::B1 => Self { dtype: Dtype::U8, dim: self.dim / 8, ..self },
            _ => self,
        }
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

    /// Bytes of a vector.
    pub fn row_bytes(&self) -> usize {
        self.dtype.row_bytes(self.dim)
    }

    /// All coordinates, row after row, or of bits the bytes that hold them; `None` where they are of another type than `E`.
    pub fn as_slice<E: Element>(&self) -> Option<&'a [E]> {
        let dtype = if self.dtype == Dtype::B1 { Dtype::U8 } else { self.dtype };
        (E::DTYPE == dtype).then(|| bytemuck::cast_slice(self.bytes))
    }

    /// Rows `range` only.
    ///
    /// # Panics
    /// Where `range` reaches beyond `len`.
    pub fn rows(&self, range: std::ops::Range<usize>) -> Vectors<'a> {
        let row = self.row_bytes();
        Self { len: range.len(), bytes: &self.bytes[range.start * row..range.end * row], ..*self }
    }

    /// The bytes of the rows `chosen`, one after the other.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn gathered(&self, chosen: &[usize]) -> Result<Buffer> {
        let row = self.row_bytes();
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
        self.check_values(what, false)
    }

    /// Refuses infinities, and NaN unless it may stand for what is `missing`.
    pub(crate) fn check_values(&self, what: &'static str, missing: bool) -> Result<()> {
        struct First<'a>(Vectors<'a>, bool);
        impl DtypeVisitor for First<'_> {
            type Out = Option<(usize, f64)>;
            fn visit<E: Element>(self) -> Self::Out {
                let values = self.0.as_slice::<E>()?;
                // Chunks without an early exit vectorise; the exact place is sought only on failure.
                let wrong = |v: &E| !(v.is_finite() || self.1 && v.to_f64().is_nan());
                let all = |c: &[E]| c.iter().fold(true, |ok, v| ok & v.is_finite());
                values.chunks(4096).zip((0..).step_by(4096)).filter(|(c, _)| !all(c)).find_map(
                    |(c, first)| {
                        let at = c.iter().position(wrong)?;
                        Some((first + at, c[at].to_f64()))
                    },
                )
            }
        }
        match self.dtype.visit(First(*self, missing)) {
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
