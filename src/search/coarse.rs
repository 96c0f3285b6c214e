//! Which lists are nearest to a query? Their centres are codes themselves: by one bit a coordinate some times as many as are wanted
//! are chosen, and these told apart by all bits.

use super::pool::{ends, part};
use crate::ivf::Ivf;
use crate::kernels::Simd;
use crate::kernels::fastscan::{BLOCK, Chosen, Tables, in_order};
use crate::kernels::planes::{PlaneQuery, WHOLE};
use crate::keys::key;

/// How many times as many centres as are wanted get their exact distance, and how many besides.
const NEAR: usize = 3;
const MORE: usize = 16;
/// Estimates of a register.
const LANES: usize = BLOCK / 2;
/// Rows of centres that are on their way while one is met.
const AHEAD: usize = 4;

/// The lists of one query, and memory to find them in.
#[derive(Default)]
pub(super) struct Coarse {
    tables: Tables,
    /// Each centre's distance by one bit.
    estimates: Vec<f32>,
    /// Those that are near by it.
    near: Vec<u32>,
    /// The nearest, nearest first, as [`key`]s.
    pub lists: Vec<u64>,
}

impl Coarse {
    /// Finds the `wanted` nearest lists of the query with this `head`, which `planes` is too.
    #[inline(always)]
    pub fn find<S: Simd>(&mut self, s: S, ivf: &Ivf, head: &[f32], planes: &PlaneQuery, wanted: usize) {
        let Self { tables, estimates, near, lists } = self;
        let (view, count) = (ivf.centers.view(), ivf.lists.len());
        tables.set(s, head);
        estimates.resize(count.next_multiple_of(BLOCK), 0.0);
        for (block, estimates) in estimates.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            let (codes, factors) = view.block(block);
            *estimates = in_order(s, factors.estimates(s, tables.dots(s, codes, 0.0, &[]), 0.0));
        }
        let all = &mut estimates[..];
        all[count..].fill(f32::INFINITY);
        let enough = wanted.saturating_mul(NEAR).saturating_add(MORE);
        let far = match enough < count {
            true => {
                let sets = [all.as_chunks().0];
                part(s, sets, ends(sets), (enough, enough + enough / 8))
            }
            false => f32::MAX,
        };
        near.clear();
        let far = s.splat_f32(far);
        for (block, [first, second]) in all.as_chunks::<LANES>().0.as_chunks().0.iter().enumerate() {
            // NaN is of a query that told nothing: then all are near.
            let mut some = Chosen::within(s, [s.load_f32(first), s.load_f32(second)], far);
            while !some.is_empty() {
                near.push((block * BLOCK + some.take::<S>()) as u32);
            }
        }
        lists.clear();
        for (i, &at) in near.iter().enumerate() {
            if let Some(&next) = near.get(i + AHEAD) {
                for line in view.rest(next as usize).0.chunks(64) {
                    s.prefetch(line);
                }
            }
            let (rest, factors) = view.rest(at as usize);
            let dot = planes.dot::<S, WHOLE>(s, (&[], 0, 0.0), rest);
            lists.push(key(factors.add + factors.rescale * dot, at));
        }
        if wanted < lists.len() {
            lists.select_nth_unstable(wanted);
            lists.truncate(wanted);
        }
        lists.sort_unstable();
    }
}
