//! Links: bridges, pairs of virtual ones, and what is known of those that are there (rtnetlink(7), ip-link(8)).

use crate::error::{Attempt, Result};
use crate::names::Mac;
use crate::route::{CREATE, EXCLUSIVE, Rtnetlink, is_there_already};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, BridgeStpState, In6AddrGenMode, InfoBridge, InfoBridgePort, InfoData,
    InfoKind, InfoPortData, InfoPortKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, State,
};
use std::os::fd::{AsRawFd, BorrowedFd};
use sys::Errno;

/// A link of one network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    pub number: u32,
    pub name: String,
    /// Number of the bridge that it is a port of.
    pub bridge: Option<u32>,
    pub mac: Option<Mac>,
    pub up: bool,
    /// Whether frames pass: the kernel notices that a little later than the switching on of both ends.
    pub running: bool,
    /// The longest packet that it sends, in bytes.
    pub mtu: u32,
    pub traffic: Traffic,
}

/// What went through a link, as its own namespace counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub received_packets: u64,
    pub received_bytes: u64,
    pub sent_packets: u64,
    pub sent_bytes: u64,
}

/// A pair of links, one in the namespace of the conversation and one in another.
pub struct Pair<'a> {
    pub name: &'a str,
    pub bridge: u32,
    pub there: BorrowedFd<'a>,
    pub name_there: &'a str,
    pub mac_there: Mac,
    /// The longest packet that either sends, in bytes.
    pub mtu: u32,
}

impl Rtnetlink {
    /// Every link.
    pub fn links(&self) -> Result<Vec<Link>> {
        let found: Vec<LinkMessage> =
            self.dump(libc::RTM_GETLINK, &LinkMessage::default()).attempt(|| "list the links")?;
        Ok(found.iter().map(describe).collect())
    }

    /// The ports of a bridge.
    pub fn ports(&self, bridge: u32) -> Result<Vec<Link>> {
        let mut question = LinkMessage::default();
        question.attributes.push(LinkAttribute::Controller(bridge));
        let found: Vec<LinkMessage> =
            self.dump(libc::RTM_GETLINK, &question).attempt(|| "list the ports of a bridge")?;
        // Kernels before 4.6 list all links.
        Ok(found.iter().map(describe).filter(|link| link.bridge == Some(bridge)).collect())
    }

    /// The link of that name.
    pub fn link(&self, name: &str) -> Result<Option<Link>> {
        let found =
            self.get(libc::RTM_GETLINK, &named(name)).attempt(|| format!("look for the link {name}"))?;
        Ok(found.as_ref().map(describe))
    }

    /// The number of the link of that name, which must be there.
    pub fn number_of(&self, name: &str) -> Result<u32> {
        let link = self.link(name)?.ok_or(Errno(libc::ENODEV));
        link.map(|link| link.number).attempt(|| format!("find the link {name}"))
    }

