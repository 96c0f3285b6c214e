//! A graph as the sections of a file.

use std::borrow::Cow;
use std::mem::offset_of;

use bytemuck::{Pod, Zeroable};

use super::build::filled;
use super::rows::{Form, Layout, Rows};
use super::{GROWTHS, Graph};
use crate::error::Result;
use crate::index::Kind;
use crate::metric::Metric;
use crate::space::{STEP, Space, Wanted};
use crate::storage::{Sections, Tag};
use crate::transform::Projection;

/// Files have up to so many directions, whatever is wanted now.
const WIDEST_ONCE: usize = 512;
const META: Tag = Tag::new("graph");
const MEAN: Tag = Tag::new("g-mean");
const DIRECTIONS: Tag = Tag::new("g-direct");
const ROWS: Tag = Tag::new("g-rows");
const VECTORS: Tag = Tag::new("g-order");

/// Section `graph`. All little-endian.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Meta {
    degree: u64,
    /// Directions of the projection.
    directions: u64,
    /// Rows of the entry.
    entry: u64,
    longest: f64,
    step: f64,
    growth: f64,
    /// Files of before it was learned end here.
    share: f64,
}

impl Graph {
    /// What [`Graph::read`] reads.
    pub fn sections(&self) -> Vec<(Tag, Cow<'_, [u8]>)> {
        let space = &self.space;
        let meta = Meta {
            degree: self.rows.layout.degree as u64,
            directions: space.projection.width() as u64,
            entry: self.rows().entry().len() as u64,
            longest: space.longest,
            step: space.step,
            growth: f64::from(self.growth),
            share: f64::from(self.share),
        };
        vec![
            (META, Cow::Owned(bytemuck::bytes_of(&meta).to_vec())),
            (MEAN, Cow::Borrowed(bytemuck::cast_slice(space.projection.mean()))),
            (DIRECTIONS, Cow::Borrowed(bytemuck::cast_slice(space.projection.rows()))),
            (ROWS, Cow::Borrowed(self.rows.buffer.bytes())),
            (VECTORS, Cow::Borrowed(self.vectors.bytes())),
        ]
    }

