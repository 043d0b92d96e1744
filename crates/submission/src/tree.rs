//! Looking at files of a tree that may hold anything: links in circles, pipes, sparse files, names that are not UTF-8. Reads
//! only, bounded, and never opens what is not a regular file.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ossmark_rules::rules;

use crate::error::Error;

/// A text file, as far as it is one.
#[derive(Debug)]
pub(crate) enum Text {
    /// Nothing there, or a link that leads nowhere.
    Missing,
    /// Something is there that cannot be read as text: why.
    Unreadable(String),
    /// Longer than the limit: its size.
    TooLarge(u64),
    Read(String),
}

/// LoadGen's detail log is 40 to 70 kB; one with 16,000 error lines stays below this. Read as JSON, a byte of a log can take
/// 16 in memory, and a result has four logs.
pub(crate) const LOG_LIMIT: u64 = 4 << 20;
/// Descriptions and reports are a few kB; what is read as JSON has a limit of its own (`python::loads`).
pub(crate) const TEXT_LIMIT: u64 = 16 << 20;

/// Reads a text file of at most `limit` bytes.
pub(crate) fn read_text(path: &Path, limit: u64) -> Text {
    // Follows links, as the official checker does; a link in a circle is missing for both.
    let Ok(metadata) = fs::metadata(path) else {
        return Text::Missing;
    };
    let file = match ossmark_files::open(path) {
        Ok(file) => file,
        Err(error) => return Text::Unreadable(error.to_string()),
    };
    if metadata.len() > limit {
        return Text::TooLarge(metadata.len());
    }
    let mut bytes = Vec::new();
    match file.take(limit + 1).read_to_end(&mut bytes) {
        Err(error) => Text::Unreadable(error.to_string()),
        Ok(size) if size as u64 > limit => Text::TooLarge(size as u64),
        Ok(_) => match String::from_utf8(bytes) {
            Ok(text) => Text::Read(text),
            Err(error) => Text::Unreadable(format!(
                "found bytes that are not UTF-8 at offset {}, expected text",
                error.utf8_error().valid_up_to()
            )),
        },
    }
}

/// Refuses as a tree what is no directory; of a packed file it says how to unpack it.
pub(crate) fn expect_directory(input: &Path) -> Result<(), Error> {
    if input.is_dir() {
        return Ok(());
    }
    let name = input.file_name().unwrap_or_default().to_string_lossy();
    let is_packed = [".zst", ".tar", ".gz", ".tgz", ".xz", ".zip"]
        .iter()
        .any(|end| name.ends_with(end));
    let found = if !input.exists() {
        "not found".into()
    } else if is_packed {
        format!(
            "found a packed file (unpack it: mkdir tree && tar -xf {name} -C tree; then give tree)"
        )
    } else {
        "found something that is no directory".into()
    };
    Err(Error::NotATree {
        path: input.into(),
        found,
    })
}

fn is_root(directory: &Path) -> bool {
    let divisions = &rules().submission.divisions.value;
    divisions.iter().any(|name| directory.join(name).is_dir())
}

/// The root of the tree that somebody meant who gave a directory in it, or the one above it.
pub(crate) fn root_near(input: &Path) -> Option<PathBuf> {
    if is_root(input) {
        return None;
    }
    let real = input.canonicalize().ok()?;
    let divisions = &rules().submission.divisions.value;
    let is_division = |dir: &&Path| {
        let name = dir.file_name().unwrap_or_default();
        let submitters = || directories(dir).unwrap_or_default();
        divisions.iter().any(|division| name == division.as_str())
            && submitters()
                .iter()
                .any(|s| dir.join(s).join("results").is_dir())
    };
    if let Some((below, division)) = real
        .ancestors()
        .enumerate()
        .find(|(_, dir)| is_division(dir))
    {
        let root = division.parent()?;
        // As it was typed, where that is a part of what was typed.
        let typed = input.ancestors().nth(below + 1);
        let typed = typed.map(|dir| {
            if dir.as_os_str().is_empty() {
                Path::new(".")
            } else {
                dir
            }
        });
        let same = |dir: &&Path| dir.canonicalize().is_ok_and(|dir| dir == root);
        return Some(typed.filter(same).unwrap_or(root).to_owned());
    }
    let below = directories(input)?.into_iter().map(|name| input.join(name));
    below.into_iter().find(|dir| is_root(dir))
}

/// `os.path.exists`.
pub(crate) fn exists(path: &Path) -> bool {
    fs::metadata(path).is_ok()
}

/// The size of what is there, links followed.
pub(crate) fn size(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|m| m.len())
}

/// Names of directories (or links to such) in a directory, sorted; None where it cannot be listed.
pub(crate) fn directories(path: &Path) -> Option<Vec<OsString>> {
    list(path, |entry| fs::metadata(entry).is_ok_and(|m| m.is_dir()))
}

/// Names of regular files (or links to such) in a directory, sorted; None where it cannot be listed.
pub(crate) fn files(path: &Path) -> Option<Vec<OsString>> {
    list(path, |entry| fs::metadata(entry).is_ok_and(|m| m.is_file()))
}

/// One directory may hold no more names than this; the rest is not looked at.
const MAX_NAMES: usize = 20_000;

fn list(path: &Path, wanted: impl Fn(&Path) -> bool) -> Option<Vec<OsString>> {
    let entries = fs::read_dir(path).ok()?;
    let names = entries
        .take(MAX_NAMES)
        .filter_map(|entry| entry.ok().map(|e| e.file_name()));
    let mut names: Vec<OsString> = names.filter(|name| wanted(&path.join(name))).collect();
    names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    Some(names)
}
