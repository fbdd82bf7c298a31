//! Maps of the BPF machinery and which programs use them (bpf(2)).

use crate::{Errno, Result};
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

const BPF_MAP_CREATE: u32 = 0;
const BPF_MAP_LOOKUP_ELEM: u32 = 1;
const BPF_MAP_UPDATE_ELEM: u32 = 2;
const BPF_MAP_GET_NEXT_KEY: u32 = 4;
const BPF_PROG_GET_NEXT_ID: u32 = 11;
const BPF_PROG_GET_FD_BY_ID: u32 = 13;
const BPF_MAP_GET_FD_BY_ID: u32 = 14;
const BPF_OBJ_GET_INFO_BY_FD: u32 = 15;
const BPF_MAP_FREEZE: u32 = 22;

/// `union bpf_attr` as words; the kernel takes what lies beyond a command's own fields as absent while it is 0.
type Attributes = [u64; 16];

/// `bpf` with arguments that hold no pointers, or pointers that are live for the call.
///
/// # Safety
/// What the kernel reads or writes through pointers in `attributes` must be live and large enough.
unsafe fn call(command: u32, attributes: &mut Attributes) -> Result<u64> {
    let size = std::mem::size_of::<Attributes>();
    // SAFETY: the attributes live across the call; the caller vouches for what they point to.
    unsafe { Errno::check(libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), size)) }
}

