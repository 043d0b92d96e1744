//! The tree's folders and files, bounded: a check ends whatever a tree holds.

use std::cell::Cell;
use std::fs::FileType;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::finding::Findings;
use crate::value::Value;
use crate::yaml::{self, Unread};

/// Of one file; the client's are some kilobytes.
const MOST_BYTES: u64 = 4 << 20;
/// Of all files together.
const MOST_BYTES_IN_ALL: u64 = 256 << 20;
/// Of all folders together.
const MOST_ENTRIES: usize = 100_000;
const MOST_LEVELS: usize = 32;

/// What is still allowed.
#[derive(Debug)]
pub(super) struct Tree {
    bytes: Cell<u64>,
    entries: Cell<usize>,
}

/// A file that there is.
pub(super) enum Text {
    Whole(String),
    NotUtf8,
    /// It cannot be read, or not whole: why.
    Unreadable(String),
}

/// What a file holds.
pub(super) enum Content {
    Value(Value),
    /// For the official checker too.
    Broken(String),
    /// The official checker ends with an exception, at most files.
    NotUtf8,
    /// The official checker ends with an exception.
    Crash(String),
}

/// Why [`Content::NotUtf8`] is nothing.
const NOT_UTF8: &str = "found bytes that are no UTF-8";

impl Tree {
    pub(super) fn new() -> Self {
        Self {
            bytes: Cell::new(MOST_BYTES_IN_ALL),
            entries: Cell::new(MOST_ENTRIES),
        }
    }

