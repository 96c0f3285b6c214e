//! One list as one query sees it: estimates by table, and by all bits of what they leave open.
//!
//! Nothing is decided by a branch that no processor foretells: what a block leaves open is always put down, and kept where it is
//! anything; a loop over all that was left open takes one vector a round, whichever block it is of.

use std::ops::Range;

use super::best::Best;
use crate::ivf::{Run, View};
use crate::kernels::Simd;
use crate::kernels::fastscan::{BLOCK, Chosen, Tables, in_order};
use crate::kernels::lookup::{ByteTables, LOWER};
use crate::kernels::planes::PlaneQuery;

/// Bytes of a list that are asked for before it is read, at most; what follows comes by itself.
const EARLY: usize = 4 << 10;
/// Blocks that are looked at before what they leave open is.
const BLOCKS: usize = 16;

/// Codes, and what estimates of them may be off.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    pub view: View<'a>,
    /// By the highest bits, in units of the query's distance from a list's centre.
    pub sure: f32,
    /// By all bits.
    pub margin: f32,
}

/// A query at a list.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub tables: &'a Tables,
    pub planes: &'a PlaneQuery,
    pub bytes: &'a ByteTables,
    /// The squared distance of the list's centre, less the query's own squared length, and this.
    pub center: f32,
    pub square: f32,
}

impl Asked<'_> {
    /// The distance of the list's centre.
    #[inline(always)]
    fn far(&self) -> f32 {
        (self.center + self.square).max(0.0).sqrt()
    }
}

/// Memory for what is left open.
#[derive(Default)]
pub(super) struct Open {
    blocks: Vec<OpenBlock>,
    codes: Vec<OpenCode>,
}

/// A block with vectors that may be near enough.
#[derive(Clone, Copy)]
struct OpenBlock {
    vectors: Chosen,
    block: u32,
    /// Estimates where those are all, otherwise ⟨x̄,q⟩ by the highest bits.
    values: [f32; BLOCK],
}

/// A code whose other bits were asked for.
#[derive(Clone, Copy)]
struct OpenCode {
    at: u32,
    /// ⟨x̄,q⟩ by the highest bits.
    top: f32,
}

impl<'a> Sight<'a> {
    /// The first blocks of a list, to be asked for early; those after them come by themselves.
    #[inline(always)]
    pub fn beginning(&self, list: &[Run]) -> &'a [u8] {
        let bytes = list.first().map_or(&[][..], |run| self.view.bytes(run.blocks()));
        &bytes[..bytes.len().min(EARLY)]
    }

    /// Puts the vectors of `list` that are near enough into `best`. Returns how many were estimated by all bits, where there are `E` more of
    /// them. Meanwhile `next` is asked for, in turns with blocks, so that there are never more lines on their way than a core keeps track of.
    #[inline(always)]
    pub fn look<S: Simd, const E: usize>(
        &self,
        s: S,
        (list, next): (&[Run], &[u8]),
        asked: Asked,
        best: &mut Best,
        open: &mut Open,
    ) -> usize {
        let Open { blocks, codes } = open;
        blocks.resize(BLOCKS, OpenBlock { vectors: Chosen::default(), block: 0, values: [0.0; BLOCK] });
        codes.clear();
        let mut lines = next.chunks(64);
        for &run in list {
            let all = run.blocks();
            for first in all.clone().step_by(BLOCKS) {
                let some = first..all.end.min(first + BLOCKS);
                let count = self.estimate::<S, E>(s, some, asked, best.bound, (&mut lines, blocks));
                self.collect::<S, E>(s, run, &mut blocks[..count], (asked, best, codes));
            }
        }
        for line in lines {
            s.prefetch(line);
        }
        for &code in &*codes {
            self.refine::<S, E>(s, code, asked, best);
        }
        codes.len()
    }

    /// What is added to ⟨x̄,q⟩, so that none is told too far.
    #[inline(always)]
    fn lift(&self, asked: Asked) -> f32 {
        self.sure * asked.far()
    }

    /// Puts down those of `some` blocks that have anything not beyond `bound`; how many.
    #[inline(always)]
    fn estimate<S: Simd, const E: usize>(
        &self,
        s: S,
        some: Range<usize>,
        asked: Asked,
        bound: f32,
        (lines, blocks): (&mut std::slice::Chunks<u8>, &mut [OpenBlock]),
    ) -> usize {
        let lift = self.lift(asked);
        let bound = s.splat_f32(bound);
        let mut count = 0;
        for block in some {
            let (codes, factors) = self.view.block(block);
            for line in lines.by_ref().take(size_of_val(codes) / 64 + 2) {
                s.prefetch(line);
            }
            let dots = asked.tables.dots(s, codes, lift, &[]);
            let estimates = factors.estimates(s, dots, asked.center);
            let open = &mut blocks[count];
            open.vectors = Chosen::within(s, estimates, bound);
            open.block = block as u32;
            open.values = in_order(s, if E == 0 { estimates } else { dots });
            count += usize::from(!open.vectors.is_empty());
        }
        count
    }

    /// Puts the vectors that `blocks` leave open into `best`, or `codes` where there are more bits.
    #[inline(always)]
    fn collect<S: Simd, const E: usize>(
        &self,
        s: S,
        run: Run,
        blocks: &mut [OpenBlock],
        (asked, best, codes): (Asked, &mut Best, &mut Vec<OpenCode>),
    ) {
        let (start, end) = (run.start as usize, (run.start + run.len) as usize);
        let lift = self.lift(asked);
        let mut next = 0;
        while next < blocks.len() {
            let open = &mut blocks[next];
            let lane = open.vectors.take::<S>();
            let (at, value) = (open.block as usize * BLOCK + lane, open.values[lane]);
            next += usize::from(open.vectors.is_empty());
            // A block may have vectors of other lists in it.
            let ours = start <= at && at < end;
            if E == 0 {
                best.push(if ours { value } else { f32::NAN }, self.view.rows[at]);
            } else {
                for line in self.view.rest(at).0.chunks(64) {
                    s.prefetch(line);
                }
                codes.push(OpenCode { at: at as u32, top: value - lift });
                codes.truncate(codes.len() - usize::from(!ours));
            }
        }
    }

    /// An estimate by all bits.
    #[inline(always)]
    fn refine<S: Simd, const E: usize>(&self, s: S, code: OpenCode, asked: Asked, best: &mut Best) {
        let at = code.at as usize;
        let (codes, _) = self.view.block(at / BLOCK);
        let (rest, factors) = self.view.rest(at);
        let mut dot = if E == LOWER {
            asked.bytes.dot(codes, at % BLOCK, rest)
        } else {
            asked.planes.dot::<S, E>(s, (codes, at % BLOCK, code.top), rest)
        };
        if self.margin > 0.0 {
            dot += self.margin * asked.far();
        }
        best.push(asked.center + factors.add + factors.rescale * dot, self.view.rows[at]);
    }
}
