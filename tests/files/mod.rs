//! Files: what is written is read back, what is broken is refused, what is killed leaves the old file whole.

mod container;
mod kill;
mod monitored;
mod vectors;

use crate::common::{problem, refused};
