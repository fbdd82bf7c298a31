//! Programs and files as Deno writes them, for the tests.

use crate::container::{self, Program};

pub const METADATA: &str = r#"{"argv":[],"entrypoint_key":"main.mjs","node_modules":null,"preload_modules":[],"require_modules":[],"x":1}"#;
pub const TREE: &str = r#"[{"Dir":{"n":"lib","e":[{"File":{"n":"a.so","o":[0,4],"x":true,"t":5}}]}},{"File":{"n":"main.mjs","o":[4,3],"u":true}}]"#;
pub const DATA: &[u8] = b"\x7fELFabc";

/// The five parts of a container, in order.
pub fn container(metadata: &str, npm: &[u8], remote: [u8; 12], tree: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"d3n0l4nd".to_vec();
    let block = |bytes: &mut Vec<u8>, part: &[u8]| {
        bytes.extend((part.len() as u64).to_le_bytes());
        bytes.extend(part);
    };
    block(&mut bytes, metadata.as_bytes());
    block(&mut bytes, npm);
    bytes.extend(remote);
    block(&mut bytes, tree.as_bytes());
    block(&mut bytes, data);
    bytes.extend(b"d3n0l4nd");
    bytes
}

pub fn plain() -> Vec<u8> {
    container(METADATA, &[], [0; 12], TREE, DATA)
}

pub fn program() -> Program {
    let bytes = plain();
    container::read(&bytes[..], 0..bytes.len() as u64).expect("the sample is well formed")
}

/// An ELF file with one foreign note and the given note behind it.
pub fn elf(note: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
    bytes[54..56].copy_from_slice(&56u16.to_le_bytes());
    bytes[56..58].copy_from_slice(&2u16.to_le_bytes());
    let foreign = b"\x04\0\0\0\x04\0\0\0\x01\0\0\0GNU\0abcdefghijklmnop";
    let start = 64 + 2 * 56;
    for (offset, length) in [(start, foreign.len()), (start + foreign.len(), note.len())] {
        let mut header = [0; 56];
        header[..4].copy_from_slice(&4u32.to_le_bytes());
        header[8..16].copy_from_slice(&(offset as u64).to_le_bytes());
        header[32..40].copy_from_slice(&(length as u64).to_le_bytes());
        bytes.extend(header);
    }
    bytes.extend(foreign);
    bytes.extend(note);
    bytes
}

/// The note around a program.
pub fn note(program: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(4u32.to_le_bytes());
    bytes.extend((program.len() as u32 + 10).to_le_bytes());
    bytes.extend(0x5355_4901u32.to_le_bytes());
    bytes.extend(b"SUI\0\x08\0d3n0l4nd");
    bytes.extend(program);
    bytes
}
