//! TEST07: the score of the answers of a performance run. Source: compliance/TEST07/run_verification.py.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use super::{Options, Verified, answers, bounds, counts, log_file, ruler, rules_of, truth, write};
use crate::error::Error;
use crate::python;
use crate::truncate::{digest, sha256_of};

/// What TEST07 needs beyond the logs.
#[derive(Clone, Copy, Debug)]
pub struct Test07<'a> {
    /// What the scorer printed about the log; the first 'exact_match' in it counts.
    pub scorer_output: &'a str,
    /// Lowest score in percent; before the audit.config's.
    pub threshold: Option<f64>,
}

/// Verifies and writes `TEST07/` into the output directory.
///
/// # Errors
/// [`Error::Unusable`] where logs or the threshold are missing, [`Error::Io`] where something cannot be read or written.
pub fn test07(options: Options<'_>, input: Test07<'_>) -> Result<Verified, Error> {
    static SCORE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"'exact_match':\s*([\d.]+)").expect("a fixed pattern, compiled by the tests")
    });
    let rules = rules_of("TEST07");
    let log = log_file(options)?;
    let threshold = threshold(options, input)?;
    let output: Vec<&str> = python::lines(input.scorer_output).collect();
    let output = output.join("\n");
    let score = SCORE
        .captures(&output)
        .and_then(|c| python::float_of(&c[1]));
    let indices = if options.official_only {
        Vec::new()
    } else {
        answers::read(&log)?.indices
    };
    let samples = indices.len() as u64;
    let problems = counts(rules, indices, options);
    let is_high = score.is_some_and(|score| score >= threshold);
    let passed = is_high && problems.is_empty();

    let ruler = ruler();
    let mut text = format!("{output}\n{ruler}\nTEST07 Verification Summary\n{ruler}\n");
    match score {
        Some(score) => {
            text += &format!(
                "Accuracy score: {}\nAccuracy threshold: {}\n",
                python::repr(score),
                python::repr(threshold)
            );
            text += &format!("Accuracy check pass: {}\n", truth(is_high));
        }
        None => text += "Error: Could not parse accuracy score\n",
    }
    for problem in &problems {
        text += &format!("{problem}\n");
    }
    text += if passed { "TEST PASS\n" } else { "TEST FAIL\n" };
    write(options, &rules.result_file.value, &text)?;
    let log_sha256 = sha256_of(&log)?;
    Ok(Verified {
        test: "TEST07",
        passed,
        value: score,
        bounds: vec![threshold],
        samples,
        problems,
        log_sha256,
        text_sha256: digest(text.as_bytes()),
        text,
    })
}

fn threshold(options: Options<'_>, input: Test07<'_>) -> Result<f64, Error> {
    let configured = bounds(options, &["test07_accuracy_threshold"], false)?[0];
    let of_round = rules_of("TEST07")
        .min_score
        .as_ref()
        .map(|rule| rule.value)
        .filter(|_| !options.official_only);
    input.threshold.or(configured).or(of_round).ok_or_else(|| Error::Unusable {
        path: options.audit_config.unwrap_or(Path::new("audit.config")).into(),
        why: "found no test07_accuracy_threshold; give --accuracy-threshold or an --audit-config that has it".into(),
    })
}
