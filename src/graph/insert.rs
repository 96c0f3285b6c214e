//! Vectors that come later: found their neighbours by a walk, then known to them.
//!
//! New nodes come in groups. A node's candidates are what a walk finds among those before its group, and the others of the group;
//! pruning makes them its neighbours, and each neighbour prunes its own row with the new node among them. Rows that change are
//! remembered as they were until all is done, so that a call that fails leaves no trace.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::Graph;
use super::build::{NONE, Near, Points, Pruner};
use super::rows::{Node, write};
use crate::error::{Error, Result};
use crate::kernels::{Isa, squares};
use crate::search::{Effort, walks};
use crate::space::{Heads, STRIDE};
use crate::threads::{self, Monitor};
use crate::vectors::Vectors;

/// New nodes that are linked at a time.
const GROUP: usize = 256;
/// Nodes in a walk's pool, and so candidates at most.
const EF: usize = 96;

impl Graph {
    /// Adds `vectors` as the nodes after the present ones.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Interrupted`]; the graph is then as it was.
    pub fn insert(&mut self, vectors: Vectors, threads: usize, monitor: Option<&dyn Monitor>) -> Result<()> {
        let heads = self.space.encode(vectors, threads, monitor)?;
        let (before, size) = (self.rows.nodes, self.rows.layout.size);
        let entries = self.rows.buffer.bytes()[before * size..].to_vec();
        let mut undo = Undo::default();
        let mut link = || {
            let len = self.rows.buffer.len() + vectors.len() * size;
            self.rows.buffer.lengthen("graph", len)?;
            let all = self.rows.buffer.bytes_mut("graph")?;
            let end = all.len() - entries.len();
            all[end..].copy_from_slice(&entries);
            self.rows.nodes += vectors.len();
            let numbers: Vec<u32> = (before as u32..self.rows.nodes as u32).collect();
            self.vectors.extend("graph", bytemuck::cast_slice(&numbers))?;
            for first in (0..vectors.len()).step_by(GROUP) {
                threads::pause(monitor, "insert", first as u64, vectors.len() as u64)?;
                let group = first..(first + GROUP).min(vectors.len());
                self.link(before, &heads, group, threads, &mut undo)?;
            }
            threads::pause(monitor, "insert", vectors.len() as u64, vectors.len() as u64)
        };
        let done = link();
        if done.is_err() {
            self.rows.nodes = before;
            self.vectors.truncate(before * size_of::<u32>());
            self.rows.buffer.truncate(before * size + entries.len());
            if let Ok(all) = self.rows.buffer.bytes_mut("graph") {
                undo.0
                    .iter()
                    .for_each(|(node, row)| all[*node as usize * size..][..size].copy_from_slice(row));
                if all.len() == before * size + entries.len() {
                    all[before * size..].copy_from_slice(&entries);
                }
            }
        }
        done
    }

    /// Links the new nodes `group`, counted from `before`.
    fn link(
        &mut self,
        before: usize,
        heads: &Heads,
        group: std::ops::Range<usize>,
        threads: usize,
        undo: &mut Undo,
    ) -> Result<()> {
        let (layout, stride) = (self.rows.layout, heads.stride);
        let isa = Isa::active();
        let codes = &heads.codes[group.start * stride..group.end * stride];
        let graph = &*self;
        let lists: Vec<Mutex<Vec<Near>>> = group.clone().map(|_| Mutex::default()).collect();
        threads::run(threads, None, "insert", (group.len(), group.len() as u64), |i, _| {
            let code = &codes[i * stride..][..stride];
            let mut near = Vec::new();
            walks::nearest(isa, graph, code, Effort::plain(EF), |node, _| near.push(Near::new(0, node)));
            let mut around = Around::new(graph, heads, before, &near);
            around.measure(isa, code);
            // A walk expands more nodes than its pool holds.
            let mut near = around.list;
            near.sort_unstable();
            near.truncate(EF);
            let others: Vec<u32> = (0..group.len() as u32).filter(|&other| other != i as u32).collect();
            let mut distances = Vec::new();
            squares::to_list(isa, code, codes, &others, &mut distances);
            let mut others: Vec<Near> = others
                .iter()
                .zip(&distances)
                .map(|(&other, &d)| Near::new(d, (before + group.start) as u32 + other))
                .collect();
            others.sort_unstable();
            others.truncate(EF);
            near.extend(others);
            near.sort_unstable();
            let mut around = Around::new(graph, heads, before, &near);
            let mut list = lists[i].lock().map_err(|_| Error::Interrupted)?;
            *list = around.prune(isa, layout.degree);
            Ok(())
        })?;
        // Who becomes whose neighbour, by the one that has to know.
        let mut arrivals: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        let mut rows: Vec<(u32, Vec<u8>)> = Vec::with_capacity(group.len());
        for (i, list) in group.clone().zip(lists) {
            let node = (before + i) as u32;
            let list = list.into_inner().map_err(|_| Error::Interrupted)?;
            let around = Around::new(self, heads, before, &list);
            let mut row = vec![0; layout.size];
            write(layout, &mut row, heads.node(i as u32, layout.width).named(node), &around.nodes());
            rows.push((node, row));
            list.iter().for_each(|near| arrivals.entry(near.id()).or_default().push(node));
        }
        self.put(rows, before, undo)?;
        let graph = &*self;
        let arrivals: Vec<(u32, Vec<u32>)> = arrivals.into_iter().collect();
        let changed: Vec<Mutex<Option<Vec<u8>>>> = arrivals.iter().map(|_| Mutex::default()).collect();
        threads::run(threads, None, "insert", (arrivals.len(), arrivals.len() as u64), |i, _| {
            let (node, arrived) = &arrivals[i];
            let center = graph.rows.row(*node as usize).node(*node);
            let mut ids: Vec<u32> = graph.rows.row(*node as usize).ids().to_vec();
            ids.retain(|&id| id != NONE && (id as usize) < graph.rows.nodes);
            let full = ids.len() == layout.degree;
            let missing: Vec<u32> = arrived.iter().filter(|new| !ids.contains(new)).copied().collect();
            ids.extend(missing);
            let near: Vec<Near> = ids.iter().map(|&id| Near::new(0, id)).collect();
            let mut around = Around::new(graph, heads, before, &near);
            around.measure(isa, center.code);
            let list = around.prune(isa, layout.degree);
            // A full row that nothing new belongs to stays as it is.
            if full && list.iter().all(|near| !arrived.contains(&near.id())) {
                return Ok(());
            }
            let around = Around::new(graph, heads, before, &list);
            let mut row = vec![0; layout.size];
            write(layout, &mut row, center, &around.nodes());
            *changed[i].lock().map_err(|_| Error::Interrupted)? = Some(row);
            Ok(())
        })?;
        let mut rows = Vec::new();
        for ((node, _), row) in arrivals.iter().zip(changed) {
            rows.extend(row.into_inner().map_err(|_| Error::Interrupted)?.map(|row| (*node, row)));
        }
        self.put(rows, before, undo)
    }

