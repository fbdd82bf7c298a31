//! What the kernel takes to let a member join an environment, phase by phase: `cargo run --release --example joining -p network`,
//! as root. It plays in a network namespace of its own.
#![forbid(unsafe_code)]

use network::{Environment, Member, environment};
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use sys::namespaces::{Namespaces, unshare};

const MEMBERS: u8 = 60;

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

fn main() {
    unshare(Namespaces::NETWORK).expect("a network namespace: only root makes one");
    let shop = Environment {
        id: "bbbbbb".parse().expect("an id"),
        subnets: vec!["10.10.2.0/24".parse().expect("a range")],
        outside: false,
        mtu: environment::MTU,
        apart: false,
    };
    let begun = Instant::now();
    shop.ensure().expect("made");
    show("the environment", vec![begun.elapsed()]);
    let (mut ensured, mut attached, mut opened, mut all) = (vec![], vec![], vec![], vec![]);
    for number in 1..=MEMBERS {
        let there = namespace();
        let member = Member::of(shop.clone(), &[Ipv4Addr::new(10, 10, 2, number).into()]).expect("a member");
        let begun = Instant::now();
        shop.ensure().expect("there");
        ensured.push(begun.elapsed());
        let begun = Instant::now();
        let link = member.attach(there.as_fd(), "eth0").expect("attached");
        attached.push(begun.elapsed());
        let opening = Instant::now();
        link.open().expect("opened");
        opened.push(opening.elapsed());
        all.push(begun.elapsed());
        link.keep();
        // The namespace of the last one must not end meanwhile: the kernel would be busy with that.
        std::mem::forget(there);
    }
    show("looking that it is there", ensured);
    show("the link, with that", attached);
    show("until frames pass", opened);
    show("joining in all", all);
}
