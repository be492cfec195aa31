//! Compares this crate with its peers in pairs, prints the tables of `docs/performance.md` and draws its chart:
//! `pairs [ROUNDS]`, 31 rounds unless told.

use steadfast_speed::paired::Rounds;
use steadfast_speed::parts;
use steadfast_speed::service::{Service, serve_if_asked};

fn main() {
    serve_if_asked();
    let rounds = std::env::args().nth(1).map_or(31, |rounds| rounds.parse().expect("a number of rounds"));
    let service = Service::start();
    for mut group in parts::calls(&service.url).into_iter().chain(parts::pure()) {
        if std::env::args().nth(2).is_some_and(|only| !group.name.contains(&only)) {
            continue;
        }
        let measured = Rounds::of(&mut group, rounds);
        for (part, name) in group.parts.iter().map(|part| part.name).enumerate() {
            let [low, median, high] = measured.quickness(0, part);
            println!(
                "{:<50} {name:<20} {:>10.0} ns  {median:.3} ({low:.3} to {high:.3})",
                group.name,
                measured.median(part) * 1e9
            );
        }
    }
}
