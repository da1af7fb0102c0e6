//! What it costs a request to be counted: two looks at the clock, a counter and a histogram.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use allium_engine::metrics::{Histograms, Stripes};
use criterion::{Criterion, criterion_group, criterion_main};

/// As many as there are of requests.
const SERIES: usize = 120;

struct Counters {
    codes: Stripes,
    times: Histograms,
}

impl Counters {
    fn count(&self, series: usize) {
        let came = Instant::now();
        self.codes.add(black_box(series * 14), 1);
        self.times.time(series, came.elapsed());
    }
}

fn counting(criterion: &mut Criterion) {
    let counters = Arc::new(Counters { codes: Stripes::new(SERIES * 14), times: Histograms::of_times(SERIES) });
    criterion.bench_function("a request counted", |bencher| bencher.iter(|| counters.count(black_box(7))));
    criterion.bench_function("two looks at the clock", |bencher| bencher.iter(|| black_box(Instant::now()).elapsed()));
    // Another core counts the same without a pause.
    let ended = Arc::new(AtomicBool::new(false));
    let beside = std::thread::spawn({
        let (counters, ended) = (Arc::clone(&counters), Arc::clone(&ended));
        move || {
            while !ended.load(Ordering::Relaxed) {
                counters.count(7);
            }
        }
    });
    criterion.bench_function("a request counted, beside another", |bencher| {
        bencher.iter(|| counters.count(black_box(7)));
    });
    ended.store(true, Ordering::Relaxed);
    drop(beside.join());
}

criterion_group!(benches, counting);
criterion_main!(benches);
