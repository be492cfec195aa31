//! Runs one part a number of times, so that a profiler can count its instructions: `count GROUP/PART TIMES`. Without
//! arguments, lists the parts.

use steadfast_speed::parts::{self, Group};
use steadfast_speed::service::{Service, serve_if_asked};

fn main() {
    serve_if_asked();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let service = Service::start();
    let groups = parts::calls(&service.url).into_iter().chain(parts::pure());
    let named = |group: Group| group.parts.into_iter().map(move |part| (format!("{}/{}", group.name, part.name), part));
    let mut parts = groups.flat_map(named);
    let [wanted, times] = &arguments[..] else {
        return parts.for_each(|(name, part)| println!("{}\t{name}", part.times));
    };
    let (_, mut part) = parts.find(|(name, _)| name == wanted).expect("the name of a part");
    for _ in 0..times.parse::<u64>().expect("a number") {
        (part.run)();
    }
}
