use serde_json::json;

use super::*;
use crate::{Answer, Findings};

/// `total` answers of a data set, of which `read` could be read and `right` are right.
fn answers(name: &str, total: u64, read: u64, right: u64) -> Vec<Answer> {
    (0..total)
        .map(|row| Answer {
            source: Source::Log {
                seq_id: json!(row),
                qsl_idx: row,
            },
            dataset: name.into(),
            extracted: match row < read {
                true => Extracted::Text("A".into()),
                false => Extracted::None,
            },
            correct: row < right,
            reason: String::new(),
            token_count: 1,
            repeats: 1,
            is_code: name.contains("livecodebench"),
        })
        .collect()
}

fn findings(parts: Vec<Vec<Answer>>) -> Vec<String> {
    let mut answers = Answers {
        answers: parts.concat(),
        programs: Vec::new(),
        findings: Findings::default(),
        long_numbers: false,
    };
    answers.note_implausible();
    let found = answers.findings().into_iter().map(ToString::to_string);
    found.collect()
}

#[test]
fn answers_of_a_model_are_probable() {
    // The benchmark's own sizes; 82.3 % over all, and far less.
    for percent in [83, 60, 51] {
        let part = |name, total: u64| {
            let right = total * percent / 100;
            answers(name, total, right, right)
        };
        let parts = vec![
            part("aime25", 240),
            part("gpqa_diamond", 990),
            part("livecodebench_v6", 3165),
        ];
        assert_eq!(findings(parts), [] as [&str; 0], "{percent} %");
    }
    // Too few to say anything, but that nothing could be read.
    assert_eq!(findings(vec![answers("gpqa", 19, 3, 0)]), [] as [&str; 0]);
    assert_eq!(findings(vec![Vec::new()]), [] as [&str; 0]);
}

#[test]
fn what_cannot_be_read_is_said() {
    let found = findings(vec![
        answers("aime25", 240, 0, 0),
        answers("gpqa", 990, 989, 800),
        answers("livecodebench_v6", 100, 49, 49),
    ]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with(
            "finding: improbable_reading: no answer could be read in 240 of 240 answers of aime25, 51 of 100 answers of livecodebench_v6: "
        ) && found[0].contains("--tokenizer") && found[0].ends_with("(first: row 0)"),
        "{found:?}"
    );
    assert!(findings(vec![answers("math500", 1, 0, 0)])[0].contains("1 of 1 answers of math500"));
}

#[test]
fn what_is_right_by_chance_is_said() {
    for (name, total, right, improbable) in [
        // 247.5 by chance, and three times 13.6.
        ("gpqa_diamond", 990, 288, true),
        ("gpqa_diamond", 990, 289, false),
        ("mmlu_pro", 1000, 128, true),
        ("mmlu_pro", 1000, 129, false),
        ("aime25", 240, 12, true),
        ("aime25", 240, 13, false),
        ("livecodebench_v6", 3165, 158, true),
        ("livecodebench_v6", 3165, 159, false),
        ("math500", 20, 1, true),
    ] {
        let found = findings(vec![answers(name, total, total, right)]);
        let said = found
            .iter()
            .any(|f| f.contains(&format!("by chance, {right} of {total} of {name}: ")));
        assert_eq!(said, improbable, "{name} {right}: {found:?}");
        assert_eq!(found.len(), usize::from(improbable));
    }
}

#[test]
fn problems_of_another_release_are_said() {
    let mut part = answers("livecodebench_v6", 30, 30, 20);
    part[25].reason = "Question ID 'abc' not found in benchmark".into();
    let found = findings(vec![part]);
    assert!(
        found.len() == 1
            && found[0].starts_with("finding: unknown_problems: answers are to questions")
            && found[0].ends_with("(first: row 25)"),
        "{found:?}"
    );
}

#[test]
fn outputs_that_were_inferred_have_places_of_their_own() {
    let mut part = answers("aime25", 40, 0, 0);
    for (n, answer) in part.iter_mut().enumerate() {
        answer.source = Source::Inferred {
            row: n as u64 / 2,
            pass: n as u64 % 2,
        };
    }
    let found = findings(vec![part]);
    assert!(
        found[0].contains("were these outputs made for")
            && found[0].ends_with("(first: row 0, pass 0)")
    );
}
