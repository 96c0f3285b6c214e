//! k-means against Lloyd's iterations written out in f64, and what must hold for every start.

use steep::kmeans::Start;
use steep::{Dtype, Error, Kmeans, KmeansParams, Metric, Monitor, Vectors, kmeans};

use crate::common::data::{Rng, Set, clustered, low_rank, noise};
use crate::common::oracle::distance;

/// Lloyd's iterations from `start`: centroids, and the objective of each iteration.
fn lloyd(
    metric: Metric,
    x: &Set,
    weights: Option<&[f32]>,
    start: &[f32],
    iterations: usize,
) -> (Vec<f32>, Vec<f64>) {
    let (dim, k) = (x.dim, start.len() / x.dim);
    let length = |row: &[f64]| row.iter().map(|v| v * v).sum::<f64>().sqrt();
    let weight = |i: usize| weights.map_or(1.0, |weights| f64::from(weights[i]));
    let unit = |row: Vec<f64>| {
        let length = if metric == Metric::L2 { 1.0 } else { length(&row) };
        row.into_iter().map(|v| (v / length) as f32).collect::<Vec<f32>>()
    };
    let wide = |row: &[f32]| row.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    let mut centroids: Vec<f32> = start.chunks(dim).flat_map(|row| unit(wide(row))).collect();
    let mut objective = Vec::new();
    for _ in 0..iterations {
        let (mut sums, mut counts, mut cost) = (vec![vec![0.0; dim]; k], vec![0.0; k], 0.0);
        for i in 0..x.len() {
            let of = |id: usize| distance(metric, x.row(i), &wide(&centroids[id * dim..][..dim]));
            let (least, label) =
                (0..k).map(|id| (of(id), id)).min_by(|a, b| a.partial_cmp(b).unwrap()).unwrap();
            cost += weight(i) * f64::from(least);
            let factor = weight(i) / if metric == Metric::Cosine { length(x.row(i)) } else { 1.0 };
            counts[label] += factor;
            sums[label].iter_mut().zip(x.row(i)).for_each(|(sum, v)| *sum += factor * v);
        }
        objective.push(cost);
        for (id, (sum, count)) in sums.into_iter().zip(counts).enumerate() {
            assert!(count > 0.0, "the oracle repairs nothing: choose another start");
            let mean = sum.into_iter().map(|v| v / count).collect();
            centroids[id * dim..][..dim].copy_from_slice(&unit(mean));
        }
    }
    (centroids, objective)
}

fn first_rows(x: &Set, k: usize) -> Vec<f32> {
    x.values[..k * x.dim].iter().map(|&v| v as f32).collect()
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(1.0)
}

/// `iterations` from the first `k` rows, against the oracle.
fn check(x: &Set, k: usize, metric: Metric, weights: Option<&[f32]>, iterations: usize, case: &str) {
    let start = first_rows(x, k);
    let given = Start::Given(Vectors::new(&start, x.dim).unwrap());
    let params = KmeansParams { metric, iterations, start: given, weights, ..KmeansParams::default() };
    let found = kmeans(x.view(), k, &params).unwrap();
    let (centroids, objective) = lloyd(metric, x, weights, &start, iterations);
    let rounds = found.objective.len();
    // It may end early, where the rest would be the same.
    assert!(rounds == iterations || close(objective[rounds - 1], objective[iterations - 1], 1e-9), "{case}");
    for (i, (a, b)) in found.objective.iter().zip(&objective).enumerate() {
        assert!(close(*a, *b, 1e-6), "{case}: objective {a} in iteration {i}, should be {b}");
    }
    for (a, b) in found.centroids.iter().zip(&centroids) {
        assert!(close(f64::from(*a), f64::from(*b), 1e-5), "{case}: {a} should be {b}");
    }
}

#[test]
fn iterations_are_lloyds_own() {
    let mut rng = Rng(91);
    for (n, dim, k) in [(700, 3, 20), (300, 1, 4), (900, 70, 9), (500, 20, 1)] {
        let values = noise(&mut rng, n, dim);
        for dtype in Dtype::NUMBERS {
            let x = Set::suited(dtype, dim, &values).without_zeros();
            for metric in Metric::PRODUCTS.into_iter().filter(|&metric| metric == Metric::L2 || dim > 1) {
                check(&x, k, metric, None, 4, &format!("{dtype}, {metric}, {n} × {dim}, k = {k}"));
            }
        }
    }
}