fn pair(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// What a map is made with.
#[derive(Clone, Debug, Default)]
pub struct MapShape {
    pub kind: u32,
    pub key_size: u32,
    pub value_size: u32,
    pub max_entries: u32,
    pub flags: u32,
}

/// A new map. Needs CAP_BPF where unprivileged users may not.
pub fn create_map(shape: &MapShape, name: &CStr) -> Result<OwnedFd> {
    let mut attributes = Attributes::default();
    attributes[0] = pair(shape.kind, shape.key_size);
    attributes[1] = pair(shape.value_size, shape.max_entries);
    attributes[2] = pair(shape.flags, 0);
    // inner_map_fd and flags are bytes 16 to 24, the node is at 24, the name at 28.
    let mut text = [0u8; 16];
    let bytes = name.to_bytes();
    let length = bytes.len().min(15);
    text[..length].copy_from_slice(&bytes[..length]);
    let word = |at: usize| u32::from_le_bytes(text[at..at + 4].try_into().expect("four bytes"));
    attributes[3] = pair(0, word(0));
    attributes[4] = pair(word(4), word(8));
    attributes[5] = pair(word(12), 0);
    // SAFETY: the attributes hold no pointers; the new descriptor belongs to nobody else.
    unsafe {
        let fd = call(BPF_MAP_CREATE, &mut attributes)?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// Another descriptor of the map with this id; `flags` as BPF_F_RDONLY (8) and BPF_F_WRONLY (16). Needs CAP_SYS_ADMIN.
pub fn map_by_id(id: u32, flags: u32) -> Result<OwnedFd> {
    let mut attributes = Attributes::default();
    attributes[0] = pair(id, 0);
    attributes[1] = pair(flags, 0);
    // SAFETY: the attributes hold no pointers; the new descriptor belongs to nobody else.
    unsafe {
        let fd = call(BPF_MAP_GET_FD_BY_ID, &mut attributes)?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// The first 88 bytes of `struct bpf_map_info`: id at 4, name at 24, ifindex at 40, BTF ids at 64 to 76.
pub fn map_info(map: BorrowedFd) -> Result<[u8; 88]> {
    let mut info = [0u8; 88];
    object_info(map, &mut info)?;
    Ok(info)
}

fn object_info(object: BorrowedFd, info: &mut [u8]) -> Result<()> {
    let mut attributes = Attributes::default();
    attributes[0] = pair(object.as_raw_fd() as u32, info.len() as u32);
    attributes[1] = info.as_mut_ptr() as u64;
    // SAFETY: `info` is as long as the attributes say, and live for the call.
    unsafe { call(BPF_OBJ_GET_INFO_BY_FD, &mut attributes).map(drop) }
}

/// The key after `key`, or the first one; none at the end.
pub fn next_key(map: BorrowedFd, key: Option<&[u8]>, size: usize) -> Result<Option<Vec<u8>>> {
    let mut next = vec![0u8; size];
    let mut attributes = Attributes::default();
    attributes[0] = pair(map.as_raw_fd() as u32, 0);
    attributes[1] = key.map_or(0, |key| key.as_ptr() as u64);
    attributes[2] = next.as_mut_ptr() as u64;
    // SAFETY: both keys have the map's key size, as the caller says, and are live for the call.
    match unsafe { call(BPF_MAP_GET_NEXT_KEY, &mut attributes) } {
        Ok(_) => Ok(Some(next)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The value of `key`; `size` is the map's value size.
pub fn look_up(map: BorrowedFd, key: &[u8], size: usize) -> Result<Vec<u8>> {
    let mut value = vec![0u8; size];
    let mut attributes = Attributes::default();
    attributes[0] = pair(map.as_raw_fd() as u32, 0);
    (attributes[1], attributes[2]) = (key.as_ptr() as u64, value.as_mut_ptr() as u64);
    // SAFETY: key and value have the map's sizes, as the caller says, and are live for the call.
    unsafe { call(BPF_MAP_LOOKUP_ELEM, &mut attributes)? };
    Ok(value)
}

/// Sets the value of `key`, both of the map's sizes.
pub fn update(map: BorrowedFd, key: &[u8], value: &[u8]) -> Result<()> {
    let mut attributes = Attributes::default();
    attributes[0] = pair(map.as_raw_fd() as u32, 0);
    (attributes[1], attributes[2]) = (key.as_ptr() as u64, value.as_ptr() as u64);
    // SAFETY: key and value have the map's sizes, as the caller says, and are only read.
    unsafe { call(BPF_MAP_UPDATE_ELEM, &mut attributes).map(drop) }
}

/// Bars system calls from writing to the map.
pub fn freeze(map: BorrowedFd) -> Result<()> {
    let mut attributes = Attributes::default();
    attributes[0] = pair(map.as_raw_fd() as u32, 0);
    // SAFETY: the attributes hold no pointers.
    unsafe { call(BPF_MAP_FREEZE, &mut attributes).map(drop) }
}

/// The maps that loaded programs use, by their ids. Needs CAP_SYS_ADMIN.
pub fn maps_in_use() -> Result<Vec<u32>> {
    let (mut found, mut id) = (Vec::new(), 0);
    while let Some(next) = next_program(id)? {
        id = next;
        match program_by_id(id) {
            Ok(program) => found.extend(maps_of(&program)?),
            // It was unloaded meanwhile.
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(found)
}

fn next_program(id: u32) -> Result<Option<u32>> {
    let mut attributes = Attributes::default();
    attributes[0] = pair(id, 0);
    // SAFETY: the attributes hold no pointers.
    match unsafe { call(BPF_PROG_GET_NEXT_ID, &mut attributes) } {
        Ok(_) => Ok(Some((attributes[0] >> 32) as u32)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn program_by_id(id: u32) -> Result<OwnedFd> {
    let mut attributes = Attributes::default();
    attributes[0] = pair(id, 0);
    // SAFETY: the attributes hold no pointers; the new descriptor belongs to nobody else.
    unsafe {
        let fd = call(BPF_PROG_GET_FD_BY_ID, &mut attributes)?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// `struct bpf_prog_info`: the number of map ids is at 52, the pointer to room for them at 56.
fn maps_of(program: &OwnedFd) -> Result<Vec<u32>> {
    use std::os::fd::AsFd;
    const COUNT: usize = 52;
    const IDS: usize = 56;
    let mut info = [0u8; 64];
    object_info(program.as_fd(), &mut info)?;
    let count = u32::from_le_bytes(info[COUNT..COUNT + 4].try_into().expect("four bytes"));
    let mut ids = vec![0u32; count as usize];
    info = [0u8; 64];
    info[COUNT..COUNT + 4].copy_from_slice(&count.to_le_bytes());
    info[IDS..IDS + 8].copy_from_slice(&(ids.as_mut_ptr() as u64).to_le_bytes());
    object_info(program.as_fd(), &mut info)?;
    Ok(ids)
}
