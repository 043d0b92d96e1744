//! Finds the lines of a user.conf that LoadGen would drop or misread without a word. Pure text, no LoadGen, any thread.
//!
//! LoadGen's parser (`TestSettings::FromConfig`) splits a line at white space into key, `=` and value; it ignores what it
//! does not know, reads integers with strtoull (`1e6` is 1, `2.5` is 2, `010` is 8) and drops the whole file for one bad
//! value. What is an error here would run with other settings than the file shows.

/// A line that must be mended before the file can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1.
    pub line: usize,
    /// What was found, what was expected, how to mend it.
    pub text: String,
}

/// Keys whose value LoadGen reads as an unsigned integer.
const INTEGER_KEYS: [&str; 24] = [
    "mode",
    "use_token_latencies",
    "ttft_latency",
    "tpot_latency",
    "infer_token_latencies",
    "token_latency_scaling_factor",
    "samples_per_query",
    "target_latency",
    "performance_issue_unique",
    "performance_issue_same",
    "performance_issue_same_index",
    "sample_concatenate_permutation",
    "coalesce_queries",
    "max_async_queries",
    "min_duration",
    "max_duration",
    "min_query_count",
    "max_query_count",
    "performance_sample_count_override",
    "accuracy_sample_count_override",
    "print_timestamps",
    "accuracy_log_rng_seed",
    "accuracy_log_sampling_target",
    "target_duration",
];

/// Keys whose value LoadGen reads as a floating-point number.
const FLOAT_KEYS: [&str; 2] = ["target_qps", "target_latency_percentile"];

/// Keys that LoadGen takes from its built-in mlperf.conf only.
const BUILT_IN_KEYS: [&str; 8] = [
    "qsl_rng_seed",
    "sample_index_rng_seed",
    "schedule_rng_seed",
    "accuracy_log_probability",
    "test05",
    "test05_qsl_rng_seed",
    "test05_sample_index_rng_seed",
    "test05_schedule_rng_seed",
];

/// Checks a whole user.conf. Returns remarks about lines that LoadGen ignores although they look right (unknown keys, seeds),
/// each with its line number, or the first line that must be mended.
pub fn check(text: &str) -> Result<Vec<String>, Problem> {
    let mut remarks = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line_number = at + 1;
        match check_line(line) {
            Ok(None) => {}
            Ok(Some(remark)) => remarks.push(format!("line {line_number}: {remark}")),
            Err(text) => {
                return Err(Problem {
                    line: line_number,
                    text,
                });
            }
        }
    }
    Ok(remarks)
}

fn check_line(line: &str) -> Result<Option<String>, String> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let (key, value) = match words[..] {
        [] | ["#", ..] => return Ok(None),
        [word] if word.starts_with('#') => return Ok(None),
        [word, ..] if word.starts_with('#') => {
            return Err(format!(
                "found {word:?}; LoadGen takes it for a key: put a space after the #"
            ));
        }
        [key, "=", value] => (key, value),
        [_, "=", _, next, ..] if next.starts_with('#') => {
            return Err("a comment after a value makes LoadGen drop the whole file; put it on a line of its own".into());
        }
        [_, "=", _, _, ..] => {
            return Err(format!(
                "several values in {line:?}; expected \"key = value\""
            ));
        }
        _ => {
            return Err(format!(
                "found {line:?}; expected \"key = value\" with spaces around the ="
            ));
        }
    };
    let mut parts = key.rsplitn(3, '.');
    let (Some(name), Some(scenario), Some(_model)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(format!(
            "key {key:?}; expected model.scenario.key, each of the first two may be *"
        ));
    };
    if !["*", "SingleStream", "MultiStream", "Server", "Offline"].contains(&scenario) {
        return Err(format!(
            "key {key:?} has scenario {scenario:?}; expected Server, Offline or * (case matters)"
        ));
    }
    // The latency of these two scenarios is a hint and a float.
    let hint = name == "target_latency" && ["SingleStream", "MultiStream"].contains(&scenario);
    if FLOAT_KEYS.contains(&name) || hint {
        match value.parse::<f64>() {
            Ok(number) if number.is_finite() && number >= 0.0 => Ok(None),
            _ => Err(format!("{key} = {value}; expected a number, at least 0")),
        }
    } else if INTEGER_KEYS.contains(&name) {
        let zero_led = value.len() > 1 && value.starts_with('0');
        if zero_led || !value.bytes().all(|b| b.is_ascii_digit()) || value.parse::<u64>().is_err() {
            return Err(format!(
                "{key} = {value}; expected a whole number written out in digits (LoadGen would misread it)"
            ));
        }
        Ok(None)
    } else if BUILT_IN_KEYS.contains(&name) {
        Ok(Some(format!(
            "LoadGen ignores {key} outside its built-in mlperf.conf"
        )))
    } else {
        Ok(Some(format!(
            "LoadGen does not know the key {key} and ignores it"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    fn problem(line: &str) -> String {
        let found = check(&format!("# first line\n{line}\n")).expect_err(line);
        assert_eq!(found.line, 2, "{line}");
        found.text
    }

    #[test]
    fn an_ordinary_file_has_no_remarks() {
        let text = "# comment\n\n#\n*.Server.target_qps = 1.5\ngpt-oss-120b.*.performance_sample_count_override = 990\n\
                    *.Offline.min_query_count = 6396\n*.SingleStream.target_latency = 0.5\nqwen3.6-27b.Server.ttft_latency = 12\n";
        assert_eq!(check(text), Ok(vec![]));
    }

    #[test]
    fn integers_that_strtoull_would_cut_are_refused() {
        for value in [
            "1e6",
            "2.5",
            "-1",
            "010",
            "0x10",
            "99999999999999999999",
            "+3",
        ] {
            let text = problem(&format!("*.Server.min_duration = {value}"));
            assert!(
                text.contains(value) && text.contains("whole number"),
                "{text}"
            );
        }
        assert!(problem("*.Server.tpot_latency = 12.5").contains("12.5"));
    }

    #[test]
    fn shapes_that_are_dropped_silently_are_refused() {
        assert!(problem("*.Server.target_qps=5").contains("spaces around"));
        assert!(problem("*.Server.target_qps =").contains("spaces around"));
        assert!(problem("*.Server.target_qps : 5").contains("spaces around"));
        assert!(problem("*.Server.target_qps = 5 # five").contains("line of its own"));
        assert!(problem("*.Server.target_qps = 5 6").contains("several values"));
        assert!(problem("#target = 5").contains("space after"));
        assert!(problem("*.server.target_qps = 5").contains("case matters"));
        assert!(problem("target_qps = 5").contains("model.scenario.key"));
        assert!(problem("*.Server.target_qps = abc").contains("abc"));
        assert!(problem("*.Server.target_qps = nan").contains("nan"));
    }

    #[test]
    fn ignored_keys_are_remarked() {
        let remarks = check("*.*.qsl_rng_seed = 1\n*.Server.target_qsp = 3\n").unwrap();
        assert_eq!(remarks.len(), 2);
        assert!(
            remarks[0].starts_with("line 1: ") && remarks[0].contains("built-in"),
            "{remarks:?}"
        );
        assert!(
            remarks[1].starts_with("line 2: ") && remarks[1].contains("target_qsp"),
            "{remarks:?}"
        );
    }
}
