//! An inverted file as the sections of a file.

use std::borrow::Cow;

use bytemuck::{Pod, Zeroable};

use super::codes::{Codes, Layout, Lists, NONE, Run};
use super::{Coding, Ivf};
use crate::error::Result;
use crate::kernels::fastscan::BLOCK;
use crate::metric::Metric;
use crate::quantizer::scalar::Scalar;
use crate::space::{Precision, STEP, Space};
use crate::storage::{Sections, Tag, filled};
use crate::transform::Projection;

const META: Tag = Tag::new("ivf");
const MEAN: Tag = Tag::new("i-mean");
const DIRECTIONS: Tag = Tag::new("i-direct");
const STATE: Tag = Tag::new("i-state");
/// The centres' blocks, rest and rows, then those of the vectors.
const CENTERS: [Tag; 3] = [Tag::new("i-center"), Tag::new("i-cent-r"), Tag::new("i-cent-i")];
const CODES: [Tag; 3] = [Tag::new("i-codes"), Tag::new("i-rest"), Tag::new("i-rows")];
/// List, start, length and room of each run.
const RUNS: Tag = Tag::new("i-runs");

/// Section `ivf`. All little-endian.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Meta {
    /// Directions of the projection.
    directions: u64,
    lists: u64,
    runs: u64,
    /// Positions of codes.
    positions: u64,
    /// Nibbles of a code.
    nibbles: u64,
    /// Numbers of the quantizer's state.
    state: u64,
    longest: f64,
    step: f64,
}

/// A run in a file.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Entry {
    list: u32,
    start: u32,
    len: u32,
    room: u32,
}

impl Ivf {
    /// What [`Ivf::read`] reads.
    pub fn sections(&self) -> Vec<(Tag, Cow<'_, [u8]>)> {
        let space = &self.space;
        let state = self.quantizer.state();
        let runs: Vec<Entry> = (0u32..)
            .zip(self.lists.iter())
            .flat_map(|(list, runs)| {
                runs.iter().map(move |&Run { start, len, room }| Entry { list, start, len, room })
            })
            .collect();
        let meta = Meta {
            directions: space.projection.width() as u64,
            lists: self.lists.len() as u64,
            runs: runs.len() as u64,
            positions: self.codes.len() as u64,
            nibbles: self.quantizer.nibbles() as u64,
            state: state.len() as u64,
            longest: space.longest,
            step: space.step,
        };
        let mut sections = vec![
            (META, Cow::Owned(bytemuck::bytes_of(&meta).to_vec())),
            (MEAN, Cow::Borrowed(bytemuck::cast_slice(space.projection.mean()))),
            (DIRECTIONS, Cow::Borrowed(bytemuck::cast_slice(space.projection.rows()))),
            (STATE, Cow::Owned(bytemuck::cast_slice(&state).to_vec())),
            (RUNS, Cow::Owned(bytemuck::cast_slice(&runs).to_vec())),
        ];
        for (tags, codes) in [(CENTERS, &self.centers), (CODES, &self.codes)] {
            let parts = [&codes.blocks, &codes.rest, &codes.rows];
            sections
                .extend(tags.into_iter().zip(parts).map(|(tag, part)| (tag, Cow::Borrowed(part.bytes()))));
        }
        sections
    }

