//! A vector in fewer bytes.
//!
//! One quantiser so far: [`HeadCodes`], which never answers a query by itself but tells, without a doubt,
//! which vectors cannot be among the answers.

mod file;
mod fine;
mod head;

pub use head::HeadCodes;
