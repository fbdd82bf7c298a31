//! What it takes to let a member join an environment, phase by phase, and to make and remove many environments:
//! `cargo run --release --example costs -p network`, as root. It plays in a network namespace of its own.
#![forbid(unsafe_code)]

use network::{Environment, Member, environment};
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use sys::namespaces::{Namespaces, unshare};

const MEMBERS: u8 = 60;
const ENVIRONMENTS: u8 = 200;
const PART: usize = 50;

fn namespace() -> File {
    let make = || {
        unshare(Namespaces::NETWORK).expect("a namespace");
        File::open("/proc/thread-self/ns/net").expect("its file")
    };
    std::thread::scope(|scope| scope.spawn(make).join().expect("made"))
}

fn show(title: &str, mut times: Vec<Duration>) {
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let (lowest, median, highest) = (times[0], times[times.len() / 2], times[times.len() - 1]);
    println!("{title:<32} {:.2} ({:.2}-{:.2}) ms", ms(median), ms(lowest), ms(highest));
}

fn environment(number: u8) -> Environment {
    Environment {
        id: format!("bbbb{number:02x}").parse().expect("an id"),
        subnets: vec![format!("10.10.{number}.0/24").parse().expect("a range")],
        outside: false,
        mtu: environment::MTU,
        apart: false,
    }
}

fn timed<T>(times: &mut Vec<Duration>, what: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = what();
    times.push(begun.elapsed());
    done
}

fn main() {
    unshare(Namespaces::NETWORK).expect("a network namespace: only root makes one");
    joining();
    growth();
}

fn joining() {
    let shop = environment(0);
    let (mut made, mut ensured, mut attached, mut opened) = (vec![], vec![], vec![], vec![]);
    timed(&mut made, || shop.ensure().expect("made"));
    show("the environment", made);
    let mut there = Vec::new();
    for number in 1..=MEMBERS {
        let namespace = namespace();
        let member = Member::of(shop.clone(), &[Ipv4Addr::new(10, 10, 0, number).into()]).expect("a member");
        timed(&mut ensured, || shop.ensure().expect("there"));
        let link = timed(&mut attached, || member.attach(namespace.as_fd(), "eth0").expect("attached"));
        timed(&mut opened, || link.open().expect("opened"));
        link.keep();
        // None ends meanwhile: the kernel would be busy with that.
        there.push(namespace);
    }
    let all = attached.iter().zip(&opened).map(|(attached, opened)| *attached + *opened).collect();
    show("looking that it is there", ensured);
    show("the link, with that", attached);
    show("until frames pass", opened);
    show("joining in all", all);
    shop.remove().expect("removed");
}

fn growth() {
    let (mut looked, mut made, mut removed) = (vec![], vec![], vec![]);
    for number in 0..ENVIRONMENTS {
        let one = environment(number);
        timed(&mut looked, || assert_eq!(one.conflict().expect("looked"), None));
        timed(&mut made, || one.ensure().expect("made"));
    }
    for number in 0..ENVIRONMENTS {
        timed(&mut removed, || environment(number).remove().expect("removed"));
    }
    for (title, times) in [("looking at the routes", looked), ("making", made), ("removing", removed)] {
        show(&format!("{title}, the first {PART}"), times[..PART].to_vec());
        show(&format!("{title}, the last {PART}"), times[times.len() - PART..].to_vec());
    }
}
