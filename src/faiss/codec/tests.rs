//! Every codec against what it decodes to, one coordinate after the other in f64.

use super::*;
use crate::random::Random;

fn values(seed: u64, count: usize) -> Vec<f32> {
    let mut random = Random(seed);
    (0..count).map(|_| (random.unit() * 4.0 - 2.0) as f32).collect()
}

fn trained(dim: usize, layout: Layout) -> Vec<f32> {
    train_ranges(&values(1, 40 * dim), dim, layout, (RangeStat::MinMax, 0.1), None, None).unwrap()
}

/// One of each kind whose distances are those of what codes stand for.
fn exact(dim: usize) -> Vec<Box<dyn Codec>> {
    let mut codecs: Vec<Box<dyn Codec>> = vec![Box::new(Flat::new(dim).unwrap())];
    for number in 0..9 {
        let layout = Layout::from_number(number).unwrap();
        codecs.push(Box::new(Scalar::new(dim, layout, &trained(dim, layout)).unwrap()));
    }
    for bits in [1, 3, 4, 7, 8, 11] {
        let parts = if dim.is_multiple_of(3) { 3 } else { 1 };
        codecs.push(Box::new(Product::new(dim, parts, bits, &values(2, dim << bits)).unwrap()));
    }
    codecs
}

/// The distance of `query` from `center` + `x`.
fn far(metric: Metric, query: &[f32], center: &[f32], x: &[f32]) -> f64 {
    let terms = query.iter().zip(center).zip(x).map(|((&q, &c), &x)| {
        let (q, x) = (f64::from(q), f64::from(c) + f64::from(x));
        if metric == Metric::L2 { (q - x) * (q - x) } else { -q * x }
    });
    terms.sum()
}

#[test]
fn distances_are_those_of_what_codes_stand_for_in_lists_and_out_of_them() {
    for dim in [1, 5, 9, 16, 18, 33, 48] {
        let (query, zeros) = (values(3, dim), vec![0.0; dim]);
        let centers = values(4, 2 * dim);
        for (kind, codec) in exact(dim).iter().enumerate() {
            let (count, size) = (11, codec.code_size());
            let mut codes = vec![0; count * size];
            codec.encode(&values(5, count * dim), None, &mut codes);
            let mut x = vec![0.0; count * dim];
            codec.decode(&codes, &mut x);
            for metric in [Metric::L2, Metric::InnerProduct] {
                let mut scorer = codec.scorer(metric, &query);
                let (mut found, every) = (vec![0.0; count], (0..count as u32).collect::<Vec<_>>());
                for list in [None, Some(1), Some(0), Some(1), None] {
                    let center = list.map_or(&zeros[..], |at| &centers[at * dim..][..dim]);
                    let coarse = far(metric, &query, center, &zeros) as f32;
                    let coarse = if metric == Metric::L2 { coarse } else { -coarse };
                    scorer.enter(list.map(|_| Residual { center, coarse }));
                    scorer.score(&codes, &mut found);
                    if scorer.is_below() {
                        let least = found.clone();
                        scorer.gather(&codes, &every, &mut found);
                        for (least, sum) in least.iter().zip(&found) {
                            assert!(sum >= least, "{kind} {dim} {metric} {sum} {least}");
                        }
                    }
                    let scores = found.clone();
                    if let Some(terms) = list.and_then(|_| codec.terms(metric, center, &|| codes.clone())) {
                        found.iter_mut().zip(terms).for_each(|(found, term)| *found += term);
                    }
                    for (row, x) in x.chunks_exact(dim).enumerate() {
                        let wanted = far(metric, &query, center, x);
                        let off = (f64::from(found[row]) - wanted).abs();
                        assert!(
                            off < 1e-4 * (1.0 + wanted.abs() + 1e-2 * dim as f64),
                            "{kind} {dim} {metric} {off}"
                        );
                    }
                    // The same bits, whatever is asked for beside it.
                    let rows = [7, 0, 10, 3, 3];
                    let mut some = [0.0; 5];
                    scorer.gather(&codes, &rows, &mut some);
                    assert_eq!(some, rows.map(|row| scores[row as usize]), "{kind} {dim} {metric}");
                }
            }
        }
    }
}

