//! The rows are those that openai-harmony and Python make of the same files.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use ossmark_dataset::{Dataset, content_sha256, file_sha256};
use ossmark_harmony::Effort;
use ossmark_prepare::{Manifest, Prepared, Recipe, Request, Step, TokenizerEntry, prepare};
use serde::Deserialize;
use serde_json::Value;

use crate::{demo, fixtures, run};

#[derive(Deserialize, Debug, PartialEq)]
struct Expected {
    dataset: String,
    ground_truth: String,
    question: String,
    prompt: String,
    text_input: String,
    input_tokens: Vec<u32>,
}

fn expected(effort: Effort) -> Vec<Expected> {
    let text = std::fs::read(fixtures().join("expected.json")).unwrap();
    let mut all: BTreeMap<String, Vec<Expected>> = serde_json::from_slice(&text).unwrap();
    all.remove(effort.name()).unwrap()
}

fn request(effort: Effort, workers: usize) -> Request {
    Request {
        effort: Some(effort),
        workers,
        ..Request::default()
    }
}

fn manifest(prepared: &Prepared, parquet: &[u8]) -> Manifest {
    prepared.manifest(
        "ossmark test",
        TokenizerEntry {
            sha256: "of the tokenizer".into(),
        },
        "out.parquet",
        parquet,
    )
}

#[test]
fn rows_are_those_of_openai_harmony_for_every_effort() {
    let harmony = demo();
    for effort in [Effort::Low, Effort::Medium, Effort::High] {
        let prepared = run(
            &fixtures().join("recipe.toml"),
            &request(effort, 2),
            &harmony,
        )
        .unwrap();
        let rows: Vec<Expected> = prepared
            .rows()
            .map(|row| Expected {
                dataset: row.dataset.into(),
                ground_truth: row.ground_truth.into(),
                question: row.question.into(),
                prompt: row.prompt.into(),
                text_input: row.text_input.into(),
                input_tokens: row.input_tokens.into(),
            })
            .collect();
        let expected = expected(effort);
        assert_eq!(rows.len(), expected.len());
        for (row, expected) in rows.iter().zip(&expected) {
            assert_eq!(row, expected, "{effort}");
        }
    }
}

#[test]
fn effort_is_high_unless_asked_otherwise() {
    let prepared = run(
        &fixtures().join("recipe.toml"),
        &Request::default(),
        &demo(),
    )
    .unwrap();
    let texts: Vec<String> = prepared
        .rows()
        .map(|row| row.text_input.to_owned())
        .collect();
    assert_eq!(
        texts,
        expected(Effort::High)
            .into_iter()
            .map(|row| row.text_input)
            .collect::<Vec<_>>()
    );
}

#[test]
fn bytes_are_the_same_for_one_worker_and_for_eight() {
    let harmony = demo();
    let with = |workers| {
        let prepared = run(
            &fixtures().join("recipe.toml"),
            &request(Effort::High, workers),
            &harmony,
        )
        .unwrap();
        let parquet = prepared.parquet().unwrap();
        let manifest = serde_json::to_string(&manifest(&prepared, &parquet)).unwrap();
        (parquet, manifest)
    };
    let one = with(1);
    for _ in 0..3 {
        assert!(with(8) == one);
    }
}

const COLUMNS: [&str; 4] = ["ground_truth", "question", "prompt", "text_input"];

#[test]
fn the_file_is_a_data_set_that_says_what_it_is() {
    let harmony = demo();
    let prepared = run(
        &fixtures().join("recipe.toml"),
        &request(Effort::Low, 1),
        &harmony,
    )
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out.parquet");
    let parquet = prepared.parquet().unwrap();
    std::fs::write(&file, &parquet).unwrap();
    let dataset = Dataset::open_with(&file, &COLUMNS).unwrap();
    assert_eq!(dataset.token_column, "input_tokens");
    let expected = expected(Effort::Low);
    assert_eq!(dataset.len(), expected.len());
    for (number, row) in expected.iter().enumerate() {
        assert_eq!(*dataset.prompts[number], row.input_tokens[..]);
        for (column, value) in [
            ("dataset", &row.dataset),
            ("ground_truth", &row.ground_truth),
            ("question", &row.question),
            ("prompt", &row.prompt),
            ("text_input", &row.text_input),
        ] {
            assert_eq!(
                dataset.cell(column, number),
                Some(value.as_str()),
                "{column}"
            );
        }
    }

    let manifest = serde_json::to_value(manifest(&prepared, &parquet)).unwrap();
    assert_eq!(manifest["output"]["sha256"], file_sha256(&file).unwrap());
    assert_eq!(
        manifest["output"]["content_sha256"],
        content_sha256(&dataset.prompts)
    );
    assert_eq!(manifest["output"]["rows"], expected.len());
    assert_eq!(manifest["effort"], "low");
    assert_eq!(manifest["date"], "2025-09-30");
    assert_eq!(manifest["seed"], 42);
    assert_eq!(manifest["tokenizer"]["sha256"], "of the tokenizer");
    let sources = manifest["sources"].as_array().unwrap();
    let counts =
        |source: &Value| ["questions", "repeats", "rows"].map(|key| source[key].as_u64().unwrap());
    assert_eq!(
        sources.iter().map(counts).collect::<Vec<_>>(),
        [
            [4, 2, 8],
            [4, 5, 20],
            [3, 3, 9],
            [2, 1, 2],
            [2, 1, 2],
            [2, 1, 2]
        ]
    );
    assert_eq!(
        sources[1]["files"][0]["sha256"],
        file_sha256(&fixtures().join("gpqa_diamond.csv")).unwrap()
    );
    assert_eq!(sources[2]["release"], "release_v2");
    assert_eq!(sources[2]["files"][1]["questions"], 1);
    assert!(
        sources[0]["template"]["user"]
            .as_str()
            .unwrap()
            .contains("\\boxed{}")
    );
}

