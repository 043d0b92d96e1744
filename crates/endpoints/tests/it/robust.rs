//! Damaged trees: whatever a tree holds, a check ends with findings.

use std::fs;
use std::path::{Path, PathBuf};

use ossmark_endpoints::check::{Report, Verdict};

use crate::client::{Demo, audited, runs};
use crate::common::Tree;

/// The same numbers everywhere.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut open = vec![dir.to_owned()];
    let mut files = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

const PIECES: [&str; 20] = [
    "null",
    "true",
    "-1",
    "0",
    "1e999",
    "NaN",
    "[]",
    "{}",
    "\"\"",
    "\u{feff}",
    "\0",
    "&a [*a, *a]",
    "<<: *x",
    "9999999999999999999999999999999999999999999",
    "2026-13-45",
    "!!python/object:os.system x",
    "{\"a\": {\"a\": {\"a\": 1}}}",
    "\r\n---\r\n",
    "\t",
    "-",
];

fn damage(dir: &Path, numbers: &mut Numbers) {
    let files = files(dir);
    let file = &files[numbers.below(files.len())];
    let mut bytes = fs::read(file).unwrap();
    let at = numbers.below(bytes.len().max(1));
    match numbers.below(8) {
        0 => bytes.truncate(at),
        1 => {
            let end = (at + numbers.below(40)).min(bytes.len());
            bytes.drain(at..end);
        }
        2 => {
            let piece = PIECES[numbers.below(PIECES.len())].bytes();
            bytes.splice(at..at, piece);
        }
        3 => {
            // A value as a whole: from a colon to the end of its line.
            if let Some(colon) = bytes[at..].iter().position(|b| *b == b':') {
                let start = at + colon + 1;
                let line = bytes[start..].iter().position(|b| *b == b'\n').unwrap_or(0);
                let piece = format!(" {},", PIECES[numbers.below(PIECES.len())]);
                bytes.splice(start..start + line, piece.bytes());
            }
        }
        4 => bytes.iter_mut().skip(at).take(1).for_each(|b| *b = 0xff),
        5 => bytes
            .splice(at..at, std::iter::repeat_n(b'[', 100_000))
            .for_each(drop),
        6 => {
            let other = &files[numbers.below(files.len())];
            bytes = fs::read(other).unwrap();
        }
        _ => {
            fs::remove_file(file).unwrap();
            if numbers.below(2) == 0 {
                fs::create_dir(file).unwrap();
            }
            return;
        }
    }
    fs::write(file, bytes).unwrap();
}

/// Few in CI; all of them by `OSSMARK_DAMAGED_TREES=2000 cargo test --release -p ossmark-endpoints robust`.
fn count() -> usize {
    let count = std::env::var("OSSMARK_DAMAGED_TREES");
    count.map_or(60, |count| count.parse().unwrap())
}

#[test]
fn damaged_trees_are_judged_and_nothing_panics_or_hangs() {
    let mut numbers = Numbers(20);
    for _ in 0..count() {
        let tree = Tree::base();
        for _ in 0..=numbers.below(4) {
            damage(tree.dir.path(), &mut numbers);
        }
        for official_only in [true, false] {
            let report = tree.check(official_only);
            assert!(report.findings.len() <= 5000);
        }
    }
}

/// What a client left of a run may be damaged too.
#[test]
fn damaged_runs_are_judged_and_nothing_panics_or_hangs() {
    let (mut numbers, tokens) = (Numbers(21), Demo::load());
    let whole = runs();
    for i in 0..count() / 2 {
        let dir = tempfile::tempdir().unwrap();
        let name = ["clean", "faults"][i % 2];
        crate::common::copy(&whole.path().join(name), &dir.path().join("run"));
        let run = dir.path().join("run");
        for _ in 0..=numbers.below(4) {
            damage(&run, &mut numbers);
        }
        // Without its events it is no run.
        let report = audited(&run, Some(&tokens));
        assert!(report.client_runs.len() <= 1 && report.findings.len() <= 5000);
    }
}

/// A check that waits for a pipe never ends; this one takes milliseconds.
fn within_a_minute(tree: &Tree) -> Report {
    let root = tree.dir.path().to_owned();
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || send.send(Tree::check_at(&root, true)));
    let minute = std::time::Duration::from_secs(60);
    receive.recv_timeout(minute).expect("the check to end")
}

/// Whatever else lies in a file's place is a finding, and nothing waits for it.
#[test]
fn pipes_and_folders_in_the_place_of_files_are_findings() {
    let tree = Tree::base();
    for file in files(tree.dir.path()) {
        let kept = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&file).status();
        assert!(made.unwrap().success());
        let piped = within_a_minute(&tree);
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        let folder = tree.check(true);
        fs::remove_dir(&file).unwrap();
        fs::write(&file, kept).unwrap();
        // Nothing asks what is in docs/.
        let is_looked_at = !file.ends_with("software_disclosure.md");
        for report in [piped, folder] {
            assert_eq!(report.verdict == Verdict::Invalid, is_looked_at, "{file:?}");
        }
    }
}

/// Links that lead back into the tree have no end.
#[test]
fn a_link_to_its_own_folder_ends() {
    let tree = Tree::base();
    let results = tree.dir.path().join("sub-0001/results");
    std::os::unix::fs::symlink(&results, results.join("made_up_8x/again")).unwrap();
    assert_eq!(tree.check(true).verdict, Verdict::Invalid);
}
