//! Scores by data set against the field's.

use ossmark_rules::rules;

use crate::field::field;
use crate::finding::Findings;
use crate::kind::Kind;
use crate::scores::{components, number};

/// `accuracy.txt` of an accuracy run over the whole benchmark.
pub(super) fn of_text(text: &str, place: &str, found: &mut Findings) {
    let found_components = components(text);
    if found_components.is_empty() {
        return found.skip(format!(
            "{place}: accuracy by data set; its accuracy.txt has no table"
        ));
    }
    let seen = &field().accuracy;
    for component in found_components {
        let (questions, seen) = match component.name {
            "aime25" => (30, &seen.aime25),
            "gpqa_diamond" => (198, &seen.gpqa_diamond),
            "livecodebench_v6" => (1055, &seen.livecodebench_v6),
            _ => continue,
        };
        let repeats = rules().accuracy.repeats.value.get(component.name);
        let whole = repeats.map(|repeats| questions * u64::from(*repeats));
        if whole != Some(component.total) {
            found.skip(format!(
                "{place}: {} against the field; it has {} answers and not all of the benchmark's",
                component.name, component.total
            ));
            continue;
        }
        let what = format!("{}, percent correct", component.name);
        let finding = seen.judge(Kind::Accuracy, place, &what, component.percent());
        finding.into_iter().for_each(|finding| found.add(finding));
    }
}

/// TEST07's text.
pub(super) fn of_test07(text: &str, place: &str, found: &mut Findings) {
    let wanted = rules().compliance.test07.sample_count.value;
    let of = components(text);
    let whole = of.iter().any(|component| component.total == wanted);
    let score = number(text, "Accuracy score:").or_else(|| number(text, "'exact_match':"));
    match score.filter(|_| whole || of.is_empty()) {
        None => found.skip(format!(
            "{place}: TEST07 against the field; there is no score of {wanted} answers"
        )),
        Some(score) => {
            let seen = &field().accuracy.test07;
            let finding = seen.judge(Kind::Accuracy, place, "TEST07, percent correct", score);
            finding.into_iter().for_each(|finding| found.add(finding));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_far_from_the_fields_are_asked_about() {
        for (text, asks, skipped) in [
            (
                "aime25 200 240\ngpqa_diamond 750 990\nlivecodebench_v6 2690 3165",
                0,
                0,
            ),
            (
                "aime25 240 240\ngpqa_diamond 980 990\nlivecodebench_v6 2690 3165",
                2,
                0,
            ),
            ("aime25 1 30", 0, 1),
            ("'exact_match': 83.7", 0, 1),
        ] {
            let mut found = Findings::default();
            of_text(text, "result", &mut found);
            assert_eq!(
                (found.asks(), found.not_looked_at.len()),
                (asks, skipped),
                "{text}"
            );
        }
        for (text, asks) in [
            ("Accuracy score: 62.828", 0),
            ("Accuracy score: 74.646\n", 1),
            ("nothing", 0),
        ] {
            let mut found = Findings::default();
            of_test07(text, "result", &mut found);
            assert_eq!(found.asks(), asks, "{text}");
        }
    }
}