#[test]
fn codes_and_bounds_change_no_iteration() {
    let mut rng = Rng(92);
    for (name, dim, values) in [
        ("low rank", 48, low_rank(&mut rng, 6000, 48)),
        ("clustered", 40, clustered(&mut rng, 6000, 40)),
        ("noise", 24, noise(&mut rng, 3000, 24)),
    ] {
        for metric in Metric::PRODUCTS {
            let x = Set::new(Dtype::F32, dim, values.iter().copied());
            check(&x, 150, metric, None, 9, &format!("{name}, {metric}"));
        }
        let x = Set::suited(Dtype::I8, dim, &values);
        check(&x, 150, Metric::L2, None, 9, name);
    }
}

#[test]
fn weights_count_as_copies() {
    let mut rng = Rng(93);
    let x = Set::new(Dtype::F32, 12, clustered(&mut rng, 1500, 12));
    let weights: Vec<f32> = (0..x.len()).map(|i| [1.0, 3.0, 0.0, 2.0][i % 4]).collect();
    for metric in Metric::PRODUCTS {
        let start = Set::new(Dtype::F32, 12, (0..20).flat_map(|i| x.row(i * 4).to_vec()));
        let start: Vec<f32> = start.values.iter().map(|&v| v as f32).collect();
        let given = Start::Given(Vectors::new(&start, 12).unwrap());
        let params = KmeansParams { metric, iterations: 6, start: given, ..KmeansParams::default() };
        let weighted = kmeans(x.view(), 20, &KmeansParams { weights: Some(&weights), ..params }).unwrap();
        let copies = (0..x.len()).flat_map(|i| x.row(i).repeat(weights[i] as usize));
        let copied = kmeans(Set::new(Dtype::F32, 12, copies).view(), 20, &params).unwrap();
        for (a, b) in weighted.centroids.iter().zip(&copied.centroids) {
            assert!(close(f64::from(*a), f64::from(*b), 1e-5), "{metric}: {a} and {b}");
        }
        assert!(close(weighted.objective[5], copied.objective[5], 1e-6), "{metric}");
    }
}

#[test]
fn labels_are_of_the_nearest_centroid_and_the_lowest_of_equals() {
    let mut rng = Rng(94);
    let (dim, k) = (32, 100);
    let x = Set::new(Dtype::F32, dim, clustered(&mut rng, 4000, dim));
    for metric in Metric::PRODUCTS {
        let mut found = kmeans(x.view(), k, &KmeansParams { metric, ..KmeansParams::default() }).unwrap();
        // Every centroid twice: the second is never the lowest.
        found.centroids.extend_from_within(..);
        let (labels, distances) = found.assign(x.view(), Some(2), None).unwrap();
        for i in (0..x.len()).step_by(7) {
            let of = |id: usize| {
                let row: Vec<f64> =
                    found.centroids[id * dim..][..dim].iter().map(|&v| f64::from(v)).collect();
                distance(metric, x.row(i), &row)
            };
            let least = (0..k).map(of).fold(f32::INFINITY, f32::min);
            assert!(labels[i] < k as u32, "{metric}");
            assert!(close(f64::from(of(labels[i] as usize)), f64::from(least), 1e-6), "{metric}");
            assert!(close(f64::from(distances[i]), f64::from(least), 1e-6), "{metric}");
        }
    }
}

#[test]
fn one_seed_gives_one_result_whatever_the_threads() {
    let mut rng = Rng(95);
    let x = Set::new(Dtype::F32, 32, low_rank(&mut rng, 5000, 32));
    for (metric, start) in [(Metric::L2, Start::Random), (Metric::Cosine, Start::PlusPlus)] {
        let run = |seed, threads| -> Kmeans {
            let params = KmeansParams { metric, start, seed, threads, ..KmeansParams::default() };
            kmeans(x.view(), 90, &params).unwrap()
        };
        let first = run(3, Some(1));
        assert!(run(3, Some(2)) == first && run(3, None) == first, "{metric}");
        assert!(run(4, None) != first, "{metric}: the seed changed nothing");
    }
}

