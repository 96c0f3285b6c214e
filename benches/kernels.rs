//! How close do the kernels come to the machine? `cargo bench --bench kernels [-- FILTER]`.
//!
//! Throughput is in multiply-adds (`Gelem/s` are GMAC/s); the tile's share of the peak is of what `peak` measures
//! for the same operation on the same instruction set, just before.
#![allow(clippy::print_stdout, reason = "the share of the peak, which criterion cannot print")]
#![allow(missing_docs, reason = "criterion's macros")]

mod peak;

use std::array::from_fn;
use std::hint::black_box;
use std::time::{Duration, Instant};

use bytemuck::Zeroable;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use peak::Operation;
use steep::kernels::Isa;
use steep::kernels::distance::Query;
use steep::kernels::product;
use steep::kernels::tile::{self, Bytes, Codes, Line, Operand, PANEL, Panels, QueryTile, Test};
use steep::vectors::{DtypeVisitor, Element};
use steep::{Dtype, Metric, Vectors};

/// 1,024 vectors: at 32 dimensions 32 KB of codes, at 384 three quarters of an L2 cache.
const PANELS: usize = 64;
const QUERIES: usize = 48;
/// Vectors of an exact list.
const ROWS: usize = 1000;

/// Times one computation; returns its best seconds, or `None` where the filter leaves it out.
fn time(group: &mut BenchmarkGroup<WallTime>, id: &str, macs: usize, mut work: impl FnMut()) -> Option<f64> {
    let mut best = f64::MAX;
    group.throughput(Throughput::Elements(macs as u64));
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|iterations| {
            let start = Instant::now();
            (0..iterations).for_each(|_| work());
            let all = start.elapsed();
            best = best.min(all.as_secs_f64() / iterations as f64);
            all
        });
    });
    (best < f64::MAX).then_some(best)
}

/// Says how far `macs` in so many seconds are from what the processor can do, which is measured once.
fn show(
    what: &str,
    macs: usize,
    seconds: Option<f64>,
    (isa, operation): (Isa, Operation),
    peak: &mut Option<f64>,
) {
    let Some(seconds) = seconds else { return };
    let peak = *peak.get_or_insert_with(|| peak::gmacs(isa, operation));
    let rate = macs as f64 / seconds / 1e9;
    let share = 100.0 * rate / peak;
    println!("{what:32}{rate:8.1} GMAC/s at best, {share:3.0} % of the peak of {peak:.1}\n");
}

/// The tile over one operand, with a test that keeps one vector in a thousand.
fn tiles<O: Operand>(
    c: &mut Criterion,
    operation: Operation,
    line: impl Fn(&mut dyn FnMut() -> u64) -> Line,
    item: impl Fn(Isa, u64) -> O::Query,
) {
    let mut group = c.benchmark_group(operation.name());
    for isa in peak::sets() {
        let mut peak = None;
        for dim in [32, 64, 128, 192, 384] {
            let steps = dim / O::WIDTH;
            let mut seed = 1;
            let mut next = || random(&mut seed);
            let lines: Vec<Line> = (0..PANELS * steps).map(|_| line(&mut next)).collect();
            let factors = vec![[O::Factor::zeroed(); PANEL]; PANELS];
            let panels = Panels { lines: &lines, stride: steps, a: &factors, t: &factors };
            let items: Vec<O::Query> = (0..QUERIES * steps).map(|_| item(isa, next())).collect();
            let mut queries =
                QueryTile::<O>::new(isa, QUERIES, steps, |query, step| items[query * steps + step]);
            let mut best = vec![(f32::NEG_INFINITY, u32::MAX); QUERIES];
            let macs = PANELS * PANEL * QUERIES * dim;
            let mut show = |what: &str, seconds| show(what, macs, seconds, (isa, operation), &mut peak);
            let id = format!("{}/arg_max/d={dim}", isa.name());
            let seconds = time(&mut group, &id, macs, || {
                best.fill((f32::NEG_INFINITY, u32::MAX));
                tile::arg_max(isa, &queries, panels, PANELS * PANEL, 0, &mut best);
                black_box(&best);
            });
            show(&id, seconds);
            // The largest sum as the threshold, whether or not the filter let it be timed.
            best.fill((f32::NEG_INFINITY, u32::MAX));
            tile::arg_max(isa, &queries, panels, PANELS * PANEL, 0, &mut best);
            for (at, &(threshold, _)) in best.iter().enumerate() {
                queries.set_test(at, Test { beta: 0.0, tau: 0.0, threshold });
            }
            let mut lists = vec![Vec::new(); queries.group()];
            let mut hits = Vec::new();
            let id = format!("{}/d={dim}", isa.name());
            let seconds = time(&mut group, &id, macs, || {
                for g in 0..QUERIES.div_ceil(queries.group()) {
                    lists.iter_mut().for_each(Vec::clear);
                    tile::keep(isa, &queries, g, panels, &mut lists, &mut hits);
                    black_box(&lists);
                }
            });
            show(&id, seconds);
        }
    }
    group.finish();
}

