//! The accuracy run and its score.

use std::sync::LazyLock;

use regex::Regex;

use super::super::run::Run;
use crate::finding::Findings;
use crate::log::NoValue;
use crate::python;
use crate::tree;
use ossmark_logs::{ACCURACY, DETAIL};

/// What the official checker looks for in a line; of several in one line the last counts.
static SCORE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^.*'exact_match':\s([\d.]+)"));
static TOKENS: LazyLock<Regex> = LazyLock::new(|| pattern(r"^.*'tokens_per_sample':\s([\d.]+)"));
static HASH: LazyLock<Regex> = LazyLock::new(|| pattern(r"^hash=([\w\d]+)$"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a fixed pattern, compiled by the tests")
}

/// The hash of a line of accuracy.txt.
pub(crate) fn hash_in(line: &str) -> Option<&str> {
    Some(HASH.captures(line)?.get(1)?.as_str())
}

/// The score, as it is written.
pub(super) fn check(run: &Run<'_>, findings: &mut Findings) -> Option<String> {
    let log = run.accuracy.as_ref()?;
    let file = if log.is_endpoints {
        String::from("accuracy/accuracy_results.json")
    } else {
        format!("accuracy/{DETAIL}")
    };
    if let Err(NoValue) = log.value("effective_scenario") {
        run.report(
            findings,
            "accuracy.log",
            &file,
            "found effective_scenario without a value",
        );
    }
    let score;
    if log.is_endpoints {
        let found = log.value("accuracy_score").ok().filter(|s| !s.is_null());
        score = found.map(python::text);
        if score.is_none() {
            run.report(
                findings,
                "accuracy.text-missing",
                &file,
                "found no accuracy score",
            );
        }
        if log.value("num_errors").is_ok_and(python::truthy) {
            run.report(
                findings,
                "accuracy.loadgen-errors",
                &file,
                "found samples that failed, expected none",
            );
        }
    } else {
        score = score_in_text(run, findings);
        json(run, findings);
        if log.lacks_metadata || log.error_count > 0 {
            run.report(
                findings,
                "accuracy.loadgen-errors",
                &file,
                format!("found {} errors in the log, expected none", log.error_count),
            );
        }
    }
    let wanted = run.system.rules.accuracy.sample_count.value;
    let key = if log.has("effective_accuracy_sample_count") {
        "effective_accuracy_sample_count"
    } else {
        "qsl_reported_total_count"
    };
    if !log
        .value(key)
        .is_ok_and(|found| python::equals(found, wanted))
    {
        let found = log.shown(key);
        run.report(
            findings,
            "accuracy.sample-count",
            &file,
            format!("found {key} {found}, expected {wanted}"),
        );
    }
    score
}

/// accuracy.txt, read until a passing score and a hash have been seen; the last score that was read.
fn score_in_text(run: &Run<'_>, findings: &mut Findings) -> Option<String> {
    let file = "accuracy/accuracy.txt";
    let Some(text) = &run.score_text else {
        run.report(
            findings,
            "accuracy.text-missing",
            file,
            "not found, expected the scorer's output",
        );
        return None;
    };
    // Open may submit any score, but not a text that cannot be read.
    let is_open = run.system.is_open();
    let rules = &run.system.rules.accuracy;
    let (mut passed, mut hashed, mut below, mut above) = (false, false, None, None);
    let mut last = None;
    for line in python::lines(text) {
        let number = |pattern: &Regex| {
            pattern
                .captures(line)
                .and_then(|c| c.get(1))
                .map(|m| m.as_str().to_owned())
        };
        let found = [number(&SCORE), number(&TOKENS)];
        if let Some(bad) = found
            .iter()
            .flatten()
            .find(|text| python::float_of(text).is_none())
        {
            run.report(
                findings,
                "accuracy.score-not-a-number",
                file,
                format!("found {bad:?}, expected a number"),
            );
            return last;
        }
        let [score, tokens] = found;
        if let Some(score) = score {
            match python::float_of(&score).is_some_and(|s| s >= rules.min_score.value) {
                true => passed = true,
                false => below = Some(score.clone()),
            }
            last = Some(score);
        }
        if let Some(tokens) = tokens
            .filter(|t| python::float_of(t).is_some_and(|t| t > rules.max_tokens_per_sample.value))
        {
            above = Some(tokens);
        }
        hashed |= hash_in(line).is_some();
        if passed && hashed {
            break;
        }
    }
    if is_open {
        return last;
    }
    let asked = format!(
        "at least {} ({})",
        rules.min_score.value, rules.min_score.source
    );
    match below {
        Some(score) => run.report(
            findings,
            "accuracy.score",
            file,
            format!("found 'exact_match': {score}, expected {asked}"),
        ),
        None if !passed => run.report(
            findings,
            "accuracy.score",
            file,
            format!("found no line 'exact_match':, expected {asked}"),
        ),
        None => {}
    }
    if let Some(tokens) = above {
        run.report(
            findings,
            "accuracy.tokens-per-sample",
            file,
            format!(
                "found 'tokens_per_sample': {tokens}, expected at most {}",
                rules.max_tokens_per_sample.value
            ),
        );
    }
    if !hashed {
        run.report(
            findings,
            "accuracy.hash-missing",
            file,
            "found no line hash=, expected the SHA-256 of the whole log",
        );
    }
    last
}

fn json(run: &Run<'_>, findings: &mut Findings) {
    let file = format!("accuracy/{ACCURACY}");
    let limit = run.system.rules.accuracy.max_log_bytes.value;
    match tree::size(&run.dir.join(&file)) {
        None => run.report(
            findings,
            "accuracy.json-missing",
            &file,
            "not found, expected the truncated log",
        ),
        Some(size) if size > limit => {
            run.report(
                findings,
                "accuracy.not-truncated",
                &file,
                format!("found {size} bytes, expected at most {limit}"),
            );
        }
        Some(_) => {}
    }
}
