//! The same questions in every form that users have give the same rows.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use ossmark_prepare::Request;
use serde_json::Value;

use crate::{demo, fixtures, run};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn with_mark(bytes: &[u8]) -> Vec<u8> {
    [b"\xef\xbb\xbf", bytes].concat()
}

/// Questions and answers of the rows that a recipe's only source gives.
fn rows(dir: &Path, source: &str) -> Result<Vec<(String, String)>, String> {
    let recipe = dir.join("r.toml");
    // A recipe may have a byte order mark too.
    fs::write(
        &recipe,
        with_mark(format!("[[source]]\n{source}\n").as_bytes()),
    )
    .unwrap();
    let prepared = run(&recipe, &Request::default(), &demo()).map_err(|e| e.to_string())?;
    let rows = prepared
        .rows()
        .map(|row| (row.question.to_owned(), row.ground_truth.to_owned()));
    Ok(rows.collect())
}

#[test]
fn questions_in_every_form() {
    let questions = [
        ("What is \"1 + 1\"?", "2"),
        ("Two\nlines,\tand a tab", "10"),
        ("größe", "999"),
    ];
    let objects: Vec<Value> = questions
        .iter()
        .map(|(q, a)| serde_json::json!({ "id": 1, "question": q, "answer": a }))
        .collect();
    let jsonl: Vec<String> = objects.iter().map(Value::to_string).collect();
    let list = serde_json::to_string_pretty(&objects).unwrap();
    let table = |delimiter: u8| {
        let mut writer = csv::WriterBuilder::new()
            .delimiter(delimiter)
            .from_writer(Vec::new());
        writer.write_record(["question", "answer"]).unwrap();
        for (question, answer) in questions {
            writer.write_record([question, answer]).unwrap();
        }
        writer.into_inner().unwrap()
    };
    let expected: Vec<_> = questions.map(|(q, a)| (q.to_owned(), a.to_owned())).into();
    for (name, text) in [
        ("a.jsonl", jsonl.join("\n").into_bytes()),
        ("a.ndjson", jsonl.join("\r\n").into_bytes()),
        // Published under this name too.
        ("a.json", jsonl.join("\n").into_bytes()),
        ("a.json", list.clone().into_bytes()),
        ("a.jsonl", list.into_bytes()),
        ("a.csv", table(b',')),
        ("a.tsv", table(b'\t')),
    ] {
        for (name, bytes) in [
            (name.to_owned(), text.clone()),
            (name.to_owned(), with_mark(&text)),
            (name.to_uppercase(), text.clone()),
            (format!("{name}.gz"), gzip(&text)),
            (format!("{name}.gz"), gzip(&with_mark(&text))),
            // Told by its content, whatever a download called it.
            (name.to_owned(), gzip(&text)),
        ] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join(&name), bytes).unwrap();
            let source = format!("kind = \"aime25\"\nrepeats = 1\nfiles = [\"{name}\"]");
            assert_eq!(
                rows(dir.path(), &source).as_deref(),
                Ok(&expected[..]),
                "{name}"
            );
        }
    }
}

fn copy(from: &str, to: PathBuf) {
    fs::copy(fixtures().join(from), to).unwrap();
}

