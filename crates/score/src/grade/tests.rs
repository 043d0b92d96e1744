//! Every case of the oracle, and what the oracle cannot show.

use serde_json::Value;

use super::*;

fn truth(value: &Value) -> GroundTruth {
    match value {
        Value::Null => GroundTruth::Missing,
        Value::String(text) => GroundTruth::Text(text.clone()),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => GroundTruth::Integer(integer.into()),
            None => GroundTruth::Float(number.as_f64().expect("a JSON number")),
        },
        other => panic!("no ground truth: {other}"),
    }
}

/// Runs every case of a fixture; returns how many there were.
fn check(fixture: &str) -> usize {
    for line in fixture.lines() {
        let case: Value = serde_json::from_str(line).expect("a JSON line");
        let (id, name) = (&case["id"], case["dataset"].as_str().expect("a name"));
        let evaluator = match (evaluator(name), &case["error"]) {
            (Ok(evaluator), Value::Null) => evaluator,
            (Err(Error::UnknownDataset { name: found }), Value::String(_)) if found == name => {
                continue;
            }
            (found, expected) => panic!("{id}: {found:?} instead of {expected}"),
        };
        // None and NaN become an empty text in the reference.
        let output = case["model_output"].as_str().unwrap_or_default();
        let found = evaluator.extract(output, IntDigits::DEFAULT);
        assert_eq!(
            serde_json::to_value(&found.answer).expect("JSON"),
            case["extracted"],
            "{id}: {output:?}"
        );
        if case["correct"].is_null() {
            continue;
        }
        let truth = truth(&case["ground_truth"]);
        let grade = evaluator
            .grade(&found.answer, &truth, IntDigits::DEFAULT)
            .expect("graded without running");
        assert!(
            !grade.quirks.contains(&Quirk::BeyondPort),
            "{id}: {output:?} against {truth:?}"
        );
        assert_eq!(
            grade.correct, case["correct"],
            "{id}: {output:?} against {truth:?}"
        );
        assert_eq!(grade.reason, case["details"], "{id}");
    }
    fixture.lines().count()
}

#[test]
fn the_oracle_agrees_on_every_case() {
    assert_eq!(
        check(include_str!("../../tests/fixtures/scorer/aime.jsonl")),
        139
    );
    assert_eq!(
        check(include_str!("../../tests/fixtures/scorer/gpqa.jsonl")),
        270
    );
    assert_eq!(
        check(include_str!("../../tests/fixtures/scorer/mmlu.jsonl")),
        76
    );
    assert_eq!(
        check(include_str!(
            "../../tests/fixtures/scorer/lcb_extract.jsonl"
        )),
        105
    );
    assert_eq!(
        check(include_str!("../../tests/fixtures/scorer/dispatch.jsonl")),
        60
    );
    assert_eq!(
        check(include_str!("../../../math500/tests/fixtures/cases.jsonl")),
        51
    );
}

#[test]
fn doubts_of_math500_are_quirks() {
    for (answer, truth, correct, quirks) in [
        (
            "\\sqrt{5+2\\sqrt{6}}",
            "\\sqrt{2}+\\sqrt{3}",
            true,
            vec![Quirk::NumericallyEqual],
        ),
        ("\\hat{x}", "x", false, vec![Quirk::BeyondPort]),
        ("x+1", "1+x", true, vec![]),
    ] {
        let (answer, truth) = (
            Extracted::Text(answer.into()),
            GroundTruth::Text(truth.into()),
        );
        let grade = Evaluator::Math500
            .grade(&answer, &truth, IntDigits::DEFAULT)
            .expect("graded without running");
        assert_eq!((grade.correct, grade.quirks), (correct, quirks));
    }
}

const ALL: [Evaluator; 6] = [
    Evaluator::Aime,
    Evaluator::Gpqa,
    Evaluator::Mmlu,
    Evaluator::MmluPro,
    Evaluator::Math500,
    Evaluator::LiveCodeBench,
];

/// Extracts and grades with every evaluator, and checks what must hold of any output.
fn survives(output: &str, truth: &str) {
    for evaluator in ALL {
        let found = evaluator.extract(output, IntDigits::DEFAULT);
        match &found.answer {
            Extracted::None => {}
            Extracted::Integer(value) => assert!(*value <= 999, "{output:?}"),
            Extracted::Text(text) => match evaluator {
                Evaluator::Math500 | Evaluator::LiveCodeBench => {
                    assert!(output.contains(text.as_str()), "{output:?}")
                }
                _ => assert!(
                    text == "İ" || "ABCDEFGHIJ".contains(text.as_str()) && text.len() == 1,
                    "{output:?}"
                ),
            },
        }
        for truth in [truth, output] {
            let truth = GroundTruth::Text(truth.to_owned());
            if let Some(grade) = evaluator.grade(&found.answer, &truth, IntDigits::DEFAULT) {
                assert_eq!(grade.correct, grade.reason == "Correct", "{output:?}");
            }
        }
    }
}

