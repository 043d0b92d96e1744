//! The problem files: which problems there are, and one problem's tests when they are wanted.
//!
//! Private tests of the published files inflate to gigabytes, so an index of where each record stands is all that is kept;
//! a record is read again when a candidate needs its tests. Expected outputs and inputs stay JSON text: Python reads them, as
//! in the reference. Any thread.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use ossmark_dataset::Place;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{pickle, records::Records};
use crate::{Error, Result};

/// All problems of the files, by question id.
#[derive(Debug)]
pub struct Problems {
    files: Vec<(PathBuf, Records)>,
    index: BTreeMap<String, Problem>,
}

/// Where a problem's record stands, and how it is graded.
#[derive(Debug)]
pub struct Problem {
    /// The name of the function or method to call; none for a program that reads stdin.
    pub fn_name: Option<String>,
    file: usize,
    place: Place,
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
    /// Reads the index of the files (`test.jsonl` to `test6.jsonl` for release_v6; also in gzip, as one JSON list, or as
    /// parquet, and folders and patterns as [`ossmark_dataset::files`] takes them). Of a question id that occurs twice the
    /// last record wins. Everything but the private tests is checked here; those when they are wanted.
    pub fn load(paths: &[PathBuf]) -> Result<Self> {
        let mut this = Self {
            files: Vec::new(),
            index: BTreeMap::new(),
        };
        for path in paths {
            for file in ossmark_dataset::files(path)? {
                this.add(file)?;
            }
        }
        Ok(this)
    }

    fn add(&mut self, path: PathBuf) -> Result<()> {
        let records = Records::open(&path, |place, offset, record| {
            let (id, fn_name) = check(record).map_err(|what| bad(&path, place, what))?;
            let problem = Problem {
                fn_name,
                file: self.files.len(),
                place,
                offset,
                length: record.len(),
            };
            self.index.insert(id, problem);
            Ok(())
        })?;
        self.files.push((path, records));
        Ok(())
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
        let (path, records) = &self.files[problem.file];
        let text = records
            .read(problem.offset, problem.length)
            .map_err(|source| Error::Io {
                path: path.clone(),
                source,
            })?;
        tests_of(&text, problem.fn_name.clone()).map_err(|what| bad(path, problem.place, what))
    }
}

fn bad(path: &Path, place: Place, what: String) -> Error {
    Error::Problems {
        path: path.to_owned(),
        place,
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
    // Whatever JSON it is, it is taken as the list; only what is no JSON is decoded (SPEC §1).
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

    /// The forms that users have them in: the same problems, the same tests.
    #[test]
    fn every_form_gives_the_same_problems() {
        let records: Vec<Value> = ["a", "b", "c"].map(record).into();
        let lines: Vec<String> = records.iter().map(Value::to_string).collect();
        let jsonl = lines.join("\n");
        let list = serde_json::to_string_pretty(&records).unwrap();
        let gzip = |text: &str| {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            out.write_all(text.as_bytes()).unwrap();
            out.finish().unwrap()
        };
        let marked = |text: &str| format!("\u{feff}{text}").into_bytes();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("test.jsonl");
        for bytes in [
            jsonl.clone().into_bytes(),
            format!("\n  {jsonl}\n\n").into_bytes(),
            list.clone().into_bytes(),
            gzip(&jsonl),
            gzip(&list),
            marked(&jsonl),
            marked(&list),
            table(&records),
        ] {
            std::fs::write(&path, bytes).unwrap();
            for given in [path.clone(), dir.path().join("test*")] {
                let problems = Problems::load(&[given]).unwrap();
                assert_eq!(problems.ids().collect::<Vec<_>>(), ["a", "b", "c"]);
                for id in ["c", "a", "b"] {
                    let tests = problems.tests(problems.get(id).unwrap()).unwrap();
                    assert_eq!(tests.inputs, br#"["1\n"]"#);
                }
            }
        }
        let mut bad = records;
        bad[1]["difficulty"] = json!("Easy");
        for (bytes, place) in [
            (
                serde_json::to_vec(&bad).unwrap(),
                "row 1 (counted from 0): difficulty",
            ),
            (table(&bad), "row 1 (counted from 0): difficulty"),
            (
                gzip(&bad.iter().map(|r| format!("{r}\n")).collect::<String>()),
                "line 2: difficulty",
            ),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = Problems::load(&[path.clone()]).unwrap_err().to_string();
            assert!(error.contains(place), "{error}");
        }
    }

    /// A parquet file of the records.
    fn table(records: &[Value]) -> Vec<u8> {
        use parquet::{
            data_type::{ByteArray, ByteArrayType},
            file::writer::SerializedFileWriter,
            schema::parser::parse_message_type,
        };
        let names: Vec<&String> = records[0].as_object().unwrap().keys().collect();
        let fields: String = names
            .iter()
            .map(|n| format!("required binary {n} (UTF8); "))
            .collect();
        let schema = parse_message_type(&format!("message schema {{ {fields} }}")).unwrap();
        let mut out = Vec::new();
        let mut writer =
            SerializedFileWriter::new(&mut out, schema.into(), Default::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        for name in names {
            let texts = records
                .iter()
                .map(|r| ByteArray::from(r[name].as_str().unwrap()));
            let mut column = group.next_column().unwrap().unwrap();
            let texts: Vec<_> = texts.collect();
            column
                .typed::<ByteArrayType>()
                .write_batch(&texts, None, None)
                .unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
        writer.close().unwrap();
        out
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
