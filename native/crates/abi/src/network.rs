//! Which network an application is on.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Which network namespace an application is in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// That of the command.
    #[default]
    Host,
    /// One that it has for itself.
    Own(OwnNetwork),
}

impl Network {
    /// What is in the namespace of the application's own, if it has one.
    #[must_use]
    pub fn own(&self) -> Option<&OwnNetwork> {
        match self {
            Self::Host => None,
            Self::Own(own) => Some(own),
        }
    }
}

impl From<Option<OwnNetwork>> for Network {
    fn from(own: Option<OwnNetwork>) -> Self {
        own.map_or(Self::Host, Self::Own)
    }
}

/// What a network namespace of an application's own has besides its loopback interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnNetwork {
    #[serde(default)]
    pub links: Vec<Link>,
}

/// An interface that leads out of the namespace, into a virtual network environment. Its link-layer address and routes follow
/// from what stands here, on every host alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    pub environment: Environment,
    /// What it is called in the namespace.
    pub interface: String,
    /// One of each range of the environment.
    pub addresses: Vec<IpAddr>,
    /// Ports of the application that others reach by ports of the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub published: Vec<Published>,
}

/// A port of the application, and the port of the host that leads there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    pub protocol: Protocol,
    pub port: u16,
    /// 0 for any that is free; never in the record of an application.
    pub host: u16,
    /// Whether another one does, where that one is taken.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub auto: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A virtual network environment, as far as its members depend on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    pub name: String,
    /// Six hexadecimal digits, the same on every host that it spans.
    pub id: String,
    /// Ranges in CIDR notation, such as `10.10.2.0/24`; one of each family at most.
    pub subnets: Vec<String>,
    /// Whether members may reach what is not of the environment.
    pub outside: bool,
    /// The longest packet that members send, in bytes; 1500 where nothing is said. A tunnel to other hosts takes its part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Whether the host has no way into it, and it none to the host: another environment of the host can have the same ranges.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub apart: bool,
}

/// How an environment goes on to other hosts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tunnel {
    /// This host, as the others reach it.
    pub address: IpAddr,
    /// The others: all that the environment spans, and no more. Of the same family.
    pub peers: Vec<IpAddr>,
    /// What only these hosts know, in hexadecimal digits; what goes between them is encrypted then.
    #[serde(default)]
    pub secret: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_network_is_the_hosts_or_lists_what_leads_out_of_it() {
        let read = |value| serde_json::from_value::<Network>(value).unwrap();
        assert_eq!(read(json!("host")), Network::Host);
        assert_eq!(read(json!({"own": {}})), Network::Own(OwnNetwork::default()));
        let shop = json!({"name": "shop", "id": "a1b2c3", "subnets": ["10.10.2.0/24"], "outside": false});
        let published = json!([{"protocol": "tcp", "port": 80, "host": 18080}]);
        let link = json!({"environment": shop, "interface": "eth0", "addresses": ["10.10.2.7"], "published": published});
        let own = read(json!({"own": {"links": [link]}}));
        assert_eq!(own.own().map(|own| own.links.len()), Some(1));
    }

    #[test]
    fn an_environment_of_one_host_is_written_as_before_there_were_others() {
        let written = json!({"name": "shop", "id": "a1b2c3", "subnets": ["10.10.2.0/24"], "outside": false});
        let shop: Environment = serde_json::from_value(written.clone()).unwrap();
        assert_eq!((shop.mtu, shop.apart), (None, false));
        assert_eq!(serde_json::to_value(shop).unwrap(), written);
    }
}
