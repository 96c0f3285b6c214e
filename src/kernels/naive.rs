//! The oracle of the kernels' tests: loops in f64 and i64 that share no code with what they judge.

use crate::metric::Metric;

/// A number computed in f64, and how far a sum of the same terms in another order may lie from it.
#[derive(Clone, Copy, Debug)]
pub struct Sum {
    pub value: f64,
    pub slack: f64,
}

/// The documented formula of each metric.
pub fn distance(metric: Metric, q: &[f64], x: &[f64]) -> Sum {
    let (mut dot, mut terms, mut square, mut qq, mut xx) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for j in 0..q.len() {
        dot += q[j] * x[j];
        terms += (q[j] * x[j]).abs();
        square += (q[j] - x[j]) * (q[j] - x[j]);
        qq += q[j] * q[j];
        xx += x[j] * x[j];
    }
    // Each of n additions, and the few roundings of a term, errs by at most half a unit of the sum of magnitudes.
    let unit = (q.len() + 8) as f64 * f64::EPSILON;
    match metric {
        Metric::L2 => Sum { value: square, slack: unit * square },
        Metric::InnerProduct => Sum { value: 0.0 - dot, slack: unit * terms },
        // Cauchy-Schwarz: the magnitudes add up to no more than the norms' product.
        Metric::Cosine => Sum { value: 1.0 - dot / (qq * xx).sqrt(), slack: 2.0 * unit },
    }
}

/// Σ xⱼ·qⱼ + β·a + τ·t as the tile is asked for it, and how far f32 sums in any order may lie from it.
pub fn tile(q: &[f64], x: &[f64], [beta, tau]: [f32; 2], [a, t]: [f32; 2]) -> Sum {
    let (mut value, mut terms) = (0.0, 0.0);
    let mut add = |term: f64| {
        value += term;
        terms += term.abs();
    };
    for j in 0..q.len() {
        add(q[j] * x[j]);
    }
    add(f64::from(beta) * f64::from(a));
    add(f64::from(tau) * f64::from(t));
    let slack = (q.len() + 4) as f64 * f64::from(f32::EPSILON) * terms + f64::from(f32::MIN_POSITIVE);
    Sum { value, slack }
}

/// One unit in the last place of an f32.
pub fn ulp(v: f32) -> f64 {
    let v = v.abs();
    f64::from(v.next_up()) - f64::from(v)
}
