//! What /proc says of a process (proc(5)), parsed without trusting names that an application chose.

use std::collections::HashMap;
use std::fs;
use std::io;

/// Fields of /proc/PID/stat that are wanted, by their names in proc(5).
#[derive(Clone, Debug, Default)]
pub struct Stat {
    pub state: char,
    pub ppid: i32,
    pub pgrp: i32,
    /// Device number of the controlling terminal, 0 for none.
    pub tty_nr: u32,
    /// The foreground process group of that terminal.
    pub tpgid: i32,
    pub exit_signal: i32,
    pub exit_code: i32,
    pub startcode: u64,
    pub endcode: u64,
    pub startstack: u64,
    pub start_data: u64,
    pub end_data: u64,
    pub start_brk: u64,
    pub arg_start: u64,
    pub arg_end: u64,
    pub env_start: u64,
    pub env_end: u64,
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// Reads /proc/`path`/stat; `path` is a pid or `PID/task/TID`.
pub fn stat(path: &str) -> io::Result<Stat> {
    let text = fs::read(format!("/proc/{path}/stat"))?;
    let after = text.iter().rposition(|&b| b == b')').ok_or_else(|| invalid("stat without a name"))?;
    let rest = String::from_utf8_lossy(&text[after + 1..]).into_owned();
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // Field numbers as in proc(5), where the state is field 3.
    let number = |field: usize| fields.get(field - 3).and_then(|f| f.parse::<i64>().ok()).unwrap_or(0);
    let address = |field: usize| fields.get(field - 3).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
    Ok(Stat {
        state: fields
            .first()
            .and_then(|f| f.chars().next())
            .ok_or_else(|| invalid("stat without a state"))?,
        ppid: number(4) as i32,
        pgrp: number(5) as i32,
        tty_nr: number(7) as u32,
        tpgid: number(8) as i32,
        exit_signal: number(38) as i32,
        startcode: address(26),
        endcode: address(27),
        startstack: address(28),
        start_data: address(45),
        end_data: address(46),
        start_brk: address(47),
        arg_start: address(48),
        arg_end: address(49),
        env_start: address(50),
        env_end: address(51),
        exit_code: number(52) as i32,
    })
}

/// /proc/PID/status as a table.
#[derive(Clone, Debug, Default)]
pub struct Status(HashMap<String, String>);

impl Status {
    pub fn read(path: &str) -> io::Result<Self> {
        let text = fs::read(format!("/proc/{path}/status"))?;
        let text = String::from_utf8_lossy(&text);
        let rows = text.lines().filter_map(|line| line.split_once(':'));
        Ok(Self(rows.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect()))
    }

