//! The k nearest of some hundred vectors of bytes to each of many: a tile whose reduction is a short list a query.
//!
//! What is compared is Σ xⱼqⱼ − ½‖x‖², larger is nearer. The list keeps what exceeds its threshold; when it is full it is
//! cut to the k best, the worst of which is the next threshold. In f32, so beyond 2²⁴ neighbours in the order may
//! change places; whoever needs distances computes those of the list.

use super::tile::{Bytes, Line, PANEL, Panels, QueryTile, Reduce, Test, groups};
use super::{Isa, Kernel, Simd};

/// Vectors to choose from, in tile order. Kept for its memory: [`Nearest::load`] replaces the vectors.
#[derive(Default)]
pub struct Nearest {
    lines: Vec<Line>,
    half: Vec<[f32; PANEL]>,
    zero: Vec<[f32; PANEL]>,
    width: usize,
    len: usize,
    lists: Vec<Short>,
}

/// The best of one query so far.
#[derive(Clone, Default)]
struct Short {
    threshold: f32,
    /// What the threshold is of, where only the nearest is wanted.
    nearest: u32,
    items: Vec<(f32, u32)>,
}

impl Nearest {
    /// Vectors from now on: `rows`, each of `width` coordinates, a multiple of 4.
    pub fn load(&mut self, rows: &[i8], width: usize) {
        self.width = width;
        self.len = rows.len() / width;
        let (panels, steps) = (self.len.div_ceil(PANEL), width / 4);
        self.lines.clear();
        self.lines.resize(panels * steps, Line([0; 64]));
        self.zero.resize(panels, [0.0; PANEL]);
        self.half.clear();
        self.half.resize(panels, [0.0; PANEL]);
        let words: &mut [[[u8; 4]; PANEL]] = bytemuck::cast_slice_mut(&mut self.lines);
        for (i, row) in rows.chunks_exact(width).enumerate() {
            let panel = &mut words[i / PANEL * steps..][..steps];
            let mut norm = 0;
            for (step, x) in panel.iter_mut().zip(row.as_chunks::<4>().0) {
                // An offset of 128 adds 128·Σq to every sum of a query, which changes no order.
                step[i % PANEL] = x.map(|v| v as u8 ^ 0x80);
                norm += x.iter().map(|&v| i32::from(v) * i32::from(v)).sum::<i32>();
            }
            self.half[i / PANEL][i % PANEL] = norm as f32 * 0.5;
        }
    }

    /// Calls `take(query, list)` with the at most `k` nearest vectors of every row of `queries`, in no order.
    pub fn search(&mut self, isa: Isa, queries: &[i8], k: usize, mut take: impl FnMut(usize, &[(f32, u32)])) {
        struct Group<'a>(&'a QueryTile<Bytes>, usize, Panels<'a, f32>, Lists<'a>);
        impl Kernel for Group<'_> {
            type Out = ();
            #[inline(always)]
            fn run<S: Simd>(self, s: S) {
                let Self(queries, group, panels, mut lists) = self;
                groups::<S, Bytes, _>(s, queries, group..group + 1, panels, &mut lists);
            }
        }
        let mut tile = QueryTile::of_rows(isa, queries, self.width);
        for at in 0..tile.len() {
            tile.set_test(at, Test { beta: -1.0, tau: 0.0, threshold: 0.0 });
        }
        let capacity = (3 * k).max(48) + PANEL;
        self.lists.resize(tile.group(), Short::default());
        let panels = Panels { lines: &self.lines, stride: self.width / 4, a: &self.half, t: &self.zero };
        for group in 0..tile.len().div_ceil(tile.group()) {
            let first = group * tile.group();
            for list in &mut self.lists {
                list.items.clear();
                list.items.reserve(capacity);
                (list.threshold, list.nearest) = (f32::NEG_INFINITY, 0);
            }
            let lists = Lists { lists: &mut self.lists, first, len: self.len as u32, k, capacity };
            isa.run(Group(&tile, group, panels, lists));
            for (i, list) in self.lists.iter_mut().enumerate().take(tile.len() - first) {
                if k == 1 && self.len > 0 {
                    list.items.push((list.threshold, list.nearest));
                }
                list.cut(k);
                take(first + i, &list.items);
            }
        }
    }
}

impl Short {
    /// Leaves the `k` best, of equals the first.
    #[inline(never)]
    fn cut(&mut self, k: usize) {
        if self.items.len() > k {
            self.items.select_nth_unstable_by(k - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            self.threshold = self.items[k - 1].0;
            self.items.truncate(k);
        }
    }
}

struct Lists<'a> {
    lists: &'a mut [Short],
    /// The query of the first list.
    first: usize,
    /// Vectors that are no padding.
    len: u32,
    k: usize,
    capacity: usize,
}

impl<S: Simd> Reduce<S> for Lists<'_> {
    #[inline(always)]
    fn take<const Q: usize>(&mut self, s: S, query: usize, panel: usize, values: [S::F32; Q], _: &[Test; Q]) {
        for (list, value) in self.lists[query - self.first..].iter_mut().zip(values) {
            let mut mask = s.not_less_f32(value, s.splat_f32(list.threshold));
            if mask == 0 {
                continue;
            }
            let lanes = s.lanes_f32(value);
            if self.k == 1 {
                // The nearest alone needs no list.
                for (vector, value) in (panel as u32 * PANEL as u32..self.len).zip(lanes) {
                    if value > list.threshold {
                        (list.threshold, list.nearest) = (value, vector);
                    }
                }
                continue;
            }
            while mask != 0 {
                let bit = mask.trailing_zeros();
                let lane = usize::from(S::LANE_OF_BIT[bit as usize]);
                let vector = (panel * PANEL + lane) as u32;
                if vector < self.len {
                    list.items.push((lanes[lane], vector));
                }
                mask &= !(S::LANE_BITS << bit);
            }
            if list.items.len() + PANEL > self.capacity {
                list.cut(self.k);
            }
        }
    }
}
