//! The problem files: which problems there are, and one problem's tests when they are wanted.
//!
//! Private tests of the published files inflate to gigabytes, so an index of where each record stands is all that is kept;
//! a record is read again when a candidate needs its tests. Expected outputs and inputs stay JSON text: Python reads them, as
//! in the reference. Any thread.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::pickle;
use crate::{Error, Result};

/// All problems of the files, by question id.
#[derive(Debug)]
pub struct Problems {
    files: Vec<PathBuf>,
    index: BTreeMap<String, Problem>,
}

/// Where a problem's record stands, and how it is graded.
#[derive(Debug)]
pub struct Problem {
    /// The name of the function or method to call; none for a program that reads stdin.
    pub fn_name: Option<String>,
    file: usize,
    line: usize,
    offset: u64,
    length: usize,
}

/// A problem's tests, public ones first.
#[derive(Debug)]
pub(super) struct Tests {
    pub(super) fn_name: Option<String>,
    /// A JSON array of the inputs.
    pub(super) inputs: Vec<u8>,
    /// Each output as the JSON value that it is in the record.
    pub(super) outputs: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Record<'a> {
    platform: String,
    difficulty: String,
    question_id: String,
    #[serde(borrow)]
    public_test_cases: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    private_test_cases: std::borrow::Cow<'a, str>,
    metadata: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    input: Box<RawValue>,
    output: Box<RawValue>,
    #[allow(dead_code, reason = "an unknown value is an error of the whole load")]
    testtype: TestType,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum TestType {
    Stdin,
    Functional,
}

impl Problems {
    /// Reads the index of the files (`test.jsonl` to `test6.jsonl` for release_v6). Of a question id that occurs twice the
    /// last record wins. Everything but the private tests is checked here; those when they are wanted.
    pub fn load(paths: &[PathBuf]) -> Result<Self> {
        let mut index = BTreeMap::new();
        for (file, path) in paths.iter().enumerate() {
            let io = |source| Error::Io {
                path: path.clone(),
                source,
            };
            let mut reader = BufReader::with_capacity(1 << 20, File::open(path).map_err(io)?);
            let (mut text, mut offset, mut line) = (Vec::new(), 0, 0);
            loop {
                text.clear();
                let length = reader.read_until(b'\n', &mut text).map_err(io)?;
                if length == 0 {
                    break;
                }
                line += 1;
                if !text.trim_ascii().is_empty() {
                    let (id, fn_name) = check(&text).map_err(|what| bad(path, line, what))?;
                    let problem = Problem {
                        fn_name,
                        file,
                        line,
                        offset,
                        length,
                    };
                    index.insert(id, problem);
                }
                offset += length as u64;
            }
        }
        Ok(Self {
            files: paths.to_vec(),
            index,
        })
    }

    /// The problem of a row's ground truth.
    pub fn get(&self, question_id: &str) -> Option<&Problem> {
        self.index.get(question_id)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether the files held no record.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Question ids, sorted.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.index.keys().map(String::as_str)
    }

    pub(super) fn tests(&self, problem: &Problem) -> Result<Tests> {
        let path = &self.files[problem.file];
        let mut text = vec![0; problem.length];
        File::open(path)
            .and_then(|mut file| {
                file.seek(SeekFrom::Start(problem.offset))?;
                file.read_exact(&mut text)
            })
            .map_err(|source| Error::Io {
                path: path.clone(),
                source,
            })?;
        tests_of(&text, problem.fn_name.clone()).map_err(|what| bad(path, problem.line, what))
    }
}

fn bad(path: &Path, line: usize, what: String) -> Error {
    Error::Problems {
        path: path.to_owned(),
        line,
        what,
    }
}

/// Checks what is cheap to check; gives id and function name.
fn check(line: &[u8]) -> Result<(String, Option<String>), String> {
    let record: Record<'_> = record(line)?;
    let one_of = |name: &str, found: &str, known: &[&str]| match known.contains(&found) {
        true => Ok(()),
        false => Err(format!("{name} is {found:?}, expected one of {known:?}")),
    };
    one_of(
        "platform",
        &record.platform,
        &["leetcode", "codeforces", "atcoder"],
    )?;
    one_of(
        "difficulty",
        &record.difficulty,
        &["easy", "medium", "hard"],
    )?;
    list(&record.public_test_cases).map_err(|e| format!("public_test_cases: {e}"))?;
    #[derive(Deserialize)]
    struct Metadata {
        func_name: Option<String>,
    }
    let metadata: Metadata =
        serde_json::from_str(&record.metadata).map_err(|e| format!("metadata: {e}"))?;
    Ok((record.question_id, metadata.func_name))
}

fn record(line: &[u8]) -> Result<Record<'_>, String> {
    serde_json::from_slice(line).map_err(|e| format!("no problem record: {e}"))
}

fn list(text: &str) -> Result<Vec<Test>, String> {
    serde_json::from_str(text).map_err(|e| format!("no list of tests: {e}"))
}

