//! A vector in fewer bytes.
//!
//! [`HeadCodes`] never answer a query by themselves but tell, without a doubt, which vectors cannot be among the answers. They
//! have two forms of a vector: `head`, few directions in panels that every query reads, and `fine`, many directions in a row
//! that only those read which the panels could not rule out. [`rabitq`] estimates distances from one bit a coordinate: the
//! neighbours of a graph's node.

mod costs;
mod file;
mod fine;
mod head;
pub(crate) mod rabitq;

pub(crate) use costs::{Costs, fine_widths, widths};
pub use head::{HeadCodes, HeadQueries};
