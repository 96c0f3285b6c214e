//! Where to look, when looking at everything takes too long: a graph in which near vectors are neighbours.

pub(crate) mod build;
mod file;
mod insert;
mod order;
mod rows;

use std::ops::RangeInclusive;

use crate::error::Result;
use crate::kernels::Isa;
use crate::metric::Metric;
use crate::search::{Effort, Stats, walks};
use crate::space::{Heads, Precision, Space, Wanted};
use crate::storage::Buffer;
use crate::threads::Monitor;
use crate::vectors::Vectors;

pub(crate) use build::NONE;
pub(crate) use rows::{Form, Row, View};
use rows::{Layout, Rows};

/// Coordinates of a head at most: a row is then 2,048 bytes, where 512 took 2,880 and answered no sooner (docs/performance.md 24).
const WIDEST: usize = 352;
/// The directions of a graph over vectors that are stored.
pub(crate) const WANTED: Wanted = Wanted { held: 0.96, widest: WIDEST, precision: Precision::Byte };
/// Nodes in view of the walks whose hops are told, and the farther neighbour from which β is learned; how many walks there are
/// at most.
const USUAL: usize = 64;
const WALKS: usize = if cfg!(miri) { 4 } else { 128 };
/// The k of those walks, and the nearer neighbour from which β is learned.
const NEAREST: usize = 10;
/// What β may be. The least, which ends walks latest, where nothing can be learned.
const GROWTHS: RangeInclusive<f32> = 1.0..=64.0;

/// A walkable graph over vectors that are stored elsewhere.
#[derive(Clone)]
pub(crate) struct Graph {
    pub space: Space,
    rows: Rows,
    /// Which vector each node is, as u32.
    vectors: Buffer,
    /// β: the number of nodes within a squared distance grows as its power.
    pub growth: f32,
    /// The part of what a walk expands that is near in the end; 0 in files of before it was learned.
    pub share: f32,
}

/// A graph before it is packed: neighbours are numbered by their places in the order.
struct Built {
    space: Space,
    heads: Heads,
    order: Vec<u32>,
    graph: build::Graph,
}

fn built(vectors: Vectors, params: &GraphParams) -> Result<Built> {
    let GraphParams { metric, degree, wanted, seed, threads, monitor, .. } = *params;
    let space = Space::train(vectors, metric, wanted, seed, monitor)?;
    let heads = space.encode(vectors, threads, monitor)?;
    let points = build::Points { codes: &heads.codes, width: heads.stride };
    let order = order::order(points, seed, threads, monitor)?;
    let heads = heads.in_order(&order)?;
    let points = build::Points { codes: &heads.codes, width: heads.stride };
    let graph = build::build(points, &build::BuildGraph { degree, seed, threads, monitor })?;
    Ok(Built { space, heads, order, graph })
}

/// Neighbours of vectors, for graphs of another form.
pub(crate) struct Neighbours {
    /// Which vector is at each place.
    pub order: Vec<u32>,
    /// `degree` places for each place, roughly the nearest first, then [`NONE`].
    pub lists: Vec<u32>,
    /// Places from which all can be reached.
    pub entries: Vec<u32>,
}

/// The neighbours that a graph of `vectors` would have.
pub(crate) fn neighbours(vectors: Vectors, params: &GraphParams) -> Result<Neighbours> {
    let Built { order, graph, .. } = built(vectors, params)?;
    Ok(Neighbours { order, lists: graph.neighbours, entries: graph.entries })
}

/// How a graph is made.
#[derive(Clone, Copy)]
pub(crate) struct GraphParams<'a> {
    pub metric: Metric,
    /// Neighbours of a node: a multiple of 32.
    pub degree: usize,
    pub form: Form,
    pub wanted: Wanted,
    pub seed: u64,
    pub threads: usize,
    pub monitor: Option<&'a dyn Monitor>,
}

impl Graph {
    /// A graph of `vectors`.
    pub fn build(vectors: Vectors, params: &GraphParams) -> Result<Self> {
        let GraphParams { degree, form, threads, monitor, .. } = *params;
        let Built { space, heads, order, graph: made } = built(vectors, params)?;
        let layout = Layout::new(degree, space.width(), form);
        let rows = Rows::pack(layout, &heads, &made.neighbours, &made.entries, threads, monitor)?;
        let mut vectors = Buffer::new();
        vectors.extend("graph", bytemuck::cast_slice(&order))?;
        let mut graph = Self { space, rows, vectors, growth: *GROWTHS.start(), share: 0.0 };
        graph.learn();
        Ok(graph)
    }

    /// True where vectors as long as those of `vectors` can be added: under ip, the space has an end.
    pub fn holds(&self, vectors: Vectors) -> bool {
        self.space.holds(vectors)
    }

