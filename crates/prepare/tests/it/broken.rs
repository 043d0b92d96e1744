//! Every row that cannot be used is named by file and place.

use std::path::Path;

use ossmark_prepare::{Recipe, Request, prepare};

use crate::{demo, fixtures, run};

/// The complaint about one file of this content, read as this kind.
fn complaint(kind: &str, file: &str, content: &[u8], extra: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(file), content).unwrap();
    let recipe = dir.path().join("r.toml");
    std::fs::write(
        &recipe,
        format!("[[source]]\nkind = \"{kind}\"\nfiles = [\"{file}\"]\n{extra}"),
    )
    .unwrap();
    let error = run(&recipe, &Request::default(), &demo()).expect_err(file);
    let text = error.to_string();
    assert!(text.contains(file), "{text}");
    text
}

#[test]
fn jsonl() {
    let good = r#"{"question": "x", "answer": 1}"#;
    for (line, expected) in [
        (
            r#"{"question": "x", "answer": 1"#,
            "line 3: not a JSON object",
        ),
        (r#"[1]"#, "line 3: not a JSON object"),
        (
            r#"{"question": "x", "answer": 1} {}"#,
            "line 3: not a JSON object: trailing characters",
        ),
        (
            r#"{"question": "x"}"#,
            "line 3: no 'ground_truth' or 'answer' or 'Answer'; its fields are: question",
        ),
        (
            r#"{"question": null, "answer": "1"}"#,
            "line 3: no 'question' or",
        ),
        (
            r#"{"question": ["x"], "answer": "1"}"#,
            "line 3: 'question' is an array, expected text",
        ),
        (
            r#"{"question": " ", "answer": "1"}"#,
            "line 3: the question is empty",
        ),
        (
            r#"{"question": "x", "answer": "1000"}"#,
            "line 3: the answer is \"1000\", expected a whole number from 0 to 999",
        ),
        (
            r#"{"question": "x", "answer": true}"#,
            "line 3: the answer is \"True\"",
        ),
    ] {
        let text = complaint(
            "aime25",
            "a.jsonl",
            format!("{good}\n\n{line}\n{good}\n").as_bytes(),
            "",
        );
        assert!(text.contains(expected), "{line}: {text}");
    }
    let text = complaint(
        "aime25",
        "a.jsonl",
        b"{\"question\": \"\xff\", \"answer\": 1}",
        "",
    );
    assert!(text.contains("line 1: not a JSON object"), "{text}");
}

#[test]
fn csv() {
    let header = "Question,Correct Answer,Incorrect Answer 1,Incorrect Answer 2,Incorrect Answer 3";
    for (rows, expected) in [
        (
            "q,a,b,c,d\n\"two\nlines\",a,b,c,d\nq,a,b,c\n",
            "line 5: 4 fields, expected 5 as in the header",
        ),
        (
            "q,a,b,c,d\nq,a,b,,d\n",
            "line 3: incorrect answer 2 is empty",
        ),
        ("q, ,b,c,d\n", "line 2: the correct answer is empty"),
        (",a,b,c,d\n", "line 2: the question is empty"),
    ] {
        let text = complaint(
            "gpqa_diamond",
            "g.csv",
            format!("{header}\n{rows}").as_bytes(),
            "",
        );
        assert!(text.contains(expected), "{rows}: {text}");
    }
    let text = complaint(
        "gpqa_diamond",
        "g.csv",
        [header.as_bytes(), b"\nq,\xff,b,c,d\n"].concat().as_slice(),
        "",
    );
    assert!(
        text.contains("line 2: field 1 (counted from 0) is not UTF-8"),
        "{text}"
    );
    let text = complaint(
        "gpqa_diamond",
        "g.csv",
        b"Question,Correct Answer\nq,a\n",
        "",
    );
    assert!(
        text.contains("no column 'Incorrect Answer 1'; its columns are: Question, Correct Answer"),
        "{text}"
    );
}

#[test]
fn livecodebench() {
    let line = |id: &str, date: &str| {
        format!(
            "{{\"question_content\": \"x\", \"question_id\": \"{id}\", \"contest_date\": \"{date}\"}}\n"
        )
    };
    let twice = line("a", "2025-01-01") + &line("a", "2025-01-01");
    let text = complaint("livecodebench_v6", "test.jsonl", twice.as_bytes(), "");
    assert!(
        text.contains("line 2: question_id \"a\" is already in") && text.ends_with("line 1"),
        "{text}"
    );
    let text = complaint(
        "livecodebench_v6",
        "test.jsonl",
        line("a", "May").as_bytes(),
        "from = \"2025-01-01\"",
    );
    assert!(text.contains("line 1: contest_date \"May\""), "{text}");
    let text = complaint(
        "livecodebench_v6",
        "test.jsonl",
        line("", "2025-01-01").as_bytes(),
        "",
    );
    assert!(text.contains("line 1: the question_id is empty"), "{text}");
}

#[test]
fn parquet() {
    let plain = std::fs::read(fixtures().join("plain.parquet")).unwrap();
    let text = complaint("plain", "p.parquet", &plain, "");
    assert!(
        text.contains("no column 'question' or 'Question'")
            && text.contains("its columns are: id, text, solution"),
        "{text}"
    );
    let text = complaint(
        "aime25",
        "p.parquet",
        &plain,
        "question = \"text\"\nground_truth = \"text\"",
    );
    assert!(
        text.contains("row 0 (counted from 0): the answer is \"What is 1+1?\""),
        "{text}"
    );
    let text = complaint(
        "plain",
        "p.parquet",
        &plain[..plain.len() - 1],
        "question = \"text\"\nground_truth = \"solution\"",
    );
    assert!(text.contains("truncated"), "{text}");
    let text = complaint("plain", "p.parquet", b"hello", "");
    assert!(text.contains("not a parquet file"), "{text}");
}

/// Files are from strangers: a changed byte gives rows or a complaint, never a panic.
#[test]
fn no_byte_makes_it_panic() {
    let (harmony, dir) = (demo(), tempfile::tempdir().unwrap());
    for (kind, file, extra) in [
        ("aime25", "aime2025-II.jsonl", ""),
        ("gpqa_diamond", "gpqa_diamond.csv", ""),
        ("livecodebench_v6", "test2.jsonl", "from = \"2023-01-01\""),
        (
            "plain",
            "plain.parquet",
            "question = \"text\"\nground_truth = \"solution\"",
        ),
    ] {
        let recipe = dir.path().join("r.toml");
        let text =
            format!("[[source]]\nkind = \"{kind}\"\nfiles = [\"{file}\"]\nrepeats = 1\n{extra}");
        std::fs::write(&recipe, text).unwrap();
        let recipe = Recipe::load(&recipe).unwrap();
        let request = Request {
            workers: 1,
            ..Request::default()
        };
        let mut bytes = std::fs::read(fixtures().join(file)).unwrap();
        let mut refused = 0;
        for at in (0..bytes.len()).step_by(5) {
            for flip in [0x01, 0x80, 0xff] {
                bytes[at] ^= flip;
                std::fs::write(dir.path().join(file), &bytes).unwrap();
                refused += usize::from(
                    prepare(&recipe, Path::new("r.toml"), &request, &harmony, &|_| ()).is_err(),
                );
                bytes[at] ^= flip;
            }
        }
        assert!(refused > bytes.len() / 100, "{file}: {refused}");
    }
}

#[test]
fn whole_files_and_recipes() {
    let text = complaint("plain", "a.txt", b"", "");
    assert!(
        text.contains("ends in .txt, expected a .jsonl, .json, .csv, .tsv (each also with .gz) or .parquet file"),
        "{text}"
    );
    let dir = tempfile::tempdir().unwrap();
    let recipe = dir.path().join("r.toml");
    let refused = |text: &str| {
        std::fs::write(&recipe, text).unwrap();
        run(&recipe, &Request::default(), &demo())
            .unwrap_err()
            .to_string()
    };
    let text = refused("[[source]]\nkind = \"aime25\"\nfiles = [\"absent.jsonl\"]");
    assert!(text.contains("absent.jsonl: cannot be read"), "{text}");
    let text = refused("[[source]]\nkind = \"aime\"\nfiles = [\"absent.jsonl\"]");
    assert!(
        text.contains(
            "r.toml: source 1 (aime): no template of this kind; there are: aime1983, aime25"
        ),
        "{text}"
    );
    std::fs::write(dir.path().join("empty.jsonl"), "\n").unwrap();
    let text = refused("[[source]]\nkind = \"aime25\"\nfiles = [\"empty.jsonl\"]");
    assert!(
        text.contains("source 1 (aime25): no question is left"),
        "{text}"
    );
}
