//! Environment variables and arguments that are others in memory. A string is changed in place where the new one fits,
//! else it stands in new memory and the pointer in the vector of execve(2) leads there. /proc/PID/environ and
//! /proc/PID/cmdline show what is new, unless the program has put a title of its own there.

use super::strings::{self, Entry, Vector};
use crate::chain::Chain;
use crate::explain::{Explain, Result};
use crate::nursery::Nursery;
use crate::program::Program;
use crate::rebuild::Rebuild;
use crate::state::layout;
use crate::state::memory::LayoutV1;
use crate::state::process::{BodyV1, LiveV1, ProcessV1};
use abi::edits::{Argument, Edits, Variable};
use abi::{Code, Fault};
use std::collections::BTreeMap;
use tracee::Stopped;

/// More than execve(2) takes, in bytes.
const LARGEST_AREA: u64 = 64 << 20;

/// A process whose memory is complete.
struct Subject<'a> {
    process: &'a ProcessV1,
    live: &'a LiveV1,
    thread: Stopped,
    arguments: Vector,
    environment: Vector,
    /// New texts by index; an index at the end adds.
    new_arguments: BTreeMap<usize, Vec<u8>>,
    new_environment: BTreeMap<usize, Vec<u8>>,
}

/// Changes all processes. They are stopped, and have their memory.
pub fn apply(image: &Chain, edits: &Edits, nursery: &Nursery, rebuild: &Rebuild) -> Result<()> {
    if edits.environment.is_empty() && edits.arguments.is_empty() {
        return Ok(());
    }
    let mut subjects: Vec<Subject> =
        image.processes.iter().filter_map(|process| Subject::of(process, rebuild)).collect();
    for variable in &edits.environment {
        set(variable, &mut subjects)?;
    }
    for argument in &edits.arguments {
        replace(argument, &mut subjects)?;
    }
    subjects.iter().try_for_each(|subject| subject.write(nursery))
}

impl<'a> Subject<'a> {
    fn of(process: &'a ProcessV1, rebuild: &Rebuild) -> Option<Self> {
        let BodyV1::Live(live) = &process.body else { return None };
        let thread = Stopped::assume(rebuild.pids[&process.pid]);
        let (arguments, environment) = strings::read(&thread, &live.memory)?;
        let (new_arguments, new_environment) = Default::default();
        Some(Self { process, live, thread, arguments, environment, new_arguments, new_environment })
    }

    fn is(&self, process: Option<&String>) -> bool {
        process.is_none_or(|name| *name == self.process.comm)
    }

    fn name(&self) -> String {
        format!("process {} ({})", self.process.pid, self.process.comm)
    }
}

fn set(variable: &Variable, subjects: &mut [Subject]) -> Result<()> {
    let prefix = format!("{}=", variable.name).into_bytes();
    let text = [&prefix, variable.value.as_bytes()].concat();
    let mut found = false;
    for subject in subjects.iter_mut().filter(|subject| subject.is(variable.process.as_ref())) {
        let has = subject.environment.entries.iter().position(|entry| entry.text.starts_with(&prefix));
        if let Some(index) = has {
            subject.new_environment.insert(index, text.clone());
            found = true;
        }
    }
    if found {
        return Ok(());
    }
    let mut full = Vec::new();
    for subject in subjects.iter_mut().filter(|subject| subject.is(variable.process.as_ref())) {
        let known = subject.environment.entries.len();
        let added = subject.new_environment.range(known..).count();
        if added < subject.environment.spare {
            subject.new_environment.insert(known + added, text.clone());
            found = true;
        } else {
            full.push(subject.name());
        }
    }
    if found {
        return Ok(());
    }
    let why = match full.as_slice() {
        [] => "no process of that name has the environment that it was started with".to_owned(),
        full => {
            format!("it is not there, and the environment of {} has no room for one more", full.join(", "))
        }
    };
    Err(Fault::new(
        Code::RestoreFailed,
        format!("Could not set the environment variable \"{}\"", variable.name),
    )
    .because(why)
    .hint("Have the application started with the variable set, to whatever value, before the snapshot"))
}

