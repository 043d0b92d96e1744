//! Data sets in several files: a folder or a pattern is one table, in the order of the names, or is refused.

use std::{fs, path::Path};

use ossmark_dataset::{Cell, Dataset, Error, Frame, file_sha256, files};
use sha2::{Digest, Sha256};
use tempfile::{TempDir, tempdir};

use crate::common::{Leaf, PANDAS, PLAIN, text, three_level, write};

/// One file with a prompt for each number, and an integer that is null where the number is odd.
fn part(path: &Path, numbers: &[i32]) {
    let fields = format!("{PANDAS} optional binary dataset (UTF8); optional int64 ground_truth;");
    let rows: Vec<Vec<i32>> = numbers.iter().map(|n| vec![*n, n + 1]).collect();
    let names: Vec<String> = numbers.iter().map(|n| format!("aime{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let there: Vec<i64> = numbers
        .iter()
        .filter(|n| **n % 2 == 0)
        .map(|n| i64::from(*n))
        .collect();
    let levels = numbers.iter().map(|n| i16::from(n % 2 == 0)).collect();
    let leaves = vec![
        three_level(&rows),
        text(&names),
        Leaf::I64(there, levels, Vec::new()),
    ];
    write(path, &fields, &[leaves], PLAIN);
}

fn parts(parts: &[(&str, &[i32])]) -> TempDir {
    let dir = tempdir().unwrap();
    for (name, numbers) in parts {
        part(&dir.path().join(name), numbers);
    }
    dir
}

#[test]
fn a_folder_and_a_pattern_are_one_table_in_the_order_of_their_names() {
    let dir = parts(&[
        ("train-00001-of-00002.parquet", &[3, 4]),
        ("train-00000-of-00002.parquet", &[2]),
    ]);
    for (name, content) in [
        ("README.md", "text"),
        (".hidden.parquet", "no parquet"),
        ("_metadata.parquet", "no parquet"),
    ] {
        fs::write(dir.path().join(name), content).unwrap();
    }
    let whole = tempdir().unwrap();
    let whole = whole.path().join("whole.parquet");
    part(&whole, &[2, 3, 4]);
    let expected = Dataset::open(&whole).unwrap();
    for path in [
        dir.path().to_owned(),
        dir.path().join("train-*.parquet"),
        dir.path().join("train-0000[01]-of*"),
        // Hidden files fit no pattern.
        dir.path().join("[!_]*.parquet"),
    ] {
        let dataset = Dataset::open(&path).unwrap();
        assert_eq!(dataset.prompts, expected.prompts);
        assert_eq!(dataset.text, expected.text);
        assert_eq!(dataset.content_sha256, expected.content_sha256);
        let sums: Vec<String> = files(&path)
            .unwrap()
            .iter()
            .map(|file| {
                format!(
                    "{}  {}\n",
                    file_sha256(file).unwrap(),
                    file.file_name().unwrap().display()
                )
            })
            .collect();
        let sum: String = Sha256::digest(sums.concat())
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(dataset.file_sha256, sum);

        // The second file has a gap, and makes floats of all integers, as in one file.
        let frame = Frame::open(&path, false).unwrap();
        assert_eq!(frame.rows(), 3);
        let cells = frame.cells("ground_truth").unwrap();
        assert_eq!(cells, [Cell::Float(2.0), Cell::Null, Cell::Float(4.0)]);
        assert_eq!(
            cells,
            Frame::open(&whole, false)
                .unwrap()
                .cells("ground_truth")
                .unwrap()
        );
    }
    // One file is that file, whatever stands for it.
    for path in [
        whole.clone(),
        whole.with_file_name("who*"),
        whole.parent().unwrap().to_owned(),
    ] {
        assert_eq!(
            Dataset::open(&path).unwrap().file_sha256,
            expected.file_sha256
        );
    }
}

#[test]
fn what_is_not_one_whole_table_is_refused() {
    let refused = |dir: &TempDir, name: &str| {
        let error = Dataset::open(&dir.path().join(name)).unwrap_err();
        assert!(matches!(error, Error::Form { .. }), "{error}");
        error.to_string()
    };
    let dir = parts(&[
        ("train-00000-of-00001.parquet", &[2]),
        ("test-00000-of-00001.parquet", &[2]),
    ]);
    assert!(refused(&dir, "").contains("parts of several tables, test and train"));
    assert!(refused(&dir, "valid-*").contains("no file fits this pattern"));
    assert_eq!(Dataset::open(&dir.path().join("test-*")).unwrap().len(), 1);
    let dir = parts(&[
        ("train-00000-of-00003.parquet", &[2]),
        ("train-00002-of-00003.parquet", &[2]),
    ]);
    assert!(refused(&dir, "").contains("holds 2 of the 3 parts of train"));
    let dir = tempdir().unwrap();
    assert!(refused(&dir, "").contains("without .parquet files"));
    let dir = parts(&[("a.parquet", &[2])]);
    write(
        &dir.path().join("b.parquet"),
        PANDAS,
        &[vec![three_level(&[vec![1]])]],
        PLAIN,
    );
    let message = refused(&dir, "");
    assert!(
        message.contains("b.parquet") && message.contains("expected those of"),
        "{message}"
    );
}

/// What people give where a table is expected is named, with the way to one.
#[test]
fn text_and_archives_are_named() {
    let dir = tempdir().unwrap();
    for (name, content, part) in [
        (
            "a.jsonl",
            &b"{\"a\": 1}\n"[..],
            "read_json('IN', lines=True)",
        ),
        ("a.json", b"\xef\xbb\xbf[{}]", "read_json('IN')"),
        ("a.csv", b"a,b\n1,2\n", "read_csv('IN')"),
        ("a.tsv", b"a\tb\n", "sep="),
        (
            "a.parquet.gz",
            b"\x1f\x8b\x08\0",
            "a gzip file (unpack it with gunzip)",
        ),
        ("a.zip", b"PK\x03\x04", "a zip file"),
        (
            "a.parquet",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 63402110\n",
            "a git-lfs pointer",
        ),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        let error = Dataset::open(&path).unwrap_err();
        let reason = std::error::Error::source(&error).map(ToString::to_string);
        let message = format!("{error}: {}", reason.unwrap_or_default());
        assert!(
            message.contains(part) && message.contains(name),
            "{message}"
        );
    }
}
