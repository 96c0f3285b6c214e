//! A vector in fewer bytes.
//!
//! One quantiser so far: [`HeadCodes`], which never answers a query by itself but tells, without a doubt,
//! which vectors cannot be among the answers. It has two forms of a vector: `head`, few directions in panels that every query
//! reads, and `fine`, many directions in a row that only those read which the panels could not rule out.

mod file;
mod fine;
mod head;

pub use head::HeadCodes;
