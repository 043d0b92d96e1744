//! TEST09: the mean length of the answers of a performance run. Source: compliance/TEST09/run_verification.py.

use std::path::Path;

use super::{Options, Verified, answers, bounds, counts, log_file, ruler, rules_of, truth, write};
use crate::error::Error;
use crate::python;
use crate::truncate::{digest, sha256_of};

/// What TEST09 may be given beyond the logs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Test09 {
    /// Lowest mean of output tokens; before the audit.config's.
    pub min_output_tokens: Option<f64>,
    /// Highest mean of output tokens; before the audit.config's.
    pub max_output_tokens: Option<f64>,
}

/// Verifies and writes `TEST09/` into the output directory.
///
/// # Errors
/// [`Error::Unusable`] where logs, answers or bounds are missing, [`Error::Io`] where something cannot be read or written.
pub fn test09(options: Options<'_>, input: Test09) -> Result<Verified, Error> {
    let rules = rules_of("TEST09");
    let log = log_file(options)?;
    let (low, high) = limits(options, input)?;
    let answers = answers::read(&log)?;
    if answers.tokens.is_empty() {
        return Err(Error::Unusable {
            path: log,
            why: "found no answers".into(),
        });
    }
    let tokens = answers.tokens;
    let count = tokens.len() as f64;
    let mean = tokens.iter().sum::<u64>() as f64 / count;
    let deviation = (tokens
        .iter()
        .map(|&n| (n as f64 - mean).powi(2))
        .sum::<f64>()
        / count)
        .sqrt();
    let (least, most) = (
        tokens.iter().min().copied().unwrap_or(0),
        tokens.iter().max().copied().unwrap_or(0),
    );
    let mut problems = counts(rules, answers.indices, options);
    if !answers.is_whole && !options.official_only {
        problems.push(
            "Log check: found no closed JSON list, the log was not written to its end".into(),
        );
    }
    let (above, below) = (mean >= low, mean <= high);
    let passed = above && below && problems.is_empty();

    let (ruler, thin) = (ruler(), "-".repeat(40));
    let mut text =
        format!("{ruler}\nTEST09: Verify Output Token Length in Performance Mode\n{ruler}\n\n");
    text += &format!(
        "Output Token Length Statistics\n{thin}\nTotal samples: {}\nMean output tokens: {mean:.2}\n",
        tokens.len()
    );
    text += &format!(
        "Min output tokens: {least}\nMax output tokens: {most}\nStd deviation: {deviation:.2}\n"
    );
    text += &format!("\n{ruler}\nVerification Results\n{ruler}\nMean output tokens: {mean:.2}\n");
    text += &format!(
        "Min threshold: {}\nMax threshold: {}\n",
        python::repr(low),
        python::repr(high)
    );
    text += &format!(
        "Min check pass: {}\nMax check pass: {}\n",
        truth(above),
        truth(below)
    );
    for problem in &problems {
        text += &format!("{problem}\n");
    }
    text += if passed {
        "\nTEST PASS\n"
    } else {
        "\nTEST FAIL\n"
    };
    write(options, &rules.result_file.value, &text)?;
    let (samples, log_sha256) = (tokens.len() as u64, sha256_of(&log)?);
    Ok(Verified {
        test: "TEST09",
        passed,
        value: Some(mean),
        bounds: vec![low, high],
        samples,
        problems,
        log_sha256,
        text_sha256: digest(text.as_bytes()),
        text,
    })
}

fn limits(options: Options<'_>, input: Test09) -> Result<(f64, f64), Error> {
    let rules = rules_of("TEST09");
    let configured = bounds(
        options,
        &["test09_min_output_tokens", "test09_max_output_tokens"],
        true,
    )?;
    let of_round = |rule: &Option<ossmark_rules::Sourced<f64>>| {
        rule.as_ref()
            .map(|r| r.value)
            .filter(|_| !options.official_only)
    };
    let low = input
        .min_output_tokens
        .or(configured[0])
        .or(of_round(&rules.min_mean_tokens));
    let high = input
        .max_output_tokens
        .or(configured[1])
        .or(of_round(&rules.max_mean_tokens));
    low.zip(high).ok_or_else(|| Error::Unusable {
        path: options.audit_config.unwrap_or(Path::new("audit.config")).into(),
        why: "found no test09_min_output_tokens or no test09_max_output_tokens; give --min-output-tokens and --max-output-tokens, \
              or an --audit-config that has them"
            .into(),
    })
}
