use super::*;

fn raw(json: &str) -> RawEntry {
    RawEntry {
        number: 3,
        json: json.as_bytes().to_vec(),
    }
}

fn tokens(data: &str) -> std::result::Result<Vec<u32>, String> {
    tokens_of(data)
}

#[test]
fn hexadecimal_is_read_as_python_reads_it() {
    assert_eq!(tokens("0100000000010000").unwrap(), [1, 256]);
    assert_eq!(
        tokens(" 01 00\n00\t00 ff\x0b00 00\x0c00\r").unwrap(),
        [1, 255]
    );
    assert_eq!(tokens("fFfFfF7F").unwrap(), [i32::MAX as u32]);
    assert_eq!(tokens("").unwrap(), Vec::<u32>::new());
    for (data, expected) in [
        ("0", "odd number"),
        ("010000000", "odd number"),
        ("0 1000000", "has ' ' at position 1"),
        ("0x000000", "has 'x' at position 1"),
        ("01000000é0", "expected a hexadecimal digit"),
        ("010000", "has 3 bytes"),
        ("ffffffff", "the token -1 at place 0"),
    ] {
        let error = tokens(data).unwrap_err();
        assert!(error.contains(expected), "{data}: {error}");
    }
}

#[test]
fn fields_may_come_in_any_form_that_python_reads() {
    let path = Path::new("log.json");
    let entry = raw(
        r#"{"data": 1, "x": [null], "qsl_idx": 9, "data": "0\u00310000\u00300", "qsl_idx": -1, "seq_id": "a"}"#,
    );
    let entry = entry.parse(path).unwrap();
    assert_eq!(
        entry.row(5, path).unwrap(),
        Row::At {
            row: 4,
            negative: true
        }
    );
    assert_eq!(entry.tokens(path).unwrap(), [1]);
    assert_eq!(entry.seq_id(path).unwrap(), "a");
}

#[test]
fn what_only_python_reads_is_read() {
    let path = Path::new("log.json");
    let deep = "[".repeat(500) + &"]".repeat(500);
    let entry = raw(&format!(
        r#"{{"x": NaN, "seq_id": -Infinity, "token_count": NaN, "qsl_idx": 2, "y": ["\ud800", 1e999, {deep}],
            "token_data": Infinity, "data": "0\u00310000\u00300", "seq_id": NaN}}"#
    ));
    let entry = entry.parse(path).unwrap();
    assert!(matches!(entry.row(5, path), Ok(Row::At { row: 2, .. })));
    assert_eq!(entry.tokens(path).unwrap(), [1]);
    assert_eq!(entry.seq_id(path).unwrap(), "NaN");
    for refused in [
        &b"{\"qsl_idx\": 0, \"x\": nan}"[..],
        b"{\"qsl_idx\": 0, \"x\": \"\xff\"}",
        b"{\"qsl_idx\": 0, \"x\": +1}",
    ] {
        let raw = RawEntry {
            number: 0,
            json: refused.to_vec(),
        };
        assert!(raw.parse(path).is_err());
    }
    let entry = raw(r#"{"qsl_idx": 0, "data": NaN}"#);
    let error = entry.parse(path).unwrap().tokens(path).unwrap_err();
    assert!(error.to_string().contains("no text in its field data"));
}

#[test]
fn rows_follow_iloc() {
    let path = Path::new("log.json");
    let row = |index: &str| {
        let entry = raw(&format!("{{\"qsl_idx\": {index}}}"));
        let entry = entry.parse(path).unwrap();
        entry.row(5, path).map_err(|e| e.to_string())
    };
    let at = |row, negative| Ok(Row::At { row, negative });
    assert_eq!(row("0"), at(0, false));
    assert_eq!(row("4"), at(4, false));
    assert_eq!(row("-5"), at(0, true));
    assert_eq!(row("-0"), at(0, false));
    let huge = "9".repeat(400);
    for beyond in [
        "5",
        "5.5",
        "1e300",
        "99999999999999999999999999",
        "Infinity",
        "1e999",
        &huge,
    ] {
        assert_eq!(row(beyond), Ok(Row::OutOfRange), "{beyond}");
    }
    for refused in [
        "-6",
        "1.0",
        "-0.0",
        "true",
        "null",
        "\"1\"",
        "[1]",
        "NaN",
        "-Infinity",
        "-1e999",
        "\"Infinity\"",
    ] {
        let error = row(refused).unwrap_err();
        assert!(
            error.contains("entry 3") && error.contains("0 to 4"),
            "{error}"
        );
    }
}

#[test]
fn a_missing_first_token_is_recognised() {
    let path = Path::new("log.json");
    for (token_data, lacks) in [
        (r#""01000000""#, false),
        (r#""0100000002000000""#, false),
        (r#""02000000""#, true),
        (r#""""#, false),
        ("null", false),
    ] {
        let entry = raw(&format!(
            r#"{{"qsl_idx": 0, "data": "0100000002000000", "token_data": {token_data}}}"#
        ));
        let entry = entry.parse(path).unwrap();
        let tokens = entry.tokens(path).unwrap();
        assert_eq!(entry.lacks_first_token(&tokens), lacks, "{token_data}");
    }
}

#[test]
fn an_entry_without_its_fields_is_named() {
    let path = Path::new("log.json");
    for (json, expected) in [
        ("{}", "entry 3 (counted from 0): has no qsl_idx"),
        ("{\"qsl_idx\": }", "entry 3 (counted from 0): not JSON"),
    ] {
        let error = raw(json).parse(path).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
    for json in [
        r#"{"qsl_idx": 0}"#,
        r#"{"qsl_idx": 0, "data": null}"#,
        r#"{"qsl_idx": 0, "data": {"a": [1.5]}}"#,
    ] {
        let entry = raw(json);
        let entry = entry.parse(path).unwrap();
        let error = entry.tokens(path).unwrap_err().to_string();
        assert!(
            error.contains("entry 3") && error.contains("data"),
            "{error}"
        );
    }
}
