//! Trees damaged at random, and trees made to take memory: a report each time, whatever they hold, from a process that may
//! not have more than [`MEMORY_BYTES`]. The full number is run by
//! `OSSMARK_ROBUST_TREES=10000 cargo test --release -p ossmark-submission robust -- --nocapture`.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{BENCHMARK, SUBMITTER, Tree, copy};

/// Address space of the process that checks: beyond it an allocation fails, and with it the process.
const MEMORY_BYTES: u64 = 1 << 30;
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// A small generator of its own, so that a seed that was printed gives the same trees anywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

fn all(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            all(&path, found);
        }
        found.push(path);
    }
    found.sort();
}

const JSON: [&str; 12] = [
    "null",
    "[]",
    "{}",
    "3",
    "-1e308",
    "\"text\"",
    "true",
    "[{\"a\": [1]}]",
    "{\"key\": null}",
    "18446744073709551616",
    "\"\\ud800\"",
    "{\"a\": NaN}",
];

/// Returns whether the tree may be damaged further: after a terabyte of nothing it must not be copied.
fn damage(random: &mut Random, root: &Path) -> bool {
    let mut paths = Vec::new();
    all(root, &mut paths);
    if paths.is_empty() {
        return false;
    }
    let path = random.of(&paths).clone();
    let is_file = path.symlink_metadata().is_ok_and(|m| m.is_file());
    match random.below(16) {
        0..=3 if is_file => {
            let mut bytes = fs::read(&path).unwrap_or_default();
            for _ in 0..=random.below(8) {
                if !bytes.is_empty() {
                    let at = random.below(bytes.len());
                    bytes[at] = random.next() as u8;
                }
            }
            let _ = fs::write(&path, bytes);
        }
        4 | 5 => drop(fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path))),
        6 if is_file => drop(fs::write(&path, "")),
        7 if is_file => drop(fs::write(&path, random.of(&JSON))),
        8 if is_file => {
            // A value of a log or a description replaced by one of another type.
            let text = fs::read_to_string(&path).unwrap_or_default();
            let places: Vec<_> = text.match_indices(": ").map(|(at, _)| at).collect();
            if !places.is_empty() {
                let at = *random.of(&places);
                let end = text[at + 2..]
                    .find([',', '}', '\n'])
                    .map_or(text.len(), |n| at + 2 + n);
                let _ = fs::write(
                    &path,
                    format!("{}: {}{}", &text[..at], random.of(&JSON), &text[end..]),
                );
            }
        }
        9 => {
            // Another one's place.
            let other = random.of(&paths).clone();
            if !other.starts_with(&path) && !path.starts_with(&other) {
                if other.is_file() && path.is_file() {
                    let _ = fs::copy(&path, &other);
                } else if path.is_dir() && !other.exists() {
                    copy(&path, &other);
                }
            }
        }
        10 => {
            let names: [&[u8]; 6] = [
                b"\xff\xfe",
                b"Server",
                b"x",
                b"TEST07",
                b"gpt-oss",
                b"OFFLINE",
            ];
            let name = OsStr::from_bytes(names[random.below(names.len())]);
            let _ = fs::rename(&path, path.with_file_name(name));
        }
        11 => {
            // A sparse file of up to a terabyte.
            if is_file {
                let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
                let _ = file.set_len(1 << (20 + random.below(21)));
                return false;
            }
        }
        12 => {
            let dir = if path.is_dir() {
                path
            } else {
                path.parent().unwrap().to_owned()
            };
            let targets = [
                PathBuf::from("."),
                PathBuf::from(".."),
                PathBuf::from("loop"),
                root.to_owned(),
                random.of(&paths).clone(),
            ];
            let _ = symlink(
                random.of(&targets),
                dir.join(format!("loop{}", random.below(3))),
            );
        }
        13 => {
            let target = random.of(&paths).clone();
            if fs::remove_file(&path).is_ok() {
                let _ = symlink(target, &path);
            }
        }
        14 => {
            // A pipe in a file's place: opening it for reading would wait for ever.
            if is_file && fs::remove_file(&path).is_ok() {
                let made = std::process::Command::new("mkfifo").arg(&path).status();
                assert!(made.is_ok_and(|s| s.success()), "mkfifo of coreutils");
            }
        }
        _ => {
            if is_file {
                let text = fs::read_to_string(&path).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                if !lines.is_empty() {
                    let drop_at = random.below(lines.len());
                    let twice = random.below(lines.len());
                    let kept = lines.iter().enumerate().filter(|(n, _)| *n != drop_at);
                    let text: String = kept
                        .flat_map(|(n, l)| {
                            std::iter::repeat_n(format!("{l}\n"), 1 + usize::from(n == twice))
                        })
                        .collect();
                    let _ = fs::write(&path, text);
                }
            }
        }
    }
    true
}