/// Outputs on which a backtracking or rescanning matcher takes quadratic time or worse: at this length the test would not end.
#[test]
fn long_outputs_take_linear_time() {
    let traps = [
        "<|channel|>final",
        "\\boxed{",
        "\\boxed{4",
        "```",
        "```python",
        "Answer:",
        "answer ",
        "FINAL",
        "final \t",
        "**",
        "**a*",
        "(",
        "{",
        "}",
        "1,",
        "1,000",
        " ",
        "\n",
        "٤",
        "Answer: 4",
        "ANSWER: (",
        "\\frac",
        "\\sqrt",
        "\\text{",
        "^",
        "-",
        "x",
        "x+",
        "2*",
        "[",
        "\\begin{pmatrix}",
        "&",
        "\\\\",
        "\\(",
        "1/",
        "!",
        "A ",
        "cm",
        "s",
    ];
    for trap in traps {
        let long = trap.repeat(1 << 18 >> trap.len().ilog2());
        survives(&long, "42");
        survives(&format!("<|channel|>final<|message|>{long}"), "A");
        let inner: String = long
            .chars()
            .filter(|c| !matches!(c, '{' | '}'))
            .take(20_000)
            .collect();
        survives(&format!("\\boxed{{{inner}}}"), "x+1");
        survives(&format!("\\boxed{{x+{inner}}}"), &format!("1+{inner}"));
    }
}

mod fuzz {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::survives;

    fn fragment() -> impl Strategy<Value = String> {
        let known = prop::sample::select(vec![
            "<|channel|>final<|message|>",
            "<|channel|>analysis<|message|>",
            "<|channel|>",
            "<|return|>",
            "<|end|>",
            "final",
            "Answer",
            "ANSWER",
            "anſwer",
            "fınal",
            ":",
            ".",
            "=",
            "(",
            ")",
            "[",
            "]",
            "{",
            "}",
            "*",
            "**",
            "A",
            "b",
            "I",
            "İ",
            "J",
            "\\boxed{",
            "\\frac",
            "\\sqrt",
            "\\text{",
            "\\begin{pmatrix}",
            "\\end{pmatrix}",
            "\\left(",
            "\\pi",
            "^",
            "_",
            "/",
            "+",
            "-",
            "!",
            "\\\\",
            "\\",
            "&",
            "42",
            "0",
            "٤٢",
            "0.5",
            "1,000",
            "x",
            "y",
            "sqrt(",
            "ln(",
            "1e5",
            "7j",
            "²",
            ",",
            " ",
            "\n",
            "\u{a0}",
            "\x1c",
            "```",
            "```python",
            "```py\n",
            "print(1)",
            "cm",
            " or ",
            "\\(",
            "\\]",
            "~",
            "--",
            "\\foo",
            "\\hat",
            "\\hspace",
        ])
        .prop_map(str::to_owned);
        prop_oneof![8 => known, 1 => any::<char>().prop_map(String::from), 1 => ".{0,6}"]
    }

    /// `OSSMARK_FUZZ_SECONDS` makes it longer; without it, a smoke run of a few thousand outputs.
    #[test]
    fn no_output_makes_a_grader_fail() {
        let seconds = std::env::var("OSSMARK_FUZZ_SECONDS")
            .ok()
            .and_then(|text| text.parse().ok());
        let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let mut runner = if end.is_some() {
            TestRunner::default()
        } else {
            TestRunner::deterministic()
        };
        let text = prop::collection::vec(fragment(), 0..40).prop_map(|parts| parts.concat());
        let mut cases = 0u64;
        while end.map_or(cases < 3000, |end| Instant::now() < end) {
            let output = text.new_tree(&mut runner).expect("a text").current();
            let truth = text.new_tree(&mut runner).expect("a text").current();
            survives(&output, &truth);
            // Whole expressions reach the algebra more often than free text does.
            let inner: String = output
                .chars()
                .filter(|c| !matches!(c, '{' | '}'))
                .take(60)
                .collect();
            survives(&format!("\\boxed{{{inner}}}"), &truth);
            cases += 1;
        }
        println!("{cases} outputs");
    }
}

/// A ground truth that pandas read from a DECIMAL column: int() cuts it, str() keeps its decimals, and it has no upper().
#[test]
fn decimals_are_graded_as_python_does() {
    let decimal = |unscaled: i64, scale| {
        let number = ossmark_dataset::Decimal::new(&BigInt::from(unscaled), scale);
        crate::reference::truth(ossmark_dataset::Cell::Decimal(number))
    };
    let grade = |evaluator: Evaluator, output: &str, truth: &GroundTruth| {
        let found = evaluator.extract(output, IntDigits::DEFAULT);
        let grade = evaluator.grade(&found.answer, truth, IntDigits::DEFAULT);
        let grade = grade.unwrap();
        (grade.correct, grade.quirks, grade.reason)
    };
    let aime = |truth| grade(Evaluator::Aime, r"The answer is \boxed{42}", &truth);
    assert!(aime(decimal(420, 1)).0);
    assert!(!aime(decimal(420, 0)).0);
    let (correct, quirks, _) = aime(decimal(4250, 2));
    assert!(correct && quirks.contains(&Quirk::TruncatedGroundTruth));
    assert!(
        !aime(decimal(4200, 2))
            .1
            .contains(&Quirk::TruncatedGroundTruth)
    );
    let (correct, _, reason) = grade(Evaluator::Gpqa, "Answer: A", &decimal(420, 1));
    assert!(
        !correct && reason.contains("'decimal.Decimal' object has no attribute 'upper'"),
        "{reason}"
    );
    assert!(grade(Evaluator::Math500, r"\boxed{42.50}", &decimal(4250, 2)).0);
    assert!(!decimal(0, 3).is_truthy() && decimal(1, 3).is_truthy());
}