    /// The graph of `nodes` vectors of `dim` dimensions from a file. It may have other directions than are wanted now. What the rows hold is
    /// not looked at: a walk checks each neighbour before it goes there.
    ///
    /// # Errors
    /// [`Error::Format`](crate::Error::Format), [`Error::Io`](crate::Error::Io),
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn read(
        file: &Sections,
        metric: Metric,
        (degree, form, wanted): (usize, Form, Wanted),
        (dim, nodes): (usize, usize),
    ) -> Result<Self> {
        let meta = file.small(META)?;
        let wrong = |problem: String| file.error(META, &problem);
        let (whole, without_share) = (size_of::<Meta>(), offset_of!(Meta, share));
        if meta.len() != whole && meta.len() != without_share {
            return Err(wrong(format!("{} bytes, not {whole}", meta.len())));
        }
        let (mut read, meta) = (Meta::zeroed(), meta.bytes());
        bytemuck::bytes_of_mut(&mut read)[..meta.len()].copy_from_slice(meta);
        let meta = read;
        if meta.degree != degree as u64 || degree > Kind::MAX_DEGREE {
            return Err(wrong(format!("a degree of {}, not {degree}", meta.degree)));
        }
        let dims = dim + usize::from(metric == Metric::InnerProduct);
        let directions = usize::try_from(meta.directions).unwrap_or(usize::MAX);
        let most = dims.min(wanted.widest.max(WIDEST_ONCE));
        if directions == 0 || directions > most {
            return Err(wrong(format!("{directions} directions, not 1 to {most}")));
        }
        let good = |v: f64| v.is_finite() && v >= 0.0;
        if !(good(meta.longest) && good(meta.step) && meta.step > 0.0) {
            return Err(wrong(format!("a step of {} and a length of {}", meta.step, meta.longest)));
        }
        if !GROWTHS.contains(&(meta.growth as f32)) {
            return Err(wrong(format!("a growth of {}", meta.growth)));
        }
        if !(0.0..=1.0).contains(&meta.share) {
            return Err(wrong(format!("a share of {}", meta.share)));
        }
        let entry = usize::try_from(meta.entry).unwrap_or(usize::MAX);
        if entry > nodes.max(1) {
            return Err(wrong(format!("{entry} rows of entry for {nodes} vectors")));
        }
        let projection =
            Projection::new(file.floats(MEAN, &[dims])?, file.floats(DIRECTIONS, &[directions, dims])?);
        let layout = Layout::new(degree, directions.next_multiple_of(STEP), form);
        // Where that is too large, no section holds so much.
        let size =
            nodes.saturating_mul(layout.size).saturating_add(entry.saturating_mul(layout.of_entry().size));
        let buffer = file.array::<u8>(ROWS, &[size])?;
        let vectors = file.array::<u32>(VECTORS, &[nodes])?;
        let mut met = filled(nodes, false)?;
        for &vector in vectors.as_slice::<u32>() {
            if met.get(vector as usize).is_none_or(|met| *met) {
                let problem = format!("vector {vector} is out of range or comes twice among {nodes}");
                return Err(file.error(VECTORS, &problem));
            }
            met[vector as usize] = true;
        }
        let space = Space::new(metric, meta.longest, projection, meta.step, wanted.precision);
        let rows = Rows { layout, nodes, buffer };
        Ok(Self { space, rows, vectors, growth: meta.growth as f32, share: meta.share as f32 })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{GraphParams, WANTED};
    use super::*;
    use crate::random::Random;
    use crate::storage::{Section, to_bytes};
    use crate::vectors::Vectors;

    /// Of `n` vectors of `dim` coordinates.
    fn built(n: usize, dim: usize, wanted: Wanted) -> Graph {
        let values = Random(3).values(n * dim, 0);
        let (metric, form) = (Metric::L2, Form::Coded);
        let params = GraphParams { metric, degree: 32, form, wanted, seed: 0, threads: 1, monitor: None };
        Graph::build(Vectors::new(&values, dim).unwrap(), &params).unwrap()
    }

    /// From a file of these sections.
    fn read(parts: &[(Tag, Cow<[u8]>)], dim: usize, n: usize) -> Result<Graph> {
        let slices: Vec<[&[u8]; 1]> = parts.iter().map(|(_, bytes)| [&**bytes]).collect();
        let sections: Vec<Section> =
            parts.iter().zip(&slices).map(|((tag, _), bytes)| (*tag, &bytes[..])).collect();
        let bytes = to_bytes(&sections)?;
        let file = Sections::from_bytes(&bytes)?;
        Graph::read(&file, Metric::L2, (32, Form::Coded, WANTED), (dim, n))
    }

    #[test]
    #[cfg_attr(miri, ignore = "minutes")]
    fn a_graph_of_more_directions_than_are_wanted_now_is_read() {
        let (n, dim) = (700, WIDEST_ONCE + 8);
        let graph = built(n, dim, Wanted { held: 0.99, widest: WIDEST_ONCE, ..WANTED });
        assert!(graph.space.width() > WANTED.widest, "{}", graph.space.width());
        let parts = graph.sections();
        assert_eq!(read(&parts, dim, n).unwrap().sections(), parts);
    }

    #[test]
    fn a_file_of_before_the_share_was_learned_is_read() {
        let (n, dim) = (150, 8);
        let graph = built(n, dim, WANTED);
        assert!(graph.share > 0.0 && graph.share <= 1.0, "{}", graph.share);
        let mut parts = graph.sections();
        parts[0].1.to_mut().truncate(offset_of!(Meta, share));
        let before = read(&parts, dim, n).unwrap();
        assert_eq!((before.growth, before.share), (graph.growth, 0.0));
        assert_eq!(read(&graph.sections(), dim, n).unwrap().share, graph.share);
    }
}