/// Fuzzed: a line of a problem file, to the tests in it.
fn tests_of(line: &[u8], fn_name: Option<String>) -> Result<Tests, String> {
    let record = record(line)?;
    let mut all = list(&record.public_test_cases)?;
    let private = &record.private_test_cases;
    // Whatever JSON it is, it is taken as the list; only what is no JSON is decoded, as in the
    // reference (LiveCodeBench's `benchmarks/code_generation.py`).
    let plain = serde_json::from_str::<serde::de::IgnoredAny>(private).is_ok();
    all.extend(
        if plain {
            list(private)
        } else {
            pickle::private_text(private).and_then(|text| list(&text))
        }
        .map_err(|e| format!("private_test_cases: {e}"))?,
    );
    let mut inputs = vec![b'['];
    let mut outputs = Vec::with_capacity(all.len());
    for test in all {
        if inputs.len() > 1 {
            inputs.push(b',');
        }
        inputs.extend_from_slice(test.input.get().as_bytes());
        outputs.push(test.output);
    }
    inputs.push(b']');
    Ok(Tests {
        fn_name,
        inputs,
        outputs,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn record(id: &str) -> Value {
        json!({
            "question_title": "t", "platform": "atcoder", "difficulty": "easy", "question_id": id, "metadata": "{}",
            "public_test_cases": r#"[{"input": "1\n", "output": "2\n", "testtype": "stdin"}]"#,
            "private_test_cases": "[]",
        })
    }

    fn load(lines: &[String]) -> Result<(Problems, tempfile::NamedTempFile)> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(lines.join("\n").as_bytes()).unwrap();
        Ok((Problems::load(&[file.path().to_owned()])?, file))
    }

    /// The text of an error, or what was read instead.
    fn error(change: impl FnOnce(&mut Value)) -> String {
        let mut bad = record("b");
        change(&mut bad);
        let result = load(&[record("a").to_string(), bad.to_string()])
            .and_then(|(problems, _file)| problems.tests(problems.get("b").unwrap()));
        match result {
            Ok(tests) => panic!("read {tests:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_the_reference_refuses_is_refused_with_its_line() {
        for (field, value) in [
            ("platform", json!("codechef")),
            ("difficulty", json!("Easy")),
            ("public_test_cases", json!("[]]")),
            (
                "public_test_cases",
                json!(r#"[{"input": "", "output": "", "testtype": "file"}]"#),
            ),
            (
                "public_test_cases",
                json!(r#"[{"input": "", "testtype": "stdin"}]"#),
            ),
            (
                "private_test_cases",
                json!(r#"[{"input": "", "output": "", "testtype": "STDIN"}]"#),
            ),
            (
                "private_test_cases",
                json!(r#"{"plain": "JSON, but no list"}"#),
            ),
            ("private_test_cases", json!("bm90IHpsaWI=")),
            ("metadata", json!("")),
            ("question_id", json!(5)),
        ] {
            let text = error(|record| record[field] = value.clone());
            assert!(text.contains(": line 2: "), "{field}: {text}");
        }
        let Err(text) = load(&["{".into()]) else {
            panic!("read half a record");
        };
        assert!(
            text.to_string().contains("line 1: no problem record"),
            "{text}"
        );
    }

    #[test]
    fn the_last_record_of_an_id_wins_and_a_null_name_is_none() {
        let mut second = record("a");
        second["metadata"] = json!(r#"{"func_name": "f"}"#);
        let mut third = record("b");
        third["metadata"] = json!(r#"{"func_name": null}"#);
        let lines = [record("b"), record("a"), second, third].map(|r| r.to_string());
        let (problems, _file) = load(&[&lines[..1], &[" ".into()], &lines[1..]].concat()).unwrap();
        assert_eq!(problems.ids().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(problems.get("a").unwrap().fn_name.as_deref(), Some("f"));
        assert_eq!(problems.get("b").unwrap().fn_name, None);
        let tests = problems.tests(problems.get("a").unwrap()).unwrap();
        assert_eq!(tests.inputs, br#"["1\n"]"#);
        assert_eq!(tests.outputs[0].get(), r#""2\n""#);
        assert!(problems.get("c").is_none() && problems.len() == 2);
    }

    // Two minutes of each: PROPTEST_CASES=3000000 cargo test --release -p ossmark-score lcb::problems::tests::fuzz
    proptest! {
        /// Whatever a line holds, it is read or refused.
        #[test]
        fn fuzz_record(id in "\\PC{0,8}", public in "\\PC{0,60}", private in "[A-Za-z0-9+/=\\[\\]{}\":, ]{0,200}", cut in 0usize..400,
                       flip in any::<(usize, u8)>()) {
            let mut value = record(&id);
            value["private_test_cases"] = json!(private);
            if cut % 3 == 0 { value["public_test_cases"] = json!(public); }
            let mut line = value.to_string().into_bytes();
            if cut % 5 == 0 { line.truncate(cut); }
            if flip.0 % 2 == 0 && !line.is_empty() {
                let at = flip.0 % line.len();
                line[at] ^= flip.1;
            }
            let _ = check(&line);
            let _ = tests_of(&line, None);
        }

        /// Opcodes in any order, with lengths that lie.
        #[test]
        fn fuzz_pickle(parts in prop::collection::vec(prop_oneof![
            prop::sample::select(vec![&b"\x80\x04"[..], b"\x95", b"\x8c", b"\x8d", b"X", b"V", b"p0\n", b"q\0", b"r", b"\x94", b".", b"\n",
                b"\\u00", b"\\U0001", b"\\", b"\0\0\0\0", b"\xff\xff\xff\xff", b"c", b"R"]).prop_map(<[u8]>::to_vec),
            prop::collection::vec(any::<u8>(), 0..12),
        ], 0..12)) {
            let bytes = parts.concat();
            if let Ok(text) = pickle::text(&bytes) {
                prop_assert!(text.len() <= 4 * bytes.len());
            }
        }

        /// base64, zlib and pickle of any text give it back; anything else there is refused without a panic.
        #[test]
        fn fuzz_private(text in "\\PC{0,80}", garbage in "\\PC{0,80}") {
            let mut pickled = b"\x80\x02X".to_vec();
            pickled.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
            pickled.extend(text.as_bytes());
            pickled.push(b'.');
            prop_assert_eq!(pickle::text(&pickled).unwrap(), text);
            let _ = pickle::private_text(&garbage);
        }
    }
}
