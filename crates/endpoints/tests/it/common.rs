//! The base tree, and changes to it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use flate2::read::GzDecoder;
use ossmark_endpoints::check::{Options, Report, check};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

pub(crate) fn cases() -> Vec<Value> {
    let mut text = String::new();
    let file = fs::File::open(fixture("cases.jsonl.gz")).unwrap();
    GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text.lines().map(parse).collect()
}

/// NaN and the like are kept as Python writes them.
fn parse(text: &str) -> Value {
    serde_json::from_str(&ossmark_json::named(text)).unwrap()
}

/// A tree that can be changed.
pub(crate) struct Tree {
    pub(crate) dir: TempDir,
}

impl Tree {
    pub(crate) fn base() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = fs::File::open(fixture("base_tree.tar.gz")).unwrap();
        tar::Archive::new(GzDecoder::new(file))
            .unpack(dir.path())
            .unwrap();
        Self { dir }
    }

    pub(crate) fn check(&self, official_only: bool) -> Report {
        Self::check_at(self.dir.path(), official_only)
    }

    pub(crate) fn check_at(tree: &Path, official_only: bool) -> Report {
        check(Options {
            tree,
            tokens: None,
            official_only,
            strict: false,
        })
        .unwrap()
    }

    fn files(&self, pattern: &str) -> Vec<PathBuf> {
        let Some((before, after)) = pattern.split_once('*') else {
            return vec![self.dir.path().join(pattern)];
        };
        assert!(!after.contains('*'), "{pattern}");
        let (folder, start) = before.rsplit_once('/').unwrap();
        let (end, rest) = after.split_once('/').unwrap_or((after, ""));
        let mut found: Vec<PathBuf> = fs::read_dir(self.dir.path().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                let name = path.file_name().unwrap().to_str().unwrap();
                name.starts_with(start) && name.ends_with(end)
            })
            .map(|path| {
                if rest.is_empty() {
                    path
                } else {
                    path.join(rest)
                }
            })
            .filter(|path| path.exists())
            .collect();
        found.sort();
        assert!(!found.is_empty(), "{pattern}");
        found
    }

    /// One operation: `json_set`, `json_del`, `sub`, `write`, `write_b64`, `rm`, `mkdir`, `mv`, `cp`.
    pub(crate) fn apply(&self, operation: &Value) {
        let text = |name: &str| operation[name].as_str().unwrap();
        let path = |name: &str| self.dir.path().join(text(name));
        match text("op") {
            "json_set" => self.json(text("file"), text("ptr"), Some(&operation["value"])),
            "json_del" => self.json(text("file"), text("ptr"), None),
            "sub" => {
                for file in self.files(text("file")) {
                    let found = fs::read_to_string(&file).unwrap();
                    let count = operation["count"].as_u64().unwrap_or(1);
                    assert_eq!(found.matches(text("old")).count() as u64, count, "{file:?}");
                    fs::write(&file, found.replace(text("old"), text("new"))).unwrap();
                }
            }
            "write" | "write_b64" => {
                let file = path("file");
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                let bytes = match text("op") {
                    "write" => text("text").as_bytes().to_vec(),
                    _ => base64::engine::general_purpose::STANDARD
                        .decode(text("data"))
                        .unwrap(),
                };
                fs::write(file, bytes).unwrap();
            }
            "rm" => {
                for path in self.files(text("path")) {
                    if path.is_dir() {
                        fs::remove_dir_all(path).unwrap();
                    } else {
                        fs::remove_file(path).unwrap();
                    }
                }
            }
            "mkdir" => fs::create_dir_all(path("path")).unwrap(),
            "mv" => fs::rename(path("from"), path("to")).unwrap(),
            "cp" => copy(&path("from"), &path("to")),
            other => panic!("{other}"),
        }
    }

    fn json(&self, pattern: &str, pointer: &str, value: Option<&Value>) {
        for file in self.files(pattern) {
            let mut document = parse(&fs::read_to_string(&file).unwrap());
            change(&mut document, pointer, value);
            let text = serde_json::to_string_pretty(&document).unwrap();
            fs::write(&file, ossmark_json::restored(&text).as_ref()).unwrap();
        }
    }
}

fn change(document: &mut Value, pointer: &str, value: Option<&Value>) {
    let Some((parent, last)) = pointer.rsplit_once('/') else {
        *document = value.unwrap().clone();
        return;
    };
    let last = last.replace("~1", "/").replace("~0", "~");
    match (document.pointer_mut(parent).unwrap(), value) {
        (Value::Object(map), Some(value)) => {
            map.insert(last, value.clone());
        }
        (Value::Object(map), None) => {
            map.remove(&last).unwrap();
        }
        (Value::Array(list), Some(value)) if last == "-" => list.push(value.clone()),
        (Value::Array(list), Some(value)) => list[last.parse::<usize>().unwrap()] = value.clone(),
        (Value::Array(list), None) => {
            list.remove(last.parse().unwrap());
        }
        (other, _) => panic!("{other}"),
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}
