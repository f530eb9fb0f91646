//! Reading a file and listing a directory.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::{CWD, FileType, Mode, OFlags};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LARGEST_FILE, ToolError, at, checked};

/// What is read at once, at most and where nobody says how much.
const MOST_BYTES: u64 = 8 << 20;
const USUAL_BYTES: u64 = 1 << 20;

/// Entries of one answer, at most and where nobody says how many.
const MOST_ENTRIES: usize = 10_000;
const USUAL_ENTRIES: usize = 1_000;
const MOST_DEPTH: u32 = 16;

/// Read a file, or a part of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Read {
    pub path: String,
    /// The first byte.
    #[serde(default)]
    pub offset: u64,
    /// How many bytes at most: up to 8 MiB, 1 MiB where it is absent.
    #[serde(default)]
    pub limit: Option<u64>,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ReadOut {
    pub content: String,
    /// How `content` says it: as text, or in base64 where the bytes are no UTF-8 text.
    pub encoding: Encoding,
    /// The size of the whole file in bytes.
    pub size: u64,
    /// The byte after the last one of `content`: where to go on.
    pub next: u64,
    /// There is more.
    pub truncated: bool,
}

/// How bytes stand in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    #[default]
    Text,
    Base64,
}

/// List a directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    pub path: String,
    /// How many levels: 1 is the directory alone. At most 16.
    #[serde(default = "one")]
    pub depth: u32,
    /// How many entries at most: up to 10,000, 1,000 where it is absent.
    #[serde(default)]
    pub limit: Option<usize>,
}

fn one() -> u32 {
    1
}

/// The entries of a directory, by name.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Listing {
    pub entries: Vec<Listed>,
    /// There are more.
    pub truncated: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Listed {
    /// From the listed directory.
    pub name: String,
    pub kind: Kind,
    /// Of a regular file, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// What a symbolic link says. Links are not followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Why what is in this directory is not listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    File,
    Directory,
    Link,
    Other,
}

/// Opens a regular file for reading; nothing else is opened for longer than it takes to see what it is.
pub(super) fn open(path: &Path) -> Result<(File, rustix::fs::Stat), ToolError> {
    // NONBLOCK: a FIFO must not hold the tool up.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|error| at(path)(error.into()))?;
    let stat = rustix::fs::fstat(&file).map_err(|error| at(path)(error.into()))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok((File::from(file), stat)),
        _ => Err(ToolError::NotRegular { path: path.to_owned() }),
    }
}

/// The whole content of a file that is to be changed.
pub(super) fn whole(path: &Path) -> Result<Vec<u8>, ToolError> {
    let (file, _) = open(path)?;
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(at(path))?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(ToolError::TooLarge { path: path.to_owned(), most: LARGEST_FILE });
    }
    Ok(bytes)
}

impl Read {
    pub(super) fn carry_out(&self, base: &Path) -> Result<ReadOut, ToolError> {
        let path = base.join(checked(&self.path)?);
        let limit = self.limit.unwrap_or(USUAL_BYTES).min(MOST_BYTES);
        let (mut file, stat) = open(&path)?;
        file.seek(SeekFrom::Start(self.offset)).map_err(at(&path))?;
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).map_err(at(&path))?;
        let truncated = bytes.len() as u64 > limit;
        if truncated {
            bytes.pop();
        }
        let (content, encoding, length) = said(bytes, truncated);
        Ok(ReadOut {
            content,
            encoding,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            next: self.offset + length,
            truncated,
        })
    }
}

/// The bytes as text where they are text. A character that the end of a part cuts is left for the next part.
fn said(mut bytes: Vec<u8>, cut: bool) -> (String, Encoding, u64) {
    if let Err(error) = std::str::from_utf8(&bytes)
        && cut
        && error.error_len().is_none()
        && error.valid_up_to() > 0
    {
        bytes.truncate(error.valid_up_to());
    }
    let length = bytes.len() as u64;
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => (text, Encoding::Text, length),
        Ok(text) => (STANDARD.encode(text), Encoding::Base64, length),
        Err(error) => (STANDARD.encode(error.as_bytes()), Encoding::Base64, length),
    }
}

impl List {
    pub(super) fn carry_out(&self, base: &Path) -> Result<Listing, ToolError> {
        let path = base.join(checked(&self.path)?);
        let most = self.limit.unwrap_or(USUAL_ENTRIES).min(MOST_ENTRIES);
        let mut listing = Listing { entries: Vec::new(), truncated: false };
        let depth = self.depth.clamp(1, MOST_DEPTH);
        walk(&path, Path::new(""), depth, most, &mut listing).map_err(at(&path))?;
        Ok(listing)
    }
}

fn walk(directory: &Path, name: &Path, depth: u32, most: usize, out: &mut Listing) -> std::io::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        // What is there is counted even where it cannot be shown: a huge directory is bounded while it is read.
        if names.len() > most {
            break;
        }
        names.push(entry?.file_name());
    }
    names.sort();
    for entry in names {
        if out.entries.len() >= most {
            out.truncated = true;
            return Ok(());
        }
        let (path, shown) = (directory.join(&entry), name.join(&entry));
        let mut listed = listed(&path, &shown);
        let deeper = listed.kind == Kind::Directory && depth > 1;
        let at = out.entries.len();
        listed.error = None;
        out.entries.push(listed);
        if deeper && let Err(error) = walk(&path, &shown, depth - 1, most, out) {
            out.entries[at].error = Some(error.to_string());
        }
    }
    Ok(())
}

fn listed(path: &Path, shown: &Path) -> Listed {
    let metadata = path.symlink_metadata().ok();
    let kind = match metadata.as_ref().map(fs::Metadata::file_type) {
        Some(kind) if kind.is_file() => Kind::File,
        Some(kind) if kind.is_dir() => Kind::Directory,
        Some(kind) if kind.is_symlink() => Kind::Link,
        _ => Kind::Other,
    };
    let target = (kind == Kind::Link).then(|| fs::read_link(path).ok()).flatten();
    Listed {
        name: shown.to_string_lossy().into_owned(),
        kind,
        size: metadata.filter(|_| kind == Kind::File).map(|metadata| metadata.len()),
        target: target.map(|target: PathBuf| target.to_string_lossy().into_owned()),
        error: None,
    }
}