fn replace(argument: &Argument, subjects: &mut [Subject]) -> Result<()> {
    let mut found = false;
    for subject in subjects.iter_mut().filter(|subject| subject.is(argument.process.as_ref())) {
        for (index, entry) in subject.arguments.entries.iter().enumerate() {
            let now = subject.new_arguments.get(&index).unwrap_or(&entry.text);
            if let Some(new) = replaced(now, argument.find.as_bytes(), argument.replace.as_bytes()) {
                subject.new_arguments.insert(index, new);
                found = true;
            }
        }
    }
    if found {
        return Ok(());
    }
    Err(Fault::new(Code::RestoreFailed, format!("Could not replace \"{}\" in arguments", argument.find))
        .because("no process has it in the arguments that it was started with"))
}

/// `text` with every `find` replaced; none when it has no such thing.
fn replaced(text: &[u8], find: &[u8], by: &[u8]) -> Option<Vec<u8>> {
    let (mut new, mut rest, mut found) = (Vec::new(), text, false);
    while let Some(at) = rest.windows(find.len().max(1)).position(|window| window == find) {
        new.extend_from_slice(&rest[..at]);
        new.extend_from_slice(by);
        rest = &rest[at + find.len()..];
        found = true;
    }
    new.extend_from_slice(rest);
    found.then_some(new)
}

/// What is written where, and where /proc finds the strings of one vector from now on.
#[derive(Debug, Default, PartialEq, Eq)]
struct Change {
    writes: Vec<(u64, Vec<u8>)>,
    /// Goes to new memory.
    block: Vec<u8>,
    /// Slots whose pointers lead into the block, by their place in it.
    pointers: Vec<(u64, u64)>,
    /// Whether the whole of it is what /proc shall show.
    shown: bool,
}

/// Plans the change of one vector whose strings /proc looks for from `start` to `end`.
fn plan(
    vector: &Vector,
    new: &BTreeMap<usize, Vec<u8>>,
    (start, end): (u64, u64),
    room: impl Fn(&Entry) -> usize,
) -> Change {
    let mut change = Change::default();
    if new.is_empty() {
        return change;
    }
    let same_length = |(index, text): (&usize, &Vec<u8>)| {
        vector.entries.get(*index).is_some_and(|entry| entry.text.len() == text.len())
    };
    change.shown = vector.fills(start, end) && !new.iter().all(same_length);
    let known = vector.entries.len();
    for index in 0..known.max(new.keys().max().map_or(0, |last| last + 1)) {
        let (entry, text) = (vector.entries.get(index), new.get(&index));
        let in_place = entry.zip(text).filter(|(entry, text)| text.len() <= room(entry));
        if let Some((entry, text)) = in_place {
            let mut bytes = text.clone();
            bytes.resize(text.len().max(entry.text.len()) + 1, 0);
            change.writes.push((entry.pointer, bytes));
        } else if text.is_some() {
            change.pointers.push((vector.slot(index), change.block.len() as u64));
        }
        let own = text.or(entry.map(|entry| &entry.text));
        if let Some(own) = own.filter(|_| change.shown || (text.is_some() && in_place.is_none())) {
            change.block.extend_from_slice(own);
            change.block.push(0);
        }
    }
    change
}

