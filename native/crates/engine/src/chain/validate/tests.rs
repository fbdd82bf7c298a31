use super::*;
use crate::ids::OriginalPid;
use crate::state::capsule::CapsuleV1;
use crate::state::descriptors::{DescriptionV1, DescriptorV1, KindV1, pipe};
use crate::state::filesystem::{FileRefV1, FilesystemV1};
use crate::state::guard_pages::GuardV1;
use crate::state::host::{HostV1, VdsoV1};
use crate::state::limits::LimitV1;
use crate::state::memory::{AddressSpaceV1, BackingV1, MappingV1, PageRunV1};
use crate::state::posix_memory::{self, EntryV1, PosixMemoryV1};
use crate::state::process::{BodyV1, LiveV1, ProcessV1};
use crate::state::signals::{ActionV1, SignalsV1};
use crate::state::thread::ThreadV1;
use ciborium::Value;
use serde::{Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;

fn bytes(text: &[u8]) -> ByteBuf {
    ByteBuf::from(text.to_vec())
}

fn file() -> FileRefV1 {
    FileRefV1 { path: bytes(b"/bin/true"), ..FileRefV1::default() }
}

fn mapping(start: u64, end: u64, backing: BackingV1) -> MappingV1 {
    MappingV1 { start, end, protection: 3, shared: false, may_write: true, backing, advice: Vec::new() }
}

fn memory() -> AddressSpaceV1 {
    let kernel = BackingV1::Kernel("[vdso]".to_owned());
    AddressSpaceV1 {
        auxv: ByteBuf::from(vec![0; 32]),
        mappings: vec![
            mapping(0x1000, 0x3000, BackingV1::File { file: file(), offset: 0x1000 }),
            mapping(0x3000, 0x4000, BackingV1::Anonymous),
            mapping(0x7000_0000, 0x7000_2000, kernel),
        ],
        pages: vec![PageRunV1 { start: 0x2000, length: 0x2000, pack: 0, offset: 0x1000 }],
        ..AddressSpaceV1::default()
    }
}

fn thread(tid: i32) -> ThreadV1 {
    let mut registers = vec![0; 27];
    (registers[16], registers[17], registers[20]) = (0x1234, 0x33, 0x2b);
    ThreadV1 {
        tid: OriginalPid(tid),
        registers,
        xstate: ByteBuf::from(vec![0; 832]),
        comm: bytes(b"true"),
        pending: vec![ByteBuf::from(vec![0; 128])],
        ..ThreadV1::default()
    }
}

fn process(pid: i32, parent: Option<i32>) -> ProcessV1 {
    let action = ActionV1 { signal: 2, handler: 1, flags: 0, restorer: 0, mask: 0 };
    let live = LiveV1 {
        executable: file(),
        threads: vec![thread(pid), thread(pid + 1)],
        memory: memory(),
        signals: SignalsV1 { actions: vec![action], pending: Vec::new() },
        filesystem: FilesystemV1 { cwd: file(), root: file(), ..FilesystemV1::default() },
        limits: vec![LimitV1 { soft: 1, hard: 1 }; 16],
        descriptors: vec![DescriptorV1 { fd: 3, description: DescriptionId(0), close_on_exec: false }],
        ..LiveV1::default()
    };
    ProcessV1 {
        pid: OriginalPid(pid),
        parent: parent.map(OriginalPid),
        pgid: OriginalPid(pid),
        sid: OriginalPid(pid),
        comm: "true".to_owned(),
        exit_signal: 17,
        body: BodyV1::Live(Box::new(live)),
    }
}

fn chain() -> Chain {
    let kind = KindV1::Pipe(pipe::PipeEndV1 { pipe: 0 });
    let vdso = VdsoV1 { sizes: vec![("[vdso]".to_owned(), 0x2000)], hash: 0 };
    Chain {
        host: HostV1 { vdso, ..HostV1::default() },
        processes: vec![process(100, None), process(200, Some(100))],
        descriptions: vec![DescriptionV1 { id: DescriptionId(0), kind, flags: 0, position: 0, owner: None }],
        pipes: vec![pipe::PipeV1 {
            id: 0,
            capacity: 4096,
            queued: bytes(b"queued"),
            packets: vec![6],
            fifo: None,
        }],
        ..Chain::default()
    }
}

fn extents(pack: u32) -> Option<Range<u64>> {
    (pack == 0).then_some(0x1000..0x8000)
}

/// What is wrong with the chain after `change`.
fn complaint(change: impl FnOnce(&mut Chain)) -> String {
    let mut chain = chain();
    change(&mut chain);
    let fault = validate(&chain, &extents).expect_err("this is damage");
    assert_eq!(fault.code, Code::ImageDamaged);
    fault.to_string()
}

fn live(chain: &mut Chain) -> &mut LiveV1 {
    match &mut chain.processes[0].body {
        BodyV1::Live(live) => live,
        BodyV1::Zombie { .. } => unreachable!("the first process lives"),
    }
}

#[test]
fn a_sound_chain_is_accepted() {
    validate(&chain(), &extents).unwrap();
}

#[test]
fn the_field_that_is_wrong_is_named() {
    let named = |field: &str, change: fn(&mut Chain)| {
        let text = complaint(change);
        assert!(text.contains(field), "{field}: {text}");
    };
    named("processes", |chain| chain.processes.clear());
    named("processes.pid", |chain| chain.processes[1].pid = OriginalPid(101));
    named("processes[0].pid", |chain| {
        chain.processes.truncate(1);
        chain.processes[0].pid = OriginalPid(-1);
    });
    named("processes[0].parent", |chain| chain.processes.swap(0, 1));
    named("processes[1].parent", |chain| chain.processes[0].body = BodyV1::Zombie { status: 0 });
    named("processes[0].threads", |chain| live(chain).threads.clear());
    named("threads[0].registers", |chain| live(chain).threads[0].registers.truncate(3));
    named("registers.cs", |chain| live(chain).threads[0].registers[17] = 0x10);
    named("registers.rip", |chain| live(chain).threads[1].registers[16] = u64::MAX);
    named("threads[0].xstate", |chain| live(chain).threads[0].xstate.truncate(100));
    named("threads[0].pending", |chain| live(chain).threads[0].pending[0].truncate(8));
    named("mappings[1].start", |chain| live(chain).memory.mappings[1].start = 0x2000);
    named("mappings[1].start", |chain| live(chain).memory.mappings[1].start = 0x3001);
    named("mappings[2].end", |chain| live(chain).memory.mappings[2].end = 1 << 60);
    named("mappings[2].backing", |chain| live(chain).memory.mappings[2].end += 0x1000);
    named("memory.pages[0]", |chain| live(chain).memory.pages[0].pack = 1);
    named("memory.pages[0]", |chain| live(chain).memory.pages[0].offset = 0x7000);
    named("memory.pages[0]", |chain| live(chain).memory.pages[0].offset = !0xfff);
    named("memory.pages[0]", |chain| live(chain).memory.pages[0].length = 0x3000);
    named("memory.pages[0]", |chain| live(chain).memory.pages[0].start = 0x7000_0000);
    let guard = |start, length| GuardV1 { start, length };
    live_with_guards(&[guard(0x3000, 0x1000)], None);
    live_with_guards(&[guard(0x3000, 0x800)], Some("memory.guards[0]"));
    live_with_guards(&[guard(0x4000, 0x1000)], Some("memory.guards[0]"));
    live_with_guards(&[guard(0x2000, 0x2000), guard(0x3000, 0x1000)], Some("memory.guards[1]"));
    named("descriptors[0]", |chain| live(chain).descriptors[0].fd = -1);
    named("descriptors[0]", |chain| live(chain).descriptors[0].description = DescriptionId(7));
    named("executable.path", |chain| live(chain).executable.path.clear());
    named("executable.ghost", |chain| live(chain).executable.ghost = Some(1));
    named("signals.actions", |chain| live(chain).signals.actions[0].signal = 65);
    named("descriptions[0].pipe", |chain| chain.pipes.clear());
    named("pipes[0].packets", |chain| chain.pipes[0].packets = vec![u32::MAX; 2]);
    named("host.vdso", |chain| chain.host.vdso.sizes[0].1 = 1 << 40);
}

/// Judges an address space that has these guards.
fn live_with_guards(guards: &[GuardV1], wrong: Option<&str>) {
    let mut chain = chain();
    live(&mut chain).memory.guards = guards.to_vec();
    let judged = validate(&chain, &extents).map_err(|fault| fault.to_string());
    match (judged, wrong) {
        (Ok(()), None) => {}
        (Err(text), Some(field)) if text.contains(field) => {}
        (judged, wrong) => panic!("{wrong:?}: {judged:?}"),
    }
}

/// Every place of a value at which there is something, by the way to it.
fn places(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(places).sum(),
        Value::Map(entries) => entries.iter().map(|(_, item)| places(item)).sum(),
        _ => 0,
    }
}

