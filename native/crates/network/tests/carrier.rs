//! Waiting until frames pass a link.

mod stage;

use network::carrier::{PATIENCE, await_running};
use network::environment::MTU;
use network::link::Pair;
use network::messages::Conversation;
use network::route::Rtnetlink;
use stage::{Computer, SILENCE, on_a_host};
use std::os::fd::AsFd;
use std::time::Instant;
use sys::Errno;

fn listen() -> sys::Result<Conversation> {
    Conversation::open(libc::NETLINK_ROUTE)
}

#[test]
fn a_link_is_waited_for_until_its_other_end_is_on_too() {
    on_a_host(|| {
        let computer = Computer::new();
        let host = Rtnetlink::open().expect("a conversation");
        host.add_bridge("uplink", [2, 0, 0, 0, 0, 1]).expect("a bridge");
        host.add_pair(&Pair {
            name: "near",
            bridge: host.number_of("uplink").expect("there"),
            there: computer.handle().as_fd(),
            name_there: "far",
            mac_there: [2, 0, 0, 0, 0, 2],
            mtu: MTU,
        })
        .expect("a pair");
        host.switch_on(host.number_of("near").expect("there")).expect("on");
        let refused = await_running(&host, "near", SILENCE, listen).expect_err("the other end is off");
        assert_eq!(refused.errno, Errno(libc::ETIMEDOUT));
        let refused = await_running(&host, "none", PATIENCE, listen).expect_err("no such link");
        assert_eq!(refused.errno, Errno(libc::ENODEV));
        let there = Rtnetlink::open_in(computer.handle().as_fd()).expect("a conversation");
        let asked = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(SILENCE);
                there.switch_on(there.number_of("far").expect("there")).expect("on");
            });
            await_running(&host, "near", PATIENCE, listen).expect("running");
        });
        assert!(asked.elapsed() >= SILENCE && asked.elapsed() < PATIENCE);
        await_running(&host, "near", SILENCE, || Err(Errno::EIO)).expect("needs no waiting");
    });
}