/// A process that checks trees, because a panic, an endless loop or too much memory must be seen from outside.
struct Checker {
    child: Child,
    reports: Receiver<String>,
}

/// What it said of one tree.
struct Checked {
    took: Duration,
    peak_kib: u64,
}

impl Checker {
    fn start() -> Self {
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(format!(
                "ulimit -v {}; exec \"$0\" \"$@\"",
                MEMORY_BYTES >> 10
            ))
            .arg(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "robust::checks_what_it_is_told",
                "--ignored",
                "--nocapture",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (send, reports) = channel();
        std::thread::spawn(move || {
            let reports = lines
                .map_while(Result::ok)
                .filter(|line| line.starts_with('{'));
            reports.map(|line| send.send(line)).find(Result::is_err)
        });
        Self { child, reports }
    }

    #[track_caller]
    fn check(&mut self, tree: &Tree, what: &str) -> Checked {
        let start = Instant::now();
        let path = tree.dir.path().display();
        writeln!(self.child.stdin.as_mut().unwrap(), "{path}").unwrap();
        let report = self.reports.recv_timeout(TIME_LIMIT);
        let took = start.elapsed();
        let Ok(report) = report else {
            let _ = self.child.kill();
            panic!("{what}: no report after {took:?}; {:?}", self.child.wait());
        };
        let report: Value = serde_json::from_str(&report).unwrap();
        for verdict in ["strict", "official"] {
            assert!(
                ["Valid", "Invalid"].contains(&report[verdict].as_str().unwrap()),
                "{what}: {report}"
            );
        }
        // What the official checker objects to, we object to.
        assert!(
            report["official"] == report["strict"] || report["own_findings"].as_u64() > Some(0),
            "{what}: {report}"
        );
        Checked {
            took,
            peak_kib: report["peak_kib"].as_u64().unwrap(),
        }
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The other side of [`Checker`]: reads directories from standard input, checks each twice and reports.
#[test]
#[ignore = "is started by the other tests, in a process of its own"]
fn checks_what_it_is_told() {
    let check = |input: &Path, official_only| {
        ossmark_submission::check::check(ossmark_submission::check::Options {
            input,
            round: "v6.1",
            submitter: None,
            official_only,
        })
        .unwrap()
    };
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        // Linux counts the peak anew from here.
        fs::write("/proc/self/clear_refs", "5").unwrap();
        let (strict, official) = (
            check(Path::new(&line), false),
            check(Path::new(&line), true),
        );
        let _ = (strict.csv(), serde_json::to_string(&official).unwrap());
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        let report = json!({
            "strict": format!("{:?}", strict.verdict),
            "official": format!("{:?}", official.verdict),
            "own_findings": strict.findings.iter().filter(|f| !f.official).count(),
            "peak_kib": peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap(),
        });
        println!("{report}");
    }
}

#[test]
fn damaged_trees_get_a_report() {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let trees = number("OSSMARK_ROBUST_TREES").unwrap_or(60);
    let seed = number("OSSMARK_ROBUST_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        now.as_nanos() as u64 % 1_000_000_000
    });
    println!("OSSMARK_ROBUST_SEED={seed} OSSMARK_ROBUST_TREES={trees}");
    let base = Tree::clean();
    let mut checker = Checker::start();
    let (mut slowest, mut most) = (Duration::ZERO, 0);
    for n in 0..trees {
        let mut random = Random(seed.wrapping_add(n));
        let tree = Tree {
            dir: tempfile::tempdir().unwrap(),
        };
        copy(base.dir.path(), tree.dir.path());
        for _ in 0..=random.below(6) {
            if !damage(&mut random, tree.dir.path()) {
                break;
            }
        }
        let checked = checker.check(&tree, &format!("seed {seed}, tree {n}"));
        slowest = slowest.max(checked.took);
        most = most.max(checked.peak_kib);
    }
    println!("{trees} trees: slowest check {slowest:?}, most memory {most} KiB");
}

/// The largest files that are read, filled with what takes the most memory or time for its size. Every log and document of a
/// result at once.
#[test]
fn trees_made_to_take_memory_get_a_report() {
    const LOGS: [&str; 4] = [
        "performance/run_1",
        "accuracy",
        "TEST07/performance/run_1",
        "TEST09/performance/run_1",
    ];
    const TEXTS: [&str; 6] = [
        "accuracy/accuracy.txt",
        "measurements.json",
        "user.conf",
        "README.md",
        "TEST07/verify_accuracy.txt",
        "TEST09/verify_output_len.txt",
    ];
    const LOG_BYTES: usize = 4 << 20;
    const TEXT_BYTES: usize = 4 << 20;
    let entry = |key: &str, value: &str| {
        format!(
            ":::MLLOG {{\"key\": \"{key}\", \"value\": {value}, \"time_ms\": 1, \"metadata\": {{\"is_error\": false, \"is_warning\": false, \"pid\": 1}}}}\n"
        )
    };
    let list = |bytes: usize| format!("[{}0]", "0,".repeat((bytes - 200) / 2));
    let many = |line: &dyn Fn(usize) -> String| {
        let mut text = String::new();
        let mut n = 0;
        while text.len() + 400 < LOG_BYTES {
            let _ = write!(text, "{}", line(n));
            n += 1;
        }
        text
    };
    let objects = |bytes: usize| format!("[{}{{}}]", "{\"\":[]},".repeat((bytes - 200) / 8));
    // As many objects as are let through, the rest of the file a list of digits.
    let mixed = |bytes: usize, objects: usize| {
        let objects = "{\"\":[]},".repeat(objects);
        format!(
            "[{objects}{}0]",
            "0,".repeat((bytes - objects.len() - 200) / 2)
        )
    };
    let cases: [(&str, String, String); 9] = [
        ("zeros", "\0".repeat(LOG_BYTES), "\0".repeat(TEXT_BYTES)),
        ("one line", "x".repeat(LOG_BYTES), "x".repeat(TEXT_BYTES)),
        (
            "a list",
            entry("loaded_qsl_set", &list(LOG_BYTES)),
            list(TEXT_BYTES),
        ),
        (
            "objects in a list",
            entry("loaded_qsl_set", &objects(LOG_BYTES)),
            objects(TEXT_BYTES),
        ),
        (
            "objects and a list",
            entry("loaded_qsl_set", &mixed(LOG_BYTES, 80_000)),
            mixed(TEXT_BYTES, 49_000),
        ),
        (
            "short lines",
            many(&|n| entry(&n.to_string(), "0")),
            "\n".repeat(TEXT_BYTES),
        ),
        (
            "one key again and again",
            many(&|_| entry("effective_x", "0")),
            "hash=0\n".repeat(TEXT_BYTES / 8),
        ),
        (
            "errors",
            many(&|n| entry("error_runtime", &n.to_string()).replacen("false", "true", 1)),
            "'exact_match': 1\n".repeat(TEXT_BYTES / 18),
        ),
        (
            "brackets",
            entry("a", &"[".repeat(LOG_BYTES - 400)),
            "[".repeat(TEXT_BYTES - 1),
        ),
    ];
    let mut checker = Checker::start();
    let mut check = |name: &str, log: &dyn Fn(&Path), text: &dyn Fn(&Path)| {
        let tree = Tree::clean();
        let (log_file, text_file) = (tree.path("log"), tree.path("text"));
        log(&log_file);
        text(&text_file);
        let offline = format!("{BENCHMARK}/Offline");
        let logs = LOGS.map(|run| format!("{offline}/{run}/mlperf_log_detail.txt"));
        let summaries = LOGS.map(|run| format!("{offline}/{run}/mlperf_log_summary.txt"));
        let texts = TEXTS.map(|file| format!("{offline}/{file}"));
        let system = format!("{SUBMITTER}/systems/null-x1.json");
        for (file, content) in (logs.iter().map(|file| (file, &log_file))).chain(
            summaries
                .iter()
                .chain(&texts)
                .chain([&system])
                .map(|file| (file, &text_file)),
        ) {
            let file = tree.path(file);
            let _ = fs::remove_file(&file);
            fs::hard_link(content, file).unwrap();
        }
        let checked = checker.check(&tree, name);
        println!("{name}: {:?}, {} KiB", checked.took, checked.peak_kib);
        checked.peak_kib
    };
    for (name, log, text) in cases {
        let write = |file: &Path, content: &str| fs::write(file, content).unwrap();
        check(name, &|file| write(file, &log), &|file| write(file, &text));
    }
    // Beyond the limits nothing is read, however well it would fit into memory. Holes take no room on the disk.
    for bytes in [400 << 20, 1 << 40] {
        let huge = |file: &Path| fs::File::create(file).unwrap().set_len(bytes).unwrap();
        let empty = |file: &Path| fs::write(file, "").unwrap();
        for peak_kib in [
            check("logs beyond the limit", &huge, &empty),
            check("texts beyond the limit", &empty, &huge),
        ] {
            assert!(peak_kib < 200 << 10, "{peak_kib} KiB");
        }
    }
}