fn codes(c: &mut Criterion) {
    let line = |next: &mut dyn FnMut() -> u64| Line(from_fn(|_| (next() & 127) as u8));
    // Sixteen of them of a sign meet in a lane, at most: within what every instruction set takes.
    tiles::<Codes>(c, Operation::Codes, line, |_, bits| {
        let codes: [i8; 4] = from_fn(|i| ((bits >> (5 * i)) & 31) as i8 - 16);
        bytemuck::must_cast(codes)
    });
}

fn bytes(c: &mut Criterion) {
    let line = |next: &mut dyn FnMut() -> u64| Line(from_fn(|_| next() as u8));
    tiles::<Bytes>(c, Operation::Bytes, line, |isa, bits| {
        tile::pack_bytes(isa, from_fn(|i| i16::from((bits >> (8 * i)) as i8)))
    });
}

/// Products of f32, written as a table.
fn floats(c: &mut Criterion) {
    let mut group = c.benchmark_group(Operation::Floats.name());
    for isa in peak::sets() {
        let mut peak = None;
        for dim in [32, 64, 128, 192, 384] {
            let (mut seed, count) = (1, PANELS * PANEL);
            let mut values = |n: usize| -> Vec<f32> {
                (0..n * dim).map(|_| (random(&mut seed) & 0xFFFF) as f32 / 32768.0 - 1.0).collect()
            };
            let panels = product::Panels::new(&values(count), dim);
            let (rows, mut out) = (values(QUERIES), vec![0f32; count * QUERIES]);
            let (id, macs) = (format!("{}/d={dim}", isa.name()), count * QUERIES * dim);
            let seconds = time(&mut group, &id, macs, || {
                isa.run(product::Products { rows: &rows, panels: &panels, out: &mut out });
                black_box(&out);
            });
            show(&id, macs, seconds, (isa, Operation::Floats), &mut peak);
        }
    }
    group.finish();
}

/// Exact distances from one query to a list of rows.
fn distances(c: &mut Criterion) {
    struct One<'a, 'b>(&'a mut BenchmarkGroup<'b, WallTime>, usize);
    impl DtypeVisitor for One<'_, '_> {
        type Out = ();
        fn visit<E: Element>(self) {
            let Self(group, dim) = self;
            let mut seed = 1;
            let rows: Vec<E> =
                (0..ROWS * dim).map(|_| E::from_f64((random(&mut seed) & 127) as f64)).collect();
            let rows = Vectors::new(&rows, dim).expect("whole rows");
            let list: Vec<u32> = (0..ROWS as u32).collect();
            let mut out = Vec::with_capacity(ROWS);
            for isa in peak::sets() {
                for metric in Metric::PRODUCTS {
                    let query = Query::new(metric, rows, 0, E::DTYPE);
                    let id = format!("{}/{}/{metric}/d={dim}", E::DTYPE, isa.name());
                    time(group, &id, ROWS * dim, || {
                        out.clear();
                        query.distances(isa, rows, &list, &mut out);
                        black_box(&out);
                    });
                }
            }
        }
    }
    let mut group = c.benchmark_group("distances");
    for dim in [128, 384] {
        for dtype in Dtype::NUMBERS {
            dtype.visit(One(&mut group, dim));
        }
    }
    group.finish();
}

/// Xorshift.
fn random(seed: &mut u64) -> u64 {
    let mut v = *seed;
    v ^= v << 13;
    v ^= v >> 7;
    v ^= v << 17;
    *seed = v;
    v.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 8
}

fn config() -> Criterion {
    // Many short ones rather than few long ones: the whole is over in a minute and a half.
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(200))
        .without_plots()
}

criterion_group! { name = kernels; config = config(); targets = codes, bytes, floats, distances }
criterion_main!(kernels);
