//! What a run's directory says of its point.

use std::path::{Path, PathBuf};

use crate::client::{Config, CountTokens, audit};
use crate::finding::{Findings, Severity};
use crate::model::summary::Summary;
use crate::steady_state::SteadyState;
use crate::value::Value;

/// A run that can be a point.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) dir: PathBuf,
    pub(super) summary: PathBuf,
    /// Of a dedicated Offline run the rows of the data set.
    pub(super) concurrency: i128,
    pub(super) is_dedicated: bool,
    pub(super) is_rehearsal: bool,
    pub(super) config: Config,
    pub(super) scheduler_seed: Option<i128>,
    pub(super) sample_index_seed: Option<i128>,
    pub(super) issued: i128,
    /// Output tokens a second.
    pub(super) tps: Option<f64>,
    pub(super) steady_state: Option<SteadyState>,
}

impl Measured {
    pub(super) fn name(&self) -> String {
        format!("r{}", self.concurrency)
    }
}

/// Reads a run; everything that does not add up is a problem.
pub(super) fn measured(
    dir: &Path,
    tokens: Option<&dyn CountTokens>,
) -> Result<Measured, Vec<String>> {
    let config = Config::read(&dir.join("config.yaml"));
    let config = config.ok_or_else(|| {
        vec![
            "found no config.yaml that is a mapping, expected the client's report directory"
                .to_owned(),
        ]
    })?;
    let below = dir.join("performance/result_summary.json");
    let file = if below.exists() {
        below
    } else {
        dir.join("result_summary.json")
    };
    let text = ossmark_files::read_to_string(&file);
    let text = text.map_err(|error| vec![format!("{}: {error}", file.display())])?;
    let value: Value = ossmark_json::loads(&text)
        .map_err(|e| vec![format!("{}: no JSON: {e}", file.display())])?;
    let summary = Summary::read(&value).map_err(|problems| {
        let shown = problems
            .into_iter()
            .map(|p| format!("result_summary.json, {}: {}", p.field, p.message));
        shown.collect::<Vec<_>>()
    })?;
    let mut findings = Findings::new(dir);
    let audited = if dir.join(crate::client::EVENTS).exists() {
        audit(dir, tokens, false, &mut findings)
    } else {
        None
    };
    let problems = findings
        .list
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    let problems: Vec<String> = problems
        .map(|f| format!("{}: {} ({})", f.path, f.message, f.rule))
        .collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    let rows = audited.as_ref().and_then(|audited| audited.rows);
    let (concurrency, is_dedicated) = match (config.concurrency, config.is_offline) {
        (Some(concurrency), _) => (concurrency, false),
        (None, true) => {
            let known = rows.or_else(|| config.rows());
            let rows = known.ok_or_else(|| {
                vec!["found an Offline run over a data set of unknown length; keep events.jsonl and sample_idx_map.json beside it".to_owned()]
            })?;
            (rows.into(), true)
        }
        (None, false) => {
            return Err(vec!["found neither a fixed concurrency nor max_throughput in config.yaml's load_pattern".into()]);
        }
    };
    let stamp = value.map().and_then(|map| map.get("rehearsal"));
    Ok(Measured {
        dir: dir.to_owned(),
        summary: file,
        concurrency,
        is_dedicated,
        is_rehearsal: stamp.is_some() || config.is_rehearsal,
        scheduler_seed: config.scheduler_seed,
        sample_index_seed: config.seed,
        issued: summary.issued,
        tps: summary.system_tps().ok().filter(|tps| *tps > 0.0),
        steady_state: audited.and_then(|audited| audited.steady_state),
        config,
    })
}
