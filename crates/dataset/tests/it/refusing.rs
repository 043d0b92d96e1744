//! Every unusable file is refused, with the row and the remedy in the message, and never with a panic.

use std::{fs, path::PathBuf};

use crate::common::{Encoding, Leaf, PANDAS, PLAIN, text, three_level, write};
use ossmark_dataset::{Dataset, Error};
use parquet::{basic::Compression, file::properties::WriterVersion};
use tempfile::{TempDir, tempdir};

fn refusal(name: &str, make: impl FnOnce(&PathBuf)) -> (Error, String) {
    let dir = tempdir().unwrap();
    let path = dir.path().join(name);
    make(&path);
    let error = Dataset::open(&path).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains(name),
        "the message names the file: {message}"
    );
    (error, message)
}

fn tokens_refused(leaf: Leaf) -> (Error, String) {
    let fields = if matches!(leaf, Leaf::I64(..)) {
        PANDAS.replace("int32", "int64")
    } else {
        PANDAS.into()
    };
    refusal("data.parquet", |path| {
        write(path, &fields, &[vec![leaf]], PLAIN)
    })
}

#[test]
fn files_of_another_kind() {
    let (error, _) = refusal("absent.parquet", |_| ());
    assert!(matches!(error, Error::Io { .. }));
    let (error, message) = refusal("data.json", |p| fs::write(p, "[{\"a\": 1}]").unwrap());
    assert!(
        matches!(error, Error::Form { .. })
            && message.contains("pandas.read_json('IN').to_parquet"),
        "{message}"
    );
    let (_, message) = refusal("empty.parquet", |p| fs::write(p, "").unwrap());
    assert!(message.contains("it is empty"), "{message}");
    let (error, _) = refusal("short.parquet", |p| fs::write(p, "PAR1").unwrap());
    assert!(matches!(error, Error::Truncated { bytes: 4, .. }));
    let (error, _) = refusal("directory.parquet", |p| fs::create_dir(p).unwrap());
    assert!(matches!(error, Error::Form { .. }));
}

#[test]
fn pickles_by_content_and_by_name() {
    for (name, bytes) in [
        ("set.parquet", &b"\x80\x05\x95\x10\0"[..]),
        ("set.pkl", b"cpandas\n"),
        ("set.PICKLE", b""),
    ] {
        let (error, message) = refusal(name, |p| fs::write(p, bytes).unwrap());
        assert!(matches!(error, Error::Pickle { .. }), "{name}: {message}");
        assert!(
            message.contains("pandas.read_pickle('") && message.contains("set.parquet')"),
            "{message}"
        );
    }
}

#[test]
fn token_columns() {
    let (error, message) = refusal("data.parquet", |p| {
        write(
            p,
            "optional binary prompt (UTF8);",
            &[vec![text(&["a"])]],
            PLAIN,
        )
    });
    assert!(matches!(error, Error::NoColumn { .. }));
    assert!(
        message.contains("'input_tokens' or 'tok_input'")
            && message.ends_with("its columns are: prompt"),
        "{message}"
    );
    let (_, message) = refusal("data.parquet", |p| {
        write(
            p,
            "optional binary input_tokens (UTF8);",
            &[vec![text(&["a"])]],
            PLAIN,
        )
    });
    assert!(
        message.contains("'input_tokens' is BYTE_ARRAY, expected a list of int32 or int64"),
        "{message}"
    );
    let fields = "required int32 input_tokens;";
    let (_, message) = refusal("data.parquet", |p| {
        write(
            p,
            fields,
            &[vec![Leaf::I32(vec![4], vec![], vec![])]],
            PLAIN,
        );
    });
    assert!(message.contains("is INT32, expected a list"), "{message}");
    let fields = "repeated group input_tokens { required int32 a; required int32 b; }";
    let leaf = || Leaf::I32(vec![4], vec![1], vec![0]);
    let (_, message) = refusal("data.parquet", |p| {
        write(p, fields, &[vec![leaf(), leaf()]], PLAIN)
    });
    assert!(message.contains("a structure"), "{message}");
    let (error, _) = refusal("data.parquet", |p| write(p, PANDAS, &[], PLAIN));
    assert!(matches!(error, Error::NoRows { .. }));
}

#[test]
fn rows_that_hold_no_prompt() {
    let (error, message) = tokens_refused(Leaf::I32(vec![1, 2], vec![3, 3, 1], vec![0, 1, 0]));
    assert!(
        matches!(error, Error::EmptyPrompt { row: 1, .. }),
        "{message}"
    );
    let (error, message) = tokens_refused(Leaf::I32(vec![1], vec![3, 0], vec![0, 0]));
    assert!(
        matches!(error, Error::NullPrompt { row: 1, .. }),
        "{message}"
    );
    let (error, message) =
        tokens_refused(Leaf::I32(vec![1, 2, 3], vec![3, 3, 2, 3], vec![0, 0, 1, 1]));
    assert!(
        matches!(
            error,
            Error::NullToken {
                row: 1,
                position: 1,
                ..
            }
        ),
        "{message}"
    );
    assert!(
        message.contains("row 1: token 1 of column 'input_tokens' is null"),
        "{message}"
    );
}

