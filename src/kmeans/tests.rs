//! Every label of every iteration against a plain loop, while points are scanned, remembered and settled.

use super::assign::Assignment;
use super::points::Points;
use super::update::Means;
use crate::metric::Metric;
use crate::random::Random;
use crate::vectors::Vectors;

/// The documented distance by a plain loop.
fn distance(metric: Metric, a: &[f32], b: &[f32]) -> f32 {
    let sum = |f: fn(f64, f64) -> f64| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f(f64::from(a), f64::from(b))).sum()
    };
    match metric {
        Metric::L2 => sum(|a, b| (a - b) * (a - b)) as f32,
        _ => (1.0 - sum(|a, b| a * b) / (sum(|a, _| a * a) * sum(|_, b| b * b)).sqrt()) as f32,
    }
}

#[test]
fn what_is_remembered_changes_no_label() {
    let (n, k) = (8000, 800);
    for (metric, dim, coded) in [
        (Metric::L2, 24, true),
        (Metric::Cosine, 24, true),
        (Metric::L2, 3, false),
        (Metric::Cosine, 3, false),
    ] {
        let mut random = Random(7);
        let centers: Vec<f64> = (0..60 * dim).map(|_| 8.0 * random.unit() + 0.1).collect();
        let x: Vec<f32> = (0..n)
            .flat_map(|_| {
                let center = random.below(60) * dim;
                (0..dim).map(|j| (centers[center + j] + 3.0 * random.unit()) as f32).collect::<Vec<f32>>()
            })
            .collect();
        let rows = Vectors::new(&x, dim).unwrap();
        let points = Points::new(rows, metric, None, 1).unwrap();
        let mut centroids: Vec<f32> = x[..k * dim].to_vec();
        let mut assignment = Assignment::new(&points, &centroids, 24, (0, 2, None)).unwrap();
        let mut means = Means::new(&points, k);
        let (mut remembered, mut settled) = (0, 0);
        for round in 0..24 {
            let known = assignment.remembers();
            let before = assignment.labels.clone();
            let done = assignment.assign(&centroids, 2, None).unwrap();
            remembered += usize::from(known);
            for i in (round % 3..n).step_by(3) {
                let of = |id: usize| distance(metric, &x[i * dim..][..dim], &centroids[id * dim..][..dim]);
                let least = (0..k).map(of).fold(f32::INFINITY, f32::min);
                let label = assignment.labels[i];
                // Where f64 sums in another order round to another f32, the next centroid may be as near.
                let off = (of(label as usize) - least) / least.max(1e-9);
                assert!(off < 1e-6, "{metric}, {dim}, round {round}, point {i}: {label} is {off} too far");
                settled += usize::from(known && before[i] == label);
            }
            if !done.changed {
                break;
            }
            let found = (&assignment.labels[..], &assignment.distances[..]);
            means.update(&points, found, &mut centroids, (2, None)).unwrap();
        }
        assert_eq!(assignment.is_coded(), coded, "{metric}, {dim}");
        assert!(remembered > 2 && settled > 1000, "{metric}, {dim}: {remembered} rounds, {settled} points");
    }
}
