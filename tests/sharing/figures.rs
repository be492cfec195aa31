//! The figures of several clients that share a limiter, beside clients that do not.

use steadfast::{Stayforge, stayforge};

use crate::board::Faults;
use crate::fleet::{Counts, Fleet, run};
use crate::server::Kind;

fn key() -> stayforge::ApiKey {
    stayforge::ApiKey::new("sk_example").unwrap()
}

/// Runs a fleet with several seeds, and prints the figures.
fn measure(name: &str, fleet: &Fleet) -> Vec<Counts> {
    let counts: Vec<_> = (1..=3).map(|seed| run::<Stayforge>(fleet, key, seed)).collect();
    let mean = |figure: fn(&Counts) -> f64| counts.iter().map(figure).sum::<f64>() / counts.len() as f64;
    println!(
        "{name}: {:.1} failed, {:.0} requests, {:.0} throttled, {:.0} early, {:.2} s (max {:.2}), {:.2} s apart, {:.0} notices",
        mean(|count| count.failed as f64),
        mean(|count| count.requests as f64),
        mean(|count| count.throttled as f64),
        mean(|count| count.early as f64),
        mean(|count| count.seconds),
        counts.iter().map(|count| count.seconds).fold(0.0, f64::max),
        mean(|count| count.apart),
        mean(|count| count.notices.iter().filter(|(_, text)| text.len() > 18).count() as f64),
    );
    counts
}

#[test]
#[ignore]
fn overview() {
    let filter = std::env::var("FLEET").unwrap_or_default();
    for kind in [Kind::Fixed, Kind::Rolling, Kind::Bucket] {
        for latency in [0.005, 0.05, 0.2] {
            for clients in [4, 8, 16] {
                if !format!("{kind:?} {latency} {clients} ").starts_with(&filter) {
                    continue;
                }
                let fleet = Fleet { kind, latency, ..Fleet::new(clients) };
                measure(&format!("{kind:?} {latency} {clients} shared"), &fleet);
                measure(&format!("{kind:?} {latency} {clients} alone "), &Fleet { board: None, ..fleet.clone() });
                let one = Fleet { clients: 1, calls: 50 * clients, max_in_flight: 32 * clients, board: None, ..fleet };
                measure(&format!("{kind:?} {latency} {clients} one   "), &one);
            }
        }
    }
    if filter == "apart" {
        for seed in 1..=20 {
            let counts = run::<Stayforge>(&Fleet { apart: 0.3, ..Fleet::new(16) }, key, seed);
            println!("apart {seed}: {} failed {} requests {:.1} s", counts.failed, counts.requests, counts.seconds);
        }
    }
    if !filter.is_empty() {
        return;
    }
    measure("apart", &Fleet { apart: 0.3, ..Fleet::new(16) });
    for is_silent in [false, true] {
        let away = Some((std::time::Duration::from_secs(3), std::time::Duration::MAX));
        for clients in [4, 8] {
            let board = Some(Faults { away, is_silent, ..Faults::default() });
            measure(&format!("away {is_silent} {clients}"), &Fleet { board, ..Fleet::new(clients) });
        }
    }
}

#[test]
#[ignore]
fn trace() {
    let clients = std::env::var("CLIENTS").map_or(4, |clients| clients.parse().unwrap());
    let number = |name: &str, other: f64| std::env::var(name).map_or(other, |number| number.parse().unwrap());
    let kind = match std::env::var("KIND").as_deref() {
        Ok("Rolling") => Kind::Rolling,
        Ok("Bucket") => Kind::Bucket,
        _ => Kind::Fixed,
    };
    let (apart, latency) = (number("APART", 0.0), number("LATENCY", 0.005));
    let counts =
        run::<Stayforge>(&Fleet { kind, apart, latency, ..Fleet::new(clients) }, key, number("SEED", 1.0) as u64);
    for (time, text) in &counts.notices {
        println!("{:8.3} {text}", time.as_secs_f64());
    }
    for line in &counts.log {
        println!("{line}");
    }
}
