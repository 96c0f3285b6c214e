//! What is in a file, as plain data: a tree of records, each a fourcc and named fields.

use std::borrow::Cow;
use std::fmt;

use bytemuck::Pod;

/// Four bytes that say which class of Faiss's follows.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fourcc(pub [u8; 4]);

impl fmt::Debug for Fourcc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Fourcc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// An object of a file. Parts that have no fourcc of their own (a product quantizer, a graph) have [`Record::PART`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record<'a> {
    /// Its class.
    pub fourcc: Fourcc,
    /// In the order of the file.
    pub fields: Vec<(Cow<'static, str>, Value<'a>)>,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// A missing object.
    Null,
    /// True or false.
    Flag(bool),
    /// A whole number of any width.
    Int(i64),
    /// A number of either width.
    Float(f64),
    /// Numbers.
    Array(Array<'a>),
    /// An object, or a part of one.
    Record(Record<'a>),
    /// Objects in a row.
    Records(Vec<Record<'a>>),
}

/// Numbers of one type.
#[derive(Clone, Debug, PartialEq)]
pub enum Array<'a> {
    /// Bytes: codes.
    U8(Cow<'a, [u8]>),
    /// Neighbours, levels.
    I32(Cow<'a, [i32]>),
    /// Ids.
    I64(Cow<'a, [i64]>),
    /// Sizes, offsets.
    U64(Cow<'a, [u64]>),
    /// Coordinates.
    F32(Cow<'a, [f32]>),
    /// Probabilities.
    F64(Cow<'a, [f64]>),
}

/// A type that arrays have.
pub trait Element: Pod + fmt::Debug {
    /// As NumPy calls it.
    const NAME: &'static str;
    /// The array of these values.
    fn wrap(values: Cow<'_, [Self]>) -> Array<'_>;
    /// The values, where they are of this type, or of the other signedness.
    fn view<'r>(array: &'r Array<'_>) -> Option<&'r [Self]>;
}

macro_rules! element {
    ($type:ty, $variant:ident, $name:literal $(, $other:ident)?) => {
        impl Element for $type {
            const NAME: &'static str = $name;
            fn wrap(values: Cow<'_, [Self]>) -> Array<'_> {
                Array::$variant(values)
            }
            fn view<'r>(array: &'r Array<'_>) -> Option<&'r [Self]> {
                match array {
                    Array::$variant(values) => Some(values),
                    $(Array::$other(values) => Some(bytemuck::must_cast_slice(values)),)?
                    _ => None,
                }
            }
        }
    };
}

element!(u8, U8, "uint8");
element!(i32, I32, "int32");
element!(i64, I64, "int64", U64);
element!(u64, U64, "uint64", I64);
element!(f32, F32, "float32");
element!(f64, F64, "float64");

impl Array<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::U64(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
        }
    }

    /// True for none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type's name.
    pub fn dtype(&self) -> &'static str {
        match self {
            Self::U8(_) => u8::NAME,
            Self::I32(_) => i32::NAME,
            Self::I64(_) => i64::NAME,
            Self::U64(_) => u64::NAME,
            Self::F32(_) => f32::NAME,
            Self::F64(_) => f64::NAME,
        }
    }
}

impl<'a> Record<'a> {
    /// The fourcc of what has none.
    pub const PART: Fourcc = Fourcc([0; 4]);

    /// The field of this name.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// A whole number, where the field is one.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Value::Int(value) => Some(*value),
            Value::Flag(value) => Some(i64::from(*value)),
            _ => None,
        }
    }

    /// A number of any kind.
    pub fn float(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            Value::Float(value) => Some(*value),
            Value::Int(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// The values of an array of this type.
    pub fn array<T: Element>(&self, name: &str) -> Option<&[T]> {
        match self.get(name)? {
            Value::Array(array) => T::view(array),
            _ => None,
        }
    }

    /// An object or a part.
    pub fn record(&self, name: &str) -> Option<&Record<'a>> {
        match self.get(name)? {
            Value::Record(record) => Some(record),
            _ => None,
        }
    }

    /// Objects in a row.
    pub fn records(&self, name: &str) -> Option<&[Record<'a>]> {
        match self.get(name)? {
            Value::Records(records) => Some(records),
            _ => None,
        }
    }
}