impl Subject<'_> {
    fn write(&self, nursery: &Nursery) -> Result<()> {
        if self.new_arguments.is_empty() && self.new_environment.is_empty() {
            return Ok(());
        }
        let mut layout = self.live.memory.layout.clone();
        let start = layout.arg_start;
        let area = self.area(&layout);
        let all = self.arguments.entries.iter().chain(&self.environment.entries);
        let others: Vec<u64> = all.map(|entry| entry.pointer).collect();
        let room = |entry: &Entry| strings::room(entry, start, &area, &others);
        let (arguments, environment) =
            ((layout.arg_start, layout.arg_end), (layout.env_start, layout.env_end));
        let arguments = plan(&self.arguments, &self.new_arguments, arguments, room);
        let environment = plan(&self.environment, &self.new_environment, environment, room);
        let (arguments_at, environment_at) = self.place(&arguments, &environment, nursery)?;
        if arguments.shown {
            (layout.arg_start, layout.arg_end) = (arguments_at, arguments_at + arguments.block.len() as u64);
        }
        if environment.shown {
            (layout.env_start, layout.env_end) =
                (environment_at, environment_at + environment.block.len() as u64);
        }
        self.show(&layout, nursery)
    }

    /// The memory that execve(2) put the strings into; nothing where it is not there any more.
    fn area(&self, layout: &LayoutV1) -> Vec<u8> {
        let length = layout.env_end.saturating_sub(layout.arg_start);
        let mut area = vec![0; if length <= LARGEST_AREA { length as usize } else { 0 }];
        let read = self.thread.read(layout.arg_start, &mut area);
        if read.is_ok() { area } else { Vec::new() }
    }

    /// Writes both changes, and returns where their blocks are.
    fn place(&self, arguments: &Change, environment: &Change, nursery: &Nursery) -> Result<(u64, u64)> {
        let length = arguments.block.len() + environment.block.len();
        let at = if length == 0 { 0 } else { self.new_memory(length as u64, nursery)? };
        let places = (at, at + arguments.block.len() as u64);
        for (change, at) in [(arguments, places.0), (environment, places.1)] {
            let pointers =
                change.pointers.iter().map(|(slot, offset)| (*slot, (at + offset).to_le_bytes().to_vec()));
            let block = [(at, change.block.clone())].into_iter().filter(|(_, block)| !block.is_empty());
            for (address, bytes) in change.writes.iter().cloned().chain(block).chain(pointers) {
                self.thread.write(address, &bytes).explain(|| self.what())?;
            }
        }
        Ok(places)
    }

    fn new_memory(&self, length: u64, nursery: &Nursery) -> Result<u64> {
        let bench = nursery.hole.bench();
        let mut program = Program::new(&bench);
        let protection = (libc::PROT_READ | libc::PROT_WRITE) as u64;
        let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;
        program.call("mmap", libc::SYS_mmap, &[0, length, protection, flags, u64::MAX, 0]);
        Ok(program.run(&self.thread)?[0] as u64)
    }

    fn show(&self, layout: &LayoutV1, nursery: &Nursery) -> Result<()> {
        if *layout == self.live.memory.layout {
            return Ok(());
        }
        let bench = nursery.hole.bench();
        let mut program = Program::new(&bench);
        layout::apply(layout, &self.live.memory.auxv, None, &mut program);
        let result = program.run(&self.thread)?[0];
        sys::Errno::from_raw(result).explain(|| self.what()).map(drop)
    }

    fn what(&self) -> String {
        format!("Could not change the arguments and environment of {}", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector() -> Vector {
        let entry = |pointer, text: &str| Entry { pointer, text: text.as_bytes().to_vec() };
        Vector { at: 8, entries: vec![entry(100, "A=one"), entry(106, "B=2")], spare: 1 }
    }

    fn change(new: &[(usize, &str)], end: u64) -> Change {
        let new = new.iter().map(|(index, text)| (*index, text.as_bytes().to_vec())).collect();
        plan(&vector(), &new, (100, end), |entry| entry.text.len())
    }

    #[test]
    fn a_string_of_the_same_length_is_changed_in_place_alone() {
        let expected = Change { writes: vec![(106, b"B=3\0".to_vec())], ..Change::default() };
        assert_eq!(change(&[(1, "B=3")], 110), expected);
    }

    #[test]
    fn a_shorter_string_is_in_place_and_shown_without_a_gap() {
        let writes = vec![(100, b"A=1\0\0\0".to_vec())];
        let expected = Change { writes, block: b"A=1\0B=2\0".to_vec(), pointers: vec![], shown: true };
        assert_eq!(change(&[(0, "A=1")], 110), expected);
    }

    #[test]
    fn a_longer_string_and_a_new_one_stand_in_new_memory() {
        let block = b"A=1\0B=two\0C=3\0".to_vec();
        let writes = vec![(100, b"A=1\0\0\0".to_vec())];
        let expected = Change { writes, block, pointers: vec![(16, 4), (24, 10)], shown: true };
        assert_eq!(change(&[(0, "A=1"), (1, "B=two"), (2, "C=3")], 110), expected);
    }

    #[test]
    fn where_a_title_stands_proc_goes_on_showing_it() {
        let expected = Change { block: b"B=two\0".to_vec(), pointers: vec![(16, 0)], ..Change::default() };
        assert_eq!(change(&[(1, "B=two")], 200), expected);
    }

    #[test]
    fn every_occurrence_is_replaced() {
        assert_eq!(replaced(b"a:1,b:1", b":1", b":22"), Some(b"a:22,b:22".to_vec()));
        assert_eq!(replaced(b"abc", b":1", b""), None);
    }
}
