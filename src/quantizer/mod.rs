//! A vector in fewer bytes.
//!
//! [`HeadCodes`] never answer a query by themselves but tell, without a doubt, which vectors cannot be among the answers.
//! [`rabitq`] estimates distances from one bit a coordinate: the neighbours of a graph's node.

mod file;
mod head;
pub(crate) mod rabitq;

pub use head::HeadCodes;
