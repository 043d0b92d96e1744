//! Frames that pandas pickled read as pandas reads them, and only with permission.

use std::path::Path;

use ossmark_dataset::{Cell, Error, Frame};
use tempfile::tempdir;

use crate::cells::{compare, fixture};

const VERSIONS: [&str; 4] = ["1.5.3", "2.0.3", "2.3.3", "3.1.1"];

#[test]
fn cells_are_those_of_pandas() {
    for version in VERSIONS {
        for protocol in 2..=5 {
            let frame =
                Frame::open(&fixture(&format!("types-{version}-p{protocol}.pkl")), true).unwrap();
            assert_eq!(frame.rows(), 4);
            let columns = compare("types.json", |name| frame.cells(name));
            assert_eq!(columns, frame.columns().len(), "{version} {protocol}");
            assert!(columns > 30);
        }
    }
}

#[test]
fn blocks_in_fortran_order() {
    for version in VERSIONS {
        for block in ["i8-p2", "i8-p5", "O-p2", "O-p5"] {
            let (dtype, protocol) = block.split_once('-').unwrap();
            let name = format!("fortran-{dtype}-{version}-{protocol}.pkl");
            let frame = Frame::open(&fixture(&name), true).unwrap();
            assert_eq!(frame.columns(), ["0", "1", "2"], "{name}");
            assert_eq!(compare("fortran.json", |name| frame.cells(name)), 3);
        }
    }
}

#[test]
fn token_lists_and_arrays() {
    for version in VERSIONS {
        for protocol in 2..=5 {
            let path = fixture(&format!("types-{version}-p{protocol}.pkl"));
            let frame = Frame::open(&path, true).unwrap();
            let tokens = |name| frame.tokens(name).unwrap();
            assert_eq!(tokens("shared"), vec![[1, 2, 3].into(); 4]);
            let arrays: [&[u32]; 4] = [&[0, 1, 2], &[2147483647], &[0, 2, 4], &[7]];
            assert_eq!(tokens("arrays"), arrays.map(Into::into));
            for (name, part) in [
                ("tokens", "row 2: column 'tokens' is an empty list"),
                (
                    "mixed",
                    "row 0: column 'mixed' holds an integer, expected a list of token ids",
                ),
                (
                    "int",
                    "column 'int' is a column of plain numbers, expected a list of token ids",
                ),
                ("none", "row 0: column 'none' is null"),
                (
                    "nothing",
                    "no column 'nothing'; its columns are: Float64, Int64",
                ),
            ] {
                let message = frame.tokens(name).unwrap_err().to_string();
                assert!(message.contains(part), "{message}");
            }
        }
    }
}

/// Columns of pyarrow's types, which pandas 3 makes of every parquet file that is read with `dtype_backend="pyarrow"`.
#[test]
fn columns_of_pyarrow() {
    for protocol in 2..=5 {
        let frame = Frame::open(&fixture(&format!("arrow-3.1.1-p{protocol}.pkl")), true).unwrap();
        assert_eq!(frame.rows(), 4);
        assert_eq!(compare("arrow.json", |name| frame.cells(name)), 18);
        let prompts: [&[u32]; 4] = [&[1, 2], &[3], &[2147483647, 0], &[4, 5, 6]];
        assert_eq!(frame.tokens("tokens").unwrap(), prompts.map(Into::into));
        let prompts: [&[u32]; 4] = [&[1, 2], &[3], &[5], &[4, 5, 6]];
        assert_eq!(
            frame.tokens("large_tokens").unwrap(),
            prompts.map(Into::into)
        );
        for (name, part) in [
            ("empty", "row 1: column 'empty' is an empty list"),
            ("int64", "column 'int64' is"),
            ("date", "of pyarrow's type date32"),
        ] {
            let message = frame.tokens(name).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        for (name, part) in [
            ("date", "column 'date' is of pyarrow's type date32"),
            (
                "decimal",
                "column 'decimal' is of pyarrow's type decimal128",
            ),
            ("tokens", "column 'tokens' is lists"),
        ] {
            let message = frame.cells(name).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}

/// By content, whatever the name; and a parquet file needs no permission.
#[test]
fn permission() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("data.parquet");
    std::fs::copy(fixture("types-2.3.3-p4.pkl"), &path).unwrap();
    let error = Frame::open(&path, false).err().unwrap();
    let message = error.to_string();
    assert!(matches!(error, Error::PickleNotAllowed { .. }), "{message}");
    assert!(
        message.contains("--allow-pickle") && message.contains("to_parquet("),
        "{message}"
    );
    assert_eq!(Frame::open(&path, true).unwrap().rows(), 4);

    let path = dir.path().join("data.pkl");
    std::fs::copy(fixture("cells.parquet"), &path).unwrap();
    for allow in [false, true] {
        let frame = Frame::open(&path, allow).unwrap();
        assert_eq!((frame.rows(), frame.columns()[0].as_str()), (4, "dataset"));
        assert_eq!(
            frame.cells("dataset").unwrap()[0],
            Cell::Text("aime25".into())
        );
        assert_eq!(
            frame
                .tokens("tokens")
                .unwrap_err()
                .to_string()
                .matches("row 2")
                .count(),
            1
        );
    }
    assert!(matches!(
        Frame::open(Path::new("/nowhere/x"), true).err(),
        Some(Error::Io { .. })
    ));
}
