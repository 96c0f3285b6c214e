//! What is random: the same seed gives the same numbers.

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// A number of `0..n`; the bias of a remainder is nothing at these sizes.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// A number of 0..1, as fine as f64 has them.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// `count` different numbers of `0..n`, ascending, each set of them as likely: selection sampling (Fan, Muller,
    /// Rezucha 1962; algorithm S in Knuth, volume 2).
    pub fn choose(&mut self, count: usize, n: usize) -> Vec<usize> {
        let mut chosen = Vec::with_capacity(count);
        for i in 0..n {
            if self.below(n - i) < count - chosen.len() {
                chosen.push(i);
            }
        }
        chosen
    }

    /// `count` values such as vectors have, and such as they seldom have, by `kind`: what a bound must hold for.
    #[cfg(test)]
    pub fn values(&mut self, count: usize, kind: usize) -> Vec<f32> {
        let mut one = || {
            let unit = self.unit() as f32 * 2.0 - 1.0;
            match kind {
                0 => unit,
                1 => (unit * 127.0 + 127.5).floor(),
                2 => unit + 1000.0,
                3 => unit * 1e-21,
                4 => unit * 1e20,
                5 => unit * if self.unit() < 0.01 { 1e4 } else { 1.0 },
                6 => 0.0,
                7 => [unit, f32::NAN, f32::INFINITY, -unit, f32::MAX][self.below(5)],
                _ => unit * [1e-30, 1e-20, 1.0, 1e20][self.below(4)],
            }
        };
        (0..count).map(|_| one()).collect()
    }
}
