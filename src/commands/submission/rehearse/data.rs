//! Makes up the benchmark's three data sets, LiveCodeBench's problems and the answers of an engine that is as good as the
//! reference: names, rows and repeats are the real ones, the questions are sums. The same bytes every time.
//!
//! Also a part of the integration tests, so it uses nothing of the rest of the program; any thread.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use ossmark_files::{create_new, make_directories, write_whole};
use ossmark_harmony::Tokenizer;
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::json;

/// A data set of the accuracy run: its name, questions, how often each is asked, and how many of a hundred answers are
/// right. Weighted as the benchmark does, 83.5 % are, where 82.2987 % are asked for.
struct Questions {
    name: &'static str,
    count: u64,
    repeats: u64,
    right_percent: u64,
}

const ACCURACY: [Questions; 3] = [
    Questions {
        name: "aime25",
        count: 30,
        repeats: 8,
        right_percent: 83,
    },
    Questions {
        name: "gpqa_diamond",
        count: 198,
        repeats: 5,
        right_percent: 76,
    },
    Questions {
        name: "livecodebench_v6",
        count: 1055,
        repeats: 3,
        right_percent: 85,
    },
];
/// TEST07 asks for 60.698 %; published runs have 62.0 on average.
const COMPLIANCE: [Questions; 1] = [Questions {
    name: "gpqa_diamond",
    count: 198,
    repeats: 5,
    right_percent: 63,
}];
const PERFORMANCE_ROWS: u64 = 6396;
/// Answers of the performance run have 1278 tokens on average, as the reference's, and between half and one and a half times
/// as many.
const MEAN_TOKENS: u64 = 1278;
/// The echo engine reads no prompt.
const PROMPT_TOKENS: u64 = 32;

/// A question, once for each time that it is asked.
struct Row {
    dataset: &'static str,
    truth: String,
    answer: String,
}

/// Writes everything into `output`.
///
/// # Errors
/// When the tokenizer cannot be read, or a file cannot be written.
pub(crate) fn write(output: &Path, tokenizer: &Path) -> Result<()> {
    let tokenizer = Tokenizer::load(tokenizer)?;
    make_directories(output).with_context(|| output.display().to_string())?;
    for (name, questions) in [("accuracy", &ACCURACY[..]), ("compliance", &COMPLIANCE)] {
        let rows = rows(questions);
        let answers: Result<Vec<Vec<u32>>> = rows
            .iter()
            .map(|row| Ok(tokenizer.encode_with_control_tokens(&row.answer)?))
            .collect();
        table(
            &output.join(format!("{name}.parquet")),
            "required group input_tokens (LIST) { repeated group list { required int32 element; } } required binary dataset (UTF8); \
             required binary ground_truth (UTF8);",
            &[
                Column::Tokens((0..rows.len() as u64).map(prompt).collect()),
                Column::Text(rows.iter().map(|row| row.dataset.to_owned()).collect()),
                Column::Text(rows.iter().map(|row| row.truth.clone()).collect()),
            ],
        )?;
        table(
            &output.join(format!("{name}_script.parquet")),
            "required int64 index; required group tokens (LIST) { repeated group list { required int32 element; } }",
            &[
                Column::Numbers((0..rows.len() as u64).collect()),
                Column::Tokens(answers?),
            ],
        )?;
    }
    table(
        &output.join("performance.parquet"),
        "required group input_tokens (LIST) { repeated group list { required int32 element; } }",
        &[Column::Tokens((0..PERFORMANCE_ROWS).map(prompt).collect())],
    )?;
    table(
        &output.join("performance_script.parquet"),
        "required int64 index; required int64 tokens;",
        &[
            Column::Numbers((0..PERFORMANCE_ROWS).collect()),
            Column::Numbers(
                (0..PERFORMANCE_ROWS)
                    .map(|row| MEAN_TOKENS / 2 + draw(row) % (MEAN_TOKENS + 1))
                    .collect(),
            ),
        ],
    )?;
    let problems = output.join("problems.jsonl");
    write_whole(&problems, self::problems().as_bytes())
        .with_context(|| problems.display().to_string())
}

