//! `submission pack`: one file from a tree, the same bytes from the same files whoever packs them and when, with the hash
//! of every file in it; and the proof that a packed file is whole.
//!
//! The archive is a tar compressed with zstd. Its first entry, `SHA256SUMS`, is what `sha256sum -c` reads.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use ossmark_files::{Claim, is_part};
use ossmark_rules::rules;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::truncate::{hash, hex, sha256_of};

/// The manifest's name in the archive.
const MANIFEST: &str = "SHA256SUMS";
/// zstd's own ladder; 10 is where a tree of logs stops getting smaller quickly.
const LEVEL: i32 = 10;
/// Real submissions have some ten thousand files, names below 200 bytes.
const MAX_MANIFEST_BYTES: u64 = 256 << 20;
const MAX_FILES: usize = 1_000_000;
const MAX_DEPTH: usize = 128;

/// What was packed, or found in a packed file.
#[derive(Clone, Debug, Serialize)]
pub struct Packed {
    /// Files, the manifest not counted.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Of the packed file.
    pub sha256: String,
}

/// Packs a submitter's directories; the file has its name when it is whole and was read back. Also returns where an earlier
/// file was moved to.
///
/// # Errors
/// [`Error::NotATree`] when `input` is no directory or holds nothing of the submitter, [`Error::Unusable`] for links and
/// special files, which cannot be packed, [`Error::Io`].
pub fn pack(
    input: &Path,
    submitter: &str,
    output: &mut Claim,
) -> Result<(Packed, Option<PathBuf>), Error> {
    crate::tree::expect_directory(input)?;
    let mut files = BTreeMap::new();
    for division in &rules().submission.divisions.value {
        let dir = input.join(division).join(submitter);
        if dir.is_dir() {
            collect(&dir, &format!("{division}/{submitter}"), &mut files)?;
        }
    }
    if files.is_empty() {
        let near = crate::tree::root_near(input)
            .map(|root| format!(" (give {})", root.display()))
            .unwrap_or_default();
        return Err(Error::NotATree {
            path: input.into(),
            found: format!("found no file of submitter {submitter}{near}"),
        });
    }
    let mut manifest = String::new();
    for (name, (path, _)) in &files {
        manifest += &format!("{}  {name}\n", sha256_of(path)?);
    }
    let path = output.path().to_owned();
    let io = |error| Error::io("write", &path)(error);
    let fill = |file: &mut File| -> Result<Packed, Error> {
        write(&manifest, &files, file).map_err(io)?;
        // What was written is read back: a full disk or a file that changed meanwhile shows now.
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        check(&path, file)
    };
    if !output.is_stream() {
        return output.write_with(io, fill);
    }
    // A pipe gets what was checked.
    let mut whole = tempfile::tempfile().map_err(io)?;
    let packed = fill(&mut whole)?;
    whole.seek(SeekFrom::Start(0)).map_err(io)?;
    output.write_with(io, |stream| {
        io::copy(&mut whole, stream).map_err(io)?;
        Ok(packed)
    })
}

fn write(
    manifest: &str,
    files: &BTreeMap<String, (PathBuf, u64)>,
    file: &mut File,
) -> io::Result<()> {
    let mut encoder = zstd::Encoder::new(BufWriter::new(file), LEVEL)?;
    encoder.include_checksum(true)?;
    let mut archive = tar::Builder::new(encoder);
    archive.append_data(
        &mut header(manifest.len() as u64),
        MANIFEST,
        manifest.as_bytes(),
    )?;
    for (name, (path, size)) in files {
        // A file that grew since would break the archive.
        archive.append_data(
            &mut header(*size),
            name,
            ossmark_files::open(path)?.take(*size),
        )?;
    }
    archive.into_inner()?.finish()?.into_inner()?;
    Ok(())
}

/// Checks every file in a packed file against the manifest in it.
///
/// # Errors
/// [`Error::Unusable`] that names the first file that is missing, more, or not what the manifest says; also when it is no
/// packed file at all.
pub fn verify(packed: &Path) -> Result<Packed, Error> {
    let mut file = ossmark_files::open(packed).map_err(Error::io("read", packed))?;
    check(packed, &mut file)
}

