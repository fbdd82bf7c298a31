//! A member of an environment: one network namespace, and the link that leads from it to the bridge.

use crate::announcement::{Mouth, announce};
use crate::carrier::{PATIENCE, await_running};
use crate::environment::Environment;
use crate::error::{Attempt, Result};
use crate::link::Pair;
use crate::messages::{Conversation, within};
use crate::names::{self, MAX_NUMBER};
use crate::route::Rtnetlink;
use crate::subnet::Subnet;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use sys::Errno;

/// A place in an environment: its number there, from which its addresses follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    environment: Environment,
    number: u32,
}

/// A member's link. Dropping it before [`keep`](Self::keep) takes it out again.
#[derive(Debug)]
pub struct Attached {
    member: Member,
    host: Rtnetlink,
    there: Rtnetlink,
    namespace: OwnedFd,
    interface: String,
    kept: bool,
}

impl Member {
    /// The member that has these addresses, one of each range of the environment. `None` where there cannot be one.
    #[must_use]
    pub fn of(environment: Environment, addresses: &[IpAddr]) -> Option<Self> {
        let first = addresses.first()?;
        let range = environment.subnets.iter().find(|subnet| subnet.contains(*first))?;
        let number = u32::try_from(range.number_of(*first)?).ok().filter(|number| *number < MAX_NUMBER)?;
        let all = environment.addresses_of(number);
        let same = all.len() == addresses.len() && all.iter().all(|address| addresses.contains(address));
        same.then_some(Self { environment, number })
    }

    /// As the environment has them.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.environment.addresses_of(self.number)
    }

    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The host's end of its link.
    #[must_use]
    pub fn port(&self) -> String {
        self.environment.id.port(self.number)
    }

    /// Makes the member's link into a network namespace, where it is called `interface`, and whatever is missing of the
    /// environment. Addresses and routes are there then; frames pass once it is [opened](Attached::open), and before
    /// that another host may have a member with this number. The caller knows that no other member of this host has it: a link
    /// that an ended one left is replaced.
    ///
    /// # Errors
    /// Nothing of the member is left then.
    pub fn attach(self, namespace: BorrowedFd<'_>, interface: &str) -> Result<Attached> {
        self.environment.ensure()?;
        let attached = Attached {
            member: self,
            host: Rtnetlink::open()?,
            there: Rtnetlink::open_in(namespace)?,
            namespace: namespace.try_clone_to_owned().map_err(Errno::from).attempt(|| "keep a namespace")?,
            interface: interface.to_owned(),
            kept: false,
        };
        let Attached { member, host, there, .. } = &attached;
        let port = member.port();
        // The kernel takes its time to remove what a namespace had.
        host.remove_link(&port)?;
        host.add_pair(&Pair {
            name: &port,
            bridge: host.number_of(&member.environment.id.bridge())?,
            there: namespace,
            name_there: interface,
            mac_there: names::member_mac(member.number),
            mtu: member.environment.mtu,
        })?;
        member.furnish(there, interface)?;
        member.prepare_port(host, &port)?;
        Ok(attached)
    }

    /// The member's own end: addresses, and the way to the host and beyond.
    fn furnish(&self, there: &Rtnetlink, interface: &str) -> Result<()> {
        let link = there.number_of(interface)?;
        there.leave_unaddressed(link)?;
        there.switch_on(link)?;
        for subnet in &self.environment.subnets {
            let host = names::host(subnet.network());
            let address = self.addresses().into_iter().find(|address| subnet.contains(*address));
            let address = address.ok_or(Errno::EINVAL).attempt(|| "find the address of a member")?;
            if address.is_ipv6() {
                there.add_address(link, names::link_local(names::member_mac(self.number)).into(), 64)?;
            }
            there.add_address(link, address, subnet.length())?;
            if self.environment.apart {
                continue;
            }
            let whole = Subnet::new(host, if host.is_ipv4() { 32 } else { 128 }).expect("a whole address");
            there.add_route(link, whole, None)?;
            if self.environment.outside {
                there.add_default_route(link, host)?;
            }
        }
        Ok(())
    }

    /// The host's end, which stays off.
    fn prepare_port(&self, host: &Rtnetlink, port: &str) -> Result<()> {
        let link = host.number_of(port)?;
        host.set_up_port(link)?;
        host.leave_unaddressed(link)
    }

    /// Before the link is on: a host of an environment that spans several takes the member for its own from here on.
    fn arrive(&self, host: &Rtnetlink, link: u32) -> Result<()> {
        host.add_forwarding(link, names::member_mac(self.number))?;
        self.environment.grant(self.number)
    }

    /// The member is on another host from here on. Its link here, over which nothing comes any more, goes with its namespace.
    pub fn depart(&self) -> Result<()> {
        let host = Rtnetlink::open()?;
        if let Some(link) = host.link(&self.port())? {
            host.remove_forwarding(link.number, names::member_mac(self.number))?;
        }
        self.environment.revoke(self.number)
    }

    /// Removes the member's link and its rights. Nothing happens where there is nothing.
    pub fn detach(&self) -> Result<()> {
        Rtnetlink::open()?.remove_link(&self.port())?;
        self.environment.revoke(self.number)
    }
}

impl Attached {
    /// Lets frames pass; they do when this returns. Other hosts that the environment spans get to know that the member is here.
    pub fn open(&self) -> Result<()> {
        let port = self.member.port();
        let link = self.host.number_of(&port)?;
        self.member.arrive(&self.host, link)?;
        self.host.switch_on(link)?;
        let namespace = self.namespace.as_fd();
        await_running(&self.there, &self.interface, PATIENCE, || {
            Conversation::open_in(namespace, libc::NETLINK_ROUTE)
        })?;
        for name in [port, self.member.environment.id.bridge()] {
            await_running(&self.host, &name, PATIENCE, || Conversation::open(libc::NETLINK_ROUTE))?;
        }
        self.announce()
    }

    fn announce(&self) -> Result<()> {
        let Member { environment, number } = &self.member;
        if self.host.link(&environment.id.tunnel())?.is_none() {
            return Ok(());
        }
        let link = self.there.number_of(&self.interface)?;
        let mouth = within(self.namespace.as_fd(), || Mouth::open(link));
        mouth
            .and_then(|mouth| announce(mouth, environment, *number))
            .attempt(|| "tell other hosts where a member is")
    }

    /// The link lasts as long as the member's namespace.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if !self.kept {
            // It goes with its namespace in any case.
            let _ = self.member.detach();
        }
    }
}
