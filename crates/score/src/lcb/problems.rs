//! The problem files: which problems there are, and one problem's tests when they are wanted.
//!
//! Private tests of the published files inflate to gigabytes, so an index of where each record stands is all that is kept;
//! a record is read again when a candidate needs its tests. Expected outputs and inputs stay JSON text: Python reads them, as
//! in the reference. Any thread.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use ossmark_dataset::RecordPosition;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, value::RawValue};

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
    place: RecordPosition,
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
    pub(super) outputs: Vec<PythonJson>,
}

/// A value's text as a record has it, which Python's json reads: it may hold `NaN`.
#[derive(Debug)]
pub(super) struct PythonJson(String);

impl PythonJson {
    pub(super) fn get(&self) -> &str {
        &self.0
    }
}

/// A JSON object. Of a key that is there twice the last counts, as in Python; a derived reader would refuse it.
type Object<'a> = BTreeMap<String, &'a RawValue>;

struct Record<'a>(Object<'a>);

impl<'a> Record<'a> {
    fn text(&self, name: &str) -> Result<Cow<'a, str>, String> {
        #[derive(Deserialize)]
        struct Text<'t>(#[serde(borrow)] Cow<'t, str>);
        let raw = self.0.get(name).map(|raw| raw.get());
        let raw = raw.ok_or_else(|| format!("no problem record: it has no {name}"))?;
        let text = match serde_json::from_str::<Text<'_>>(raw) {
            Ok(Text(text)) => text,
            Err(_) => ossmark_json::loads::<String>(raw)
                .map(Cow::Owned)
                .map_err(|e| format!("no problem record: {name}: {e}"))?,
        };
        match ossmark_json::name(&text) {
            None => Ok(text),
            Some(float) => Err(format!(
                "no problem record: {name} is {float}, expected a text"
            )),
        }
    }
}

struct Test {
    input: String,
    output: PythonJson,
}