    /// Makes a bridge that learns and guesses nothing by itself. Returns whether it was there already.
    pub fn add_bridge(&self, name: &str, mac: Mac) -> Result<bool> {
        // Frames to groups that no bridge passes on would go to the host by the port itself, some of them past every hook: they
        // take the way of all others, on which the rules are.
        const GROUPS: u16 = 0xfff8;
        let data = vec![
            InfoBridge::StpState(BridgeStpState::Disabled),
            InfoBridge::MulticastSnooping(false),
            InfoBridge::GroupFwdMask(GROUPS),
        ];
        let mut wanted = named(name);
        wanted.attributes.extend([
            LinkAttribute::Address(mac.to_vec()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Bridge),
                LinkInfo::Data(InfoData::Bridge(data)),
            ]),
        ]);
        is_there_already(self.change(libc::RTM_NEWLINK, CREATE | EXCLUSIVE, &wanted))
            .attempt(|| format!("make the bridge {name}"))
    }

    /// Makes a pair, its near end a port of a bridge. Both ends are off.
    pub fn add_pair(&self, pair: &Pair<'_>) -> Result<()> {
        let mut far = named(pair.name_there);
        far.attributes.extend([
            LinkAttribute::NetNsFd(pair.there.as_raw_fd()),
            LinkAttribute::Address(pair.mac_there.to_vec()),
            LinkAttribute::Mtu(pair.mtu),
        ]);
        let mut near = named(pair.name);
        near.attributes.extend([
            LinkAttribute::Controller(pair.bridge),
            LinkAttribute::Mtu(pair.mtu),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Veth),
                LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(far))),
            ]),
        ]);
        self.change(libc::RTM_NEWLINK, CREATE | EXCLUSIVE, &near)
            .attempt(|| format!("make the link {} and its other end {}", pair.name, pair.name_there))
    }

    /// A port takes what its member sends, and nothing that is not for it: the bridge learns nothing from it, and sends no
    /// frames there whose receiver it does not know.
    pub fn set_up_port(&self, port: u32) -> Result<()> {
        let data = vec![InfoBridgePort::Learning(false), InfoBridgePort::UnicastFlood(false)];
        let mut wanted = numbered(port);
        wanted.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::PortKind(InfoPortKind::Bridge),
            LinkInfo::PortData(InfoPortData::BridgePort(data)),
        ]));
        self.change(libc::RTM_NEWLINK, 0, &wanted).attempt(|| "set up a port of a bridge")
    }

    /// Keeps IPv6 from giving a link addresses by itself; before it is switched on.
    pub fn leave_unaddressed(&self, link: u32) -> Result<()> {
        let mut wanted = numbered(link);
        let none = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
        wanted.attributes.push(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![none])]));
        match self.change(libc::RTM_NEWLINK, 0, &wanted) {
            // A kernel without IPv6 gives none anyway.
            Err(Errno(libc::EAFNOSUPPORT)) => Ok(()),
            other => other.attempt(|| "keep IPv6 from giving a link addresses"),
        }
    }

    pub fn switch_on(&self, link: u32) -> Result<()> {
        let mut wanted = numbered(link);
        wanted.header.flags = LinkFlags::Up;
        wanted.header.change_mask = LinkFlags::Up;
        self.change(libc::RTM_NEWLINK, 0, &wanted).attempt(|| "switch a link on")
    }

    /// The longest packet that a link sends, in bytes.
    pub fn set_mtu(&self, link: u32, mtu: u32) -> Result<()> {
        let mut wanted = numbered(link);
        wanted.attributes.push(LinkAttribute::Mtu(mtu));
        self.change(libc::RTM_NEWLINK, 0, &wanted)
            .attempt(|| format!("let a link send packets of {mtu} bytes"))
    }

    /// Makes a link a port of a bridge.
    pub fn make_port(&self, link: u32, bridge: u32) -> Result<()> {
        let mut wanted = numbered(link);
        wanted.attributes.push(LinkAttribute::Controller(bridge));
        self.change(libc::RTM_NEWLINK, 0, &wanted).attempt(|| "make a link a port of a bridge")
    }

    /// Removes a link, and of a pair the other end with it. Returns whether there was one.
    pub fn remove_link(&self, name: &str) -> Result<bool> {
        match self.change(libc::RTM_DELLINK, 0, &named(name)) {
            Ok(()) => Ok(true),
            Err(Errno(libc::ENODEV)) => Ok(false),
            Err(errno) => Err(errno).attempt(|| format!("remove the link {name}")),
        }
    }
}

pub(crate) fn named(name: &str) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    message
}

fn numbered(number: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = number;
    message
}

fn describe(found: &LinkMessage) -> Link {
    let up = found.header.flags.contains(LinkFlags::Up);
    let mut link = Link { number: found.header.index, up, ..Link::default() };
    for attribute in &found.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Controller(bridge) => link.bridge = Some(*bridge),
            LinkAttribute::OperState(State::Up | State::Unknown) => link.running = true,
            LinkAttribute::Address(bytes) => link.mac = bytes.as_slice().try_into().ok(),
            LinkAttribute::Stats64(counted) => {
                link.traffic = Traffic {
                    received_packets: counted.rx_packets,
                    received_bytes: counted.rx_bytes,
                    sent_packets: counted.tx_packets,
                    sent_bytes: counted.tx_bytes,
                };
            }
            _ => {}
        }
    }
    link
}