#[test]
fn rabitq_estimates_the_same_about_a_list_s_centre_as_about_its_own() {
    for dim in [1, 9, 33, 64] {
        let (query, center, x) = (values(3, dim), values(4, dim), values(5, 7 * dim));
        for metric in [Metric::L2, Metric::InnerProduct] {
            for bits in 1..=9 {
                for rounding in [(0, false), (4, false), (8, true)] {
                    let rounding = RaBitQuery { bits: rounding.0, centered: rounding.1 };
                    let own = RaBitQ::new(dim, metric, bits, rounding, Some(&center)).unwrap();
                    let other = RaBitQ::new(dim, metric, bits, rounding, None).unwrap();
                    let (mut first, mut second) =
                        (vec![0; 7 * own.code_size()], vec![0; 7 * own.code_size()]);
                    own.encode(&x, None, &mut first);
                    let residuals: Vec<f32> =
                        x.iter().zip(center.iter().cycle()).map(|(x, c)| x - c).collect();
                    other.encode(&residuals, Some(&center.repeat(7)), &mut second);
                    let (mut by_own, mut by_list) = ([0.0; 7], [0.0; 7]);
                    let rows = [0, 1, 2, 3, 4, 5, 6];
                    let mut scorer = own.scorer(metric, &query);
                    scorer.enter(None);
                    scorer.gather(&first, &rows, &mut by_own);
                    let mut least = [0.0; 7];
                    scorer.score(&first, &mut least);
                    let mut scorer = other.scorer(metric, &query);
                    scorer.enter(Some(Residual { center: &center, coarse: f32::NAN }));
                    scorer.gather(&second, &rows, &mut by_list);
                    assert_eq!(scorer.is_below(), bits > 1);
                    assert!(bits > 1 || least == by_own, "{dim} {metric} {least:?} {by_own:?}");
                    for (a, b) in by_own.iter().zip(by_list) {
                        assert!((a - b).abs() < 1e-3 * (1.0 + a.abs()), "{dim} {metric} {bits}: {a} {b}");
                    }
                }
            }
        }
    }
}

#[test]
fn no_value_and_no_code_is_fatal() {
    let wild = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE, -0.0, 0.0, 1e-45];
    let dim = 18;
    let x: Vec<f32> = wild.iter().copied().cycle().take(5 * dim).collect();
    let mut codecs = exact(dim);
    for bits in 1..=9 {
        for metric in [Metric::L2, Metric::InnerProduct] {
            let query = RaBitQuery { bits: bits - 1, centered: bits % 2 == 0 };
            codecs.push(Box::new(RaBitQ::new(dim, metric, bits, query, None).unwrap()));
        }
    }
    for codec in &codecs {
        let mut codes = vec![0; 5 * codec.code_size()];
        codec.encode(&x, None, &mut codes);
        for bytes in [codes, vec![0xFF; 5 * codec.code_size()]] {
            codec.decode(&bytes, &mut vec![0.0; 5 * dim]);
            for metric in [Metric::L2, Metric::InnerProduct] {
                for query in [&x[..dim], &[0.0; 18]] {
                    let mut scorer = codec.scorer(metric, query);
                    scorer.enter(None);
                    scorer.score(&bytes, &mut [0.0; 5]);
                }
            }
        }
    }
}

