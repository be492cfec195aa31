//! Compares this crate with its peers round by round, prints the tables of `benches/README.md` and draws its first
//! chart: `pairs [LAUNCHES ROUNDS [GROUP]]`. Defaults to 10 launches of 21 rounds. With a group, measures only that one
//! and draws no chart.

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
    let (mut calls, mut pure) = (parts::calls(&service.url), parts::pure());
    if let [_, _, wanted] = arguments[..] {
        calls.retain(|group| group.name == wanted);
        pure.retain(|group| group.name == wanted);
        assert!(
            !(calls.is_empty() && pure.is_empty()),
            "unknown group: {wanted}; `count` lists the groups, each before a slash"
        );
    }
    match arguments[..] {
        ["once", rounds, ..] => {
            let rounds = rounds.parse().expect("a number of rounds");
            calls.into_iter().chain(pure).for_each(|mut group| measure(&mut group, rounds));
        }
        [] => report(10, &["21"], &calls, &pure),
        [launches, _] | [launches, _, _] => {
            report(launches.parse().expect("a number of launches"), &arguments[1..], &calls, &pure);
        }
        _ => panic!("usage: pairs [LAUNCHES ROUNDS [GROUP]]"),
    }
}

fn report(launches: usize, once: &[&str], calls: &[Group], pure: &[Group]) {
    let measured = Measured::gather(launches, &[&["once"], once].concat());
    let peers = &Caller::NAMES[1..];
    println!("| | {} | vs. {} |", Caller::NAMES.join(" | "), peers.join(" | vs. "));
    println!("|---{}|", "|---".repeat(Caller::NAMES.len() + peers.len()));
    for Group { name, .. } in calls {
        print!("| {name} |");
        for caller in Caller::NAMES {
            print!(" {:.1} µs |", 1e6 * measured.median(name, caller).expect("measured"));
        }
        for peer in peers {
            let [low, median, high] = measured.relative_speed(name, "steadfast", peer);
            print!(" {median:.3} ({low:.2} to {high:.2}) |");
        }
        println!();
    }
    println!("\n| | | time | speed relative to the next line |\n|---|---|---|---|");
    for Group { name, parts } in pure {
        for part in parts {
            let nanos = 1e9 * measured.median(name, part.name).expect("measured");
            print!("| {name} | {} | {nanos:.0} ns |", part.name);
            match &parts[..] {
                [first, second, ..] if part.name == first.name => {
                    let [low, median, high] = measured.relative_speed(name, first.name, second.name);
                    println!(" {median:.2} ({low:.2} to {high:.2}) times |");
                }
                _ => println!(" |"),
            }
        }
    }
    let rows = calls.iter().map(|Group { name, .. }| {
        let versus_reqwest = |caller| measured.relative_speed(name, caller, "reqwest");
        (name.as_str(), [versus_reqwest("steadfast"), versus_reqwest("reqwest-retry")])
    });
    if calls.len() > 1 {
        chart::throughput(&rows.collect::<Vec<_>>(), "docs/img/throughput.svg").expect("the chart is drawn");
    }
}