#[test]
fn the_objective_falls_until_nothing_changes() {
    let mut rng = Rng(96);
    let x = Set::new(Dtype::F32, 16, clustered(&mut rng, 3000, 16));
    for metric in Metric::PRODUCTS {
        let params = KmeansParams { metric, iterations: 500, ..KmeansParams::default() };
        let found = kmeans(x.view(), 25, &params).unwrap();
        assert!(found.objective.len() < 500, "{metric}: it ends where nothing changes");
        let falls = |pair: &[f64]| pair[1] <= pair[0] + 1e-6 * pair[0].abs();
        assert!(found.objective.windows(2).all(falls), "{metric}: {:?}", found.objective);
    }
}

#[test]
fn no_centroid_stays_without_vectors_while_vectors_are_away_from_theirs() {
    let mut rng = Rng(97);
    let x = Set::new(Dtype::F32, 8, noise(&mut rng, 100, 8));
    let start = first_rows(&x, 1).repeat(100);
    let given = Start::Given(Vectors::new(&start, 8).unwrap());
    let params = KmeansParams { iterations: 60, start: given, ..KmeansParams::default() };
    let found = kmeans(x.view(), 100, &params).unwrap();
    assert_eq!(found.objective.last(), Some(&0.0), "a centroid for every vector");
}

#[test]
fn copies_need_no_centroids_of_their_own() {
    let mut rng = Rng(98);
    let some = noise(&mut rng, 7, 10);
    let x = Set::new(Dtype::F32, 10, (0..2000).flat_map(|i| some[i % 7 * 10..][..10].to_vec()));
    for start in [Start::Auto, Start::Random, Start::PlusPlus] {
        for metric in Metric::PRODUCTS {
            let params = KmeansParams { metric, start, ..KmeansParams::default() };
            let found = kmeans(x.view(), 100, &params).unwrap();
            let (_, distances) = found.assign(x.view(), None, None).unwrap();
            for (i, &distance) in distances.iter().enumerate() {
                let length = some[i % 7 * 10..][..10].iter().map(|v| v * v).sum::<f64>().sqrt();
                let own = if metric == Metric::InnerProduct { -length } else { 0.0 };
                assert!(close(f64::from(distance), own, 1e-5), "{metric}, {start:?}: {distance}");
            }
        }
    }
}

#[test]
fn plus_plus_finds_every_far_cluster() {
    let mut rng = Rng(99);
    let clusters = 30;
    let centers = noise(&mut rng, clusters, 6);
    let values = (0..3000).flat_map(|i| {
        let center = &centers[i % clusters * 6..][..6];
        center.iter().map(|c| 100.0 * c + 0.01 * rng.normal()).collect::<Vec<f64>>()
    });
    let x = Set::new(Dtype::F32, 6, values.collect::<Vec<f64>>());
    for seed in 0..5 {
        let params = KmeansParams { start: Start::PlusPlus, seed, ..KmeansParams::default() };
        let found = kmeans(x.view(), clusters, &params).unwrap();
        let mean = found.objective.last().unwrap() / x.len() as f64;
        assert!(mean < 0.01, "seed {seed}: {mean}, within a cluster it is 0.0006");
    }
}

#[test]
fn a_sample_is_of_the_size_asked_for() {
    let mut rng = Rng(100);
    let x = Set::new(Dtype::F32, 8, noise(&mut rng, 5000, 8));
    let ones = vec![1.0; x.len()];
    let params = KmeansParams {
        metric: Metric::Cosine,
        iterations: 1,
        max_points_per_centroid: Some(20),
        weights: Some(&ones),
        ..KmeansParams::default()
    };
    // With one centroid in the first iteration no distance is above 2, and their mean is about 1.
    let found = kmeans(x.view(), 10, &params).unwrap();
    let whole = kmeans(x.view(), 10, &KmeansParams { max_points_per_centroid: None, ..params }).unwrap();
    let ratio = whole.objective[0] / found.objective[0];
    assert!((15.0..40.0).contains(&ratio), "5,000 vectors or 200: {ratio}");
}

#[test]
fn zeros_have_no_direction_but_do_no_harm_under_ip() {
    let mut rng = Rng(101);
    let mut values = clustered(&mut rng, 1000, 16);
    values[..16 * 50].fill(0.0);
    let x = Set::new(Dtype::F32, 16, values);
    let params = KmeansParams { metric: Metric::InnerProduct, ..KmeansParams::default() };
    for k in [5, 80] {
        let found = kmeans(x.view(), k, &params).unwrap();
        for row in found.centroids.chunks(16) {
            let length: f64 = row.iter().map(|v| f64::from(*v).powi(2)).sum();
            assert!(close(length, 1.0, 1e-5), "centroids are directions");
        }
        let (labels, distances) = found.assign(x.view(), None, None).unwrap();
        assert_eq!((labels[0], distances[0]), (0, 0.0));
    }
    let params = KmeansParams { metric: Metric::Cosine, ..params };
    assert!(matches!(kmeans(x.view(), 5, &params), Err(Error::ZeroVector { row: 0, .. })));
}

