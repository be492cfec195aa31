//! The figures of several clients that share a limiter, beside clients that do not.

use steadfast::{Stayforge, stayforge};

use crate::board::Faults;
use crate::fleet::{Counts, Fleet, run};
use crate::server::{Kind, Reports};

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
fn others() {
    let abaco = || steadfast::abaco::ApiKey::new("abk_abc123", "your-secret").unwrap();
    for reports in [Reports::Nothing, Reports::RetryAfter] {
        for latency in [0.005, 0.05, 0.2] {
            let fleet = Fleet { calls: 500, limit: (300, 60.0), reports, latency, ..Fleet::new(4) };
            for seed in 1..=2 {
                let counts = run::<steadfast::Abaco>(&fleet, abaco, seed);
                println!("abaco {reports:?} {latency}: {} failed {} requests {:.1} s {} notices", counts.failed, counts.requests, counts.seconds, counts.notices.len());
            }
        }
    }
    for clients in [4, 16] {
        let fleet = Fleet { calls: 100, max_in_flight: 16, reports: Reports::Quota, ..Fleet::new(clients) };
        measure(&format!("quota {clients}"), &fleet);
        measure(&format!("quota alone {clients}"), &Fleet { board: None, ..fleet });
    }
    for (name, faults) in [
        ("loss 10", Faults { loss: 0.1, ..Faults::default() }),
        ("loss 60", Faults { loss: 0.6, ..Faults::default() }),
        ("slow 100", Faults { delay: std::time::Duration::from_millis(100), ..Faults::default() }),
        ("cut 5 s", Faults { cut_until: std::time::Duration::from_secs(5), ..Faults::default() }),
    ] {
        for clients in [4, 8, 16] {
            measure(&format!("{name} {clients}"), &Fleet { board: Some(faults), ..Fleet::new(clients) });
        }
    }
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
    if std::env::var("ABACO").is_ok() {
        let abaco = || steadfast::abaco::ApiKey::new("abk_abc123", "your-secret").unwrap();
        let fleet = Fleet { calls: 500, limit: (300, 60.0), reports: Reports::Nothing, ..Fleet::new(4) };
        let counts = run::<steadfast::Abaco>(&fleet, abaco, 1);
        for (time, text) in &counts.notices {
            println!("{:8.3} {text}", time.as_secs_f64());
        }
        for line in &counts.log {
            println!("{line}");
        }
        return;
    }
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
