//! How fast can this machine be? The floors that any figure of Steep's stands on: `cargo bench --bench limits`.
//!
//! The best of several runs, on whatever else the machine is doing: on a busy one run it again.
#![allow(clippy::print_stdout, reason = "a table for a person to read")]

mod peak;

use std::hint::black_box;

use memmap2::MmapMut;
use peak::{Operation, best};
use steep::kernels::{Isa, Kernel, Simd};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// Far beyond any cache.
const DRAM: usize = 512 * MIB;
const LINE: usize = 64;

fn main() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let names: Vec<_> = peak::sets().iter().map(|isa| isa.name()).collect();
    println!("{cores} cores, {}\n", names.join(", "));
    rates();
    bandwidth(cores);
    random_lines();
    latency();
}

fn rates() {
    println!("{:36}{:>12}", "multiply-adds, one core", "GMAC/s");
    for isa in peak::sets() {
        for operation in [Operation::Floats, Operation::Bytes, Operation::Codes] {
            println!(
                "  {:34}{:>12.1}",
                format!("{} {}", operation.name(), isa.name()),
                peak::gmacs(isa, operation)
            );
        }
    }
}

/// Memory of its own, each page written once, asked to be in pages of 2 MB or of 4 KB.
fn memory(bytes: usize, huge: bool) -> MmapMut {
    // 2 MB more than is used would hardly matter; less would leave a small mapping without any huge page.
    let mut map = MmapMut::map_anon(bytes.next_multiple_of(2 * MIB)).expect("anonymous memory");
    #[cfg(target_os = "linux")]
    {
        use memmap2::Advice;
        // A kernel without transparent huge pages refuses: then both columns are of small pages.
        let _ = map.advise(if huge { Advice::HugePage } else { Advice::NoHugePage });
    }
    let _ = huge;
    map.fill(1);
    map
}

/// Bytes of this process that lie in pages of 2 MB; `None` where the system does not say.
fn huge_bytes() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("AnonHugePages:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok().map(|kib| kib * KIB)
}

/// The sum of all lines as floats, in as many registers as hide an addition's latency: said to the processor as it is, for of sums of words
/// compilers made 3 GB/s.
struct Sum<'a>(&'a [[f32; LINE / 4]]);

impl Kernel for Sum<'_> {
    type Out = f32;
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let one = s.splat_f32(1.0);
        let mut sums = [s.splat_f32(0.0); 8];
        for lines in self.0.as_chunks::<8>().0 {
            for i in 0..8 {
                sums[i] = s.mul_add_f32(s.load_f32(&lines[i]), one, sums[i]);
            }
        }
        sums.into_iter().flat_map(|sum| s.lanes_f32(sum)).sum()
    }
}

fn bandwidth(cores: usize) {
    println!("\n{:36}{:>12}", "sequential reads, 2 MB pages", "GB/s");
    let map = memory(DRAM, true);
    let lines: &[[f32; LINE / 4]] = bytemuck::cast_slice(&map);
    let isa = Isa::active();
    let rate = |seconds: f64| DRAM as f64 / seconds / 1e9;
    let one = best(|| {
        black_box(isa.run(Sum(lines)));
    });
    println!("  {:34}{:>12.1}", "one thread", rate(one));
    let all = best(|| {
        std::thread::scope(|scope| {
            for part in lines.chunks(lines.len().div_ceil(cores)) {
                scope.spawn(move || black_box(isa.run(Sum(part))));
            }
        });
    });
    println!("  {:34}{:>12.1}", format!("{cores} threads"), rate(all));
}

/// Reads lines in an order that no hardware can guess, asking for each some steps ahead.
struct Gather<'a> {
    words: &'a [u64],
    lines: &'a [u32],
    ahead: usize,
}

impl Kernel for Gather<'_> {
    type Out = u64;
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> u64 {
        let Self { words, lines, ahead } = self;
        let bytes: &[u8] = bytemuck::cast_slice(words);
        let mut sum = 0u64;
        for i in 0..lines.len() {
            if let Some(&next) = lines.get(i + ahead) {
                s.prefetch(&bytes[next as usize * LINE..][..LINE]);
            }
            sum = sum.wrapping_add(words[lines[i] as usize * (LINE / 8)]);
        }
        sum
    }
}

fn random_lines() {
    println!("\n{:36}{:>12}{:>12}", "random 64-byte lines, one thread", "2 MB pages", "4 KB pages");
    println!("{:36}{:>12}{:>12}", "", "M/s", "M/s");
    for bytes in [MIB, 32 * MIB, DRAM] {
        let count = bytes / LINE;
        let mut seed = 1;
        // Enough of them that a second run does not find the first one's lines in the cache.
        let lines: Vec<u32> =
            (0..(count / 2).max(MIB)).map(|_| (random(&mut seed) % count as u64) as u32).collect();
        let rates = [true, false].map(|huge| {
            let map = memory(bytes, huge);
            let words: &[u64] = bytemuck::cast_slice(&map);
            let run = |ahead| {
                best(|| {
                    black_box(Isa::active().run(Gather { words, lines: &lines, ahead }));
                })
            };
            lines.len() as f64 / [8, 16, 32].map(run).into_iter().fold(f64::MAX, f64::min) / 1e6
        });
        println!("  {:34}{:>12.0}{:>12.0}", size(bytes), rates[0], rates[1]);
    }
}

fn latency() {
    println!("\n{:36}{:>12}{:>12}", "dependent loads, one thread", "2 MB pages", "4 KB pages");
    println!("{:36}{:>12}{:>12}", "", "ns", "ns");
    let mut huge_share = 0.0;
    for bytes in [16 * KIB, 256 * KIB, 4 * MIB, 16 * MIB, DRAM] {
        let times = [true, false].map(|huge| {
            let before = huge_bytes().unwrap_or(0);
            let mut map = memory(bytes, huge);
            if huge {
                huge_share =
                    huge_bytes().map_or(0.0, |now| now.saturating_sub(before) as f64 / map.len() as f64);
            }
            let words: &mut [u64] = bytemuck::cast_slice_mut(&mut map);
            cycle(&mut words[..bytes / 8]);
            // Short walks, each from where the last one ended: the best of them was not interrupted.
            let steps = 128 * KIB;
            let mut at = 0;
            let seconds = best(|| {
                for _ in 0..steps {
                    at = words[at] as usize;
                }
                black_box(at);
            });
            seconds / steps as f64 * 1e9
        });
        println!("  {:34}{:>12.1}{:>12.1}", size(bytes), times[0], times[1]);
    }
    println!("\n{:.0} % of the last \"2 MB\" memory was in such pages.", huge_share * 100.0);
}

/// Makes the first word of each line the place of the next one, in one random cycle through all lines.
fn cycle(words: &mut [u64]) {
    let lines = words.len() * 8 / LINE;
    let mut order: Vec<u32> = (0..lines as u32).collect();
    let mut seed = 2;
    for i in (1..lines).rev() {
        order.swap(i, (random(&mut seed) % (i as u64 + 1)) as usize);
    }
    for i in 0..lines {
        let (from, to) = (order[i] as usize, order[(i + 1) % lines] as u64);
        words[from * (LINE / 8)] = to * (LINE as u64 / 8);
    }
}

/// Xorshift: the quality of the order matters little, its time does.
fn random(seed: &mut u64) -> u64 {
    let mut v = *seed;
    v ^= v << 13;
    v ^= v >> 7;
    v ^= v << 17;
    *seed = v;
    v.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
}

fn size(bytes: usize) -> String {
    if bytes >= MIB { format!("{} MB", bytes / MIB) } else { format!("{} KB", bytes / KIB) }
}
