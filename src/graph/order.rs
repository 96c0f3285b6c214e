//! Points in the order of a tree over them, so that what a walk reads one after the other lies on few pages.
//!
//! A cell is cut at the median along the line through two points of it that are far apart; its halves are cut again, down to a
//! few points. Neighbours in the order are then mostly near each other, at every scale.

use std::sync::Mutex;

use super::build::{Points, filled};
use crate::error::{Error, Result};
use crate::random::Random;
use crate::threads::{self, Monitor};

/// Points of a cell that is not cut any more.
const LEAF: usize = 8;
/// Points among which a far one is looked for.
const TRIED: usize = 32;
/// Cuts after which each cell is work for one thread.
const LEVELS: u32 = 5;

/// All points in the new order.
///
/// # Errors
/// [`Error::OutOfMemory`], [`Error::Interrupted`].
pub(super) fn order(
    points: Points,
    seed: u64,
    threads: usize,
    monitor: Option<&dyn Monitor>,
) -> Result<Vec<u32>> {
    let n = points.len();
    let mut ids = filled(n, 0u32)?;
    ids.iter_mut().zip(0..).for_each(|(id, i)| *id = i);
    let mut cells = vec![&mut ids[..]];
    for level in 0..LEVELS {
        let of_level = std::mem::take(&mut cells);
        let halves: Vec<Mutex<&mut [u32]>> = of_level.into_iter().map(Mutex::new).collect();
        threads::run(threads, monitor, "order", (halves.len(), n as u64), |i, worker| {
            let mut cell = halves[i].lock().map_err(|_| Error::Interrupted)?;
            cut(points, &mut cell, &mut Random(seed ^ (u64::from(level) << 32 | i as u64)));
            worker.advance(cell.len() as u64);
            Ok(())
        })?;
        for cell in halves {
            let cell = cell.into_inner().map_err(|_| Error::Interrupted)?;
            let (left, right) = cell.split_at_mut(cell.len() / 2);
            cells.extend([left, right]);
        }
    }
    let cells: Vec<Mutex<&mut [u32]>> = cells.into_iter().map(Mutex::new).collect();
    threads::run(threads, monitor, "order", (cells.len(), n as u64), |i, worker| {
        let mut cell = cells[i].lock().map_err(|_| Error::Interrupted)?;
        let mut random = Random(seed ^ (u64::from(LEVELS) << 32 | i as u64));
        let mut open: Vec<&mut [u32]> = vec![&mut cell];
        while let Some(cell) = open.pop() {
            if cell.len() <= LEAF {
                if !worker.advance(cell.len() as u64) {
                    break;
                }
                continue;
            }
            cut(points, cell, &mut random);
            let (left, right) = cell.split_at_mut(cell.len() / 2);
            open.extend([right, left]);
        }
        Ok(())
    })?;
    drop(cells);
    Ok(ids)
}

/// Brings the half of `ids` that lies to one side before the other.
fn cut(points: Points, ids: &mut [u32], random: &mut Random) {
    if ids.len() <= LEAF {
        return;
    }
    let from = points.row(ids[random.below(ids.len())] as usize);
    let distance = |row: &[i8]| -> i32 {
        row.iter().zip(from).map(|(&a, &b)| (i32::from(a) - i32::from(b)).pow(2)).sum()
    };
    let tried = (0..TRIED).map(|_| points.row(ids[random.below(ids.len())] as usize));
    let Some(to) = tried.max_by_key(|row| distance(row)) else { return };
    let axis: Vec<i16> = to.iter().zip(from).map(|(&to, &from)| i16::from(to) - i16::from(from)).collect();
    let along = |id: u32| -> i32 {
        points.row(id as usize).iter().zip(&axis).map(|(&x, &a)| i32::from(x) * i32::from(a)).sum()
    };
    let mut keys: Vec<(i32, u32)> = ids.iter().map(|&id| (along(id), id)).collect();
    let half = keys.len() / 2;
    keys.select_nth_unstable(half);
    ids.iter_mut().zip(keys).for_each(|(id, key)| *id = key.1);
}
