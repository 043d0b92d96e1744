//! The runs of a search: `ossmark run` in a process of its own, a directory each. One that is there already is read and not
//! made again; one that goes on, because the search before was killed without it, is waited for.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ossmark_files::{Directory, Escaped};
use ossmark_record::{Record, Row};
use serde_json::Value;

use super::asked::option;
use crate::children;
use crate::output;
use crate::terminal::note;

/// Where runs are made, and with which options.
pub(super) struct Runs {
    dir: PathBuf,
    words: Vec<OsString>,
}

/// A run that was made.
pub(super) struct Made {
    pub(super) dir: PathBuf,
    pub(super) rows: Vec<Row>,
    /// It was ended before its time, because it could not become VALID any more.
    pub(super) is_hopeless: bool,
    verdict: Value,
}

impl Made {
    /// By LoadGen's word, and nothing else being wrong.
    pub(super) fn is_valid(&self) -> bool {
        self.verdict["verdict"] == "valid" && self.loadgen_says() == "VALID"
    }

    /// VALID or INVALID; nothing of a run that LoadGen did not end.
    pub(super) fn loadgen_says(&self) -> &str {
        self.verdict["loadgen"]["result"].as_str().unwrap_or("")
    }

    /// `official` or `test`.
    pub(super) fn settings(&self) -> &str {
        self.verdict["settings"].as_str().unwrap_or("test")
    }

    /// A figure of its verdict.
    pub(super) fn metric(&self, name: &str) -> Option<f64> {
        self.verdict["metrics"][name].as_f64()
    }
}

/// What lies in a run's directory.
enum Found {
    Nothing,
    /// A run that says nothing of the load: why.
    Broken(String),
    Made(Made),
}

const LOOK_AGAIN: Duration = Duration::from_millis(200);

impl Runs {
    /// Below `dir`, which is absolute.
    pub(super) fn new(dir: &Path, words: &[OsString]) -> Self {
        Self {
            dir: dir.to_owned(),
            words: words.to_vec(),
        }
    }

    /// The run of this name, made now unless it is there, with a user.conf and options of its own.
    ///
    /// # Errors
    ///
    /// The run could not be made, or has faults, so that it says nothing of the load; nothing is lost then.
    pub(super) fn make(&self, name: &str, conf: &str, more: &[OsString]) -> Result<Made> {
        let dir = self.dir.join(name);
        let shown = Escaped::path(&dir).to_string();
        wait_until_free(&dir)?;
        match look(&dir)? {
            Found::Made(made) => return Ok(made),
            Found::Broken(why) => {
                note!("ossmark: {shown}: {why}; it is moved aside and made again")
            }
            Found::Nothing => {}
        }
        let user_conf = self.dir.join(format!("{name}.user.conf"));
        output::write_whole(&user_conf, conf.as_bytes())?;
        let mut command = children::this_program()?;
        command
            .arg("run")
            .args(&self.words)
            .arg("--mode=performance")
            .arg(option("--output", &dir))
            .arg(option("--user-conf", &user_conf));
        if dir.exists() {
            // What is left of a run that was killed.
            command.arg("--force");
        }
        command.args(more);
        let (status, _) = children::output(&mut command).context("cannot start the run")?;
        children::fail_if_interrupted(|| {
            format!(
                "the search is kept in {}; the same command goes on",
                Escaped::path(&self.dir)
            )
        })?;
        // Had it been begun by a search that was killed a moment ago, this one was refused and that one is waited for.
        wait_until_free(&dir)?;
        match look(&dir)? {
            Found::Made(made) => Ok(made),
            Found::Broken(why) => bail!(
                "{shown}: {why}, so that the run says nothing of the load; see its verdict.json, fix it, and give the same \
                 command again: it makes this run anew"
            ),
            Found::Nothing => bail!(
                "{shown}: the run could not be made ({status}); its message is above. The same command goes on"
            ),
        }
    }

    /// Where the run of this name is, or will be.
    pub(super) fn place(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The run of this name, which is there.
    pub(super) fn read(&self, name: &str) -> Result<Made> {
        let dir = self.dir.join(name);
        match look(&dir)? {
            Found::Made(made) => Ok(made),
            Found::Broken(_) | Found::Nothing => bail!(
                "{}: the run is not there any more, expected what the search was made of; --force begins anew",
                Escaped::path(&dir)
            ),
        }
    }
}

/// Until nobody writes there.
fn wait_until_free(dir: &Path) -> Result<()> {
    let mut is_told = false;
    while dir.exists() {
        match Directory::claim(dir) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ResourceBusy => {}
            Err(error) => {
                return Err(error).with_context(|| Escaped::path(dir).to_string());
            }
        }
        if !is_told {
            let shown = Escaped::path(dir);
            note!("ossmark: {shown}: a run that was begun before goes on; it is waited for");
            is_told = true;
        }
        children::fail_if_interrupted(|| "the same command goes on".into())?;
        std::thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}

fn look(dir: &Path) -> Result<Found> {
    let file = dir.join("verdict.json");
    if !file.exists() {
        return Ok(Found::Nothing);
    }
    let shown = || Escaped::path(&file).to_string();
    let text = ossmark_files::read(&file).with_context(shown)?;
    let verdict: Value = serde_json::from_slice(&text).with_context(shown)?;
    let faults = verdict["faults"].as_array().map_or(&[][..], Vec::as_slice);
    let is_hopeless = faults.iter().any(|fault| fault["kind"] == "hopeless");
    if let Some(fault) = faults.first().filter(|_| !is_hopeless) {
        let message = fault["message"].as_str().unwrap_or("a fault");
        return Ok(Found::Broken(Escaped(message).to_string()));
    }
    if verdict["loadgen"]["errors"].as_u64().unwrap_or(1) > 0 && !is_hopeless {
        return Ok(Found::Broken("LoadGen logged errors".into()));
    }
    let record = match Record::open(dir) {
        Ok(record) => record,
        Err(error) => return Ok(Found::Broken(error.to_string())),
    };
    if !record.is_complete() && !is_hopeless {
        return Ok(Found::Broken("its record is not whole".into()));
    }
    Ok(Found::Made(Made {
        dir: dir.to_owned(),
        rows: record.rows,
        is_hopeless,
        verdict,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(verdict: &Value) -> Found {
        let tmp = tempfile::tempdir().unwrap();
        ossmark_record::write(tmp.path(), Vec::new(), 0).unwrap();
        let text = verdict.to_string();
        std::fs::write(tmp.path().join("verdict.json"), text).unwrap();
        look(tmp.path()).unwrap()
    }

    #[test]
    fn only_a_run_that_says_something_of_its_load_counts() {
        let good = json!({ "loadgen": { "result": "INVALID", "errors": 0 }, "faults": [] });
        assert!(matches!(found(&good), Found::Made(made) if !made.is_hopeless && !made.is_valid()));
        let kind = |kind: &str| json!([{ "kind": kind, "message": "what" }]);
        let with = |faults: Value, errors: u64| json!({ "loadgen": { "errors": errors }, "faults": faults });
        let both = json!([{ "kind": "hopeless" }, { "kind": "not_served" }]);
        assert!(matches!(found(&with(both, 3)), Found::Made(made) if made.is_hopeless));
        assert!(matches!(found(&with(kind("stalled"), 0)), Found::Broken(why) if why == "what"));
        assert!(matches!(found(&with(json!([]), 1)), Found::Broken(_)));
        assert!(matches!(found(&json!({})), Found::Broken(_)));
        let tmp = tempfile::tempdir().unwrap();
        assert!(matches!(look(tmp.path()).unwrap(), Found::Nothing));
    }
}
