//! Reads user.conf and audit.config before LoadGen does, and refuses what LoadGen would misread without a word.
//!
//! LoadGen's parser (`TestSettings::FromConfig` of 6.0.17) splits lines at white space, ignores what it does not know, reads
//! whole numbers with strtoull (`1e6` is 1, `2.5` is 2, `010` is 8), and drops the whole file when one value is no number:
//! the run then goes on at 1 query per second. Owns the reading of lines; [`keys`] knows the keys. Does not own the rules
//! of a round: a user.conf may ask for a test run. Pure except for reading the file; main thread.

mod keys;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Which of LoadGen's two files it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The submitter's settings; LoadGen looks keys up under the benchmark's model name.
    User,
    /// A compliance test's settings; LoadGen looks keys up under the model name `*` only.
    Audit,
}

/// One remark about one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// From 1, as editors count.
    pub(crate) line: usize,
    /// What was found, what was expected, how to mend it.
    pub(crate) text: String,
}

/// What a file is like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Lines that LoadGen would misread or ignore. Any of them forbids the run.
    pub(crate) errors: Vec<Finding>,
    /// Lines that LoadGen reads as written, but that may not mean what they seem to.
    pub(crate) warnings: Vec<Finding>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}: is {bytes} bytes long, expected a configuration of at most {MAX_BYTES}", path.display())]
    TooLong { path: PathBuf, bytes: u64 },
    #[error("{}", Listed(path, findings))]
    Refused {
        path: PathBuf,
        findings: Vec<Finding>,
    },
    #[error(
        "{}: an audit.config lies in the working directory; LoadGen's own tools would take it up and turn a normal run into \
         a compliance test. Move it away, or pass it with --audit-config if the compliance test is what you want",
        path.display()
    )]
    StrayAudit { path: PathBuf },
}

const MAX_BYTES: u64 = 1 << 20;

struct Listed<'a>(&'a Path, &'a [Finding]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self
            .1
            .iter()
            .map(|finding| located(self.0, finding))
            .collect();
        f.write_str(&lines.join("\n"))
    }
}

/// `file:line: text`.
pub(crate) fn located(path: &Path, finding: &Finding) -> String {
    format!("{}:{}: {}", path.display(), finding.line, finding.text)
}

/// Checks a file. Returns its warnings, each with file and line; every error is in the error.
pub(crate) fn lint_file(path: &Path, kind: Kind) -> Result<Vec<String>, Error> {
    let unreadable = |source| Error::Unreadable {
        path: path.to_owned(),
        source,
    };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > MAX_BYTES {
        return Err(Error::TooLong {
            path: path.to_owned(),
            bytes,
        });
    }
    let Report { errors, warnings } = lint(&ossmark_files::read(path).map_err(unreadable)?, kind);
    if !errors.is_empty() {
        return Err(Error::Refused {
            path: path.to_owned(),
            findings: errors,
        });
    }
    Ok(warnings
        .iter()
        .map(|finding| located(path, finding))
        .collect())
}