#[test]
fn huge_and_tiny_values_are_clustered_like_any() {
    let mut rng = Rng(102);
    let values = clustered(&mut rng, 2000, 24);
    let x = |scale: f64| Set::new(Dtype::F32, 24, values.iter().map(|v| v * scale));
    let usual = kmeans(x(1.0).view(), 80, &KmeansParams::default()).unwrap();
    for scale in [2f64.powi(50), 2f64.powi(-55)] {
        let found = kmeans(x(scale).view(), 80, &KmeansParams::default()).unwrap();
        for (a, b) in found.centroids.iter().zip(&usual.centroids) {
            assert!(close(f64::from(*a) / scale, f64::from(*b), 1e-4), "{scale}: {a} and {b}");
        }
    }
    // Squares beyond f32: distances are infinite, but nothing fails.
    kmeans(x(2f64.powi(100)).view(), 80, &KmeansParams::default()).unwrap();
}

#[test]
fn what_cannot_be_clustered_is_refused_by_name() {
    let x = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
    let x = Vectors::new(&x, 2).unwrap();
    let usual = KmeansParams::default();
    let refused = |k: usize, params: KmeansParams, says: &str| {
        let error = kmeans(x, k, &params).unwrap_err().to_string();
        assert!(error.contains(says), "\"{error}\" does not say \"{says}\"");
    };
    refused(0, usual, "k = 0");
    refused(4, usual, "k = 4");
    refused(2, KmeansParams { iterations: 0, ..usual }, "iterations = 0");
    refused(2, KmeansParams { threads: Some(0), ..usual }, "threads = 0");
    refused(2, KmeansParams { max_points_per_centroid: Some(0), ..usual }, "max_points_per_centroid = 0");
    refused(2, KmeansParams { weights: Some(&[1.0, 2.0]), ..usual }, "weights = 2 values");
    refused(2, KmeansParams { weights: Some(&[1.0, -2.0, 0.0]), ..usual }, "weights = -2");
    refused(2, KmeansParams { weights: Some(&[1.0, f32::NAN, 0.0]), ..usual }, "weights = NaN");
    refused(2, KmeansParams { weights: Some(&[0.0; 3]), ..usual }, "weights = all 0");
    refused(2, KmeansParams { weights: Some(&[0.0, 0.0, 1.0]), ..usual }, "k = 2");
    let given = |values, dim| Start::Given(Vectors::new(values, dim).unwrap());
    refused(2, KmeansParams { start: given(&[0.0f32; 3], 3), ..usual }, "centroids have 3 dimensions");
    refused(2, KmeansParams { start: given(&[0.0f32; 2], 2), ..usual }, "start = 1 centroids");
    refused(1, KmeansParams { start: given(&[f32::NAN; 2], 2), ..usual }, "centroids row 0 holds NaN");
    let nan = [1.0f32, f32::INFINITY];
    assert!(matches!(
        kmeans(Vectors::new(&nan, 2).unwrap(), 1, &usual),
        Err(Error::NotFinite { row: 0, column: 1, .. })
    ));
    let found = kmeans(x, 2, &usual).unwrap();
    for (centroids, says) in
        [(vec![], "centroids = none"), (vec![0.0, f32::NAN], "centroids row 0 holds NaN")]
    {
        let error = Kmeans { centroids, ..found.clone() }.assign(x, None, None).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    assert!(matches!(
        found.assign(Vectors::new(&[1.0f32], 1).unwrap(), None, None),
        Err(Error::Dimension { expected: 2, got: 1, .. })
    ));
}

#[test]
fn a_monitor_ends_it_at_any_report() {
    struct Stop(std::cell::Cell<usize>);
    impl Monitor for Stop {
        fn report(&self, _: &'static str, done: u64, total: u64) -> bool {
            assert!(done <= total);
            self.0.set(self.0.get().saturating_sub(1));
            self.0.get() > 0
        }
    }
    let mut rng = Rng(103);
    let x = Set::new(Dtype::F32, 32, low_rank(&mut rng, 3000, 32));
    for at in (1..200).step_by(13) {
        let monitor = Stop(std::cell::Cell::new(at));
        let params = KmeansParams { monitor: Some(&monitor), threads: Some(2), ..KmeansParams::default() };
        assert!(matches!(kmeans(x.view(), 100, &params), Err(Error::Interrupted)), "report {at}");
    }
}

#[test]
fn a_hierarchy_comes_near_to_all_comparisons() {
    let mut rng = Rng(17);
    for (metric, k) in [(Metric::L2, 400), (Metric::Cosine, 64), (Metric::InnerProduct, 300), (Metric::L2, 1)]
    {
        let x = Set::suited(Dtype::F32, 24, &clustered(&mut rng, 12_000, 24)).without_zeros();
        let params = KmeansParams { metric, iterations: 12, ..KmeansParams::default() };
        let all = kmeans(x.view(), k, &params).unwrap();
        let found = kmeans(x.view(), k, &KmeansParams { hierarchical: true, ..params }).unwrap();
        let cost = |found: &Kmeans| -> f64 {
            let (_, distances) = found.assign(x.view(), None, None).unwrap();
            // Under ip -cos · ‖x‖: less what it is at best.
            let best = if metric == Metric::InnerProduct { lengths(&x) } else { 0.0 };
            distances.iter().map(|&d| f64::from(d)).sum::<f64>() + best
        };
        assert!(cost(&found) <= 1.1 * cost(&all), "{metric}, {k}: {} over {}", cost(&found), cost(&all));
        // The last objective is that of the centroids returned, their points where they were put.
        let last =
            found.objective.last().unwrap() + if metric == Metric::InnerProduct { lengths(&x) } else { 0.0 };
        assert!(last >= cost(&found) * (1.0 - 1e-4) && last <= 1.02 * cost(&found), "{metric}, {k}: {last}");
    }
}

/// Σ ‖x‖.
fn lengths(x: &Set) -> f64 {
    (0..x.len()).map(|i| x.row(i).iter().map(|v| v * v).sum::<f64>().sqrt()).sum()
}

#[test]
fn a_hierarchy_is_the_same_at_any_number_of_threads_and_keeps_every_promise_of_odd_data() {
    let mut rng = Rng(18);
    let same = vec![3.0; 500 * 5];
    let mut far = noise(&mut rng, 600, 7);
    far[3] = 1e6;
    for (values, dim) in [(noise(&mut rng, 3000, 16), 16), (same, 5), (far, 7)] {
        for dtype in [Dtype::F32, Dtype::I8] {
            let x = Set::suited(dtype, dim, &values).without_zeros();
            for metric in Metric::PRODUCTS {
                for k in [1, 2, 300, x.len()] {
                    let params = |threads| KmeansParams {
                        metric,
                        iterations: 5,
                        hierarchical: true,
                        threads: Some(threads),
                        ..KmeansParams::default()
                    };
                    let found = kmeans(x.view(), k, &params(1)).unwrap();
                    assert_eq!(found, kmeans(x.view(), k, &params(2)).unwrap(), "{metric} {k}");
                    assert_eq!(found.k(), k);
                    assert!(found.centroids.iter().all(|v| v.is_finite()), "{metric} {k}");
                }
            }
        }
    }
    let x = Set::suited(Dtype::F32, 16, &noise(&mut rng, 300, 16));
    let weights: Vec<f32> = (0..300).map(|i| f32::from(i8::from(i % 3 == 0))).collect();
    let params = KmeansParams { hierarchical: true, weights: Some(&weights), ..KmeansParams::default() };
    assert_eq!(kmeans(x.view(), 100, &params).unwrap().k(), 100);
    assert!(matches!(kmeans(x.view(), 101, &params), Err(Error::Argument { name: "k", .. })));
    let given = KmeansParams { start: Start::Given(x.view()), weights: None, ..params };
    assert!(matches!(kmeans(x.view(), 300, &given), Err(Error::Argument { name: "start", .. })));
}

#[test]
fn batches_come_near_to_all_vectors_and_are_the_same_at_any_number_of_threads() {
    let mut rng = Rng(19);
    let x = Set::suited(Dtype::F32, 20, &clustered(&mut rng, 10_000, 20)).without_zeros();
    let weights: Vec<f32> = (0..x.len()).map(|i| (i % 5) as f32).collect();
    for metric in Metric::PRODUCTS {
        for weights in [None, Some(&weights[..])] {
            let params = KmeansParams { metric, weights, iterations: 30, ..KmeansParams::default() };
            let batches = |threads| {
                let params = KmeansParams { batch: Some(1500), threads: Some(threads), ..params };
                kmeans(x.view(), 30, &params).unwrap()
            };
            let found = batches(1);
            assert_eq!(found, batches(2), "{metric}");
            let all = kmeans(x.view(), 30, &params).unwrap();
            let cost = |found: &Kmeans| -> f64 {
                let (_, distances) = found.assign(x.view(), None, None).unwrap();
                let each = |(i, &d): (usize, &f32)| f64::from(weights.map_or(1.0, |w| w[i])) * f64::from(d);
                distances.iter().enumerate().map(each).sum()
            };
            let (got, best) = (cost(&found), cost(&all));
            assert!(got <= best + 0.15 * best.abs(), "{metric}: {got} over {best}");
        }
    }
    // As large as the whole, a batch is all vectors.
    let params = KmeansParams { iterations: 1, ..KmeansParams::default() };
    let whole = kmeans(x.view(), 30, &KmeansParams { batch: Some(x.len() * 2), ..params }).unwrap();
    assert_eq!(whole, kmeans(x.view(), 30, &params).unwrap());
}

/// How unequal groups are: 1 where all have the same size (k Σ nᵢ² / n²), and the largest in units of the mean.
fn imbalance(labels: &[u32], k: usize) -> (f64, f64) {
    let mut sizes = vec![0f64; k];
    labels.iter().for_each(|&label| sizes[label as usize] += 1.0);
    let n = labels.len() as f64;
    let squares: f64 = sizes.iter().map(|size| size * size).sum();
    (squares * k as f64 / (n * n), sizes.iter().fold(0.0, |most: f64, &size| most.max(size)) * k as f64 / n)
}

#[test]
fn balanced_groups_are_of_about_the_same_size_for_a_slightly_larger_distance() {
    let k = 50;
    for (dtype, metric) in [
        (Dtype::F32, Metric::L2),
        (Dtype::U8, Metric::L2),
        (Dtype::F32, Metric::Cosine),
        (Dtype::F16, Metric::InnerProduct),
    ] {
        let x = Set::suited(dtype, 12, &noise(&mut Rng(31), 6000, 12)).without_zeros();
        let params = KmeansParams { metric, ..KmeansParams::default() };
        let run = |params: &KmeansParams| {
            let found = kmeans(x.view(), k, params).unwrap();
            let (labels, distances) = found.assign(x.view(), None, None).unwrap();
            (found, labels, distances)
        };
        let (usual, labels, _) = run(&params);
        let (before, _) = imbalance(&labels, k);
        assert!(usual.prices.is_empty());
        let balanced = KmeansParams { balanced: true, ..params };
        let (found, labels, distances) = run(&balanced);
        let (after, largest) = imbalance(&labels, k);
        assert!(
            after < 1.01 && after < before && largest < 1.3,
            "{metric} {dtype}: {before} to {after}, {largest}"
        );
        let lost = found.objective[found.objective.len() - 1] - usual.objective[usual.objective.len() - 1];
        let scale = usual.objective[usual.objective.len() - 1].abs();
        assert!(lost < 0.03 * scale, "{metric} {dtype}: {lost} of {scale}");
        // Each label is of the least distance and price, and its distance is the metric's.
        for i in (0..x.len()).step_by(97) {
            let told = |id: usize| {
                let centroid: Vec<f64> =
                    found.centroids[id * 12..][..12].iter().map(|&v| f64::from(v)).collect();
                (distance(metric, x.row(i), &centroid), f64::from(found.prices[id]))
            };
            let row = x.row(i);
            let length = row.iter().map(|v| v * v).sum::<f64>().sqrt();
            let paid = |id: usize| {
                let (distance, price) = told(id);
                match metric {
                    Metric::L2 => f64::from(distance) + price,
                    Metric::Cosine => 2.0 * f64::from(distance) + price,
                    _ => 2.0 * f64::from(distance) / length + price,
                }
            };
            let least = (0..k).map(paid).fold(f64::INFINITY, f64::min);
            let label = labels[i] as usize;
            assert!(paid(label) - least <= 1e-5 * least.abs().max(1.0), "{metric} {dtype}: row {i}");
            assert_eq!(distances[i].to_bits(), told(label).0.to_bits(), "{metric} {dtype}: row {i}");
        }
        // The same at any number of threads.
        let one = kmeans(x.view(), k, &KmeansParams { threads: Some(1), ..balanced }).unwrap();
        assert_eq!(one, found);
    }
}

#[test]
fn odd_data_is_balanced_without_harm() {
    let x = Set::new(Dtype::F32, 12, clustered(&mut Rng(32), 3000, 12));
    let usual = KmeansParams::default();
    let [before, after] = [usual, KmeansParams { balanced: true, ..usual }].map(|params| {
        let found = kmeans(x.view(), 50, &params).unwrap();
        imbalance(&found.assign(x.view(), None, None).unwrap().0, 50).0
    });
    assert!(after < before, "{before} to {after}");
    let params = KmeansParams { balanced: true, ..KmeansParams::default() };
    for (values, k) in
        [(vec![1f32; 40], 4), (vec![0.0; 6], 3), (vec![1e30, -1e30, 2e30, 0.0], 2), (vec![5.0, 6.0], 1)]
    {
        let x = Vectors::new(&values, 2).unwrap();
        let found = kmeans(x, k.min(x.len()), &params).unwrap();
        assert!(found.centroids.iter().chain(&found.prices).all(|v| v.is_finite()), "{found:?}");
        let (labels, _) = found.assign(x, None, None).unwrap();
        assert!(labels.iter().all(|&label| (label as usize) < k));
    }
    // Copies follow no price, however long it rises.
    let copies = vec![2f32; 60];
    let long = KmeansParams { iterations: 4000, ..params };
    let found = kmeans(Vectors::new(&copies, 2).unwrap(), 3, &long).unwrap();
    assert!(found.centroids.iter().chain(&found.prices).all(|v| v.is_finite()), "{found:?}");
    // Lengths that f32 does not hold are weights all the same.
    let long: Vec<f32> = (0..80).map(|i| if i % 2 == i / 40 { 3e38 } else { 1e38 }).collect();
    let params_ip = KmeansParams { metric: Metric::InnerProduct, ..params };
    let found = kmeans(Vectors::new(&long, 2).unwrap(), 2, &params_ip).unwrap();
    assert!(found.centroids.iter().chain(&found.prices).all(|v| v.is_finite()), "{found:?}");
    let (labels, _) = found.assign(Vectors::new(&long, 2).unwrap(), None, None).unwrap();
    assert_eq!(labels.iter().filter(|&&label| label == labels[0]).count(), 20);
    let x = Vectors::new(&[1f32, 2.0, 3.0, 4.0], 2).unwrap();
    let found = kmeans(x, 2, &params).unwrap();
    for (prices, says) in [
        (vec![0.0], "prices = 1 values"),
        (vec![0.0, -1.0], "prices = -1"),
        (vec![f32::NAN, 0.0], "prices = NaN"),
    ] {
        let error = Kmeans { prices, ..found.clone() }.assign(x, None, None).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    for other in [KmeansParams { hierarchical: true, ..params }, KmeansParams { batch: Some(2), ..params }] {
        let error = kmeans(x, 2, &other).unwrap_err().to_string();
        assert!(error.contains("balanced = true"), "{error}");
    }
}

/// Vectors are checked in parts, by any thread.
#[test]
fn of_many_wrong_vectors_the_first_is_named() {
    const N: usize = 20_000;
    for threads in [1, 2] {
        let (usual, mut x) =
            (KmeansParams { threads: Some(threads), ..KmeansParams::default() }, vec![1.0f32; 2 * N]);
        for row in [9_000, 9_001, N - 1] {
            x[2 * row + 1] = f32::NAN;
        }
        let found = kmeans(Vectors::new(&x, 2).unwrap(), 3, &usual);
        assert!(matches!(found, Err(Error::NotFinite { row: 9_000, column: 1, .. })), "{found:?}");
        x.iter_mut().for_each(|v| *v = v.max(1.0));
        for row in [8_000, N - 1] {
            x[2 * row..][..2].fill(0.0);
        }
        let found =
            kmeans(Vectors::new(&x, 2).unwrap(), 3, &KmeansParams { metric: Metric::Cosine, ..usual });
        assert!(matches!(found, Err(Error::ZeroVector { row: 8_000, .. })), "{found:?}");
    }
}
