//! Codes as the sections of a file.

use std::borrow::Cow;

use bytemuck::{Pod, Zeroable};
use half::bf16;

use super::HeadCodes;
use crate::error::Result;
use crate::kernels::tile::PANEL;
use crate::metric::Metric;
use crate::storage::{Sections, Tag};
use crate::transform::Projection;

const META: Tag = Tag::new("codes");
const MEAN: Tag = Tag::new("mean");
const DIRECTIONS: Tag = Tag::new("direct");
const HALF_NORMS: Tag = Tag::new("norms");
const TAILS: Tag = Tag::new("tails");
const LINES: Tag = Tag::new("panels");

/// Section `codes`. All little-endian.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Meta {
    width: u64,
    step: f64,
    error: f64,
    head: f64,
    radius: f64,
}

impl HeadCodes {
    /// What [`HeadCodes::read`] reads.
    pub(crate) fn sections(&self) -> Vec<(Tag, Cow<'_, [u8]>)> {
        let meta = Meta {
            width: self.width() as u64,
            step: self.step,
            error: self.error,
            head: self.head,
            radius: self.radius,
        };
        vec![
            (META, Cow::Owned(bytemuck::bytes_of(&meta).to_vec())),
            (MEAN, Cow::Borrowed(bytemuck::cast_slice(self.projection.mean()))),
            (DIRECTIONS, Cow::Borrowed(bytemuck::cast_slice(self.projection.rows()))),
            (HALF_NORMS, Cow::Borrowed(self.half_norms.bytes())),
            (TAILS, Cow::Borrowed(self.tails.bytes())),
            (LINES, Cow::Borrowed(self.lines.bytes())),
        ]
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
        let width = usize::try_from(meta.width).unwrap_or(usize::MAX);
        if width == 0 || width > dim || !width.is_multiple_of(Self::STEP) {
            let problem = format!("{width} coordinates, not a multiple of {} up to {dim}", Self::STEP);
            return Err(file.error(META, &problem));
        }
        let numbers = [meta.step, meta.error, meta.head, meta.radius];
        if !(meta.step > 0.0 && numbers.iter().all(|v| v.is_finite() && *v >= 0.0)) {
            return Err(file.error(META, &format!("step, error, head and radius of {numbers:?}")));
        }
        let floats = |tag, shape: &[usize]| -> Result<Vec<f32>> {
            file.array::<f32>(tag, shape)?;
            let values = file.small(tag)?.as_slice::<f32>().to_vec();
            match values.iter().all(|v| v.is_finite()) {
                true => Ok(values),
                false => Err(file.error(tag, "a value that is not finite")),
            }
        };
        let projection = Projection::new(floats(MEAN, &[dim])?, floats(DIRECTIONS, &[width, dim])?);
        let panels = len.div_ceil(PANEL);
        Ok(Self {
            metric,
            projection,
            step: meta.step,
            error: meta.error,
            head: meta.head,
            radius: meta.radius,
            len,
            lines: file.array::<u8>(LINES, &[panels, PANEL, width])?,
            half_norms: file.array::<bf16>(HALF_NORMS, &[panels, PANEL])?,
            tails: file.array::<bf16>(TAILS, &[panels, PANEL])?,
        })
    }
}
