//! How far off estimates are: what a few tell of the others.

/// Errors that were seen: how much farther something was than its estimate.
#[derive(Clone, Copy)]
pub(super) struct Errors {
    count: f64,
    sum: f64,
    squares: f64,
    least: f64,
}

impl Default for Errors {
    fn default() -> Self {
        Self { count: 0.0, sum: 0.0, squares: 0.0, least: f64::INFINITY }
    }
}

impl Errors {
    #[inline(always)]
    pub fn add(&mut self, error: f64) {
        self.count += 1.0;
        self.sum += error;
        self.squares += error * error;
        self.least = self.least.min(error);
    }

    /// `z` deviations, which are at least `rounding`, below the mean: hardly any is less. Not a number where none was seen.
    pub fn low(&self, z: f64, rounding: f64) -> f64 {
        let mean = self.sum / self.count;
        mean - z * (self.squares / self.count - mean * mean).max(0.0).sqrt().max(rounding)
    }

    /// The least that was seen.
    pub fn least(&self) -> f64 {
        self.least
    }
}
