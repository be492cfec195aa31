//! Times every part with criterion, one after the other: `cargo bench --package steadfast-speed --bench parts`.
//!
//! A run of calls makes several calls; `thrpt` is the number of calls per second.

use std::time::Duration;

use criterion::{Criterion, Throughput};
use steadfast_speed::parts;
use steadfast_speed::service::{Service, serve_if_asked};

fn main() {
    serve_if_asked();
    let service = Service::start();
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for group in parts::pure().into_iter().chain(parts::calls(&service.url)) {
        let mut benches = criterion.benchmark_group(group.name);
        for mut part in group.parts {
            benches.throughput(Throughput::Elements(part.times.into()));
            benches.bench_function(part.name, |bencher| bencher.iter(&mut part.run));
        }
        benches.finish();
    }
    criterion.final_summary();
}
