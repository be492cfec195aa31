//! Compares this crate with its peers in pairs, prints the tables of `docs/performance.md` and draws its first chart:
//! `pairs [LAUNCHES ROUNDS]`, 10 launches of 21 rounds unless told.

use steadfast_speed::callers::Caller;
use steadfast_speed::chart;
use steadfast_speed::paired::{Measured, measure};
use steadfast_speed::parts::{self, Group};
use steadfast_speed::service::{Service, serve_if_asked};

fn main() {
    serve_if_asked();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let service = Service::start();
    let (calls, pure) = (parts::calls(&service.url), parts::pure());
    match arguments[..] {
        ["once", rounds] => {
            let rounds = rounds.parse().expect("a number of rounds");
            calls.into_iter().chain(pure).for_each(|mut group| measure(&mut group, rounds));
        }
        [launches, rounds] => report(launches.parse().expect("a number of launches"), rounds, &calls, &pure),
        [] => report(10, "21", &calls, &pure),
        _ => panic!("usage: pairs [LAUNCHES ROUNDS]"),
    }
}

fn report(launches: usize, rounds: &str, calls: &[Group], pure: &[Group]) {
    let measured = Measured::gather(launches, &["once", rounds]);
    println!("| | steadfast | reqwest | reqwest-retry | of reqwest | of reqwest-retry |\n|---|---|---|---|---|---|");
    for Group { name, .. } in calls {
        let micros = Caller::NAMES.map(|caller| 1e6 * measured.median(name, caller).expect("measured"));
        let [of_reqwest, of_retry] =
            ["reqwest", "reqwest-retry"].map(|peer| measured.quickness(name, "steadfast", peer));
        let [[low, median, high], [_, retry, _]] = [of_reqwest, of_retry];
        print!("| {name} | {:.1} µs | {:.1} µs | {:.1} µs ", micros[0], micros[1], micros[2]);
        println!("| {median:.3} ({low:.2} to {high:.2}) | {retry:.3} |");
    }
    println!("\n| | | time | as quick as the second |\n|---|---|---|---|");
    for Group { name, parts } in pure {
        for part in parts {
            let nanos = 1e9 * measured.median(name, part.name).expect("measured");
            print!("| {name} | {} | {nanos:.0} ns |", part.name);
            match &parts[..] {
                [first, second, ..] if part.name == first.name => {
                    let [low, median, high] = measured.quickness(name, first.name, second.name);
                    println!(" {median:.2} ({low:.2} to {high:.2}) times |");
                }
                _ => println!(" |"),
            }
        }
    }
    let rows = calls.iter().map(|Group { name, .. }| {
        let of_reqwest = |caller| measured.quickness(name, caller, "reqwest");
        (name.as_str(), [of_reqwest("steadfast"), of_reqwest("reqwest-retry")])
    });
    chart::throughput(&rows.collect::<Vec<_>>(), "docs/img/throughput.svg").expect("the chart is drawn");
}