#[test]
fn numbers_that_are_no_token() {
    let (error, message) = tokens_refused(Leaf::I32(vec![1, 2, -5], vec![3; 3], vec![0, 0, 1]));
    assert!(
        matches!(
            error,
            Error::BadToken {
                row: 1,
                position: 1,
                value: -5,
                ..
            }
        ),
        "{message}"
    );
    let (error, message) = tokens_refused(Leaf::I64(vec![1, 1 << 31], vec![3; 2], vec![0, 1]));
    assert!(
        matches!(
            error,
            Error::BadToken {
                row: 0,
                position: 1,
                value: 2147483648,
                ..
            }
        ),
        "{message}"
    );
    // Row numbers count over row groups and decoded batches.
    let (error, _) = refusal("data.parquet", |p| {
        let good = vec![vec![7; 3]; 500];
        let bad = [good.clone(), vec![vec![7, -1]]].concat();
        write(
            p,
            PANDAS,
            &[vec![three_level(&good)], vec![three_level(&bad)]],
            PLAIN,
        );
    });
    assert!(
        matches!(
            error,
            Error::BadToken {
                row: 1000,
                position: 1,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn text_that_is_none() {
    let fields = format!("{PANDAS} optional binary dataset;");
    let (error, message) = refusal("data.parquet", |p| {
        let leaves = vec![
            three_level(&[vec![1], vec![2]]),
            Leaf::Bytes(vec![b"ok".to_vec(), vec![0xff]], vec![1; 2]),
        ];
        write(p, &fields, &[leaves], PLAIN);
    });
    assert!(matches!(error, Error::NotUtf8 { row: 1, .. }), "{message}");
}

const SMALL: Encoding = Encoding {
    compression: Compression::SNAPPY,
    version: WriterVersion::PARQUET_2_0,
    dictionary: true,
    page_rows: 4,
};

fn small_files() -> (TempDir, Vec<Vec<u8>>) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("whole.parquet");
    let rows: Vec<Vec<i32>> = (0..9).map(|row| (0..=row).collect()).collect();
    let fields = format!("{PANDAS} optional binary dataset (UTF8);");
    let variants = [
        PLAIN,
        SMALL,
        Encoding {
            version: WriterVersion::PARQUET_1_0,
            ..SMALL
        },
        Encoding {
            dictionary: false,
            ..SMALL
        },
        Encoding {
            compression: Compression::LZ4_RAW,
            ..SMALL
        },
        Encoding {
            compression: Compression::ZSTD(Default::default()),
            ..SMALL
        },
        Encoding {
            compression: Compression::GZIP(Default::default()),
            ..SMALL
        },
        Encoding {
            compression: Compression::BROTLI(Default::default()),
            ..SMALL
        },
        Encoding {
            compression: Compression::LZ4,
            version: WriterVersion::PARQUET_1_0,
            ..SMALL
        },
    ];
    let files = variants.map(|encoding| {
        write(
            &path,
            &fields,
            &[vec![three_level(&rows), text(&["aime25"; 9])]],
            encoding,
        );
        fs::read(&path).unwrap()
    });
    (dir, files.to_vec())
}

fn outcome(path: &PathBuf, bytes: &[u8]) -> Option<Error> {
    fs::write(path, bytes).unwrap();
    Dataset::open(path).err()
}

#[test]
fn files_cut_anywhere() {
    let (dir, files) = small_files();
    let path = dir.path().join("cut.parquet");
    for file in &files[..2] {
        for length in 4..file.len() {
            let error = outcome(&path, &file[..length]).expect("a part is not the whole");
            assert!(
                matches!(error, Error::Truncated { .. } | Error::Corrupt { .. }),
                "{length}: {error}"
            );
        }
    }
}

/// Every byte of several files replaced by values that turn counts, lengths and types into others. The file may stay
/// readable (a changed token is a token); what must not happen is a panic, an abort for memory, or an endless loop.
#[test]
fn files_with_any_byte_changed() {
    let (dir, files) = small_files();
    let path = dir.path().join("changed.parquet");
    // One change to every other byte, others for each file: all of them take half a minute and found nothing more.
    let masks = [0x01, 0x10, 0x80, 0xff];
    let mut refused = 0;
    for (number, file) in files.iter().enumerate() {
        let mut bytes = file.clone();
        for position in (4 + number % 2..file.len() - 4).step_by(2) {
            bytes[position] ^= masks[(position / 2 + number) % masks.len()];
            refused += usize::from(outcome(&path, &bytes).is_some());
            bytes[position] = file[position];
        }
    }
    assert!(refused > 1000, "the changes do something: {refused}");
}