/// The files of problems in a folder, in the order of their releases: LiveCodeBench's `test.jsonl`, `test2.jsonl` and on, or
/// where there are none, all `.jsonl`. None where `path` is no such folder.
fn in_folder(path: &Path) -> Result<Option<Vec<PathBuf>>> {
    if !path.is_dir() {
        return Ok(None);
    }
    let io = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(io)? {
        let file = entry.map_err(io)?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let Some(stem) = name
            .strip_suffix(".jsonl")
            .filter(|_| !name.starts_with('.'))
        else {
            continue;
        };
        let release = stem.strip_prefix("test").and_then(|number| match number {
            "" => Some(1),
            number => number.parse::<u32>().ok(),
        });
        files.push((release, name.into_owned()));
    }
    if files.iter().any(|(release, _)| release.is_some()) {
        files.retain(|(release, _)| release.is_some());
    }
    files.sort();
    let files: Vec<PathBuf> = files.into_iter().map(|(_, name)| path.join(name)).collect();
    Ok((!files.is_empty()).then_some(files))
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
            let files = match in_folder(path)? {
                Some(files) => files,
                None => ossmark_dataset::files(path)?,
            };
            for file in files {
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

fn bad(path: &Path, place: RecordPosition, what: String) -> Error {
    Error::Problems {
        path: path.to_owned(),
        place,
        what,
    }
}

/// Checks what is cheap to check; gives id and function name.
fn check(line: &[u8]) -> Result<(String, Option<String>), String> {
    with_record(line, |record| {
        let one_of = |name: &str, known: &[&str]| {
            let found = record.text(name)?;
            match known.contains(&found.as_ref()) {
                true => Ok(()),
                false => Err(format!(
                    "{name} is {found:?}, expected one of {}",
                    known.join(", ")
                )),
            }
        };
        one_of("platform", &["leetcode", "codeforces", "atcoder"])?;
        one_of("difficulty", &["easy", "medium", "hard"])?;
        list(&record.text("public_test_cases")?).map_err(|e| format!("public_test_cases: {e}"))?;
        record.text("private_test_cases")?;
        let id = record.text("question_id")?.into_owned();
        let metadata = record.text("metadata")?;
        let name = ossmark_json::loads::<BTreeMap<String, Value>>(&metadata)
            .map_err(|e| format!("metadata: {e}"))?
            .remove("func_name");
        match name {
            None | Some(Value::Null) => Ok((id, None)),
            Some(Value::String(name)) if ossmark_json::float(&name).is_none() => {
                Ok((id, Some(name)))
            }
            Some(other) => Err(format!(
                "metadata: func_name is {}, expected a name",
                ossmark_json::text(&other)
            )),
        }
    })
}

/// Hands out the record of a line. What only Python reads is said otherwise where something is: a record of hundreds of
/// megabytes is not read twice for nothing.
fn with_record<T>(
    line: &[u8],
    then: impl FnOnce(&Record<'_>) -> Result<T, String>,
) -> Result<T, String> {
    let text = str::from_utf8(line).map_err(|e| format!("no problem record: {e}"))?;
    if let Ok(object) = serde_json::from_str(text) {
        return then(&Record(object));
    }
    let named = ossmark_json::named(text);
    let object = serde_json::from_str(&named).map_err(|e| format!("no problem record: {e}"))?;
    then(&Record(object))
}

fn list(text: &str) -> Result<Vec<Test>, String> {
    let tests = |text: &str| -> Result<Vec<Test>, String> {
        let list: Vec<Object<'_>> =
            serde_json::from_str(text).map_err(|e| format!("no list of tests: {e}"))?;
        list.into_iter().map(test).collect()
    };
    // Inflated tests are long: they are looked through for what only Python reads where something is.
    tests(text).or_else(|error| match ossmark_json::named(text) {
        Cow::Borrowed(_) => Err(error),
        Cow::Owned(named) => tests(&named),
    })
}

fn test(mut object: Object<'_>) -> Result<Test, String> {
    let mut part = |name: &str| {
        let raw = object
            .remove(name)
            .map(|raw| ossmark_json::restored(raw.get()).into_owned());
        raw.ok_or_else(|| format!("a test has no {name}"))
    };
    let (input, output, kind) = (part("input")?, part("output")?, part("testtype")?);
    // An unknown value is an error of the whole load.
    match serde_json::from_str::<Value>(&kind) {
        Ok(Value::String(kind)) if kind == "stdin" || kind == "functional" => {}
        _ => {
            return Err(format!(
                "testtype is {kind}, expected \"stdin\" or \"functional\""
            ));
        }
    }
    match object.keys().next() {
        Some(other) => Err(format!(
            "a test has the field {other:?}, expected input, output and testtype"
        )),
        None => Ok(Test {
            input,
            output: PythonJson(output),
        }),
    }
}

/// Fuzzed: a line of a problem file, to the tests in it.
fn tests_of(line: &[u8], fn_name: Option<String>) -> Result<Tests, String> {
    let all = with_record(line, |record| {
        let mut all = list(&record.text("public_test_cases")?)?;
        let private = record.text("private_test_cases")?;
        // Whatever JSON it is, it is taken as the list; only what is no JSON is decoded, as in the
        // reference (LiveCodeBench's `benchmarks/code_generation.py`).
        let private = match is_json(&private) {
            true => list(&private),
            false => pickle::private_text(&private).and_then(|text| list(&text)),
        };
        all.extend(private.map_err(|e| format!("private_test_cases: {e}"))?);
        Ok(all)
    })?;
    let mut inputs = vec![b'['];
    let mut outputs = Vec::with_capacity(all.len());
    for test in all {
        if inputs.len() > 1 {
            inputs.push(b',');
        }
        inputs.extend_from_slice(test.input.as_bytes());
        outputs.push(test.output);
    }
    inputs.push(b']');
    Ok(Tests {
        fn_name,
        inputs,
        outputs,
    })
}

/// Whether Python's json takes it.
fn is_json(text: &str) -> bool {
    let is_strict = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok();
    is_strict(text) || is_strict(&ossmark_json::named(text))
}

#[cfg(test)]
mod tests;
