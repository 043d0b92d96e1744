//! Functions as text: every one of fixtures/functions.json, which openai-harmony wrote (fixtures/make_functions.py).

use ossmark_harmony::{Function, Json, Namespace};
use serde::Deserialize;

/// As a client offers it.
#[derive(Deserialize, Debug, Clone)]
pub(crate) struct Offered {
    name: String,
    description: String,
    parameters: Option<Json>,
}

#[derive(Deserialize)]
struct Case {
    function: Offered,
    text: String,
}

pub(crate) fn namespace(offered: &[Offered]) -> Result<Option<Namespace>, String> {
    let functions = offered.iter().cloned().map(|offered| Function {
        name: offered.name,
        description: offered.description,
        parameters: offered.parameters,
    });
    Namespace::new(&functions.collect::<Vec<_>>())
}

#[test]
fn functions_are_written_as_openai_harmony_writes_them() {
    let more =
        std::env::var("OSSMARK_FUNCTIONS").map(|file| std::fs::read_to_string(file).unwrap());
    let text = more.unwrap_or_else(|_| include_str!("../fixtures/functions.json").into());
    let cases: Vec<Case> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() >= 100);
    for (n, Case { function, text }) in cases.into_iter().enumerate() {
        let found = namespace(std::slice::from_ref(&function)).unwrap().unwrap();
        assert_eq!(found.text(), text, "case {n}: {function:?}");
    }
    assert_eq!(namespace(&[]), Ok(None));
}

#[test]
fn a_schema_that_would_become_too_much_text_is_refused() {
    // A few bytes at the bottom of a deep schema become lines with all of its indentation.
    let many: Vec<String> = (0..9000).map(|n| format!("\"{n}\":{{}}")).collect();
    let many = many.join(",");
    let mut parameters = format!("{{\"type\":\"object\",\"properties\":{{{many}}}}}");
    for _ in 0..50 {
        parameters = format!("{{\"type\":\"object\",\"properties\":{{\"a\":{parameters}}}}}");
    }
    let deep = Offered {
        name: "f".into(),
        description: String::new(),
        parameters: Some(serde_json::from_str(&parameters).unwrap()),
    };
    assert!(parameters.len() < 200_000);
    assert!(namespace(&[deep]).unwrap_err().contains("1048576 bytes"));
}
