//! Which of a point's candidates become its neighbours: RobustPrune (Subramanya et al. 2019).
//!
//! Candidates c of v come in order of distance. One is kept unless a kept k *hides* it: a search that reaches k gets nearer to
//! c than by staying at v. In squared distances, with m(c) the least d(k, c) over the kept k:
//!
//! ```text
//! keep c   ⇔   m(c) > 0  and  m(c) ≥ d(v, c)
//! ```
//!
//! A row is scanned as a whole by the search, full or not, so the rest of it is filled with the candidates that are hidden
//! least: the largest m(c) / d(v, c). That takes the place of a second round with α = 1.2, which keeps the nearest of them
//! instead, costs more and finds no more.

use super::{Near, Points};
use crate::kernels::{Isa, squares};

/// d(v, c) / m(c) beyond which it does not matter how well a candidate is hidden.
const FORGET: u64 = 2;

/// Memory to prune in.
pub(crate) struct Pruner {
    width: usize,
    rows: Vec<i8>,
    /// m of each candidate.
    least: Vec<u32>,
    kept: Vec<bool>,
    rest: Vec<usize>,
    /// Candidates whose m is still of interest.
    open: Vec<u32>,
}

impl Pruner {
    /// For points of `width` bytes.
    pub fn new(width: usize) -> Self {
        Self {
            width,
            rows: Vec::new(),
            least: Vec::new(),
            kept: Vec::new(),
            rest: Vec::new(),
            open: Vec::new(),
        }
    }

    /// Replaces `chosen` by at most `degree` of the `candidates` of a point, which are in ascending order, without
    /// repetitions and without the point itself, and returns how many of them nothing hides: they come first. With `fill`
    /// those that are hidden least follow.
    pub fn prune(
        &mut self,
        isa: Isa,
        points: Points,
        candidates: &[Near],
        degree: usize,
        fill: bool,
        chosen: &mut Vec<Near>,
    ) -> usize {
        chosen.clear();
        points.gather(isa, candidates, &mut self.rows);
        self.least.clear();
        self.least.resize(candidates.len(), u32::MAX);
        self.kept.clear();
        self.kept.resize(candidates.len(), false);
        self.open.clear();
        self.open.extend(0..candidates.len() as u32);
        for (i, near) in candidates.iter().enumerate() {
            if chosen.len() == degree {
                return degree;
            }
            if self.least[i] == 0 || self.least[i] < near.distance() {
                continue;
            }
            self.kept[i] = true;
            chosen.push(*near);
            let least = &self.least;
            self.open.retain(|&at| {
                let at = at as usize;
                at > i && FORGET * u64::from(least[at]) >= u64::from(candidates[at].distance())
            });
            let row = &self.rows[i * self.width..][..self.width];
            squares::lower(isa, row, &self.rows, &self.open, &mut self.least);
        }
        let kept = chosen.len();
        if fill {
            self.rest.clear();
            self.rest.extend((0..candidates.len()).filter(|&i| !self.kept[i]));
            let least = &self.least;
            self.rest.sort_unstable_by(|&a, &b| {
                // m(a) / d(a) against m(b) / d(b).
                let left = u64::from(least[a]) * u64::from(candidates[b].distance());
                let right = u64::from(least[b]) * u64::from(candidates[a].distance());
                right.cmp(&left).then(a.cmp(&b))
            });
            chosen.extend(self.rest.iter().take(degree - kept).map(|&i| candidates[i]));
        }
        kept
    }
}
