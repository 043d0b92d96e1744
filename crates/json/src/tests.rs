use std::io::Write;
use std::process::{Command, Stdio};

use proptest::{prelude::*, strategy::ValueTree};
use serde_json::json;

use super::*;

#[test]
fn what_python_takes_is_taken() {
    let text = r#"{"a": NaN, "b": [-Infinity, 1e999, Infinity, -1E400], "c": "NaN \ud800 \\ud800 \ud83d\ude00 \udc00\"", "d": -0, "d": 3.5}"#;
    let odd: Value = loads(text).unwrap();
    let number = |value: &Value| float(value.as_str().unwrap()).unwrap();
    assert!(number(&odd["a"]).is_nan());
    let b: Vec<f64> = odd["b"].as_array().unwrap().iter().map(number).collect();
    assert_eq!(
        b,
        [
            f64::NEG_INFINITY,
            f64::INFINITY,
            f64::INFINITY,
            f64::NEG_INFINITY
        ]
    );
    assert_eq!(odd["c"], "NaN \u{fffd} \\ud800 \u{1f600} \u{fffd}\"");
    assert_eq!(odd["d"], json!(3.5));
    assert_eq!(loads::<Value>("-0").unwrap(), json!(0));
    assert!(loads::<f64>("-0.0").unwrap().is_sign_negative());
    let huge = "9".repeat(400);
    assert_eq!(
        float(loads::<Value>(&huge).unwrap().as_str().unwrap()),
        Some(f64::INFINITY)
    );
    assert_eq!(shown(loads("NaN").unwrap()), "NaN");
    let shown = super::text(&loads(r#"{"a": [NaN, -Infinity, 1e999, "NaN"]}"#).unwrap());
    assert_eq!(shown, r#"{"a":[NaN,-Infinity,Infinity,"NaN"]}"#);
}

#[test]
fn what_needs_no_other_words_is_not_copied() {
    for text in [r#"{"a": [1, -2.5e10, "NaN", "\u00e9", true]}"#, "", "nan"] {
        assert!(matches!(strict(text), Cow::Borrowed(_)), "{text}");
        assert!(matches!(named(text), Cow::Borrowed(_)), "{text}");
    }
}

#[test]
fn names_come_back_as_they_were() {
    let text = r#"[NaN, "NaN", -Infinity, {"Infinity": Infinity}, "\ud800", 1e999, -0]"#;
    let json = named(text);
    assert!(serde_json::from_str::<serde::de::IgnoredAny>(&json).is_ok());
    assert_eq!(restored(&json), text);
}

/// A line for each text: what Python makes of it, floats by their bits.
const PYTHON: &str = r"
import json, struct, sys
def whole(s): return ''.join('\ufffd' if '\ud800' <= c <= '\udfff' else c for c in s)
def plain(v):
    if isinstance(v, bool) or v is None: return v
    if isinstance(v, float): return 'f' + struct.pack('>d', v).hex() if v == v else 'nan'
    if isinstance(v, int): return 'i' + str(v)
    if isinstance(v, str): return 's' + whole(v)
    if isinstance(v, list): return [plain(x) for x in v]
    return {whole(k): plain(x) for k, x in v.items()}
for line in sys.stdin.buffer:
    text = bytes.fromhex(line.decode()).decode()
    try: print(json.dumps(plain(json.loads(text))))
    except ValueError: print('refused')
";

fn plain(value: &Value) -> Value {
    match value {
        Value::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(n), _) => format!("i{n}").into(),
            (_, Some(n)) => format!("i{n}").into(),
            _ => format!("f{:016x}", n.as_f64().unwrap().to_bits()).into(),
        },
        Value::String(text) => match float(text) {
            Some(n) if n.is_nan() => "nan".into(),
            Some(n) => format!("f{:016x}", n.to_bits()).into(),
            None => format!("s{text}").into(),
        },
        Value::Array(list) => list.iter().map(plain).collect(),
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), plain(v))).collect(),
        other => other.clone(),
    }
}

/// Texts of JSON, of what Python makes JSON of, and of neither.
fn text() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        4 => prop::sample::select(vec![
            "NaN", "Infinity", "-Infinity", "-NaN", "nan", "inf", "+Infinity", "Infinit", "NaNN", "1NaN", "1e999", "-1e999", "1e-999", "-0", "1-0", "5-0.0", "-0.0",
            "0", "00", "-", "1.", ".5", "1e5", "1E+400", "18446744073709551615", "-9223372036854775808", "true", "null", "None",
            r#""\ud800""#, r#""\udc00\ud800""#, r#""\ud83d\ude00""#, r#""\ud83d\u0041""#, r#""\\ud800""#, r#""\\\ud800""#, r#""a\"NaN""#, r#""\x""#,
            "\"a\u{1}\"", "\"\t\"", "\"unclosed", r#""\u00e9é""#, r#""\ud8""#, "\u{feff}1", "[1,]", "{\"a\":1,}", "// x", "\u{a0}1", "'a'",
        ]).prop_map(str::to_owned),
        2 => any::<i32>().prop_map(|n| format!("{:e}", f64::from(n) / 8.0)),
        1 => any::<i64>().prop_map(|n| n.to_string()),
        1 => r#"[NaIf01e\\".u{}\[\],: d8-]{0,10}"#,
    ];
    atom.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|list| format!("[{}]", list.join(", "))),
            prop::collection::vec((prop::sample::select(vec!["a", "b", "NaN"]), inner), 0..4)
                .prop_map(|pairs| {
                    let pairs: Vec<String> =
                        pairs.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
                    format!("{{{}}}", pairs.join(","))
                }),
        ]
    })
}

/// 4,000 random texts, read by both.
#[test]
fn python_itself_reads_the_same() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let texts: Vec<String> = (0..4000)
        .map(|_| text().new_tree(&mut runner).unwrap().current())
        .collect();
    let mut python = Command::new("python3")
        .args(["-c", PYTHON])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    let lines: String = texts
        .iter()
        .map(|t| t.bytes().map(|b| format!("{b:02x}")).collect::<String>() + "\n")
        .collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<&str> = output.lines().collect();
    assert_eq!(answers.len(), texts.len());
    let mut taken = 0;
    for (text, answer) in texts.iter().zip(answers) {
        match loads::<Value>(text) {
            Err(_) => assert_eq!(answer, "refused", "{text}"),
            Ok(value) => {
                taken += 1;
                let expected: Value = serde_json::from_str(answer)
                    .unwrap_or_else(|_| panic!("Python refuses {text:?}, read as {value}"));
                assert_eq!(plain(&value), expected, "{text}");
            }
        }
    }
    assert!(taken > 500, "{taken} of the texts were read");
}
