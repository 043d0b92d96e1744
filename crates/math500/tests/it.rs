//! The grader's cases, and expressions that nobody vouches for.

use std::time::{Duration, Instant};

use ossmark_math500::{Doubt, compare};
use ossmark_python::IntDigits;
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::Value;

/// The verdicts are those of PRM800K's grader with sympy; the extracted answer stands in the case.
#[test]
fn the_grader_agrees_on_every_case() {
    let cases = include_str!("fixtures/cases.jsonl");
    for line in cases.lines() {
        let case: Value = serde_json::from_str(line).expect("a JSON line");
        let (Some(given), Some(truth)) =
            (case["extracted"].as_str(), case["ground_truth"].as_str())
        else {
            continue;
        };
        let found = compare(given, truth, IntDigits::DEFAULT);
        assert_eq!(found.equal, case["correct"], "{case}");
        assert_ne!(found.doubt, Some(Doubt::BeyondPort), "{case}");
    }
    assert_eq!(cases.lines().count(), 51);
}

/// A verdict says what it rests on: what is not followed is no, what is only computed is yes.
#[test]
fn doubts_belong_to_their_verdicts() {
    for (given, truth, equal, doubt) in [
        ("x+1", "1+x", true, None),
        ("x+1", "x+2", false, None),
        (
            "\\sqrt{5+2\\sqrt{6}}",
            "\\sqrt{2}+\\sqrt{3}",
            true,
            Some(Doubt::NumericallyEqual),
        ),
        ("\\hat{x}", "x", false, Some(Doubt::BeyondPort)),
        ("", "1", false, None),
    ] {
        let found = compare(given, truth, IntDigits::DEFAULT);
        assert_eq!(
            (found.equal, found.doubt),
            (equal, doubt),
            "{given} and {truth}"
        );
    }
}

fn fragment() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "\\frac",
        "\\dfrac",
        "\\sqrt",
        "\\text{",
        "\\left(",
        "\\right)",
        "\\begin{pmatrix}",
        "\\end{pmatrix}",
        "\\pi",
        "\\hat",
        "\\circ",
        "\\\\",
        "\\",
        "\\(",
        "\\]",
        "&",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "^",
        "_",
        "/",
        "+",
        "-",
        "*",
        "!",
        "=",
        ",",
        ".",
        "42",
        "0",
        "7j",
        "0.5",
        "1,000",
        "1e5",
        "٤٢",
        "²",
        "x",
        "y",
        "sqrt(",
        "ln(",
        "cm",
        " or ",
        " ",
        "\n",
        "\x1c",
    ]);
    prop_oneof![8 => known.prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from), 1 => ".{0,6}"]
}

/// `OSSMARK_FUZZ_SECONDS` makes it longer; without it, a smoke run of a few thousand pairs.
#[test]
fn any_pair_gets_a_verdict() {
    let seconds = std::env::var("OSSMARK_FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut runner = match end {
        Some(_) => TestRunner::default(),
        None => TestRunner::deterministic(),
    };
    let text = prop::collection::vec(fragment(), 0..20).prop_map(|parts| parts.concat());
    let mut pairs = 0u64;
    while end.map_or(pairs < 3000, |end| Instant::now() < end) {
        let given = text.new_tree(&mut runner).expect("a text").current();
        let truth = text.new_tree(&mut runner).expect("a text").current();
        let found = compare(&given, &truth, IntDigits::DEFAULT);
        // What is equal is so by a proof or a computation, and never for want of a port.
        let doubtful = if found.equal {
            Doubt::BeyondPort
        } else {
            Doubt::NumericallyEqual
        };
        assert_ne!(found.doubt, Some(doubtful), "{given:?} and {truth:?}");
        if !given.is_empty() {
            assert!(
                compare(&given, &given, IntDigits::DEFAULT).equal,
                "{given:?}"
            );
        }
        pairs += 1;
    }
    println!("{pairs} pairs");
}