#[test]
fn what_no_codec_is_of_is_refused() {
    assert!(Flat::new(0).is_err() && Flat::new(MAX_DIM + 1).is_err());
    for number in [9, 15, 26] {
        let error = Layout::from_number(number).unwrap_err().to_string();
        assert!(error.contains("QT_"), "{error}");
    }
    assert!(Layout::from_number(27).is_err() && Layout::from_number(usize::MAX).is_err());
    assert!(Scalar::new(4, Layout::Eight, &[0.0; 7]).is_err());
    assert!(Scalar::new(4, Layout::Half, &[0.0]).is_err());
    for (parts, bits) in [(0, 8), (3, 8), (2, 0), (2, 17)] {
        assert!(Product::new(4, parts, bits, &[]).is_err());
    }
    assert!(Product::new(4, 2, 1, &[0.0; 9]).is_err());
    for bits in [0, 10] {
        assert!(RaBitQ::new(4, Metric::L2, bits, RaBitQuery::default(), None).is_err());
    }
    let nine = RaBitQuery { bits: 9, centered: false };
    assert!(RaBitQ::new(4, Metric::L2, 1, nine, None).is_err());
    assert!(RaBitQ::new(4, Metric::L2, 1, RaBitQuery::default(), Some(&[0.0; 3])).is_err());
    let flat = Flat::new(4).unwrap();
    assert!(encode(&flat, &[0.0; 5], None, None, None).is_err());
    assert!(encode(&flat, &[0.0; 4], Some(&[0.0; 8]), None, None).is_err());
    assert!(decode(&flat, &[0; 15], None, None).is_err());
    assert!(distances(&flat, Metric::Cosine, &[0.0; 4], &[0; 16], None, None).is_err());
    assert_eq!(distances(&flat, Metric::L2, &[0.0; 4], &[], None, None).unwrap(), [0.0; 0]);
}

#[test]
fn fewer_vectors_than_centroids_are_enough() {
    let x = values(6, 5 * 6);
    let start = values(7, 6 << 4);
    for start in [None, Some(&start[..])] {
        let params = BookParams {
            iterations: 3,
            max_points_per_centroid: 256,
            seed: 1,
            start,
            threads: None,
            monitor: None,
        };
        let centroids = train_books(&x, 6, (2, 4), &params).unwrap();
        let product = Product::new(6, 2, 4, &centroids).unwrap();
        let codes = encode(&product, &x, None, None, None).unwrap();
        if start.is_none() {
            assert_eq!(decode(&product, &codes, None, None).unwrap(), x, "as many centroids as vectors");
        }
        assert!(train_books(&[], 6, (2, 4), &params).is_err());
        assert!(train_books(&x, 6, (4, 4), &params).is_err());
    }
}

#[test]
fn eight_bits_take_the_whole_level_below_whatever_comes_and_nothing_of_a_range_of_no_width() {
    let x: Vec<f32> = (-3..=260)
        .flat_map(|level| [level as f32, level as f32 + 0.5, (level as f32).next_down()])
        .chain([f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -0.0])
        .collect();
    for width in [255.0, 100.0, 1e-3, 0.0] {
        let ranges = [vec![0.0; x.len()], vec![width; x.len()]].concat();
        let mut codes = vec![7; x.len()];
        Scalar::new(x.len(), Layout::Eight, &ranges).unwrap().encode(&x, None, &mut codes);
        for (&x, &code) in x.iter().zip(&codes) {
            let share = if width == 0.0 { 0.0 } else { (x / width).clamp(0.0, 1.0) };
            assert_eq!(code, (255.0 * share) as u8, "{x} of {width}");
        }
    }
}

#[test]
fn signs_of_rabitq_seldom_tell_too_much_and_rule_most_codes_out() {
    const DIM: usize = 96;
    let (x, queries) = (values(5, 500 * DIM), values(6, 20 * DIM));
    for metric in [Metric::L2, Metric::InnerProduct] {
        for bits in 2..=9 {
            let codec = RaBitQ::new(DIM, metric, bits, RaBitQuery::default(), None).unwrap();
            let mut codes = vec![0; 500 * codec.code_size()];
            codec.encode(&x, None, &mut codes);
            let (mut above, mut left) = (0, 0);
            for query in queries.chunks_exact(DIM) {
                let mut scorer = codec.scorer(metric, query);
                scorer.enter(None);
                let (mut least, mut all) = (vec![0.0; 500], vec![0.0; 500]);
                scorer.score(&codes, &mut least);
                scorer.gather(&codes, &(0..500).collect::<Vec<_>>(), &mut all);
                above += least.iter().zip(&all).filter(|(least, all)| least > all).count();
                let mut sorted = all.clone();
                sorted.sort_by(f32::total_cmp);
                left += least.iter().filter(|least| **least <= sorted[9]).count();
            }
            assert!(above < 150, "{metric} {bits}: {above} of 10,000");
            assert!(left < 6000, "{metric} {bits}: {left} of 10,000");
        }
    }
}