    pub fn text(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    pub fn numbers<T: std::str::FromStr>(&self, key: &str) -> Vec<T> {
        self.text(key).split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()
    }

    pub fn hex(&self, key: &str) -> u64 {
        u64::from_str_radix(self.text(key), 16).unwrap_or(0)
    }

    /// The id in the process's own (innermost) PID namespace: the last column of NSpid, NSpgid, NSsid.
    pub fn innermost(&self, key: &str) -> i32 {
        self.numbers(key).last().copied().unwrap_or(0)
    }

    /// User and group that own what the process creates.
    pub fn file_owner(&self) -> (u32, u32) {
        let fourth = |key| self.numbers(key).get(3).copied().unwrap_or(0);
        (fourth("Uid"), fourth("Gid"))
    }
}

/// Numeric entries of a folder under /proc, sorted.
pub fn numbers_in(path: &str) -> io::Result<Vec<i32>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(path)? {
        numbers.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

pub fn tasks(pid: i32) -> io::Result<Vec<i32>> {
    numbers_in(&format!("/proc/{pid}/task"))
}

pub fn descriptors(pid: i32) -> io::Result<Vec<i32>> {
    numbers_in(&format!("/proc/{pid}/fd"))
}

/// Children of all threads of a process. Only consistent while they are stopped (proc_pid_children(5)).
pub fn children(pid: i32) -> io::Result<Vec<i32>> {
    let mut all = Vec::new();
    for tid in tasks(pid)? {
        let text = fs::read_to_string(format!("/proc/{pid}/task/{tid}/children")).unwrap_or_default();
        all.extend(text.split_ascii_whitespace().filter_map(|word| word.parse::<i32>().ok()));
    }
    Ok(all)
}

/// The key-value lines of /proc/PID/fdinfo/FD and the lines that are not of that form.
#[derive(Clone, Debug, Default)]
pub struct FdInfo {
    pub text: String,
}

impl FdInfo {
    pub fn read(pid: i32, fd: i32) -> io::Result<Self> {
        Ok(Self { text: fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}"))? })
    }

    /// The value of the first line that begins with `key:`.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim)
    }

    pub fn number(&self, key: &str) -> Option<u64> {
        self.value(key)?.parse().ok()
    }

    pub fn octal(&self, key: &str) -> Option<u64> {
        u64::from_str_radix(self.value(key)?, 8).ok()
    }

    pub fn hex(&self, key: &str) -> Option<u64> {
        u64::from_str_radix(self.value(key)?.trim_start_matches("0x"), 16).ok()
    }

    /// The lines that begin with `word`.
    pub fn lines<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        self.text.lines().filter(move |line| line.starts_with(word))
    }
}

/// Splits a line such as `tfd: 3 events: 19` or `inotify wd:2 ino:1e473` into its keys and values.
pub fn fields(line: &str) -> HashMap<&str, &str> {
    let words = line.split_ascii_whitespace();
    let mut fields = HashMap::new();
    let mut last = "";
    for word in words {
        match word.split_once(':') {
            Some((key, "")) => last = key,
            Some((key, value)) => drop(fields.insert(key, value)),
            None => drop(fields.insert(last, word)),
        }
    }
    fields
}

/// One mapping, from /proc/PID/smaps.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    pub start: u64,
    pub end: u64,
    pub permissions: [u8; 4],
    pub offset: u64,
    pub device: (u32, u32),
    pub inode: u64,
    pub name: Vec<u8>,
    /// Two-letter VmFlags.
    pub flags: Vec<[u8; 2]>,
    /// KernelPageSize in bytes.
    pub page_size: u64,
}

impl Mapping {
    pub fn has(&self, flag: &[u8; 2]) -> bool {
        self.flags.contains(flag)
    }

    pub fn is_shared(&self) -> bool {
        self.permissions[3] == b's'
    }

    /// Device and inode of the file, as stat(2) on tmpfs tells them; other file systems may have numbers of their own.
    pub fn file(&self) -> (u64, u64) {
        (sys::files::device(self.device.0, self.device.1), self.inode)
    }
}

/// A mount as a process sees it (/proc/PID/mountinfo).
pub struct Mount {
    pub id: u32,
    pub device: (u32, u32),
    /// It shows a folder of its file system only.
    pub partial: bool,
    point: Vec<u8>,
}

impl Mount {
    /// Where it is; absolute.
    pub fn point(&self) -> &[u8] {
        &self.point
    }

    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let (major, minor) = words.get(2)?.split_once(':')?;
        Some(Self {
            id: words[0].parse().ok()?,
            device: (major.parse().ok()?, minor.parse().ok()?),
            partial: *words.get(3)? != "/",
            point: words.get(4)?.as_bytes().to_vec(),
        })
    }
}

fn mounts(pid: i32) -> Vec<Mount> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    text.lines().filter_map(Mount::parse).collect()
}

/// Where a mount of which `wanted` is true can be found, whole file systems first.
pub fn mount_point(pid: i32, wanted: impl Fn(&Mount) -> bool) -> Option<Vec<u8>> {
    let mount = mounts(pid).into_iter().filter(wanted).min_by_key(|mount| mount.partial)?;
    Some(mount.point)
}

/// Mount points of a device in the view of a process, whole file systems first.
pub fn mount_points(pid: i32, device: (u32, u32)) -> Vec<Vec<u8>> {
    let mut mounts: Vec<Mount> = mounts(pid).into_iter().filter(|mount| mount.device == device).collect();
    mounts.sort_by_key(|mount| mount.partial);
    mounts.into_iter().map(|mount| mount.point).collect()
}

