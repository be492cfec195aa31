//! Measures the cost of a call as a function of the number of calls in flight, prints the table of
//! `benches/README.md` and draws its second chart: `scale [LAUNCHES]`. Defaults to 5 launches. Needs a limit of
//! 20,000 open files.

use std::process::Command;
use std::time::Instant;

use steadfast_speed::callers::Caller;
use steadfast_speed::chart;
use steadfast_speed::paired::quantile;
use steadfast_speed::service::{Service, serve_if_asked};

const AT_ONCE: [u32; 5] = [1, 10, 100, 1_000, 10_000];

/// The figures that one launch measures.
const FIGURES: [&str; 3] = ["calls per second", "CPU time, µs", "memory per call in flight, KiB"];

fn main() {
    serve_if_asked();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [once, caller, at_once] if once == "once" => once_for(caller, at_once.parse().expect("a number")),
        [launches] => report(launches.parse().expect("a number of launches")),
        _ => report(5),
    }
}

fn report(launches: usize) {
    let callers = [Caller::NAMES[0], Caller::NAMES[1]];
    println!("| Calls in flight | | {} |\n|---|---|---|---|---|", FIGURES.join(" | "));
    let mut lines = [(); 2].map(|()| callers.map(|caller| (caller, Vec::new())));
    for at_once in AT_ONCE {
        let mut figures = callers.map(|_| FIGURES.map(|_| Vec::new()));
        for _ in 0..launches {
            for (caller, figures) in callers.iter().zip(&mut figures) {
                for (figure, values) in launched(caller, at_once).zip(figures) {
                    values.push(figure);
                }
            }
        }
        for (index, figures) in figures.into_iter().enumerate() {
            let [rate, micros, kib] = figures.map(|values| quantile(values, 0.5));
            println!("| {at_once} | {} | {rate:.0} | {micros:.1} | {kib:.1} |", callers[index]);
            lines[0][index].1.push((f64::from(at_once), micros));
            // With few connections, the memory is mostly the client's own.
            if at_once >= 100 {
                lines[1][index].1.push((f64::from(at_once), kib));
            }
        }
    }
    chart::scale(&lines[0], &lines[1], "docs/img/scale.svg").expect("the chart is drawn");
}

/// Starts this program again to measure one caller.
fn launched(caller: &str, at_once: u32) -> impl Iterator<Item = f64> {
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new(program).args(["once", caller, &at_once.to_string()]).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).expect("text");
    printed.split_whitespace().map(|figure| figure.parse().expect("a number")).collect::<Vec<_>>().into_iter()
}

/// Makes calls, `at_once` at a time, and prints the figures.
fn once_for(caller: &str, at_once: u32) {
    const CALLS: u32 = 20_000;
    let service = Service::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let caller = Caller::new(caller, &service.url, at_once as usize);
    let run = |in_a_row: u32| {
        runtime.block_on(async {
            let task = |caller: Caller| async move {
                for _ in 0..in_a_row {
                    caller.get("/200").await;
                }
            };
            let tasks: Vec<_> = (0..at_once).map(|_| tokio::spawn(task(caller.clone()))).collect();
            for task in tasks {
                task.await.expect("no panic");
            }
        });
    };
    let memory = resident_kib();
    run(1);
    let in_a_row = (CALLS / at_once).max(4);
    let (began, cpu) = (Instant::now(), cpu_seconds());
    run(in_a_row);
    let calls = f64::from(in_a_row) * f64::from(at_once);
    let rate = calls / began.elapsed().as_secs_f64();
    let micros = (cpu_seconds() - cpu) * 1e6 / calls;
    println!("{rate} {micros} {}", (resident_kib() - memory) / f64::from(at_once));
}

/// Returns the peak resident memory of this process, in KiB.
fn resident_kib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it is always there");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Returns the CPU time of this process in seconds, in user space and in the kernel.
fn cpu_seconds() -> f64 {
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let after_name = stat.rsplit(')').next().expect("a name");
    let ticks = after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("a number"));
    ticks.sum::<f64>() / TICKS_A_SECOND
}
