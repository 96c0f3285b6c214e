//! Graphs of all kinds, and arrays that lie.
