//! Range search finds what the oracle finds, in compressed rows.

use steep::{Dtype, Error, Index, Metric, SearchParams};

use crate::common::data::{Rng, Set, low_rank, whole};
use crate::common::oracle::{Truth, both, exact};

fn agree(metric: Metric, base: &Set, ids: Option<&[u64]>, queries: &Set, radii: &[f32]) {
    let truth = Truth::new(metric, base, ids, queries);
    for index in both(metric, base, ids) {
        for &radius in radii {
            let hits = index.range_search(queries.view(), radius, &SearchParams::default()).unwrap();
            assert!(hits == truth.within(radius), "{index:?}, radius {radius}");
            // One query a call is another way through the code.
            let one =
                index.range_search(queries.view().rows(0..1), radius, &SearchParams::default()).unwrap();
            assert_eq!(one.ids, hits.ids[..hits.offsets[1]]);
            assert_eq!(one.offsets, hits.offsets[..2]);
        }
    }
}

/// Radii that leave out nearly all, keep a few, keep nearly all; each is exactly some vector's distance, which belongs
/// to the result, and just below it, which leaves it out.
fn radii(truth: &Truth, n: usize) -> Vec<f32> {
    let distances = [0, 1, 10, n / 10, n - 1].map(|rank| truth.distance(0, rank));
    distances
        .into_iter()
        .flat_map(|d| [d, d.next_down()])
        .chain([f32::NEG_INFINITY, 0.0, f32::INFINITY])
        .collect()
}

#[test]
fn every_metric_and_type_agrees_with_the_oracle_at_any_radius() {
    let mut rng = Rng(31);
    let (n, dim) = (4096 + 59, 40);
    let values = low_rank(&mut rng, n, dim);
    let asked = low_rank(&mut rng, 9, dim);
    for (metric, dtype) in Metric::PRODUCTS.into_iter().flat_map(|m| Dtype::NUMBERS.map(|dtype| (m, dtype))) {
        let (base, queries) = (Set::suited(dtype, dim, &values), Set::suited(dtype, dim, &asked));
        let radii = radii(&Truth::new(metric, &base, None, &queries), n);
        agree(metric, &base, None, &queries, &radii);
    }
}

#[test]
fn equal_distances_are_in_the_order_of_the_ids() {
    let mut rng = Rng(32);
    for n in [300, 5000] {
        let base = Set::new(Dtype::I8, 24, whole(&mut rng, n, 24, 2)).without_zeros();
        let queries = Set::new(Dtype::F32, 24, whole(&mut rng, 9, 24, 2)).without_zeros();
        let ids = rng.shuffled((0..n as u64).collect());
        for metric in Metric::PRODUCTS {
            let radii = radii(&Truth::new(metric, &base, Some(&ids), &queries), n);
            agree(metric, &base, Some(&ids), &queries, &radii);
        }
    }
}

#[test]
fn distances_beyond_f32_are_within_an_infinite_radius_only() {
    let base = Set::new(Dtype::F32, 2, [0.0, 0.0, 1e30, 0.0, -1e30, 0.0]);
    let queries = Set::new(Dtype::F32, 2, [1e30, 0.0]);
    agree(Metric::L2, &base, None, &queries, &[0.0, f32::MAX, f32::INFINITY]);
    agree(
        Metric::InnerProduct,
        &base,
        None,
        &queries,
        &[f32::NEG_INFINITY, f32::MIN, 0.0, f32::MAX, f32::INFINITY],
    );
}

#[test]
fn nothing_in_gives_nothing_out_in_the_same_shape() {
    let none = Set::new(Dtype::F32, 3, []);
    let some = Set::new(Dtype::F32, 3, [1.0; 6]);
    let params = SearchParams::default();
    for (base, queries, offsets) in
        [(&none, &some, vec![0, 0, 0]), (&some, &none, vec![0]), (&none, &none, vec![0])]
    {
        let index = Index::build(base.view(), &exact()).unwrap();
        let hits = index.range_search(queries.view(), f32::INFINITY, &params).unwrap();
        assert_eq!((hits.offsets, hits.ids.len(), hits.distances.len()), (offsets, 0, 0));
        let hits = index.search(queries.view(), 5, &params).unwrap();
        assert_eq!(hits.ids.len(), 5 * queries.len());
    }
}

#[test]
fn a_radius_that_is_no_number_is_refused() {
    let x = Set::new(Dtype::F32, 1, [1.0]);
    let index = Index::build(x.view(), &exact()).unwrap();
    let error = index.range_search(x.view(), f32::NAN, &SearchParams::default()).unwrap_err();
    assert!(
        matches!(error, Error::Argument { name: "radius", .. }) && error.to_string().contains("NaN"),
        "{error}"
    );
}
