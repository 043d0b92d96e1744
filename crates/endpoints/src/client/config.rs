//! What `config.yaml` and `point.yaml` say of a run, as far as its events can be held against it.

use std::path::Path;

use crate::model::point::Point;
use crate::model::steady_state::SteadyState;
use crate::rules::rules;
use crate::value::Value;
use crate::yaml;

/// Of one run; what is not there is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Config {
    pub(crate) concurrency: Option<i128>,
    /// All samples at once.
    pub(crate) is_offline: bool,
    /// `dataloader_random_seed`: it decides the order of the samples.
    pub(crate) seed: Option<i128>,
    pub(crate) scheduler_seed: Option<i128>,
    pub(crate) is_streaming: bool,
    pub(crate) stream_all_chunks: bool,
    pub(crate) min_duration_ms: i64,
    /// The name of the performance data set.
    pub(crate) dataset: Option<String>,
    /// Another client than MLCommons' wrote it.
    pub(crate) is_rehearsal: bool,
}

/// What a tree declares of a point.
#[derive(Debug)]
pub(super) struct Declared {
    /// Of a run with a fixed one.
    pub(super) concurrency: Option<i128>,
    pub(super) seed: Option<i128>,
    pub(super) dataset: Option<String>,
    pub(super) steady_state: Option<SteadyState>,
}

impl Declared {
    /// `None` where the file is no valid `point.yaml`.
    pub(super) fn read(file: &Path) -> Option<Self> {
        let point = Point::read(&mapping(file)?).ok()?;
        Some(Self {
            concurrency: (!point.is_dedicated()).then_some(point.concurrency),
            seed: point.settings.sample_index_seed,
            dataset: Some(point.dataset).filter(|name| !name.is_empty()),
            steady_state: point.steady_state,
        })
    }
}

/// A YAML file that is a mapping; what is wrong with another is for other rules to say.
fn mapping(file: &Path) -> Option<Value> {
    const MOST_BYTES: u64 = 4 << 20;
    let bytes = super::rows::bytes(file, MOST_BYTES).ok()?;
    let value = yaml::load(std::str::from_utf8(&bytes).ok()?).ok()?;
    value.map().is_some().then_some(value)
}

impl Config {
    /// `None` where the file is no mapping.
    pub(crate) fn read(file: &Path) -> Option<Self> {
        let value = mapping(file)?;
        Some(Self::of(&value))
    }

    fn of(value: &Value) -> Self {
        let at = |path: &[&str]| {
            let mut found = value;
            for name in path {
                found = found.map()?.get(name)?;
            }
            Some(found)
        };
        let int = |path: &[&str]| at(path).and_then(Value::plain_int);
        let datasets = at(&["datasets"]).and_then(Value::list).unwrap_or_default();
        let performance = datasets.iter().find(|one| {
            let kind = one.map().and_then(|map| map.get("type"));
            kind.and_then(Value::text) == Some("performance")
        });
        let name = performance.and_then(|one| one.map()?.get("name")?.text());
        let pattern = at(&["settings", "load_pattern", "type"]).and_then(Value::text);
        let concurrency = int(&["settings", "load_pattern", "target_concurrency"]);
        let streaming = at(&["model_params", "streaming"]);
        let duration = int(&["settings", "runtime", "min_duration_ms"]);
        let all_chunks = at(&["settings", "client", "stream_all_chunks"]);
        Self {
            concurrency: concurrency.filter(|_| pattern == Some("concurrency")),
            is_offline: pattern == Some("max_throughput"),
            seed: int(&["settings", "runtime", "dataloader_random_seed"]),
            scheduler_seed: int(&["settings", "runtime", "scheduler_random_seed"]),
            // YAML 1.1 takes an unquoted `off` for false.
            is_streaming: !matches!(streaming, Some(Value::Bool(false)))
                && streaming.and_then(Value::text) != Some("off"),
            stream_all_chunks: matches!(all_chunks, Some(Value::Bool(true))),
            min_duration_ms: duration.and_then(|ms| i64::try_from(ms).ok()).unwrap_or(0),
            dataset: name.map(str::to_owned),
            is_rehearsal: at(&["rehearsal"]).is_some(),
        }
    }

    /// Rows of the data set, where its name tells.
    pub(crate) fn rows(&self) -> Option<u32> {
        rows_of(self.dataset.as_deref()?)
    }
}

/// Rows of a data set, by its name.
pub(super) fn rows_of(dataset: &str) -> Option<u32> {
    u32::try_from(rules().datasets.get(dataset)?.value).ok()
}
