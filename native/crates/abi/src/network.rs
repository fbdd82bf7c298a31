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

/// An interface that leads out of the namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The bridge of the host that its other end belongs to.
    pub bridge: String,
    /// What it is called in the namespace.
    pub interface: String,
    /// Six bytes in hexadecimal, with colons.
    pub mac: String,
    /// In CIDR notation, such as `10.10.0.1/24`.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Where packets go that no other route is for.
    #[serde(default)]
    pub gateway: Option<IpAddr>,
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
        let link = json!({"bridge": "b", "interface": "eth0", "mac": "02:00:00:00:00:01"});
        let own = read(json!({"own": {"links": [link]}}));
        assert_eq!(own.own().map(|own| own.links.len()), Some(1));
    }
}
