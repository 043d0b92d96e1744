//! Reads `mlperf_log_summary.txt`, LoadGen's result for people. Pure Rust, any thread. The detail log says the same and
//! more; the summary is what submitters hand in beside it. After an accuracy run it holds no result.

use std::io::Read;
use std::path::Path;

use crate::error::Error;

/// A summary is about 2 kB, FindPeak's too.
const MAX_BYTES: u64 = 1 << 20;

/// A whole summary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// What stands after "Result is": `VALID` or `INVALID`.
    pub result: Option<String>,
    /// Every `name : value` line in order, both trimmed.
    pub fields: Vec<(String, String)>,
    /// LoadGen's recommendations for an invalid run, without their bullets.
    pub recommendations: Vec<String>,
    /// Errors; none when the line is missing, because the run was cut off.
    pub errors: Option<u64>,
    /// Warnings; none as above.
    pub warnings: Option<u64>,
}

impl Summary {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Unreadable`], also when it is not text; [`Error::Line`] when it is too long to be a summary.
    pub fn read(path: &Path) -> Result<Summary, Error> {
        let mut text = String::new();
        let size = ossmark_files::open(path)
            .and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text))
            .map_err(|source| Error::Unreadable {
                path: path.into(),
                source,
            })?;
        if size as u64 == MAX_BYTES {
            let problem = format!("a summary of {MAX_BYTES} bytes or more");
            return Err(Error::Line {
                path: path.into(),
                line: text.lines().count(),
                problem,
            });
        }
        Ok(Summary::parse(&text))
    }

    /// Reads text; what is no known line is left out.
    pub fn parse(text: &str) -> Summary {
        let mut summary = Summary::default();
        for line in text.lines().map(str::trim) {
            if let Some(advice) = line.strip_prefix("* ") {
                summary.recommendations.push(advice.into());
            } else if let Some(count) = count(line, &["errors", "ERROR", "ERRORS"]) {
                summary.errors = Some(count);
            } else if let Some(count) = count(line, &["warnings", "warning"]) {
                summary.warnings = Some(count);
            } else if let Some((name, value)) = line.split_once(':') {
                let (name, value) = (name.trim(), value.trim());
                if name == "Result is" {
                    summary.result = Some(value.into());
                }
                summary.fields.push((name.into(), value.into()));
            }
        }
        summary
    }

    /// The last value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .rev()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The number in "No errors encountered during test." or "12 ERRORS encountered. See detailed log."
fn count(line: &str, nouns: &[&str]) -> Option<u64> {
    let mut words = line.split_ascii_whitespace();
    let number = words.next()?;
    if !nouns.contains(&words.next()?) || !words.next()?.starts_with("encountered") {
        return None;
    }
    if number == "No" {
        Some(0)
    } else {
        number.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn a_result_is_read() {
        let text = "=====\nSUT name : a: b\nScenario : Server\nTokens per second: 5.04733e+06\nResult is : INVALID\n  Min \
                    duration satisfied : NO\nRecommendations:\n * Increase the target QPS so the loadgen pre-generates \
                    more queries.\n\n2 warnings encountered. See detailed log.\n\n1 ERROR encountered. See detailed log.\n";
        let summary = Summary::parse(text);
        assert_eq!(summary.result.as_deref(), Some("INVALID"));
        assert_eq!(summary.get("SUT name"), Some("a: b"));
        assert_eq!(summary.get("Min duration satisfied"), Some("NO"));
        assert_eq!((summary.errors, summary.warnings), (Some(1), Some(2)));
        assert_eq!(summary.recommendations.len(), 1);
    }

    #[test]
    fn a_cut_off_summary_has_no_counts() {
        let summary = Summary::parse("Result is : VALID\n");
        assert_eq!((summary.errors, summary.warnings), (None, None));
        let summary = Summary::parse(
            "\nNo warnings encountered during test.\n\nNo errors encountered during test.\n",
        );
        assert_eq!(
            (summary.result, summary.errors, summary.warnings),
            (None, Some(0), Some(0))
        );
        assert_eq!(
            Summary::parse("21 ERRORS encountered. See detailed log.").errors,
            Some(21)
        );
    }
}