fn check(packed: &Path, file: &mut File) -> Result<Packed, Error> {
    let bad = |why: String| Error::Unusable {
        path: packed.into(),
        why,
    };
    let damaged = |e: io::Error| {
        bad(format!(
            "{e}; expected a file that `ossmark submission pack` wrote"
        ))
    };
    let mut decoder = zstd::Decoder::new(&mut *file).map_err(damaged)?;
    // A window of 128 MiB is what zstd's own tools accept.
    decoder.window_log_max(27).map_err(damaged)?;
    let mut archive = tar::Archive::new(decoder);
    let mut wanted: Option<BTreeMap<String, String>> = None;
    let (mut files, mut bytes) = (0, 0);
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let name = entry.path().map_err(damaged)?.to_str().map(str::to_owned);
        let name = name.ok_or_else(|| bad("found a name that is not UTF-8".into()))?;
        let Some(wanted) = &mut wanted else {
            wanted = Some(manifest(&name, &mut entry).map_err(bad)?);
            continue;
        };
        let hash = wanted.remove(&name).ok_or_else(|| {
            bad(format!(
                "found {name}, which is not in the manifest, or twice"
            ))
        })?;
        let mut hasher = Sha256::new();
        bytes += io::copy(&mut entry, &mut HashWriter(&mut hasher)).map_err(damaged)?;
        files += 1;
        let found = hex(&hasher.finalize());
        if found != hash {
            return Err(bad(format!(
                "{name}: found SHA-256 {found}, the manifest has {hash}"
            )));
        }
    }
    let wanted = wanted.ok_or_else(|| bad(format!("found no {MANIFEST}")))?;
    if let Some(name) = wanted.keys().next() {
        return Err(bad(format!(
            "{name} is in the manifest and not in the archive"
        )));
    }
    drop(archive);
    file.seek(SeekFrom::Start(0))
        .map_err(Error::io("read", packed))?;
    Ok(Packed {
        files,
        bytes,
        sha256: hash(file).map_err(Error::io("read", packed))?,
    })
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hashes by name.
fn manifest(name: &str, entry: &mut impl Read) -> Result<BTreeMap<String, String>, String> {
    if name != MANIFEST {
        return Err(format!(
            "found {name} as the first entry, expected {MANIFEST}"
        ));
    }
    let mut text = String::new();
    entry
        .take(MAX_MANIFEST_BYTES)
        .read_to_string(&mut text)
        .map_err(|e| format!("{MANIFEST}: {e}"))?;
    let mut hashes = BTreeMap::new();
    for line in text.lines() {
        let (hash, name) = line
            .split_once("  ")
            .ok_or_else(|| format!("{MANIFEST}: found {line:.80?}, expected a hash and a name"))?;
        let is_inside = Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !is_inside {
            return Err(format!(
                "{MANIFEST}: found {name:.80?}, expected a path inside the archive"
            ));
        }
        hashes.insert(name.to_owned(), hash.to_owned());
    }
    Ok(hashes)
}

/// Everything about a file but its content is the same everywhere.
fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_entry_type(tar::EntryType::Regular);
    header
}

fn collect(
    root: &Path,
    prefix: &str,
    files: &mut BTreeMap<String, (PathBuf, u64)>,
) -> Result<(), Error> {
    let mut open = vec![(root.to_owned(), prefix.to_owned(), 0)];
    while let Some((dir, prefix, depth)) = open.pop() {
        for entry in fs::read_dir(&dir).map_err(Error::io("read", &dir))? {
            let entry = entry.map_err(Error::io("read", &dir))?;
            let path = entry.path();
            let refuse = |why: &str| Error::Unusable {
                path: path.clone(),
                why: why.into(),
            };
            let name = entry.file_name();
            if is_part(&name) {
                // What an ossmark was writing when it was killed is nobody's result.
                continue;
            }
            let name = name.to_str().ok_or_else(|| {
                refuse("found a name that is not UTF-8, expected one that SHA256SUMS can hold; rename it")
            })?;
            if name.contains(['\n', '\r']) {
                return Err(refuse(
                    "found a line end in the name, expected one that a line of SHA256SUMS can hold; rename it",
                ));
            }
            let name = format!("{prefix}/{name}");
            let metadata = fs::symlink_metadata(&path).map_err(Error::io("read", &path))?;
            if metadata.is_dir() && depth < MAX_DEPTH {
                open.push((path, name, depth + 1));
            } else if metadata.is_file() && files.len() < MAX_FILES {
                files.insert(name, (path, metadata.len()));
            } else if metadata.is_dir() || metadata.is_file() {
                return Err(refuse("found too many files or levels for a submission"));
            } else {
                return Err(refuse(
                    "found a link or a special file; replace it by a copy of what it names, or remove it",
                ));
            }
        }
    }
    Ok(())
}
