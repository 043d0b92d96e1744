//! Reads user.conf and audit.config before LoadGen does, and refuses what LoadGen would misread without a word.
//!
//! LoadGen's parser (`TestSettings::FromConfig` of 6.0.17) splits lines at white space, ignores what it does not know, reads
//! whole numbers with strtoull (`1e6` is 1, `2.5` is 2, `010` is 8), and drops the whole file when one value is no number:
//! the run then goes on at 1 query per second. Owns what is worth a word; `ossmark_logs::config` reads lines as LoadGen does,
//! [`keys`] knows the keys. Does not own the rules of a round: a user.conf may ask for a test run. Every [`LoadgenAction`] is
//! held against LoadGen itself on random files (`tests/loadgen.rs`). Pure except for reading the file; main thread.

mod keys;
mod line;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use ossmark_files::Escaped;

/// Which of LoadGen's two files it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The submitter's settings; LoadGen looks keys up under the benchmark's model name.
    User,
    /// A compliance test's settings; LoadGen looks keys up under the model name `*` only.
    Audit,
}

/// What LoadGen does about a line that we have something to say about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoadgenAction {
    /// Refuses the file, of which nothing counts then.
    DropsFile,
    /// Goes on as if the line were not there.
    Ignores,
    /// Reads this number, which is not what is written.
    Reads(u64),
    /// Takes it; what follows is in the text.
    Takes,
}

impl fmt::Display for LoadgenAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DropsFile => f.write_str("; LoadGen drops the whole file for it"),
            Self::Ignores => f.write_str("; LoadGen ignores the line"),
            Self::Reads(number) => write!(f, "; LoadGen reads {number}"),
            Self::Takes => Ok(()),
        }
    }
}

/// What is wrong, and what LoadGen does.
type Problem = (String, LoadgenAction);

/// One remark about one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// From 1, as editors count.
    pub(crate) line: usize,
    /// What was found, what was expected, how to fix it; what LoadGen does comes after it.
    pub(crate) text: String,
    pub(crate) effect: LoadgenAction,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Escaped(&self.text), self.effect)
    }
}

/// A line that LoadGen looks up in some run of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting<'a> {
    line: usize,
    model: &'a str,
    scenario: &'a str,
    key: keys::Key,
    /// Of several the last.
    value: &'a str,
}

/// What a file is like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report<'a> {
    /// Lines that LoadGen would misread, or for which it drops the file; and settings of this benchmark that it would not
    /// see. Any of them forbids the run.
    pub(crate) errors: Vec<Finding>,
    /// Lines that LoadGen ignores, and lines that it reads as written, but that may not mean what they seem to.
    pub(crate) warnings: Vec<Finding>,
    /// In the file's order.
    settings: Vec<Setting<'a>>,
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
    #[error("{}", FindingList(path, findings))]
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

struct FindingList<'a>(&'a Path, &'a [Finding]);

impl fmt::Display for FindingList<'_> {
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
    format!("{}:{}: {finding}", Escaped::path(path), finding.line)
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
    let bytes = ossmark_files::read(path).map_err(unreadable)?;
    let Report {
        errors, warnings, ..
    } = lint(&bytes, kind);
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

/// Whether a file sets a key of a run, as LoadGen looks it up: for the model and the scenario, or for all of either.
pub(crate) fn sets(bytes: &[u8], (model, scenario): (&str, &str), key: &str) -> bool {
    let is = |found: &str, wanted: &str| found == wanted || found == "*";
    [Kind::User, Kind::Audit].iter().any(|kind| {
        let report = lint(bytes, *kind);
        let mut settings = report.settings.iter();
        settings.any(|s| s.key.name == key && is(s.model, model) && is(s.scenario, scenario))
    })
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
pub(crate) fn lint(bytes: &[u8], kind: Kind) -> Report<'_> {
    let mut report = Report::default();
    let mut crlf = None;
    for (at, text) in bytes.split(|&b| b == b'\n').enumerate() {
        let line = at + 1;
        let checked = line::check(line, text, kind);
        if let Some(setting) = checked.setting {
            report
                .warnings
                .extend(remarks(&setting, &report.settings, kind));
            report.settings.push(setting);
        }
        if let Some((is_error, finding)) = checked.finding {
            match is_error {
                true => report.errors.push(finding),
                false => report.warnings.push(finding),
            }
        }
        if text.ends_with(b"\r") {
            crlf = crlf.or(Some(line));
        }
    }
    report.warnings.extend(unused_limits(&report.settings));
    if let Some(line) = crlf {
        report.warnings.push(Finding {
            line,
            text: "ends with a carriage return (CRLF); LoadGen skips it, but tools that read this file may not".into(),
            effect: LoadgenAction::Takes,
        });
    }
    report
}

/// What is worth saying about a line that is right in itself.
fn remarks(this: &Setting<'_>, before: &[Setting<'_>], kind: Kind) -> Vec<Finding> {
    let mut texts = Vec::new();
    let key = this.key.name;
    let name = format!("{}.{}.{key}", this.model, this.scenario);
    for other in before.iter().filter(|other| other.key.name == key) {
        let at = other.line;
        match ((this.model, this.scenario), (other.model, other.scenario)) {
            (a, b) if a == b => texts.push(format!(
                "{name} was set in line {at} already; LoadGen takes this one"
            )),
            (("*", s), (m, "*")) | ((m, "*"), ("*", s)) if m != "*" && s != "*" => texts.push(
                format!("{key} is also set in line {at}: *.{s}.{key} goes before {m}.*.{key}"),
            ),
            _ => {}
        }
    }
    if kind == Kind::User && this.model == "*" && keys::PER_MODEL.contains(&key) {
        texts.push(format!("{name} replaces what mlperf.conf sets for the model by name; name the model if that is meant"));
    }
    if kind == Kind::User && keys::AUDIT_LOG.contains(&key) {
        texts.push(format!("{name} makes a performance run log answers; it belongs into a compliance test's audit.config"));
    }
    let remark = |text| Finding {
        line: this.line,
        text,
        effect: LoadgenAction::Takes,
    };
    texts.into_iter().map(remark).collect()
}

/// LoadGen looks for the limits on tokens only where it counts tokens, which mlperf.conf asks for and a file may unask.
fn unused_limits(settings: &[Setting<'_>]) -> Vec<Finding> {
    let Some(off) = settings
        .iter()
        .find(|s| s.key.name == "use_token_latencies" && ossmark_logs::config::whole(s.value) != 1)
    else {
        return Vec::new();
    };
    let limits = settings
        .iter()
        .filter(|s| ["ttft_latency", "tpot_latency"].contains(&s.key.name));
    limits
        .map(|limit| Finding {
            line: limit.line,
            text: format!(
                "{} is looked up only where use_token_latencies is 1, and line {} sets it to {}",
                limit.key.name, off.line, off.value
            ),
            effect: LoadgenAction::Takes,
        })
        .collect()
}
