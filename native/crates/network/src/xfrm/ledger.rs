//! What this host must remember of keys, on disk: which ones it has sent under, lest one begins to count anew, and how far it
//! has received, lest it takes an old packet for a new one.

use super::epochs::Number;
use crate::error::{Attempt, Result};
use crate::names::Id;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use sys::Errno;

const TITLE: &str = "stasis keys 1";

/// So many epochs of one way are remembered, the latest: those of a clock that was wrong for a while do not drive out others.
const EPOCHS: usize = 64;

/// The account of one environment. Nobody else has it as long as this lives.
#[derive(Debug)]
pub(super) struct Ledger {
    path: PathBuf,
    account: Account,
    _lock: File,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Account {
    /// By way and epoch: so many slots were taken.
    spent: BTreeMap<(u64, u64), u8>,
    /// By name of the key and epoch: the highest number of a packet.
    seen: BTreeMap<(u32, u64), u64>,
}

impl Ledger {
    /// Waits until no other command has it.
    pub fn open(folder: &Path, id: &Id) -> Result<Self> {
        let path = folder.join(id.to_string());
        let attempt = || format!("open the account of keys {}", path.display());
        let mut made = DirBuilder::new();
        made.recursive(true).mode(0o700).create(folder).map_err(Errno::from).attempt(attempt)?;
        let lock = private().open(folder.join(".lock")).map_err(Errno::from).attempt(attempt)?;
        sys::folder::lock(lock.as_fd()).attempt(attempt)?;
        let account = match std::fs::read_to_string(&path) {
            Ok(text) => parse(&text).ok_or(Errno(libc::EBADMSG)).attempt(attempt)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Account::default(),
            Err(error) => return Err(Errno::from(error)).attempt(attempt),
        };
        Ok(Self { path, account, _lock: lock })
    }

    /// How many slots of an epoch were taken on that way.
    pub fn spent(&self, way: u64, epoch: u64) -> u8 {
        self.account.spent.get(&(way, epoch)).copied().unwrap_or(0)
    }

    /// Takes a slot, and those before it, unless they were. It must not be used before [`save`](Self::save).
    pub fn know(&mut self, way: u64, number: Number) {
        let spent = self.account.spent.entry((way, number.epoch)).or_default();
        *spent = number.slot.saturating_add(1).max(*spent);
        let epochs = self.account.spent.range((way, 0)..=(way, u64::MAX)).map(|(key, _)| *key);
        let epochs: Vec<_> = epochs.collect();
        for old in epochs.iter().rev().skip(EPOCHS) {
            self.account.spent.remove(old);
        }
    }

    /// The highest number of a packet that was received under a key.
    pub fn seen(&self, spi: u32, epoch: u64) -> u64 {
        self.account.seen.get(&(spi, epoch)).copied().unwrap_or(0)
    }

    /// Returns whether that is news.
    pub fn see(&mut self, spi: u32, epoch: u64, number: u64) -> bool {
        let news = number > self.seen(spi, epoch);
        if news {
            self.account.seen.insert((spi, epoch), number);
        }
        news
    }

    /// Forgets what was received under keys that no receiver takes any more.
    pub fn forget_before(&mut self, epoch: u64) {
        self.account.seen.retain(|(_, of), _| *of >= epoch);
    }

    /// Writes it through to the disk.
    pub fn save(&self) -> Result<()> {
        let new = self.path.with_extension("new");
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let write = || {
            let mut file = private().truncate(true).open(&new)?;
            file.write_all(render(&self.account).as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&new, &self.path)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(Errno::from).attempt(|| format!("write the account of keys {}", self.path.display()))
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

fn render(account: &Account) -> String {
    let mut text = format!("{TITLE}\n");
    for ((way, epoch), count) in &account.spent {
        let _ = writeln!(text, "spent {way:016x} {epoch} {count}");
    }
    for ((spi, epoch), number) in &account.seen {
        let _ = writeln!(text, "seen {spi:08x} {epoch} {number}");
    }
    text
}

fn parse(text: &str) -> Option<Account> {
    let mut lines = text.strip_suffix('\n')?.split('\n');
    let mut account = Account::default();
    if lines.next()? != TITLE {
        return None;
    }
    for line in lines {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["spent", way, epoch, count] => {
                let way = (u64::from_str_radix(way, 16).ok()?, epoch.parse().ok()?);
                account.spent.insert(way, count.parse().ok()?);
            }
            ["seen", spi, epoch, number] => {
                let key = (u32::from_str_radix(spi, 16).ok()?, epoch.parse().ok()?);
                account.seen.insert(key, number.parse().ok()?);
            }
            _ => return None,
        }
    }
    Some(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("stasis-ledger-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn what_was_taken_stays_taken() {
        let folder = folder("taken");
        let id: Id = "a1b2c3".parse().unwrap();
        let mut ledger = Ledger::open(&folder, &id).unwrap();
        for slot in [0, 1, 0] {
            ledger.know(7, Number { epoch: 41_000, slot });
        }
        assert!(ledger.see(0x1234_5600, 41_000, 99) && !ledger.see(0x1234_5600, 41_000, 98));
        ledger.save().unwrap();
        drop(ledger);
        let ledger = Ledger::open(&folder, &id).unwrap();
        assert_eq!([41_000, 41_001].map(|epoch| ledger.spent(7, epoch)), [2, 0]);
        assert_eq!(ledger.seen(0x1234_5600, 41_000), 99);
        let _ = std::fs::remove_dir_all(&folder);
    }

    #[test]
    fn an_account_that_cannot_be_understood_is_refused() {
        let folder = folder("damaged");
        let id: Id = "a1b2c3".parse().unwrap();
        for damaged in ["", "stasis keys 2\n", "stasis keys 1\nspent x 1 1\n", "stasis keys 1\nspent 7 1"] {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("a1b2c3"), damaged).unwrap();
            let refused = Ledger::open(&folder, &id).expect_err(damaged);
            assert_eq!(refused.errno, Errno(libc::EBADMSG));
        }
        let _ = std::fs::remove_dir_all(&folder);
    }

    #[test]
    fn epochs_of_a_clock_that_was_wrong_drive_out_no_others() {
        let folder = folder("clock");
        let mut ledger = Ledger::open(&folder, &"a1b2c3".parse().unwrap()).unwrap();
        (0..40).for_each(|epoch| ledger.know(7, Number { epoch: 41_000 + epoch, slot: 0 }));
        (0..9).for_each(|epoch| ledger.know(7, Number { epoch: 90_000 + epoch, slot: 0 }));
        assert_eq!(ledger.spent(7, 41_039), 1);
        (0..200).for_each(|epoch| ledger.know(7, Number { epoch: 41_100 + epoch, slot: 0 }));
        assert_eq!(ledger.account.spent.len(), EPOCHS);
        let _ = std::fs::remove_dir_all(&folder);
    }
}