/// Puts `new` at the place of the given number.
fn replace(value: &mut Value, place: &mut usize, new: &Value) {
    if *place == 0 {
        *value = new.clone();
    }
    *place = place.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, place, new)),
        Value::Map(entries) => entries.iter_mut().for_each(|(_, item)| replace(item, place, new)),
        _ => {}
    }
}

fn decoded<T: DeserializeOwned>(value: &Value) -> Option<T> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    ciborium::from_reader(&bytes[..]).ok()
}

/// Runs `check` on what decodes of `part` when each place in turn is replaced by each of some values. None may panic.
fn distort<T: Serialize + DeserializeOwned>(part: &T, mut check: impl FnMut(T)) -> usize {
    let mut bytes = Vec::new();
    ciborium::into_writer(part, &mut bytes).unwrap();
    let whole: Value = ciborium::from_reader(&bytes[..]).unwrap();
    let strange = [
        Value::Integer(u64::MAX.into()),
        Value::Integer(i64::MIN.into()),
        Value::Integer(i32::MAX.into()),
        Value::Integer(0.into()),
        Value::Integer((-1).into()),
        Value::Integer(0x7fff_ffff_f000u64.into()),
        Value::Null,
        Value::Bytes(Vec::new()),
        Value::Array(Vec::new()),
    ];
    let mut tried = 0;
    for place in 0..places(&whole) {
        for new in &strange {
            let mut changed = whole.clone();
            replace(&mut changed, &mut place.clone(), new);
            if let Some(part) = decoded(&changed) {
                check(part);
                tried += 1;
            }
        }
    }
    tried
}

