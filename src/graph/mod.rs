//! Where to look? A proximity graph: from any point, a short way to the nearest ones of a query.

pub(crate) mod build;