    /// Replaces rows; those of nodes that were there `before` are remembered.
    fn put(&mut self, rows: Vec<(u32, Vec<u8>)>, before: usize, undo: &mut Undo) -> Result<()> {
        let all = self.rows.buffer.bytes_mut("graph")?;
        for (node, row) in rows {
            let place = &mut all[node as usize * row.len()..][..row.len()];
            if (node as usize) < before {
                undo.0.entry(node).or_insert_with(|| place.to_vec());
            }
            place.copy_from_slice(&row);
        }
        Ok(())
    }
}

/// Rows as they were.
#[derive(Default)]
struct Undo(BTreeMap<u32, Vec<u8>>);

/// A node's candidates, their codes side by side.
struct Around<'a> {
    list: Vec<Near>,
    nodes: Vec<Node<'a>>,
    codes: Vec<i8>,
    stride: usize,
}

impl<'a> Around<'a> {
    /// New nodes are taken from `heads`, for their rows may not be written yet.
    fn new(graph: &'a Graph, heads: &'a Heads, before: usize, list: &[Near]) -> Self {
        let width = graph.rows.layout.width;
        let stride = width.next_multiple_of(STRIDE);
        let nodes: Vec<Node> = list
            .iter()
            .map(|near| match (near.id() as usize).checked_sub(before) {
                Some(new) => heads.node(new as u32, width).named(near.id()),
                None => graph.rows.row(near.id() as usize).node(near.id()),
            })
            .collect();
        let mut codes = vec![0; nodes.len() * stride];
        for (code, node) in codes.chunks_exact_mut(stride).zip(&nodes) {
            code[..width].copy_from_slice(node.code);
        }
        Self { list: list.to_vec(), nodes, codes, stride }
    }

    fn nodes(&self) -> Vec<Node<'a>> {
        self.nodes.clone()
    }

    /// Sets all distances to those from `code`.
    fn measure(&mut self, isa: Isa, code: &[i8]) {
        let mut center = vec![0; self.stride];
        center[..code.len()].copy_from_slice(code);
        let all: Vec<u32> = (0..self.list.len() as u32).collect();
        let mut distances = Vec::new();
        squares::to_list(isa, &center, &self.codes, &all, &mut distances);
        for (near, &distance) in self.list.iter_mut().zip(&distances) {
            *near = Near::new(distance, near.id());
        }
    }

    /// The neighbours.
    fn prune(&mut self, isa: Isa, degree: usize) -> Vec<Near> {
        // The pruner numbers points by their place.
        let mut places: Vec<Near> =
            (0u32..).zip(&self.list).map(|(at, near)| Near::new(near.distance(), at)).collect();
        places.sort_unstable();
        let mut chosen = Vec::new();
        let points = Points { codes: &self.codes, width: self.stride };
        Pruner::new(self.stride).prune(isa, points, &places, degree, true, &mut chosen);
        chosen.iter().map(|at| Near::new(at.distance(), self.list[at.id() as usize].id())).collect()
    }
}

impl<'a> Node<'a> {
    /// The same by another number.
    fn named(self, id: u32) -> Self {
        Self { id, ..self }
    }
}