pub fn mappings(pid: i32) -> io::Result<Vec<Mapping>> {
    let text = fs::read(format!("/proc/{pid}/smaps"))?;
    let mut all: Vec<Mapping> = Vec::new();
    for line in text.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
        if let Some(flags) = line.strip_prefix(b"VmFlags:") {
            let words = flags.split(|&b| b == b' ').filter_map(|word| word.try_into().ok());
            if let Some(last) = all.last_mut() {
                last.flags = words.collect();
            }
        } else if let Some(size) = line.strip_prefix(b"KernelPageSize:") {
            let size = String::from_utf8_lossy(size).trim().trim_end_matches(" kB").parse::<u64>();
            if let (Some(last), Ok(size)) = (all.last_mut(), size) {
                last.page_size = size * 1024;
            }
        } else if line[0].is_ascii_digit() || (b'a'..=b'f').contains(&line[0]) {
            all.push(mapping(line).ok_or_else(|| invalid("smaps line"))?);
        }
    }
    Ok(all)
}

/// The mappings without flags and page sizes: for smaps the kernel counts every page of the process.
pub fn places(pid: i32) -> io::Result<Vec<Mapping>> {
    let text = fs::read(format!("/proc/{pid}/maps"))?;
    let lines = text.split(|&b| b == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| mapping(line).ok_or_else(|| invalid("maps line"))).collect()
}

/// Parses `start-end perms offset major:minor inode   name`.
fn mapping(line: &[u8]) -> Option<Mapping> {
    let mut rest = line;
    let mut word = || {
        let end = rest.iter().position(|&b| b == b' ').unwrap_or(rest.len());
        let word = std::str::from_utf8(&rest[..end]).ok()?;
        rest = rest.get(end + 1..).unwrap_or(&[]);
        Some(word)
    };
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let (start, end) = word()?.split_once('-')?;
    let permissions = word()?.as_bytes().try_into().ok()?;
    let offset = hex(word()?)?;
    let (major, minor) = word()?.split_once(':')?;
    let inode = word()?.parse().ok()?;
    let name = rest.iter().position(|&b| b != b' ').map_or(&[][..], |at| &rest[at..]);
    Some(Mapping {
        start: hex(start)?,
        end: hex(end)?,
        permissions,
        offset,
        device: (hex(major)? as u32, hex(minor)? as u32),
        inode,
        name: unescape(name),
        flags: Vec::new(),
        page_size: sys::memory::PAGE,
    })
}

/// smaps writes a newline in a path as `\012` and leaves all else as it is.
fn unescape(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&first, tail)) = rest.split_first() {
        if rest.starts_with(b"\\012") {
            out.push(b'\n');
            rest = &rest[4..];
        } else {
            out.push(first);
            rest = tail;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_read_from_its_line() {
        let line = "36 35 98:7 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue";
        let mount = Mount::parse(line).unwrap();
        assert_eq!(
            (mount.id, mount.device, mount.partial, mount.point),
            (36, (98, 7), true, b"/mnt2".to_vec())
        );
        assert!(Mount::parse("36 35").is_none());
    }

    #[test]
    fn mapping_line_with_spaces_in_its_name() {
        let line = b"7f00-7f10 rw-s 00001000 08:01 42                         /tmp/a b (deleted)";
        let map = mapping(line).unwrap();
        assert_eq!((map.start, map.end, map.offset, map.inode), (0x7f00, 0x7f10, 0x1000, 42));
        assert_eq!(map.name, b"/tmp/a b (deleted)");
    }

    #[test]
    fn own_process_is_readable() {
        let me = std::process::id();
        assert!(mappings(me as i32).unwrap().iter().any(|map| map.name == b"[stack]" && map.has(b"gd")));
        // The test runs on a thread of its own while the first one may sleep.
        assert!(matches!(stat(&me.to_string()).unwrap().state, 'R' | 'S'));
        assert_eq!(Status::read(&me.to_string()).unwrap().innermost("NSpid"), me as i32);
    }
}
