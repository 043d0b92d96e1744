//! `peak.json` in the output directory: what was asked and what is known so far, written whole after each step, so that the
//! same command goes on after a kill, and another one is refused.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ossmark_files::{Brief, Escaped};
use ossmark_predict::Search;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::output;
use crate::run::serving::Calibration;

/// Its name.
pub(super) const STATE: &str = "peak.json";
const VERSION: u32 = 1;

/// What is known so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    /// Of an engine that has no script.
    pub(super) calibration: Option<Calibration>,
    /// Of Server and Interactive.
    pub(super) search: Option<Search>,
    /// Of Offline.
    pub(super) offline: Option<Rates>,
}

/// Of Offline, the loads that were decided on; the runs are in their directories.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rates {
    /// target_qps of each run of official length, perhaps begun, perhaps over.
    pub(super) official: Vec<f64>,
    /// Samples a second in the middle of the probe.
    pub(super) probed: Option<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    settings: Value,
    known: Known,
}

/// The file of a search with these settings.
pub(super) struct State {
    path: PathBuf,
    settings: Value,
    pub(super) known: Known,
}

impl State {
    /// What is kept in a directory; nothing is known where there is none yet.
    ///
    /// # Errors
    ///
    /// A search with other settings, of another version, or one that cannot be read.
    pub(super) fn open(dir: &Path, settings: &Value) -> Result<Self> {
        let path = dir.join(STATE);
        let mut state = Self {
            settings: settings.clone(),
            known: Known::default(),
            path,
        };
        if !state.path.exists() {
            return Ok(state);
        }
        let shown = Escaped::path(&state.path).to_string();
        let text = ossmark_files::read(&state.path).with_context(|| shown.clone())?;
        let found: Value = serde_json::from_slice(&text)
            .with_context(|| format!("{shown}: expected a search that was begun here"))?;
        if found["version"] != VERSION {
            bail!(
                "{shown}: found version {}, expected {VERSION}; give another --output, or --force to begin anew",
                Escaped(&found["version"])
            );
        }
        if let Some(differs) = difference(&found["settings"], settings) {
            bail!(
                "{shown}: holds a search with other settings ({differs}); give them again, another --output, or --force to move the \
                 old one aside"
            );
        }
        let file: File = serde_json::from_value(found)
            .with_context(|| format!("{shown}: is no search; --force moves it aside"))?;
        state.known = file.known;
        Ok(state)
    }

    /// Keeps what is known now.
    pub(super) fn write(&self) -> Result<()> {
        let file = File {
            version: VERSION,
            settings: self.settings.clone(),
            known: self.known.clone(),
        };
        output::write_json(&self.path, &file)
    }
}

/// The first setting in which two searches differ.
fn difference(found: &Value, asked: &Value) -> Option<String> {
    let mut names = asked.as_object()?.keys();
    let differs = names.find(|name| found[name.as_str()] != asked[name.as_str()])?;
    let shown = |of: &Value| Brief(&of[differs.as_str()].to_string()).to_string();
    Some(format!(
        "{differs}: found {}, now {}",
        shown(found),
        shown(asked)
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_kept_is_read_again_and_another_search_refused() {
        let tmp = tempfile::tempdir().unwrap();
        let settings = json!({ "scenario": "server", "--probes": 5 });
        let mut state = State::open(tmp.path(), &settings).unwrap();
        assert!(state.known.calibration.is_none());
        state.known.calibration = Some(Calibration {
            model: ossmark_predict::Model {
                step_s: 0.0123456,
                prefill_token_s: 1.2345e-9,
                decode_row_s: 0.0,
                context_s: 7.65432e-12,
            },
            max_seqs: 4,
            max_step_tokens: 512,
            engines: 1,
            answers: vec![(3, 9)],
        });
        state.write().unwrap();
        let again = State::open(tmp.path(), &settings).unwrap();
        assert_eq!(again.known.calibration, state.known.calibration);

        let other = json!({ "scenario": "server", "--probes": 4 });
        let refused = State::open(tmp.path(), &other).err().unwrap().to_string();
        assert!(
            refused.contains("other settings (--probes: found 5, now 4)"),
            "{refused}"
        );
        for damaged in ["", "{}", "[1]", "null", "{\"version\":1,\"settings\":{}}"] {
            std::fs::write(tmp.path().join(STATE), damaged).unwrap();
            assert!(State::open(tmp.path(), &settings).is_err(), "{damaged}");
        }
    }
}
