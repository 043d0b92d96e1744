use std::io::Write;

use proptest::prelude::*;
use serde_json::json;

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
fn what_only_python_reads_is_read_and_handed_on_as_it_is() {
    let mut odd = record("a");
    odd["public_test_cases"] = json!(
        r#"[{"input": 1, "output": [NaN, -Infinity, "NaN", "\ud800"], "input": 1e999, "testtype": "stdin"}]"#
    );
    odd["metadata"] = json!(r#"{"func_name": "f", "x": NaN, "func_name": "g"}"#);
    odd["question_content"] = json!("half");
    let line = odd.to_string().replace(
        "\"half\"",
        r#""\ud800", "difficulty": NaN, "difficulty": "hard""#,
    );
    let (problems, _file) = load(&[line]).unwrap();
    let problem = problems.get("a").unwrap();
    assert_eq!(problem.fn_name.as_deref(), Some("g"));
    let tests = problems.tests(problem).unwrap();
    assert_eq!(tests.inputs, b"[1e999]");
    assert_eq!(
        tests.outputs[0].get(),
        r#"[NaN, -Infinity, "NaN", "\ud800"]"#
    );
    // Python takes NaN for JSON, so that it is not decoded, and it is no list.
    let text = error(|record| record["private_test_cases"] = json!("NaN"));
    assert!(text.contains("no list of tests"), "{text}");
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
        let error = Problems::load(std::slice::from_ref(&path))
            .unwrap_err()
            .to_string();
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
