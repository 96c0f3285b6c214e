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
        other => formula(other, q, x, unit),
    }
}

/// The same of the metrics that no products tell.
fn formula(metric: Metric, q: &[f64], x: &[f64], unit: f64) -> Sum {
    // From 0: `Iterator::sum` begins with −0, and what is divided by a sum of nothing but −0 would have the other sign.
    let sum = |term: &dyn Fn(f64, f64) -> f64| q.iter().zip(x).fold(0.0, |sum, (&q, &x)| sum + term(q, x));
    let relative = |value: f64, units: f64| Sum { value, slack: units * unit * value.abs() };
    match metric {
        Metric::L1 => relative(sum(&|q, x| (q - x).abs()), 1.0),
        Metric::Linf => relative(q.iter().zip(x).map(|(q, x)| (q - x).abs()).fold(0.0, f64::max), 0.0),
        Metric::Lp(power) => {
            let value = sum(&|q, x| (q - x).abs().powf(power.get().into()));
            Sum { value, slack: unit * value + 1e-11 * value }
        }
        Metric::Canberra => relative(
            sum(&|q, x| if q == 0.0 && x == 0.0 { 0.0 } else { (q - x).abs() / (q.abs() + x.abs()) }),
            2.0,
        ),
        Metric::BrayCurtis => relative(sum(&|q, x| (q - x).abs()) / sum(&|q, x| (q + x).abs()), 3.0),
        Metric::JensenShannon => {
            let term = |v: f64, mean: f64| if v == 0.0 { 0.0 } else { v * (v / mean).ln() };
            let value = sum(&|q, x| term(q, (q + x) / 2.0) + term(x, (q + x) / 2.0)) / 2.0;
            let terms =
                sum(&|q, x| term(q, (q + x) / 2.0).abs() + term(x, (q + x) / 2.0).abs() + q.abs() + x.abs());
            Sum { value, slack: 4.0 * unit * terms }
        }
        Metric::Jaccard => {
            let (least, most) = (sum(&|q, x| q.min(x)), sum(&|q, x| q.max(x)));
            let (all_least, all_most) = (sum(&|q, x| q.min(x).abs()), sum(&|q, x| q.max(x).abs()));
            let value = -(least / most);
            // Where the sum below cancels out, the ratio may be anything.
            let lost = most.abs() < 4.0 * unit * all_most;
            let slack = 4.0 * unit * (all_least + value.abs() * all_most) / most.abs();
            Sum { value, slack: if lost { f64::INFINITY } else { slack } }
        }
        Metric::NanEuclidean => {
            let both = |q: f64, x: f64| !q.is_nan() && !x.is_nan();
            let count = sum(&|q, x| if both(q, x) { 1.0 } else { 0.0 });
            let squares = sum(&|q, x| if both(q, x) { (q - x) * (q - x) } else { 0.0 });
            relative(q.len() as f64 / count * squares, 3.0)
        }
        Metric::Gower => {
            let count = sum(&|q, x| if q.is_nan() || x.is_nan() { 0.0 } else { 1.0 });
            let far = sum(&|q, x| match (q < 0.0, x < 0.0) {
                _ if q.is_nan() || x.is_nan() => 0.0,
                (true, true) => f64::from(u8::from(q != x)),
                (false, false) if q <= 1.0 && x <= 1.0 => (q - x).abs(),
                _ => f64::NAN,
            });
            relative(far / count, 3.0)
        }
        Metric::L2 | Metric::InnerProduct | Metric::Cosine | Metric::Hamming => {
            unreachable!("not one of these")
        }
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