fn rows(questions: &[Questions]) -> Vec<Row> {
    let mut rows = Vec::new();
    for set in questions {
        for question in 0..set.count {
            for _ in 0..set.repeats {
                // Spread evenly, so that the share is exact to one row.
                let n = rows.len() as u64;
                let is_right = (n + 1) * set.right_percent / 100 > n * set.right_percent / 100;
                rows.push(row(set.name, question, is_right));
            }
        }
    }
    rows
}

fn row(dataset: &'static str, question: u64, is_right: bool) -> Row {
    let off = u64::from(!is_right);
    let letter = |n: u64| ["A", "B", "C", "D"][(n % 4) as usize];
    let (truth, text) = match dataset {
        "aime25" => (
            question.to_string(),
            format!("\\boxed{{{}}}", question + off),
        ),
        "livecodebench_v6" => {
            let program = format!(
                "a, b = map(int, input().split())\nprint(a + b + {})",
                question + off
            );
            (question_id(question), format!("```python\n{program}\n```"))
        }
        _ => (
            letter(question).to_owned(),
            format!("Answer: {}", letter(question + off)),
        ),
    };
    // Long enough that a machine's short pause is no longer time per token than a run may have.
    let thoughts = "A sum. ".repeat(40);
    let answer = format!(
        "<|channel|>analysis<|message|>{thoughts}<|end|><|start|>assistant<|channel|>final<|message|>{text}<|return|>"
    );
    Row {
        dataset,
        truth,
        answer,
    }
}

fn question_id(question: u64) -> String {
    format!("rehearsal_{question:04}")
}

/// LiveCodeBench's file format: a problem a line.
fn problems() -> String {
    let mut lines = String::new();
    for question in 0..ACCURACY[2].count {
        let tests: Vec<_> = (1..3)
            .map(|n| json!({"input": format!("{n} {n}\n"), "output": format!("{}\n", 2 * n + question), "testtype": "stdin"}))
            .collect();
        let record = json!({
            "platform": "atcoder", "difficulty": "easy", "question_id": question_id(question), "metadata": "{}",
            "public_test_cases": json!(tests).to_string(), "private_test_cases": "[]",
        });
        let _ = writeln!(lines, "{record}");
    }
    lines
}

fn prompt(row: u64) -> Vec<u32> {
    (0..PROMPT_TOKENS)
        .map(|n| (draw(row * PROMPT_TOKENS + n) % 200_000) as u32)
        .collect()
}

/// A number that looks drawn (splitmix64), the same for the same `n` everywhere.
fn draw(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

enum Column {
    Numbers(Vec<u64>),
    Text(Vec<String>),
    Tokens(Vec<Vec<u32>>),
}

fn table(path: &Path, fields: &str, columns: &[Column]) -> Result<()> {
    let write = || -> parquet::errors::Result<()> {
        let schema = Arc::new(parse_message_type(&format!(
            "message schema {{ {fields} }}"
        ))?);
        let file = create_new(path)?;
        let mut writer =
            SerializedFileWriter::new(file, schema, Arc::new(WriterProperties::builder().build()))?;
        let mut group = writer.next_row_group()?;
        for column in columns {
            let Some(mut leaf) = group.next_column()? else {
                return Err(parquet::errors::ParquetError::General(
                    "more columns than fields".into(),
                ));
            };
            match column {
                Column::Numbers(numbers) => {
                    let values: Vec<i64> = numbers.iter().map(|n| *n as i64).collect();
                    leaf.typed::<Int64Type>().write_batch(&values, None, None)?;
                }
                Column::Text(texts) => {
                    let values: Vec<ByteArray> =
                        texts.iter().map(|text| text.as_str().into()).collect();
                    leaf.typed::<ByteArrayType>()
                        .write_batch(&values, None, None)?;
                }
                Column::Tokens(lists) => {
                    // A list's first element begins a row (repetition 0); every element is there (definition 1).
                    let values: Vec<i32> = lists.iter().flatten().map(|id| *id as i32).collect();
                    let repetitions: Vec<i16> = lists
                        .iter()
                        .flat_map(|list| (0..list.len()).map(|n| i16::from(n > 0)))
                        .collect();
                    leaf.typed::<Int32Type>().write_batch(
                        &values,
                        Some(&vec![1; values.len()]),
                        Some(&repetitions),
                    )?;
                }
            }
            leaf.close()?;
        }
        group.close()?;
        writer.close().map(drop)
    };
    write().with_context(|| path.display().to_string())
}