    /// The entries of a folder, in order of their names.
    fn entries(&self, dir: &Path, findings: &mut Findings) -> Vec<(PathBuf, FileType)> {
        let mut list = Vec::new();
        // What cannot be read is empty: a folder without rights is no submission's.
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let left = self.entries.get();
            if left == 0 {
                findings.error(
                    "tree-too-large",
                    dir,
                    format!("found more than {MOST_ENTRIES} files and folders; the rest is not looked at"),
                );
                break;
            }
            self.entries.set(left - 1);
            if let Ok(kind) = entry.file_type() {
                list.push((entry.path(), kind));
            }
        }
        list.sort_by(|a, b| a.0.cmp(&b.0));
        list
    }

    /// The folders in a folder, hidden ones too, links followed.
    pub(super) fn folders(&self, dir: &Path, findings: &mut Findings) -> Vec<PathBuf> {
        let entries = self.entries(dir, findings);
        let folders = entries.into_iter().filter(|(path, _)| path.is_dir());
        folders.map(|(path, _)| path).collect()
    }

    /// The point folders of a model, lowest concurrency first.
    pub(super) fn points(&self, model: &Path, findings: &mut Findings) -> Vec<PathBuf> {
        let folders = self.folders(model, findings);
        let mut points: Vec<(i128, PathBuf)> = folders
            .into_iter()
            .filter_map(|dir| Some((concurrency_of(&dir)?, dir)))
            .collect();
        points.sort();
        points.into_iter().map(|(_, dir)| dir).collect()
    }

    /// Nothing in it, not even a hidden file.
    pub(super) fn is_empty(&self, dir: &Path, findings: &mut Findings) -> bool {
        self.entries(dir, findings).is_empty()
    }

    /// The files in a folder.
    pub(super) fn files(&self, dir: &Path, findings: &mut Findings) -> Vec<PathBuf> {
        let entries = self.entries(dir, findings);
        let files = entries.into_iter().filter(|(path, _)| path.is_file());
        files.map(|(path, _)| path).collect()
    }

    /// All paths of one of these names at any depth; links to folders are not followed.
    pub(super) fn named(
        &self,
        dir: &Path,
        names: &[&str],
        findings: &mut Findings,
    ) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![(dir.to_owned(), 0)];
        while let Some((dir, level)) = open.pop() {
            for (path, kind) in self.entries(&dir, findings) {
                let name = path.file_name().and_then(|name| name.to_str());
                if name.is_some_and(|name| names.contains(&name)) && path.exists() {
                    found.push(path.clone());
                }
                if kind.is_dir() && level < MOST_LEVELS {
                    open.push((path, level + 1));
                }
            }
        }
        found
    }

    pub(super) fn text(&self, file: &Path, findings: &mut Findings) -> Text {
        let unreadable = |error: std::io::Error| Text::Unreadable(error.to_string());
        let opened = match ossmark_files::open(file) {
            Ok(opened) => opened,
            Err(error) => return unreadable(error),
        };
        let most = MOST_BYTES.min(self.bytes.get());
        let mut bytes = Vec::new();
        if let Err(error) = opened.take(most + 1).read_to_end(&mut bytes) {
            return unreadable(error);
        }
        let length = bytes.len() as u64;
        if length > most {
            let why = format!("found more than {most} bytes, which is not read");
            findings.error("tree-too-large", file, why.clone());
            return Text::Unreadable(why);
        }
        self.bytes.set(self.bytes.get() - length);
        match String::from_utf8(bytes) {
            Ok(text) => Text::Whole(text),
            Err(_) => Text::NotUtf8,
        }
    }

    /// As the official checker loads a JSON file to judge it.
    pub(super) fn json(&self, file: &Path, findings: &mut Findings) -> Content {
        match self.text(file, findings) {
            Text::Whole(text) => match ossmark_json::loads::<Value>(&text) {
                Ok(value) => Content::Value(value),
                Err(error) => Content::Broken(format!("no JSON: {error}")),
            },
            Text::NotUtf8 => Content::NotUtf8,
            Text::Unreadable(why) => Content::Broken(why),
        }
    }

    /// A file of which what is wrong is said by this rule; a crash is noted.
    pub(super) fn judged(
        rule: &'static str,
        file: &Path,
        content: Content,
        findings: &mut Findings,
    ) -> Option<Value> {
        match content {
            Content::Value(value) => return Some(value),
            Content::Broken(why) => findings.error(rule, file, why),
            Content::NotUtf8 => findings.crash(file, NOT_UTF8),
            Content::Crash(why) => findings.crash(file, why),
        }
        None
    }

    /// As it looks for a mapping where nothing is said of what is none.
    pub(super) fn raw(&self, file: &Path, findings: &mut Findings) -> Option<Value> {
        match self.json(file, findings) {
            Content::Value(value @ Value::Map(_)) => Some(value),
            _ => None,
        }
    }

    /// A YAML file.
    pub(super) fn yaml(&self, file: &Path, findings: &mut Findings) -> Content {
        let text = match self.text(file, findings) {
            Text::Whole(text) => text,
            Text::NotUtf8 => return Content::NotUtf8,
            Text::Unreadable(why) => return Content::Broken(why),
        };
        match yaml::load(&text) {
            Ok(value) => Content::Value(value),
            Err(Unread::Refused(why)) => Content::Broken(format!("no YAML: {why}")),
            Err(Unread::Crash(why)) => Content::Crash(why),
            Err(Unread::TooMuch(why)) => {
                findings.error("tree-too-large", file, why.clone());
                Content::Broken(why)
            }
        }
    }
}

/// Folders of a tree that hold the events of a run.
pub(super) fn with_events(given: &Path, findings: &mut Findings) -> Vec<PathBuf> {
    let found = Tree::new().named(given, &[crate::client::EVENTS], findings);
    let mut folders: Vec<PathBuf> = found
        .iter()
        .filter_map(|file| file.parent())
        .map(Path::to_owned)
        .collect();
    folders.sort();
    folders
}

/// `r8` is 8; `None` where it is no point's name.
pub(super) fn concurrency_of(folder: &Path) -> Option<i128> {
    let digits = folder.file_name()?.to_str()?.strip_prefix('r')?;
    let is_number =
        !digits.is_empty() && digits.chars().all(|c| ossmark_python::digit(c).is_some());
    is_number.then(|| crate::python::int_of_text(digits))?
}
