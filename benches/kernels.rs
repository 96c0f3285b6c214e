use std::time::Instant;
use steep::kernels::{Isa, tile::*};
fn bench<O: Operand>(isa: Isa, d: usize, item: impl Fn(usize, usize) -> O::Query, thr: f32) {
    let steps = d / O::WIDTH;
    let panels = 64;
    let nq = 96;
    let lines = vec![Line([3u8; 64]); panels * steps * size_of::<O::Step>() / 64];
    let a = vec![[1.0f32; PANEL]; panels];
    let t = vec![[1.0f32; PANEL]; panels];
    let mut q = QueryTile::<O>::new(isa, nq, steps, item);
    for i in 0..nq {
        q.set_test(i, Test { beta: 1.0, tau: 1.0, threshold: thr });
    }
    let p = Panels { lines: &lines, a: &a, t: &t };
    let mut hits = vec![];
    let mut best = f64::MAX;
    let groups = nq.div_ceil(q.group());
    for _ in 0..50 {
        let s = Instant::now();
        for g in 0..groups {
            hits.clear();
            keep(isa, &q, g, p, &mut hits);
        }
        best = best.min(s.elapsed().as_secs_f64());
    }
    println!(
        "{} d={d} {:.1} GMAC/s hits {}",
        isa.name(),
        (panels * PANEL * nq * d) as f64 / best / 1e9,
        hits.len()
    );
}
fn main() {
    for isa in Isa::available() {
        for d in [32, 64, 128, 192, 384] {
            print!("bytes ");
            bench::<Bytes>(isa, d, |_, _| [3, 4], 1e30);
        }
        for d in [24, 32, 64, 128, 192, 384] {
            print!("codes ");
            bench::<Codes>(isa, d, |_, _| [3, 4], 1e30);
        }
        for d in [128, 384] {
            print!("floats ");
            bench::<Floats>(isa, d, |_, _| 0.5, f32::INFINITY);
        }
    }
}
