//! The names of an environment, which its members see as `/etc/hosts`. They are the environment's and not the application's: a
//! restored one sees those of the environment that it is in now, or the host's file in none.

use crate::chain::Chain;
use crate::explain::Result;
use crate::nursery::Cradle;
use crate::place::Place;
use ::capsule::HOSTS;
use abi::request::Home;

/// Whether the application has names of an environment, or had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Names {
    concerned: bool,
}

impl Names {
    /// Whether a path is that of the names, which are others than when the snapshot was taken without anything being wrong.
    pub fn are_at(self, path: &[u8]) -> bool {
        self.concerned && path == HOSTS.as_bytes()
    }
}

/// Mounts the names over all other mounts, before anything of the application is opened.
pub fn apply(chain: &Chain, home: &Home, place: &mut Place) -> Result<Names> {
    let shown = match &mut place.cradle {
        Cradle::Capsule(building) => building.show_names(home)?,
        Cradle::Caller => false,
    };
    let had = chain.network.as_ref().is_some_and(|saved| !saved.own.links.is_empty());
    Ok(Names { concerned: shown || had })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_one_file_and_only_where_there_is_an_environment() {
        let concerned = Names { concerned: true };
        assert!(concerned.are_at(b"/etc/hosts"));
        assert!(!concerned.are_at(b"/etc/hosts.allow"));
        assert!(!Names::default().are_at(b"/etc/hosts"));
    }
}
