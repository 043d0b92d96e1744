//! Directories that nobody vouches for: 2,000 of them, damaged by rules that a seed chooses from. The child that reads them
//! has 1 GiB of address space, and the parent a time limit.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::symlink;
use std::path::Path;

use ossmark_record::{Error, Follower, JOURNAL, Record, SAMPLES, Settings, State, TIMELINE, begin};
use rustix::fs::{FileType, Mode, mknodat};

use crate::child::{self, LIMIT, counters, row, rows};

const DIRECTORIES: u64 = 2000;
const ROWS: u64 = 300;

struct Rng(u64);

impl Rng {
    /// splitmix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// What true files hold.
struct Sound {
    journal: Vec<u8>,
    samples: Vec<u8>,
    timeline: Vec<u8>,
}

impl Sound {
    fn make(dir: &Path) -> Self {
        let write = |finish: bool| {
            let (recorder, writer) = begin(dir, Settings::default(), counters());
            (0..ROWS).for_each(|request| recorder.row(row(request)));
            match finish {
                true => drop(writer.finish(LIMIT)),
                false => drop((recorder, writer)),
            }
        };
        write(false);
        child::until("the writer ends", || {
            Record::open(dir).is_ok_and(|r| r.rows.len() as u64 == ROWS && r.state == State::Cut)
        });
        let journal = fs::read(dir.join(JOURNAL)).unwrap();
        for name in [JOURNAL, TIMELINE] {
            fs::remove_file(dir.join(name)).unwrap();
        }
        write(true);
        let samples = fs::read(dir.join(SAMPLES)).unwrap();
        let line = fs::read(dir.join(TIMELINE)).unwrap();
        Self {
            journal,
            samples,
            timeline: line.repeat(40),
        }
    }
}

fn damage(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..=rng.below(3) {
        let at = rng.below(bytes.len());
        let rest = rng.below(bytes.len() - at.min(bytes.len()));
        match rng.below(8) {
            0 => bytes.truncate(at),
            1 | 2 if !bytes.is_empty() => bytes[at] ^= 1 << rng.below(8),
            3 if !bytes.is_empty() => bytes[at] = rng.next() as u8,
            4 => bytes[at..at + rest].fill(0),
            5 => drop(bytes.drain(at..at + rest.min(40))),
            6 => {
                let copy = bytes[at..at + rest].to_vec();
                let to = rng.below(bytes.len());
                bytes.splice(to..to, copy);
            }
            _ => {
                let noise: Vec<u8> = (0..rng.below(64)).map(|_| rng.next() as u8).collect();
                let end = (at + noise.len()).min(bytes.len());
                bytes.splice(at..end, noise);
            }
        }
    }
}

/// Something hostile where a file is expected.
fn odd(path: &Path, rng: &mut Rng, sound: &[u8]) {
    match rng.below(11) {
        0 => mknodat(
            rustix::fs::CWD,
            path,
            FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap(),
        1 => fs::create_dir(path).unwrap(),
        2 => symlink("/dev/zero", path).unwrap(),
        3 => symlink(path, path).unwrap(),
        4 => symlink("/dev/tty", path).unwrap(),
        5 => {
            // A terabyte of nothing behind what is true.
            let mut file = fs::File::create(path).unwrap();
            file.write_all(sound).unwrap();
            file.set_len(1 << 40).unwrap();
        }
        6 => {
            // ... and before it.
            let mut file = fs::File::create(path).unwrap();
            file.seek(SeekFrom::Start(1 << 39)).unwrap();
            file.write_all(sound).unwrap();
        }
        10 => {
            // A frame of 4 GiB, and the bytes for it.
            let mut file = fs::File::create(path).unwrap();
            file.write_all(&sound[..16.min(sound.len())]).unwrap();
            file.write_all(&[0xff; 8]).unwrap();
            file.set_len(1 << 40).unwrap();
        }
        7 => fs::write(path, "version https://git-lfs.github.com/spec/v1\nsize 7\n").unwrap(),
        8 => fs::write(path, [0xffu8; 4096]).unwrap(),
        _ => fs::write(path, "").unwrap(),
    }
}

fn hostile_line(rng: &mut Rng) -> Vec<u8> {
    let many = 1 + rng.below(100_000);
    match rng.below(7) {
        0 => "[".repeat(many).into(),
        1 => format!("{{\"servers\":[{}{{}}]}}", "{},".repeat(many)).into(),
        2 => format!("{{\"t_s\":1e{many}}}").into(),
        3 => format!("{{\"t_s\":\"{}\"}}", "x".repeat(many)).into(),
        4 => b"{\"issued\":-1}".to_vec(),
        5 => vec![b' '; 20 * many],
        _ => (0..many % 500).map(|_| rng.next() as u8).collect(),
    }
}

fn make(dir: &Path, sound: &Sound, rng: &mut Rng) {
    for (name, bytes) in [
        (JOURNAL, &sound.journal),
        (SAMPLES, &sound.samples),
        (TIMELINE, &sound.timeline),
    ] {
        let path = dir.join(name);
        let mut bytes = bytes.clone();
        match rng.below(12) {
            // Without the parquet file the journal is what counts.
            0..=3 if name == SAMPLES => continue,
            0 => continue,
            1 => odd(&path, rng, &bytes),
            2 if name == TIMELINE => {
                for _ in 0..rng.below(8) {
                    let lines = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n');
                    let ends: Vec<usize> = lines.map(|(at, _)| at + 1).collect();
                    let at = ends.get(rng.below(ends.len())).copied().unwrap_or(0);
                    let mut line = hostile_line(rng);
                    line.push(b'\n');
                    bytes.splice(at..at, line);
                }
                fs::write(&path, bytes).unwrap();
            }
            3 => fs::write(&path, bytes).unwrap(),
            _ => {
                damage(&mut bytes, rng);
                fs::write(&path, bytes).unwrap();
            }
        }
    }
}

/// Reads a directory in every way; returns what it turned out to be.
fn read(dir: &Path) -> &'static str {
    let mut follower = Follower::new(dir);
    for _ in 0..1000 {
        match follower.look() {
            Ok(news) if news.more => {}
            _ => break,
        }
    }
    let record = match Record::open(dir) {
        Ok(record) => record,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return match error {
                Error::Absent { .. } => "absent",
                Error::Io { .. } => "io",
                Error::NotRecord { .. } => "not a record",
                Error::Newer { .. } => "newer",
                Error::TooLarge { .. } => "too large",
                Error::Value { .. } => "value",
                Error::Parquet(_) => "parquet",
                Error::Write { .. } => panic!("{error}"),
            };
        }
    };
    if let Ok(Some(mut timeline)) = record.timeline() {
        while let Ok(Some(_)) = timeline.next_second() {}
    }
    match (
        record.state,
        record.damage.is_some(),
        record.rows == rows(ROWS),
    ) {
        (State::GoingOn, ..) => panic!("nobody writes it"),
        (State::Ended, _, true) => "whole",
        (State::Ended, _, false) => "whole, other rows",
        (State::Cut, true, _) => "damaged",
        (State::Cut, false, true) => "cut, all rows",
        (State::Cut, false, false) => "cut",
    }
}