#[test]
fn folders_patterns_and_packed_releases() {
    let one = tempfile::tempdir().unwrap();
    copy("aime_2025.parquet", one.path().join("a.parquet"));
    let source = |files: &str| format!("kind = \"aime25\"\nrepeats = 1\nfiles = [\"{files}\"]");
    let expected = rows(one.path(), &source("a.parquet")).unwrap();

    let many = tempfile::tempdir().unwrap();
    let data = many.path().join("data");
    fs::create_dir(&data).unwrap();
    for n in 0..2 {
        copy(
            "aime_2025.parquet",
            data.join(format!("train-0000{n}-of-00002.parquet")),
        );
    }
    let twice = [expected.clone(), expected].concat();
    for files in ["data", "data/train-*.parquet", "data/*"] {
        assert_eq!(
            rows(many.path(), &source(files)).as_deref(),
            Ok(&twice[..]),
            "{files}"
        );
    }
    let missing = rows(many.path(), &source("data/test-*.parquet")).unwrap_err();
    assert!(missing.contains("no file fits this pattern"), "{missing}");

    let release =
        "kind = \"livecodebench_v6\"\nrepeats = 1\ndirectory = \"lcb\"\nrelease = \"release_v2\"";
    let published = tempfile::tempdir().unwrap();
    fs::create_dir(published.path().join("lcb")).unwrap();
    for name in ["test.jsonl", "test2.jsonl"] {
        copy(name, published.path().join("lcb").join(name));
    }
    let expected = rows(published.path(), release).unwrap();
    assert!(!expected.is_empty());
    let packed = tempfile::tempdir().unwrap();
    fs::create_dir(packed.path().join("lcb")).unwrap();
    let text = |name: &str| fs::read_to_string(fixtures().join(name)).unwrap();
    fs::write(
        packed.path().join("lcb/test.jsonl.gz"),
        gzip(text("test.jsonl").as_bytes()),
    )
    .unwrap();
    let lines = text("test2.jsonl");
    let list = format!("[{}]", lines.trim().lines().collect::<Vec<_>>().join(","));
    fs::write(packed.path().join("lcb/test2.json"), list).unwrap();
    assert_eq!(rows(packed.path(), release), Ok(expected));
}

#[test]
fn what_is_in_no_such_form_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for (name, content, part) in [
        ("a.jsonl", &b"\xff\xfe{\0}\0"[..], "UTF-16"),
        ("a.csv", b"PK\x03\x04", "a zip file"),
        (
            "a.jsonl.zst",
            b"\x28\xb5\x2f\xfd",
            "ends in .zst, expected a .jsonl, .json, .csv, .tsv",
        ),
        (
            "a.json",
            b"[{\"question\": \"x\", \"answer\": 1}, 7]",
            "row 1 (counted from 0): not a JSON object",
        ),
        (
            "a.json",
            b"{\n \"question\": \"x\"\n}",
            "line 1: not a JSON object",
        ),
        (
            "a.json",
            b"[{\"question\": \"x\", \"answer\": 1}",
            "not a whole JSON list",
        ),
        (
            "a.jsonl",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n",
            "cannot be read",
        ),
    ] {
        fs::write(dir.path().join(name), content).unwrap();
        let source = format!("kind = \"aime25\"\nfiles = [\"{name}\"]");
        let error = rows(dir.path(), &source).unwrap_err();
        assert!(
            error.contains(part) && error.contains(name),
            "{name}: {error}"
        );
    }
}

/// Recipes read JSON as Python does: floats that only its json writes, the last of a key's values, numbers as `str` gives them.
#[test]
fn json_that_only_python_reads() {
    let source = "kind = \"plain\"\nname = \"gpqa\"\nrepeats = 1\nfiles = [\"a.json\"]";
    let object = |answer: &str| {
        format!(
            r#"{{"score": NaN, "question": "no", "more": [-Infinity, 1e999, "\ud800"], "answer": {answer}, "question": "yes"}}"#
        )
    };
    for (answer, python) in [
        ("\"NaN\"", "NaN"),
        ("\"x\", \"answer\": 5", "5"),
        ("2.5e-7", "2.5e-07"),
        ("1e16", "1e+16"),
        ("-0", "0"),
        ("true", "True"),
        ("Infinity", "inf"),
        ("\"\\ud800\"", "\u{fffd}"),
    ] {
        let object = object(answer);
        for text in [
            object.clone(),
            format!("{object}\n{object}\n"),
            format!("[{object},\n{object}]"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("a.json"), &text).unwrap();
            let rows = rows(dir.path(), source).unwrap();
            assert!(!rows.is_empty());
            for row in rows {
                assert_eq!(row, ("yes".to_owned(), python.to_owned()), "{text}");
            }
        }
    }
    for (answer, part) in [
        ("NaN", "'answer' is NaN"),
        ("nan", "not a JSON object"),
        ("1, \"answer\": null", "no 'ground_truth' or 'answer'"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.json"), object(answer)).unwrap();
        let error = rows(dir.path(), source).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}