    /// The inverted file of `len` vectors of `dim` dimensions from a file. What codes hold is not looked at, which rows they are is.
    ///
    /// # Errors
    /// [`Error::Format`](crate::Error::Format), [`Error::Io`](crate::Error::Io),
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn read(
        file: &Sections,
        metric: Metric,
        (twice, coding, refined): (bool, Coding, bool),
        (dim, len): (usize, usize),
    ) -> Result<Self> {
        let meta = file.small(META)?;
        let wrong = |problem: String| file.error(META, &problem);
        if meta.len() != size_of::<Meta>() {
            return Err(wrong(format!("{} bytes, not {}", meta.len(), size_of::<Meta>())));
        }
        let meta: Meta = meta.as_slice()[0];
        let size = |v: u64| usize::try_from(v).unwrap_or(usize::MAX);
        let dims = dim + usize::from(metric == Metric::InnerProduct);
        let widest = dims.min(Coding::WIDEST);
        let directions = size(meta.directions);
        if directions == 0 || directions > widest {
            return Err(wrong(format!("{directions} directions, not 1 to {widest}")));
        }
        let good = |v: f64| v.is_finite() && v >= 0.0;
        if !(good(meta.longest) && good(meta.step) && meta.step > 0.0) {
            return Err(wrong(format!("a step of {} and a length of {}", meta.step, meta.longest)));
        }
        let (lists, positions) = (size(meta.lists), size(meta.positions));
        if lists == 0 || lists > len.max(1) {
            return Err(wrong(format!("{lists} lists of {len} vectors")));
        }
        let copies = if twice && lists > 1 { 2 } else { 1 };
        if positions / copies < len || positions > NONE as usize || !positions.is_multiple_of(BLOCK) {
            return Err(wrong(format!("{positions} positions for {len} vectors")));
        }
        let projection =
            Projection::new(file.floats(MEAN, &[dims])?, file.floats(DIRECTIONS, &[directions, dims])?);
        let width = directions.next_multiple_of(STEP);
        let state = file.floats(STATE, &[size(meta.state)])?;
        let quantizer = coding
            .restore(refined, width, size(meta.nibbles), &state)
            .ok_or_else(|| file.error(STATE, &format!("no codes of {} nibbles", meta.nibbles)))?;
        let codes = |tags: [Tag; 3], layout: Layout, positions: usize| -> Result<Codes> {
            Ok(Codes {
                layout,
                blocks: file.array::<u8>(tags[0], &[positions / BLOCK, layout.block()])?,
                rest: file.array::<u8>(tags[1], &[layout.rests(positions)])?,
                rows: file.array::<u32>(tags[2], &[positions])?,
            })
        };
        let center_layout = Layout::of(&Scalar::points(width));
        let centers = codes(CENTERS, center_layout, lists.next_multiple_of(BLOCK))?;
        let codes = codes(CODES, Layout::of(&*quantizer), positions)?;
        for (at, &list) in centers.rows.as_slice::<u32>()[..lists].iter().enumerate() {
            if list as usize != at {
                return Err(file.error(CENTERS[2], &format!("list {list} in the place of list {at}")));
            }
        }
        let space = Space::new(metric, meta.longest, projection, meta.step, Precision::Half);
        let lists = read_runs(file, (lists, size(meta.runs)), &codes, (len, copies))?;
        Ok(Self { space, quantizer, centers, codes, lists, copies, len })
    }
}

/// The runs of each list: within the positions, and each row in as many of them as there are copies.
fn read_runs(
    file: &Sections,
    (lists, runs): (usize, usize),
    codes: &Codes,
    (len, copies): (usize, usize),
) -> Result<Lists> {
    let mut found = filled("lists", lists, Vec::<Run>::new())?;
    let mut met = filled("lists", len, 0)?;
    let rows = codes.rows.as_slice::<u32>();
    let mut taken = filled("lists", rows.len(), false)?;
    let mut count = 0;
    file.array::<Entry>(RUNS, &[runs])?;
    for &Entry { list, start, len, room } in file.small(RUNS)?.as_slice::<Entry>() {
        let end = u64::from(start) + u64::from(room);
        let fits = len <= room && end <= rows.len() as u64;
        let Some(list) = found.get_mut(list as usize).filter(|_| fits) else {
            let problem =
                format!("a run of {len} codes from {start} on, with room for {room}, in list {list}");
            return Err(file.error(RUNS, &problem));
        };
        let run = start as usize..end as usize;
        if taken[run.clone()].contains(&true) {
            return Err(file.error(RUNS, &format!("a run over another one at {start}")));
        }
        taken[run].fill(true);
        for &row in &rows[start as usize..(start + len) as usize] {
            if met.get(row as usize).is_none_or(|met| *met >= copies) {
                let problem =
                    format!("row {row} is out of range of {} or in more than {copies} lists", met.len());
                return Err(file.error(CODES[2], &problem));
            }
            met[row as usize] += 1;
            count += 1;
        }
        list.push(Run { start, len, room });
    }
    if count != met.len() * copies {
        return Err(file.error(RUNS, &format!("{count} of {} vectors", met.len() * copies)));
    }
    Ok(Lists::new(found.iter()))
}
