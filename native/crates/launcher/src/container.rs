//! Reads the program that Deno 2.9 appends, and refuses whatever differs from it.
//!
//! ```text
//! "d3n0l4nd"
//! u64 length, metadata as JSON        permissions, entry point, ...
//! u64 length, npm snapshot            must be empty: the program is bundled
//! 3 x u32 counts of remote modules    must be 0
//! u64 length, folder tree as JSON     [{"File":{"n":name,"o":[offset,length]}},{"Dir":{"n":name,"e":[...]}}]
//! u64 length, file data               what the offsets point into
//! "d3n0l4nd"
//! ```
//! Numbers are little endian. Source: files made by Deno 2.9.6, the version that the build pins; both ends move together.

use crate::source::Source;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::io::{Error, ErrorKind, Result};
use std::ops::Range;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"d3n0l4nd";
const MOST_METADATA: u64 = 1 << 20;
const MOST_DATA: u64 = 1 << 30;
const DEEPEST: usize = 8;

/// The appended program, in memory.
#[derive(Debug)]
pub struct Program {
    /// Path of the main module below the program's folder.
    pub entry: PathBuf,
    pub files: Vec<Embedded>,
    data: Vec<u8>,
    /// sha256 over names and contents, in hexadecimal: what its folder in the cache is called.
    pub id: String,
}

/// One file of the program.
#[derive(Debug)]
pub struct Embedded {
    /// Path below the program's folder: plain names only, so that it cannot point out of it.
    pub path: PathBuf,
    range: Range<usize>,
}

impl Program {
    pub fn contents(&self, file: &Embedded) -> &[u8] {
        &self.data[file.range.clone()]
    }
}

/// What the metadata must say; everything else in it concerns denort only.
#[derive(Deserialize)]
struct Metadata {
    argv: Vec<String>,
    entrypoint_key: String,
    node_modules: Option<serde_json::Value>,
    preload_modules: Vec<String>,
    require_modules: Vec<String>,
}

/// A node of the folder tree. Links are refused by being unknown here.
#[derive(Deserialize)]
enum Node {
    File(FileNode),
    Dir(DirNode),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileNode {
    n: String,
    o: [u64; 2],
    /// The text is UTF-8; says nothing that matters here.
    #[serde(default, rename = "u")]
    _utf8: bool,
    /// The file is executable; it is kept without that, for only the runtime gets executed.
    #[serde(default, rename = "x")]
    _executable: bool,
    /// Time of modification, left out on purpose: it is not part of the program.
    #[serde(default, rename = "t")]
    _modified: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DirNode {
    n: String,
    e: Vec<Node>,
}

/// Reads the program that lies in `range` of the source.
///
/// # Errors
/// `InvalidData` with the reason when it is not exactly what the pinned Deno writes for a bundled program.
pub fn read(source: &(impl Source + ?Sized), range: Range<u64>) -> Result<Program> {
    let mut reader = Reader { source, at: range.start, end: range.end };
    reader.magic()?;
    let metadata: Metadata = parse(&reader.block(MOST_METADATA)?)?;
    let plain = metadata.argv.is_empty() && metadata.node_modules.is_none();
    if !plain || !metadata.preload_modules.is_empty() || !metadata.require_modules.is_empty() {
        return Err(invalid("a program with arguments, packages or preloaded modules of its own"));
    }
    if !reader.block(MOST_METADATA)?.is_empty() {
        return Err(invalid("a program with a snapshot of npm packages"));
    }
    if reader.take(12)?.iter().any(|byte| *byte != 0) {
        return Err(invalid("a program with remote modules"));
    }
    let tree: Vec<Node> = parse(&reader.block(MOST_METADATA)?)?;
    let data = reader.block(MOST_DATA)?;
    reader.magic()?;
    if reader.at != reader.end {
        return Err(invalid("bytes behind the end of the program"));
    }
    assemble(&metadata.entrypoint_key, &tree, data)
}

fn assemble(entry: &str, tree: &[Node], data: Vec<u8>) -> Result<Program> {
    let mut files = Vec::new();
    flatten(tree, Path::new(""), data.len(), 0, &mut files)?;
    let entry =
        entry.split('/').try_fold(PathBuf::new(), |path, name| Ok::<_, Error>(path.join(plain(name)?)))?;
    if !files.iter().any(|file| file.path == entry) {
        return Err(invalid("a program without its main module"));
    }
    let mut hash = Sha256::new();
    for file in &files {
        let name = file.path.as_os_str().as_encoded_bytes();
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update((file.range.len() as u64).to_le_bytes());
        hash.update(&data[file.range.clone()]);
    }
    let id = format!("{:x}", hash.finalize());
    Ok(Program { entry, files, data, id })
}

fn flatten(
    tree: &[Node],
    folder: &Path,
    length: usize,
    depth: usize,
    files: &mut Vec<Embedded>,
) -> Result<()> {
    if depth > DEEPEST {
        return Err(invalid("folders nested too deeply"));
    }
    for node in tree {
        match node {
            Node::Dir(dir) => flatten(&dir.e, &folder.join(plain(&dir.n)?), length, depth + 1, files)?,
            Node::File(file) => {
                let path = folder.join(plain(&file.n)?);
                if files.iter().any(|other| other.path == path) {
                    return Err(invalid("two files of one name"));
                }
                files.push(Embedded { path, range: within(file.o, length)? });
            }
        }
    }
    Ok(())
}

/// A name that stays in its folder.
fn plain(name: &str) -> Result<&str> {
    let escapes = name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']);
    if escapes { Err(invalid("a file name that leaves its folder")) } else { Ok(name) }
}

fn within([offset, length]: [u64; 2], total: usize) -> Result<Range<usize>> {
    let end = offset.checked_add(length).filter(|end| *end <= total as u64);
    let end = end.ok_or_else(|| invalid("a file that lies outside of the data"))?;
    // Both are at most `total`, which is a usize.
    Ok(offset as usize..end as usize)
}

fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| Error::new(ErrorKind::InvalidData, error))
}

fn invalid(text: &str) -> Error {
    Error::new(ErrorKind::InvalidData, text)
}

/// Reads forward through the container, never beyond its end.
struct Reader<'a, S: ?Sized> {
    source: &'a S,
    at: u64,
    end: u64,
}

impl<S: Source + ?Sized> Reader<'_, S> {
    fn take(&mut self, length: u64) -> Result<Vec<u8>> {
        let left = self.end.saturating_sub(self.at);
        let bytes = self.source.bytes(self.at, length, left)?;
        self.at += length;
        Ok(bytes)
    }

    fn magic(&mut self) -> Result<()> {
        if self.take(MAGIC.len() as u64)? == MAGIC {
            Ok(())
        } else {
            Err(invalid("not the format of Deno 2.9"))
        }
    }

    /// A length of eight bytes and as many bytes behind it.
    fn block(&mut self, limit: u64) -> Result<Vec<u8>> {
        let length = self.take(8)?.try_into().map(u64::from_le_bytes);
        let length = length.map_err(|_| Error::from(ErrorKind::UnexpectedEof))?;
        if length > limit {
            return Err(invalid("a part that is too long"));
        }
        self.take(length)
    }
}

#[cfg(test)]
mod tests;
