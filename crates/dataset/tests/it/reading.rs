//! What is read equals what was written, whichever way it was written.

use std::path::Path;

use crate::common::{Encoding, Leaf, PANDAS, PLAIN, lists, text, three_level, write};
use ossmark_dataset::{Dataset, Table, TokenStats};
use parquet::{
    basic::{Compression, GzipLevel, ZstdLevel},
    file::properties::WriterVersion,
};
use tempfile::tempdir;

fn rows(prompts: &[std::sync::Arc<[u32]>]) -> Vec<Vec<i32>> {
    prompts
        .iter()
        .map(|p| p.iter().map(|&t| t as i32).collect())
        .collect()
}

/// Expected values are from pandas 3 with pyarrow 26 and Python's hashlib on the same file.
#[test]
fn file_written_by_pandas() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/score/mixed/reference.parquet");
    let data = Dataset::open_with(&path, &["ground_truth", "prompt"]).unwrap();
    assert_eq!((data.len(), data.token_column), (75, "input_tokens"));
    assert_eq!(
        data.file_sha256,
        "9acb042d14b7f93cb4d8c371b28ca007edc04c9f6850af69d66672148e47bdab"
    );
    assert_eq!(
        data.content_sha256,
        "79a0e36d86ad394797f1861df0929d29be511041119e74aff33160cc7a0f3dd5"
    );
    let stats = data.stats();
    assert!((stats.mean - 36.413333333333334).abs() < 1e-12);
    assert_eq!(
        stats,
        TokenStats {
            min: 25,
            mean: stats.mean,
            p50: 34,
            p99: 70,
            max: 70,
            total: 2731
        }
    );
    assert_eq!(data.prompts[0][..6], [905, 414, 257, 907, 48, 15]);
    assert!(data.prompts[74].ends_with(&[64, 77, 83]));
    let names: Vec<_> = data.rows_by_name().into_iter().collect();
    assert_eq!(
        names,
        [
            ("aime25", 24),
            ("gpqa_diamond", 30),
            ("livecodebench_v6", 21)
        ]
    );
    assert_eq!(
        ["0", "30", "60"].map(|row| data.cell("ground_truth", row.parse().unwrap()).unwrap()),
        ["595", "B", "pub_avg"]
    );
    assert_eq!(
        data.cell("prompt", 74),
        Some("<|start|>user<|message|>Q6: Return x/2.<|end|><|start|>assistant")
    );
    assert_eq!(
        (data.cell("prompt", 75), data.cell("question", 0)),
        (None, None)
    );
}

#[test]
fn encodings_do_not_matter() {
    let dir = tempdir().unwrap();
    let expected: Vec<Vec<i32>> = (0..300)
        .map(|row| {
            (0..1 + row * 7 % 90)
                .map(|i| (row * 31 + i) % 200)
                .chain([i32::MAX])
                .collect()
        })
        .collect();
    let (first, second) = expected.split_at(170);
    let mut sums = Vec::new();
    let compressions = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
        Compression::LZ4_RAW,
        Compression::LZ4,
        Compression::BROTLI(Default::default()),
    ];
    for compression in compressions {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            for (dictionary, page_rows) in [(false, 20_000), (true, 20_000), (true, 7)] {
                let path = dir.path().join("data.parquet");
                let groups = [vec![three_level(first)], vec![three_level(second)]];
                write(
                    &path,
                    PANDAS,
                    &groups,
                    Encoding {
                        compression,
                        version,
                        dictionary,
                        page_rows,
                    },
                );
                let data = Dataset::open(&path).unwrap();
                assert!(
                    rows(&data.prompts) == expected,
                    "{compression} {version:?} {dictionary} {page_rows}"
                );
                sums.push((data.file_sha256, data.content_sha256));
            }
        }
    }
    assert!(sums.iter().all(|(_, content)| *content == sums[0].1));
    sums.sort();
    sums.dedup_by(|a, b| a.0 == b.0);
    assert!(sums.len() > 20, "the files differ: {}", sums.len());
}

