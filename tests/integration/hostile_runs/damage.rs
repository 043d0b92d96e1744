//! What can have become of a run's directory: a file that was cut, changed, swapped, or is none.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// A generator of its own (splitmix64), so that a seed that was printed gives the same directories anywhere.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    pub(super) fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

const HOSTILE: &str =
    "\u{1b}[2J\u{1b}]0;x\u{7}\r\n\u{202e}</style><script>alert(1)</script>{{7*7}}\u{0}";
const VALUES: [&str; 12] = [
    "null",
    "[]",
    "{}",
    "3",
    "-1e308",
    "1e999",
    "\"text\"",
    "true",
    "18446744073709551616",
    "-9223372036854775808",
    "[{\"a\": [1]}]",
    "\"\\ud800\"",
];

/// Damages one file of a directory, or puts something beside it.
pub(super) fn damage(random: &mut Random, dir: &Path) {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    paths.sort();
    if paths.is_empty() {
        return;
    }
    let path = random.of(&paths).clone();
    if !path
        .symlink_metadata()
        .is_ok_and(|found| found.is_file() && found.len() < 1 << 30)
    {
        return;
    }
    let mut bytes = fs::read(&path).unwrap();
    match random.below(16) {
        0 | 1 => {
            for _ in 0..=random.below(8) {
                let at = random.below(bytes.len());
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.next() as u8;
                }
            }
        }
        2 => bytes.truncate(random.below(bytes.len())),
        3 => bytes.clear(),
        4 => bytes.splice(0..0, bytes.clone()).for_each(drop),
        5 => {
            let at = random.below(bytes.len());
            let end = (at + 8).min(bytes.len());
            bytes[at..end].fill(0xff);
        }
        6 | 7 => {
            // A value of another kind.
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let places: Vec<usize> = text.match_indices(':').map(|(at, _)| at + 1).collect();
            if !places.is_empty() {
                let at = *random.of(&places);
                let end = text[at..]
                    .find([',', '}', '\n'])
                    .map_or(text.len(), |n| at + n);
                bytes =
                    format!("{}{}{}", &text[..at], random.of(&VALUES), &text[end..]).into_bytes();
            }
        }
        8 => {
            // A text that would do something where it is shown.
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let hostile = serde_json::to_string(HOSTILE).unwrap();
            let places: Vec<usize> = text.match_indices(": \"").map(|(at, _)| at + 2).collect();
            if !places.is_empty() {
                let at = *random.of(&places);
                let end = text[at + 1..].find('"').map_or(text.len(), |n| at + n + 2);
                bytes = format!("{}{hostile}{}", &text[..at], &text[end..]).into_bytes();
            }
        }
        9 => {
            // A terabyte of nothing, or some of it.
            let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
            let _ = file.set_len(1 << (20 + random.below(21)));
            return;
        }
        10 => {
            // A pipe: opening it for reading would wait for ever.
            fs::remove_file(&path).unwrap();
            let made = Command::new("mkfifo").arg(&path).status();
            assert!(
                made.is_ok_and(|status| status.success()),
                "mkfifo of coreutils"
            );
            return;
        }
        11 => {
            fs::remove_file(&path).unwrap();
            let target = random
                .of(&[
                    dir.to_owned(),
                    path.clone(),
                    "/dev/zero".into(),
                    "/dev/stdin".into(),
                    "nowhere".into(),
                ])
                .clone();
            symlink(target, &path).unwrap();
            return;
        }
        12 => {
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
            return;
        }
        13 => {
            let other = random.of(&paths).clone();
            if other
                .symlink_metadata()
                .is_ok_and(|found| found.is_file() && found.len() < 1 << 30)
            {
                bytes = fs::read(other).unwrap();
            }
        }
        14 => bytes = future(&path, bytes),
        _ => {
            let mut deep = dir.to_owned();
            (0..40).for_each(|_| deep.push("d"));
            fs::create_dir_all(&deep).unwrap();
            let _ = symlink(dir, deep.join("up"));
            return;
        }
    }
    fs::write(path, bytes).unwrap();
}

/// What a later version may write.
fn future(path: &Path, bytes: Vec<u8>) -> Vec<u8> {
    match path.extension().and_then(|name| name.to_str()) {
        // Version 2, and the sum of that.
        Some("journal") => [
            b"OSSMARKJ\x02\0\0\0".as_slice(),
            &crc32(b"OSSMARKJ\x02\0\0\0").to_le_bytes(),
            &bytes[16.min(bytes.len())..],
        ]
        .concat(),
        Some("parquet") => {
            let key = b"ossmark.record.version";
            let mut bytes = bytes;
            if let Some(at) = bytes.windows(key.len()).position(|found| found == key) {
                // Thrift: the value's field, its length, its one digit.
                if let Some(digit) = bytes.get_mut(at + key.len() + 2) {
                    *digit = b'9';
                }
            }
            bytes
        }
        _ => {
            let mut value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            if let Some(fields) = value.as_object_mut() {
                fields.insert("version".into(), json!(99));
                fields.insert("added_later".into(), json!({"x": [1, 2, {"y": null}]}));
            }
            value.to_string().into_bytes()
        }
    }
}

/// CRC-32 as zlib has it, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let byte = |sum: u32, byte: &u8| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| match sum & 1 {
            1 => sum >> 1 ^ 0xedb8_8320,
            _ => sum >> 1,
        })
    };
    !bytes.iter().fold(!0, byte)
}

#[test]
fn the_sum_is_zlibs() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}
