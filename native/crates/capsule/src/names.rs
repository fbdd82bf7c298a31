//! What a member of an environment sees as `/etc/hosts`: one file for all members on this host, which the command line keeps
//! (`src/vne/names.ts`). It belongs to the environment and not to the application, so no record and no snapshot names it: it
//! follows from the links that an application has now.

use crate::building::Building;
use crate::link::LinkError;
use abi::network::OwnNetwork;
use abi::request::Home;
use abi::wire::{Binding, Reply, Request, Unbound};
use abi::{Code, Fault};
use network::Id;
use std::path::PathBuf;
use sys::Errno;

/// Where programs look for names (hosts(5)).
pub const HOSTS: &str = "/etc/hosts";

/// The file that an application with such a network sees there, bound for reading; none where it sees the host's.
pub fn binding(home: &Home, own: Option<&OwnNetwork>) -> Option<Binding> {
    let id: Id = own?.links.first()?.environment.id.parse().ok()?;
    let file: PathBuf = home.run.join("names").join(id.to_string());
    let source = file.to_str().filter(|_| file.is_file())?.to_owned();
    Some(Binding { source, target: HOSTS.to_owned(), read_only: true })
}

impl Building {
    /// Shows the names of the application's environment at [`HOSTS`], if it is in one. A file that its rules put there stays.
    /// To be called when everything else is mounted. False where the application sees no names.
    ///
    /// # Errors
    /// [`Code::RestoreFailed`] when the kernel does not mount it.
    pub fn show_names(&mut self, home: &Home) -> Result<bool, Fault> {
        let meta = &self.registration.meta;
        let is_ruled = meta.lasting.mounts.iter().any(|mount| mount.target == HOSTS);
        let Some(binding) = binding(home, meta.network.as_ref()).filter(|_| !is_ruled) else {
            return Ok(false);
        };
        match self.link().and_then(|link| link.ask(&Request::Bind(vec![binding]), &[])) {
            Ok((Reply::Bound { failed: None }, _)) => Ok(true),
            // There is no such file to be covered, which the caller has told.
            Ok((Reply::Bound { failed: Some(Unbound { errno, .. }) }, _)) if errno == Errno::ENOENT.0 => {
                Ok(false)
            }
            Ok((Reply::Bound { failed: Some(Unbound { errno, .. }) }, _)) => {
                Err(Fault::new(Code::RestoreFailed, "Could not show the names of the environment")
                    .because(format!("its file cannot be mounted at {HOSTS}: {}", Errno(errno))))
            }
            Ok(_) => Err(self.fault(LinkError::Confused)),
            Err(error) => Err(self.fault(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::network::{Environment, Link};
    use std::fs;

    fn own(id: &str) -> OwnNetwork {
        let environment = Environment {
            name: "shop".into(),
            id: id.into(),
            subnets: Vec::new(),
            outside: false,
            mtu: None,
            apart: false,
        };
        let link =
            Link { environment, interface: "eth0".into(), addresses: Vec::new(), published: Vec::new() };
        OwnNetwork { links: vec![link] }
    }

    #[test]
    fn a_member_sees_the_file_of_its_environment_and_nobody_else_sees_one() {
        let base = std::env::temp_dir().join(format!("stasis-names-{}", std::process::id()));
        let home = Home { data: base.join("data"), run: base.join("run") };
        let file = home.run.join("names/a1b2c3");
        assert_eq!(binding(&home, Some(&own("a1b2c3"))).map(|binding| binding.source), None);
        fs::create_dir_all(home.run.join("names")).expect("a folder");
        fs::write(&file, "10.10.2.1 web\n").expect("a file");
        fs::write(home.run.join("secret"), "").expect("a file");
        let seen = binding(&home, Some(&own("a1b2c3")));
        let outside = binding(&home, Some(&own("../secret")));
        let alone = binding(&home, Some(&OwnNetwork::default()));
        fs::remove_dir_all(&base).expect("removed");
        assert_eq!(
            seen.map(|binding| (binding.source, binding.read_only)),
            Some((file.display().to_string(), true))
        );
        assert!(outside.is_none() && alone.is_none());
    }
}