#[test]
fn list_layouts_do_not_matter() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("data.parquet");
    let expected = [vec![5, 6, 7], vec![0], vec![199_998, 200_002]];
    for (fields, deepest) in [
        (PANDAS, 3),
        (
            "required group input_tokens (LIST) { repeated group list { required int32 element; } }",
            1,
        ),
        (
            "optional group input_tokens (LIST) { repeated group bag { required int32 array_element; } }",
            2,
        ),
        (
            "required group input_tokens (LIST) { repeated group list { optional int32 item; } }",
            2,
        ),
        (
            "optional group tok_input (LIST) { repeated int32 array; }",
            2,
        ),
        (
            "required group tok_input (LIST) { repeated int32 array; }",
            1,
        ),
        ("repeated int32 tok_input;", 1),
    ] {
        write(&path, fields, &[vec![lists(&expected, deepest)]], PLAIN);
        assert_eq!(
            rows(&Dataset::open(&path).unwrap().prompts),
            expected,
            "{fields}"
        );
    }
    let wide = Leaf::I64(vec![5, 6, 7], vec![3; 3], vec![0, 1, 0]);
    write(
        &path,
        &PANDAS.replace("int32", "int64"),
        &[vec![wide]],
        PLAIN,
    );
    assert_eq!(
        rows(&Dataset::open(&path).unwrap().prompts),
        [vec![5, 6], vec![7]]
    );
}

#[test]
fn same_tokens_cut_elsewhere_have_another_fingerprint() {
    let dir = tempdir().unwrap();
    let sum = |rows: &[Vec<i32>]| {
        let path = dir.path().join("data.parquet");
        write(&path, PANDAS, &[vec![three_level(rows)]], PLAIN);
        Dataset::open(&path).unwrap().content_sha256
    };
    let sums = [
        sum(&[vec![1, 2], vec![3]]),
        sum(&[vec![1], vec![2, 3]]),
        sum(&[vec![1, 2, 3]]),
        sum(&[vec![1, 2, 4]]),
    ];
    for (i, one) in sums.iter().enumerate() {
        assert!(!sums[i + 1..].contains(one), "{i}");
    }
}

#[test]
fn input_tokens_goes_before_tok_input() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("data.parquet");
    let fields = format!("{} {PANDAS}", PANDAS.replace("input_tokens", "tok_input"));
    write(
        &path,
        &fields,
        &[vec![three_level(&[vec![1]]), three_level(&[vec![2]])]],
        PLAIN,
    );
    let data = Dataset::open(&path).unwrap();
    assert_eq!(
        (data.token_column, rows(&data.prompts)),
        ("input_tokens", vec![vec![2]])
    );
}

#[test]
fn text_columns_of_every_kind() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("data.parquet");
    let fields = format!(
        "{PANDAS} optional binary dataset (UTF8); optional int64 ground_truth; optional double id; optional binary prompt;
         required int32 question; optional group question_id (LIST) {{ repeated group list {{ optional int32 element; }} }}"
    );
    let tokens = || three_level(&[vec![1], vec![2], vec![3]]);
    let group = vec![
        tokens(),
        Leaf::Bytes(vec!["aime25".into(), "größe".into()], vec![1, 0, 1]),
        Leaf::I64(vec![-7, 204], vec![1, 1, 0], vec![]),
        Leaf::F64(vec![12.0, f64::NAN, 0.5], vec![1, 1, 1]),
        text(&["", "b", "c"]),
        Leaf::I32(vec![1, 2, 3], vec![], vec![]),
        tokens(),
    ];
    write(&path, &fields, &[group], PLAIN);
    let asked = ["ground_truth", "id", "prompt", "question"];
    let data = Dataset::open_with(&path, &asked).unwrap();
    let column = |name| {
        data.text[name]
            .iter()
            .map(|t| t.as_deref().unwrap_or("null"))
            .collect::<Vec<_>>()
    };
    assert_eq!(column("dataset"), ["aime25", "null", "größe"]);
    assert_eq!(column("ground_truth"), ["-7", "204", "null"]);
    assert_eq!(column("id"), ["12.0", "null", "0.5"]);
    assert_eq!(column("prompt"), ["", "b", "c"]);
    assert_eq!(column("question"), ["1", "2", "3"]);
    assert!(
        !data.text_columns.contains(&"question_id"),
        "a list is no text column"
    );
    assert_eq!(
        data.rows_by_name().into_iter().collect::<Vec<_>>(),
        [("aime25", 1), ("größe", 1)]
    );

    let table = Table::open(&path).unwrap();
    assert_eq!((table.rows(), table.columns().len()), (3, 7));
    assert_eq!(
        rows(&table.tokens("question_id").unwrap()),
        [vec![1], vec![2], vec![3]]
    );
}