    pub fn rows(&self) -> View<'_> {
        self.rows.view()
    }

    /// The number of the vector that each node is.
    pub fn vectors(&self) -> &[u32] {
        self.vectors.as_slice()
    }

    /// Neighbours of a node, at most.
    pub fn degree(&self) -> usize {
        self.rows.layout.degree
    }

    /// The nodes that are a node's neighbours.
    pub fn neighbours_of(&self, node: usize) -> impl Iterator<Item = u32> {
        let nodes = self.rows.nodes;
        self.rows().row(node).ids().iter().copied().filter(move |&id| (id as usize) < nodes)
    }

    /// What it is, for people. Reads all rows.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let (degree, width) = (self.rows.layout.degree, self.space.width());
        let (row, entry) = (self.rows.layout.size, self.rows().entry().len() * degree);
        let codes = match self.rows.layout.form() {
            Form::Coded => format!("{degree} neighbours, each 1 bit of {width} directions"),
            Form::Bare => format!("{degree} neighbours, itself 8 bits of {width} directions"),
        };
        vec![
            ("graph", format!("{codes}; rows of {row} bytes; up to {entry} ways in")),
            ("reachable", format!("{} of {}", self.reachable(), self.rows.nodes)),
            ("mean hops", format!("{:.0} at k {NEAREST}, ef_search {USUAL}", self.mean_hops())),
        ]
    }

    /// How many nodes can be come to from the entry.
    fn reachable(&self) -> usize {
        let rows = self.rows();
        let mut met = vec![false; self.rows.nodes];
        let mut open: Vec<u32> = Vec::new();
        let mut count = 0;
        let mut visit = |row: Row, open: &mut Vec<u32>| {
            for &next in row.ids() {
                if let Some(met) = met.get_mut(next as usize).filter(|met| !**met) {
                    *met = true;
                    count += 1;
                    open.push(next);
                }
            }
        };
        rows.entry().for_each(|row| visit(row, &mut open));
        while let Some(at) = open.pop() {
            visit(rows.row(at as usize), &mut open);
        }
        count
    }

    /// `ef` for the `k` nearest where nothing is said: 2k + 32, and from a β of 12 on (fewer where there are more than 100,000 nodes)
    /// in proportion more. On ten sets with a β of 7 to 30 (docs/performance.md 25) recall@10 is then 0.95 or better, but for one with 0.90.
    pub fn usual(&self, k: usize) -> usize {
        let ef = k.saturating_mul(2).saturating_add(32);
        let hard = self.growth / 12.0 * (self.rows.nodes as f32 / 1e5).powf(0.25);
        (ef as f32 * hard.clamp(1.0, 4.0)) as usize
    }

    /// Hops of a walk to a node of the graph, in the mean of some of them.
    fn mean_hops(&self) -> f64 {
        let effort = Effort::new(self, USUAL.min(self.rows.nodes), NEAREST.min(self.rows.nodes));
        let hops: Vec<f64> = self.some().map(|node| self.near(node, effort, |_, _| {}).hops as f64).collect();
        hops.iter().sum::<f64>() / hops.len().max(1) as f64
    }

    /// Learns from walks to some nodes, in the median: β from the distances of their 10th and their 64th nearest, ln(64/10) / ln(the ratio), and
    /// the share of what they expand that is near.
    fn learn(&mut self) {
        let (first, last) = (NEAREST, USUAL);
        let effort = Effort::plain((USUAL + USUAL / 4).min(self.rows.nodes));
        let (mut growths, mut shares, mut found) = (Vec::new(), Vec::new(), Vec::new());
        for node in self.some() {
            found.clear();
            let stats = self.near(node, effort, |other, distance| {
                if other as usize != node {
                    found.push(distance);
                }
            });
            shares.push((effort.ef as f32 / stats.hops as f32).min(1.0));
            if found.len() < last {
                continue;
            }
            found.sort_unstable_by(f32::total_cmp);
            let code = self.rows().row(node).node(node as u32).code;
            let own: f32 = code.iter().map(|&c| f32::from(c) * f32::from(c)).sum();
            let ratio = (found[last - 1] + own) / (found[first - 1] + own);
            let growth = (last as f32 / first as f32).ln() / ratio.ln();
            // Copies of a vector say nothing.
            if growth.is_finite() {
                growths.push(growth);
            }
        }
        self.growth = median(growths).clamp(*GROWTHS.start(), *GROWTHS.end());
        self.share = median(shares);
    }

    /// Some nodes, from all over the graph.
    fn some(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.rows.nodes).step_by(self.rows.nodes.div_ceil(WALKS).max(1))
    }

    /// Calls `each` with nodes near `node`, see [`walks::nearest`].
    fn near(&self, node: usize, effort: Effort, each: impl FnMut(u32, f32)) -> Stats {
        let code = self.rows().row(node).node(node as u32).code;
        walks::nearest(Isa::active(), self, code, effort, each)
    }

    /// Memory, in bytes.
    pub fn bytes(&self) -> usize {
        self.rows.buffer.len() + self.vectors.len() + self.space.bytes()
    }
}

/// The upper one of two; 0 of none.
fn median(mut values: Vec<f32>) -> f32 {
    values.sort_unstable_by(f32::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
