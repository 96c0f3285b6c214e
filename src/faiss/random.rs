//! What is random in Faiss? The same numbers here, bit for bit, from the same seed.
//!
//! Arrays are filled in blocks, each by a Mersenne Twister (Matsumoto, Nishimura 1998) of its own, seeded a + j·b for block j by the
//! first two numbers of the seed's: which thread fills a block does not matter. Normal numbers are those of Marsaglia's polar method.

use std::sync::Mutex;

use rand_mt::Mt;

use crate::error::{Error, Result};
use crate::threads::{self, Monitor};

/// Blocks of an array that is not short.
const BLOCKS: usize = 1024;

/// 1 / the twister's range, by which Faiss divides.
const RANGE: f32 = u32::MAX as f32;

/// Faiss's generator, number by number.
#[derive(Clone)]
pub struct Generator(Mt);

impl Generator {
    /// The generator of a seed, of which 32 bits count.
    pub fn new(seed: i64) -> Self {
        Self(Mt::new(seed as u32))
    }

    /// 31 bits.
    pub fn int(&mut self) -> i32 {
        (self.0.next_u32() & 0x7fff_ffff) as i32
    }

    /// 62 bits.
    pub fn int64(&mut self) -> i64 {
        let low = i64::from(self.int());
        low | i64::from(self.int()) << 31
    }

    /// 32 bits, as they come.
    pub fn word(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// A number of 0..=1, in single precision.
    pub fn float(&mut self) -> f32 {
        self.0.next_u32() as f32 / RANGE
    }

    /// A number of 0..=1, in double precision.
    pub fn double(&mut self) -> f64 {
        f64::from(self.0.next_u32()) / f64::from(u32::MAX)
    }

    /// A number of 0..most; the bias of a remainder is Faiss's too.
    pub fn below(&mut self, most: u32) -> u32 {
        self.0.next_u32() % most.max(1)
    }

    /// The numbers 0..n in an order at random.
    ///
    /// # Errors
    /// [`Error::Argument`] where they are more than 32 bits can count.
    pub fn permutation(&mut self, n: usize) -> Result<Vec<i32>> {
        let many = i32::try_from(n).map_err(|_| Error::argument("n", n, "at most 2147483647"))?;
        let mut order: Vec<i32> = (0..many).collect();
        for at in 0..n.saturating_sub(1) {
            order.swap(at, at + self.below((n - at) as u32) as usize);
        }
        Ok(order)
    }

    /// Two normal numbers, that of the x axis first.
    fn normals(&mut self) -> [f32; 2] {
        loop {
            let a = 2.0 * self.double() - 1.0;
            let b = 2.0 * self.double() - 1.0;
            let s = a * a + b * b;
            if s < 1.0 {
                let scale = (-2.0 * s.ln() / s).sqrt();
                return [(a * scale) as f32, (b * scale) as f32];
            }
        }
    }
}

/// What an array may be filled with.
pub trait Fill: Send + Sized {
    /// Fills one block.
    fn fill(generator: &mut Generator, block: &mut [Self], kind: Kind);
}

/// Which numbers.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// All that there are of a type: 0..=1, 62 bits, bytes.
    Uniform,
    /// Normal numbers, of mean 0 and variance 1.
    Normal,
    /// Whole numbers below this.
    Below(u64),
}

impl Fill for f32 {
    fn fill(generator: &mut Generator, block: &mut [Self], kind: Kind) {
        if !matches!(kind, Kind::Normal) {
            return block.iter_mut().for_each(|x| *x = generator.float());
        }
        let (pairs, rest) = block.as_chunks_mut::<2>();
        pairs.iter_mut().for_each(|pair| *pair = generator.normals());
        for x in rest {
            *x = generator.normals()[0];
        }
    }
}

impl Fill for i64 {
    fn fill(generator: &mut Generator, block: &mut [Self], kind: Kind) {
        match kind {
            Kind::Below(most) if most > 0 => {
                block.iter_mut().for_each(|x| *x = (generator.int64() as u64 % most) as i64);
            }
            _ => block.iter_mut().for_each(|x| *x = generator.int64()),
        }
    }
}

impl Fill for u8 {
    fn fill(generator: &mut Generator, block: &mut [Self], _: Kind) {
        block.iter_mut().for_each(|x| *x = generator.int64() as u8);
    }
}

/// Fills `values` with random numbers of a seed.
///
/// # Errors
/// [`Error::Argument`] where numbers below 0 are asked for, or `threads` is 0; [`Error::Interrupted`].
pub fn fill<T: Fill>(
    values: &mut [T],
    seed: i64,
    kind: Kind,
    threads: Option<usize>,
    monitor: Option<&dyn Monitor>,
) -> Result<()> {
    if matches!(kind, Kind::Below(0)) {
        return Err(Error::argument("vmax", 0, "at least 1"));
    }
    let (n, threads) = (values.len(), threads::resolve(threads)?);
    let mut first = Generator::new(seed);
    let (a, b) = (i64::from(first.int()), i64::from(first.int()));
    let blocks = if n < BLOCKS { 1 } else { BLOCKS };
    let mut parts = Vec::with_capacity(blocks);
    let (mut rest, mut from) = (values, 0);
    for j in 1..=blocks {
        let to = (j as u128 * n as u128 / blocks as u128) as usize;
        let (part, others) = rest.split_at_mut(to - from);
        parts.push(Mutex::new(part));
        (rest, from) = (others, to);
    }
    threads::run(threads, monitor, "random", (blocks, n as u64), |j, worker| {
        if let Ok(mut part) = parts[j].lock() {
            T::fill(&mut Generator::new(a + j as i64 * b), &mut part, kind);
            worker.advance(part.len() as u64);
        }
        Ok(())
    })
}
