use super::read::pattern;
use super::*;

const BLOCK: &str = include_str!("../../../../tests/fixtures/accuracy.txt");

/// Every number of a text with its place, names of data sets aside.
fn numbers(text: &str) -> Vec<std::ops::Range<usize>> {
    let number = pattern(r"[0-9]+(?:\.[0-9]+)?");
    number.find_iter(text).map(|found| found.range()).collect()
}

/// The text with one digit of a number raised: its last or its first.
fn raised(text: &str, place: &std::ops::Range<usize>, last: bool) -> String {
    let at = if last { place.end - 1 } else { place.start };
    let digit = text.as_bytes()[at] - b'0';
    let mut out = text.to_owned();
    out.replace_range(at..=at, &((digit + 1) % 10).to_string());
    out
}

#[test]
fn the_scorers_block_contradicts_itself_nowhere() {
    assert_eq!(contradictions(BLOCK), [] as [&str; 0]);
    assert_eq!(contradictions(""), [] as [&str; 0]);
    assert_eq!(
        contradictions("'exact_match': 83.55\nhash=0123\n"),
        [] as [&str; 0]
    );
}

#[test]
fn a_score_without_what_it_follows_from_is_told_from_the_scorers_text() {
    assert!(is_bare_score("'exact_match': 99.0\nhash=0123\n"));
    assert!(!is_bare_score(BLOCK));
    assert!(!is_bare_score("hash=0123\n"));
}

#[test]
fn any_number_of_the_block_that_is_raised_is_found() {
    for place in numbers(BLOCK) {
        let line = BLOCK[..place.end].lines().last().unwrap();
        // What the benchmark's loader says of itself, and the hash, which is of a file.
        if line.starts_with("Loaded") || line.starts_with("hash=") {
            continue;
        }
        for last in [true, false] {
            let text = raised(BLOCK, &place, last);
            assert!(
                !contradictions(&text).is_empty(),
                "{}: {}",
                line,
                &text[place.clone()]
            );
        }
    }
}

#[test]
fn lines_that_are_not_the_scorers_are_found() {
    for (line, other) in [
        ("FINAL SCORE: 86.74% (", "FINAL SCORE: 90 % ("),
        (
            "Total samples evaluated: 4395",
            "Total samples evaluated: all",
        ),
        ("= 24.88 + 164.00", "= 24.88 * 164.00"),
        ("Formula: aime25/8", "Formula: aime25"),
    ] {
        let text = BLOCK.replace(line, other);
        assert!(
            text != BLOCK && !contradictions(&text).is_empty(),
            "{other}"
        );
    }
    // A second block.
    let second = BLOCK.replace("199", "200");
    assert!(!contradictions(&format!("{BLOCK}{second}")).is_empty());
    assert_eq!(contradictions(&format!("{BLOCK}{BLOCK}")), [] as [&str; 0]);
}

#[test]
fn the_case_of_the_issue() {
    let text = "FINAL SCORE: 83.55% (1071.94/1283.00)\n'exact_match': 84.0\n";
    let found = contradictions(text);
    assert!(
        found
            .iter()
            .any(|f| f.contains("found 'exact_match': 84.0, but FINAL SCORE is 83.55")),
        "{found:?}"
    );
    for agreed in ["83.55", "83.550", "83.5", "83.6", "83.5495"] {
        assert_eq!(
            contradictions(&text.replace("84.0", agreed)),
            [] as [&str; 0],
            "{agreed}"
        );
    }
}

#[test]
fn dictionaries() {
    let passes = "{'exact_match': 71.42857142857143, 'tokens_per_sample': 812.5, 'num-samples': 7, 'pass_k': 2, \
                  'exact_match_pass_0': 57.142857142857146, 'exact_match_pass_1': 42.857142857142854}\n'exact_match': 71.429\n";
    assert_eq!(contradictions(passes), [] as [&str; 0]);
    let other = "{'rouge1': 44.4, 'gen_len': 5340926, 'gen_num': 4395, 'tokens_per_sample': 1215.2}\n'tokens_per_sample': 1215.2\n";
    assert_eq!(contradictions(other), [] as [&str; 0]);
    for (text, old, new) in [
        (passes, "71.429", "72.429"),
        (
            passes,
            "'exact_match': 71.42857142857143",
            "'exact_match': 72.42857142857143",
        ),
        (passes, "'num-samples': 7", "'num-samples': 8"),
        (passes, "'pass_k': 2", "'pass_k': 3"),
        (passes, "57.142857142857146", "85.71428571428571"),
        (passes, "42.857142857142854", "43.857142857142854"),
        (other, "5340926", "6340926"),
        (other, "4395", "4396"),
        (other, "1215.2}", "1216.2}"),
        ("'exact_match': 83.0\n", "83.0", "183.0"),
    ] {
        let changed = text.replace(old, new);
        assert!(
            changed != text && !contradictions(&changed).is_empty(),
            "{new}"
        );
    }
}

#[test]
fn printed_numbers() {
    let printed = |text| Range::printed(text).unwrap();
    assert!(
        printed("24.88").meets(Range::exactly(24.875))
            && !printed("24.88").meets(Range::exactly(24.886))
    );
    assert!(!printed("3").meets(Range::exactly(3.1)));
    for text in ["", ".", "1.2.3", "inf", "nan", "-1", "1e5", "1 "] {
        assert!(Range::printed(text).is_none(), "{text}");
    }
    assert!(printed("0").per(printed("0")).meets(Range::exactly(0.0)));
}