#[test]
fn contests_outside_the_window_and_questions_over_the_limit_are_left_out() {
    let ids = |extra: &str| {
        let dir = tempfile::tempdir().unwrap();
        let recipe = dir.path().join("r.toml");
        let fixtures = fixtures();
        let text = format!(
            "[[source]]\nkind = \"livecodebench_v6\"\ndirectory = \"{}\"\nrepeats = 1\n{extra}",
            fixtures.display()
        );
        std::fs::write(&recipe, text).unwrap();
        let prepared = run(&recipe, &Request::default(), &demo()).map_err(|e| e.to_string())?;
        Ok::<_, String>(
            prepared
                .rows()
                .map(|row| row.ground_truth.to_owned())
                .collect::<Vec<_>>()
                .join(" "),
        )
    };
    let v2 = "release = \"release_v2\"\n";
    assert_eq!(ids(v2).unwrap(), "abc300_a abc301_a abc400_a");
    assert_eq!(ids("release = \"v2\"").unwrap(), "abc400_a");
    assert_eq!(
        ids(&format!("{v2}from = \"2023-08-21\"")).unwrap(),
        "abc301_a abc400_a"
    );
    assert_eq!(
        ids(&format!(
            "{v2}from = \"2023-05-07\"\nuntil = \"2023-08-21\""
        ))
        .unwrap(),
        "abc301_a"
    );
    assert_eq!(ids(&format!("{v2}limit = 2")).unwrap(), "abc300_a abc301_a");
    let none = ids(&format!("{v2}until = \"2023-05-05\"")).unwrap_err();
    assert!(
        none.contains("source 1 (livecodebench_v6): no question is left in the window"),
        "{none}"
    );
}

#[test]
fn own_templates_with_a_developer_message_replace_the_built_in_ones() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = dir.path().join("r.toml");
    let file = fixtures().join("aime2025-I.jsonl");
    std::fs::write(&recipe, format!("templates = \"t.toml\"\n[[source]]\nkind = \"sums\"\nname = \"aime-own\"\nfiles = [\"{}\"]", file.display())).unwrap();
    std::fs::write(dir.path().join("t.toml"),
        "[kind.sums]\nreader = \"integer\"\nrepeats = 2\ndeveloper = \"Be brief.\"\nuser = \"Q: {question}\"\nsource = \"here\"").unwrap();
    let prepared = run(&recipe, &request(Effort::Low, 1), &demo()).unwrap();
    let first = prepared.rows().next().unwrap();
    assert_eq!(first.dataset, "aime-own");
    assert_eq!(
        first.text_input,
        format!(
            "<|start|>system<|message|>Reasoning: low<|end|><|start|>developer<|message|># Instructions\n\nBe brief.<|end|>\
         <|start|>user<|message|>Q: {}<|end|><|start|>assistant",
            first.question
        )
    );
    assert_eq!(prepared.rows().count(), 4);
}

#[test]
fn progress_tells_of_every_question_once() {
    let (announced, done, read) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let path = fixtures().join("recipe.toml");
    prepare(
        &Recipe::load(&path).unwrap(),
        &path,
        &Request::default(),
        &demo(),
        &|step| {
            match step {
                Step::Reading(_) => read.fetch_add(1, Ordering::Relaxed),
                Step::Questions(n) => announced.fetch_add(n, Ordering::Relaxed),
                Step::Tokenised => done.fetch_add(1, Ordering::Relaxed),
            };
        },
    )
    .unwrap();
    assert_eq!(
        [announced, done, read].map(AtomicU64::into_inner),
        [17, 17, 8]
    );
}