/// Refuses to start beside an `audit.config` that nobody asked for. `given` is the one that was, which may be that very file.
pub(crate) fn refuse_stray_audit(dir: &Path, given: Option<&Path>) -> Result<(), Error> {
    let path = dir.join("audit.config");
    let same = |other: &Path| matches!((other.canonicalize(), path.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if path.symlink_metadata().is_err() || given.is_some_and(same) {
        return Ok(());
    }
    Err(Error::StrayAudit { path })
}

/// Checks the bytes of a file.
pub(crate) fn lint(bytes: &[u8], kind: Kind) -> Report {
    let mut report = Report::default();
    let mut set: Vec<Setting<'_>> = Vec::new();
    if bytes.starts_with(b"\xef\xbb\xbf") {
        let text = "begins with a byte order mark, which LoadGen takes for a part of the first word; save as UTF-8 without it";
        report.errors.push(Finding {
            line: 1,
            text: text.into(),
        });
    }
    let mut crlf = None;
    for (at, raw) in bytes.split(|&b| b == b'\n').enumerate() {
        let line = at + 1;
        let Ok(text) = std::str::from_utf8(raw) else {
            report.errors.push(Finding {
                line,
                text: "is not UTF-8; save the file as UTF-8 or plain ASCII".into(),
            });
            continue;
        };
        if text.ends_with('\r') {
            crlf = crlf.or(Some(line));
        }
        if text.trim_end_matches('\r').contains('\r') {
            let text = "has a carriage return inside the line, which does not end a line for LoadGen; end lines with a \
                        line feed (dos2unix or mac2unix)";
            report.errors.push(Finding {
                line,
                text: text.into(),
            });
            continue;
        }
        match read_line(line, text, kind) {
            Ok(None) => {}
            Ok(Some(setting)) => {
                report.warnings.extend(remarks(&setting, &set, kind));
                set.push(setting);
            }
            Err(text) => report.errors.push(Finding { line, text }),
        }
    }
    if let Some(line) = crlf {
        let text = "ends with a carriage return (CRLF); LoadGen skips it, but tools that read this file may not".into();
        report.warnings.push(Finding { line, text });
    }
    report
}

/// A line that LoadGen would read as written.
struct Setting<'a> {
    line: usize,
    model: &'a str,
    scenario: &'a str,
    key: &'a str,
}

/// None for blank lines and comments.
fn read_line(line: usize, text: &str, kind: Kind) -> Result<Option<Setting<'_>>, String> {
    // What C's isspace calls white space, which is what LoadGen splits at.
    let words: Vec<&str> = text
        .split([' ', '\t', '\r', '\x0b', '\x0c'])
        .filter(|w| !w.is_empty())
        .collect();
    let (name, value) = match words[..] {
        [] | ["#", ..] => return Ok(None),
        [word] if word.starts_with('#') => return Ok(None),
        [word, ..] if word.starts_with('#') => {
            return Err(format!(
                "found '{word}', expected a space after '#': without it LoadGen takes the word for a key and drops the whole file"
            ));
        }
        [name, "=", value] => (name, value),
        [_, "=", value, next, ..] if next.starts_with('#') => {
            return Err(format!(
                "found a comment after the value {value}, for which LoadGen drops the whole file; \
                 put the comment on a line of its own"
            ));
        }
        [_, "=", value, next, ..] => {
            return Err(format!(
                "found '{next}' after the value {value}, expected one value; LoadGen takes the last"
            ));
        }
        [name, "="] => {
            return Err(format!(
                "{name} has no value, expected a number after '='; LoadGen ignores the line"
            ));
        }
        [..] => {
            let hint = if text.contains('=') {
                "; put a space on both sides of '='"
            } else {
                ""
            };
            return Err(format!(
                "found '{}', expected 'model.scenario.key = value'{hint}",
                text.trim()
            ));
        }
    };
    // From the right: model names may contain dots.
    let mut parts = name.rsplitn(3, '.');
    let (Some(key), Some(scenario), Some(model)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(format!(
            "found the key '{name}', expected three parts: model.scenario.key, as in *.*.min_duration"
        ));
    };
    keys::check_model(model, kind)?;
    keys::check_scenario(scenario)?;
    let known = keys::check_key(key, scenario, kind)?;
    // A wildcard here beats the exact key in mlperf.conf, because LoadGen reads this file later.
    if kind == Kind::User && model == "*" && keys::LIMITS.contains(&key) {
        return Err(format!(
            "{name} would replace the benchmark's own limit, which mlperf.conf sets for the model by name; remove the line, \
             or name the model if a run with another limit is meant (a test run)"
        ));
    }
    known
        .check_value(value)
        .map_err(|text| format!("{name}: {text}"))?;
    Ok(Some(Setting {
        line,
        model,
        scenario,
        key,
    }))
}

/// What is worth saying about a line that is right in itself.
fn remarks(this: &Setting<'_>, before: &[Setting<'_>], kind: Kind) -> Vec<Finding> {
    let mut texts = Vec::new();
    let name = format!("{}.{}.{}", this.model, this.scenario, this.key);
    for other in before.iter().filter(|other| other.key == this.key) {
        let at = other.line;
        match ((this.model, this.scenario), (other.model, other.scenario)) {
            (a, b) if a == b => texts.push(format!(
                "{name} was set in line {at} already; LoadGen takes this one"
            )),
            (("*", s), (m, "*")) | ((m, "*"), ("*", s)) if m != "*" && s != "*" => {
                texts.push(format!(
                    "{} is also set in line {at}: *.{s}.{key} goes before {m}.*.{key}",
                    this.key,
                    key = this.key
                ))
            }
            _ => {}
        }
    }
    if kind == Kind::User && this.model == "*" && keys::PER_MODEL.contains(&this.key) {
        texts.push(format!("{name} replaces what mlperf.conf sets for the model by name; name the model if that is meant"));
    }
    if kind == Kind::User && keys::AUDIT_LOG.contains(&this.key) {
        texts.push(format!("{name} makes a performance run log answers; it belongs into a compliance test's audit.config"));
    }
    if !["*", "Offline", "Server"].contains(&this.scenario) {
        texts.push(format!(
            "{name} is never read: gpt-oss-120b runs in Offline and Server"
        ));
    }
    texts
        .into_iter()
        .map(|text| Finding {
            line: this.line,
            text,
        })
        .collect()
}
