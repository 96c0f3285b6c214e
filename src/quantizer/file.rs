//! Codes as the sections of a file.

use std::borrow::Cow;

use bytemuck::{Pod, Zeroable};
use half::bf16;

use super::HeadCodes;
use super::fine::FineCodes;
use super::head::Level;
use crate::error::Result;
use crate::kernels::fine::WIDEST;
use crate::kernels::tile::PANEL;
use crate::metric::Metric;
use crate::storage::{Sections, Tag};
use crate::transform::Projection;

const META: Tag = Tag::new("codes");
const MEAN: Tag = Tag::new("mean");
const DIRECTIONS: Tag = Tag::new("direct");
const HALF_NORMS: Tag = Tag::new("norms");
/// The tails of each level.
const TAILS: [Tag; 2] = [Tag::new("tails-0"), Tag::new("tails-1")];
const LINES: Tag = Tag::new("panels");
const FINE: Tag = Tag::new("fine");
const FINE_STEPS: Tag = Tag::new("fine-s");
const FINE_FACTORS: Tag = Tag::new("fine-f");

/// Section `codes`. All little-endian.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Meta {
    step: f64,
    radius: f64,
    count: u64,
    levels: [LevelMeta; 2],
    /// Coordinates of the fine codes, 0 where there are none.
    fine: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Default, Pod, Zeroable)]
struct LevelMeta {
    width: u64,
    most: u64,
    error: f64,
    head: f64,
}

impl HeadCodes {
    /// What [`HeadCodes::read`] reads.
    pub(crate) fn sections(&self) -> Vec<(Tag, Cow<'_, [u8]>)> {
        let mut levels = [LevelMeta::default(); 2];
        for (meta, level) in levels.iter_mut().zip(&self.levels) {
            let (width, most) = (level.width as u64, level.most as u64);
            *meta = LevelMeta { width, most, error: level.error, head: level.head };
        }
        let fine = self.fine_width().unwrap_or(0) as u64;
        let meta =
            Meta { step: self.step, radius: self.radius, count: self.levels.len() as u64, levels, fine };
        let mut sections = vec![
            (META, Cow::Owned(bytemuck::bytes_of(&meta).to_vec())),
            (MEAN, Cow::Borrowed(bytemuck::cast_slice(self.projection.mean()))),
            (DIRECTIONS, Cow::Borrowed(bytemuck::cast_slice(self.projection.rows()))),
            (HALF_NORMS, Cow::Borrowed(self.half_norms.bytes())),
        ];
        sections.extend(
            TAILS.iter().zip(&self.levels).map(|(&tag, level)| (tag, Cow::Borrowed(level.tails.bytes()))),
        );
        sections.push((LINES, Cow::Borrowed(self.lines.bytes())));
        if let Some(fine) = &self.fine {
            sections.push((FINE_STEPS, Cow::Borrowed(bytemuck::cast_slice(&fine.steps))));
            sections.push((FINE_FACTORS, Cow::Borrowed(fine.factors.bytes())));
            sections.push((FINE, Cow::Borrowed(fine.codes.bytes())));
        }
        sections
    }

    /// Codes of `len` vectors of `dim` dimensions from a file.
    ///
    /// # Errors
    /// [`Error::Format`](crate::Error::Format), [`Error::Io`](crate::Error::Io),
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub(crate) fn read(file: &Sections, metric: Metric, dim: usize, len: usize) -> Result<Self> {
        let meta = file.small(META)?;
        if meta.len() != size_of::<Meta>() {
            return Err(file.error(META, &format!("{} bytes, not {}", meta.len(), size_of::<Meta>())));
        }
        let meta: Meta = meta.as_slice()[0];
        if !(1..=meta.levels.len() as u64).contains(&meta.count) {
            return Err(file.error(META, &format!("{} levels, not 1 to {}", meta.count, meta.levels.len())));
        }
        if !(meta.step > 0.0 && meta.step.is_finite() && meta.radius >= 0.0 && meta.radius.is_finite()) {
            return Err(file.error(META, &format!("a step of {} and a radius of {}", meta.step, meta.radius)));
        }
        let panels = len.div_ceil(PANEL);
        let mut levels: Vec<Level> = Vec::new();
        for (level, &tag) in meta.levels[..meta.count as usize].iter().zip(&TAILS) {
            let width = usize::try_from(level.width).unwrap_or(usize::MAX);
            let above = levels.last().map_or(0, |level| level.width);
            if width <= above || width > dim || !width.is_multiple_of(Self::STEP) {
                let problem =
                    format!("{width} coordinates, not a multiple of {} from {above} to {dim}", Self::STEP);
                return Err(file.error(META, &problem));
            }
            if !(level.error >= 0.0 && level.error.is_finite() && level.head >= 0.0 && level.head.is_finite())
            {
                return Err(
                    file.error(META, &format!("an error of {} and a head of {}", level.error, level.head))
                );
            }
            let most = usize::try_from(level.most).unwrap_or(usize::MAX);
            let tails = file.array::<bf16>(tag, &[panels, PANEL])?;
            levels.push(Level { width, most, error: level.error, head: level.head, tails });
        }
        let width = levels.last().map_or(0, |level| level.width);
        let fine_width = usize::try_from(meta.fine).unwrap_or(usize::MAX);
        if fine_width != 0 && !(width..=dim.min(WIDEST)).contains(&fine_width) {
            let problem = format!("{fine_width} fine coordinates, not {width} to {}", dim.min(WIDEST));
            return Err(file.error(META, &problem));
        }
        let directions = file.floats(DIRECTIONS, &[width.max(fine_width), dim])?;
        let projection = Projection::new(file.floats(MEAN, &[dim])?, directions);
        let fine = match fine_width {
            0 => None,
            _ => Some(FineCodes {
                steps: file.floats(FINE_STEPS, &[fine_width])?,
                codes: file.array::<u8>(FINE, &[len, FineCodes::stride(fine_width)])?,
                factors: file.array::<bf16>(FINE_FACTORS, &[len, 2])?,
            }),
        };
        Ok(Self {
            metric,
            projection,
            step: meta.step,
            radius: meta.radius,
            len,
            levels,
            lines: file.array::<u8>(LINES, &[panels, PANEL, width])?,
            half_norms: file.array::<bf16>(HALF_NORMS, &[panels, PANEL])?,
            fine,
        })
    }
}