/// The child.
#[test]
fn reads_damaged_directories() {
    let Some(dir) = child::dir() else { return };
    let mut kinds = std::collections::BTreeMap::new();
    let first = dir.join("sound");
    fs::create_dir(&first).unwrap();
    let sound = Sound::make(&first);
    for seed in 0..DIRECTORIES {
        let dir = dir.join(seed.to_string());
        fs::create_dir(&dir).unwrap();
        make(&dir, &sound, &mut Rng(seed));
        *kinds.entry(read(&dir)).or_insert(0) += 1;
        fs::remove_dir_all(&dir).unwrap();
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:"));
    println!("{kinds:?} {}", peak.unwrap());
    // Otherwise the rules would no longer damage what they mean to.
    for kind in [
        "absent",
        "io",
        "not a record",
        "parquet",
        "whole",
        "damaged",
        "cut",
        "cut, all rows",
    ] {
        assert!(kinds.contains_key(kind), "no directory was {kind}");
    }
}

#[test]
fn damaged_directories_are_read_or_refused_in_bounded_memory_and_time() {
    let tmp = tempfile::tempdir().unwrap();
    let before = "ulimit -v $((1024 * 1024))";
    let said = child::run("damaged::reads_damaged_directories", tmp.path(), before);
    println!("{said}");
}