#[test]
fn no_strange_value_anywhere_makes_validation_panic() {
    let check = |chain: &Chain| drop(validate(chain, &extents));
    let mut chain = chain();
    chain.processes.truncate(1);
    let processes = chain.processes.clone();
    let mut tried = distort(&processes, |changed| {
        chain.processes = changed;
        check(&chain);
    });
    chain.processes = processes;
    let pipes = chain.pipes.clone();
    tried += distort(&pipes, |changed| {
        chain.pipes = changed;
        check(&chain);
    });
    chain.pipes = pipes;
    let host = chain.host.clone();
    tried += distort(&host, |changed| {
        chain.host = changed;
        check(&chain);
    });
    assert!(tried > 500, "{tried}");
}

fn entry(path: &[u8], body: posix_memory::BodyV1) -> EntryV1 {
    EntryV1 { path: bytes(path), body, mode: 0o644, uid: 0, gid: 0, accessed_ns: 0, modified_ns: 0 }
}

#[test]
fn nothing_is_made_outside_of_the_memory_folder() {
    use posix_memory::BodyV1::{File, Folder, Link, Same};
    let capsule = CapsuleV1 {
        aid: String::new(),
        name: "a".to_owned(),
        command: Vec::new(),
        hostname: String::new(),
        root: None,
        ending: None,
        terminal: false,
        lasting: abi::edits::Lasting::default(),
    };
    let file = || File { size: 100, pages: Vec::new() };
    let with = |entries: Vec<EntryV1>| {
        let top = [entry(b"", Folder)];
        let entries = top.into_iter().chain(entries).collect();
        let mut chain = Chain { capsule: Some(capsule.clone()), ..chain() };
        chain.posix_memory = Some(PosixMemoryV1 { entries });
        validate(&chain, &extents)
    };
    let inner = || entry(b"inner", Folder);
    let link = || entry(b"inner", Link { target: bytes(b"/etc") });
    with(vec![inner(), entry(b"inner/a", file()), entry(b"b", Same { entry: 2 }), entry(b"c", file())])
        .unwrap();
    let outside = [&b".."[..], b"../a", b"/etc/a", b"inner/../../a", b"inner/", b"missing/a", b"a\0b", b""];
    for path in outside {
        assert!(with(vec![inner(), entry(path, file())]).is_err(), "{}", String::from_utf8_lossy(path));
    }
    assert!(with(vec![link(), entry(b"inner/a", file())]).is_err(), "a path leads through a link");
    assert!(with(vec![inner(), link()]).is_err(), "a name is there twice");
    assert!(with(vec![entry(b"a", Same { entry: 1 })]).is_err(), "a name is its own");
    assert!(with(vec![entry(b"a", Same { entry: 0 })]).is_err(), "a folder has two names");
    let pages = vec![PageRunV1 { start: 0, length: 0x1000, pack: 1, offset: 0x1000 }];
    assert!(with(vec![entry(b"a", File { size: 100, pages })]).is_err(), "contents lie in no pack");
    let nowhere = Chain { posix_memory: Some(PosixMemoryV1 { entries: vec![inner()] }), ..chain() };
    assert!(validate(&nowhere, &extents).is_err(), "there is no capsule");
}
