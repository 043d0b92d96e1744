//! `accuracy_results.json`, and `accuracy_scores` of `results.json`: the client's list, or a mapping by data set.

use std::collections::HashSet;

use crate::lax::Problem;
use crate::python::{self, Raised};
use crate::value::{Key, Map, Value};

/// The score of a performance run's own answers, which is no accuracy run.
const INLINE: &str = "performance";
/// Keys of an entry that are no metrics.
const NO_METRICS: [&str; 13] = [
    "dataset_name",
    "num_samples",
    "status",
    "extractor",
    "ground_truth_column",
    "n_repeats",
    "complete",
    "unit_samples",
    "total_samples",
    "num_repeats",
    "duration_s",
    "dataset_type",
    "response_counts",
];

/// One data set's entry.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// `None` where it says none.
    kind: Option<String>,
    /// In file order; texts that are no numbers are left out, as there.
    pub(crate) metrics: Vec<(String, f64)>,
    /// A value that Python raises at.
    pub(crate) raises: Option<Raised>,
    /// Samples issued, where it says so.
    pub(crate) issued: Option<i128>,
    /// Unique samples, which weigh the score.
    pub(crate) weight: Option<f64>,
    /// Says itself that it is not complete.
    pub(crate) is_incomplete: bool,
    /// Metrics that are no numbers, or not finite.
    pub(crate) unusable: Vec<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Accuracy {
    pub(crate) entries: Vec<Entry>,
}

fn problem(message: impl Into<String>) -> Vec<Problem> {
    vec![Problem {
        field: String::new(),
        message: message.into(),
    }]
}

impl Accuracy {
    pub(crate) fn read(value: &Value) -> Result<Self, Vec<Problem>> {
        let mut value = value;
        if let Some(scores) = value.map().and_then(|map| map.get("accuracy_scores")) {
            if !matches!(scores, Value::Map(_) | Value::List(_)) {
                return Err(problem(format!(
                    "found {} for accuracy_scores, expected a mapping of data sets or a list",
                    scores.shown()
                )));
            }
            value = scores;
        }
        let entries = match value {
            Value::List(list) => Self::listed(list)?,
            Value::Map(map) => Self::mapped(map)?,
            other => {
                return Err(problem(format!(
                    "found {}, expected a mapping of data sets or a list of them",
                    other.shown()
                )));
            }
        };
        let inline = entries.iter().filter(|e| e.kind.as_deref() == Some(INLINE));
        if inline.count() > 1 {
            return Err(problem(
                "found more than one entry with dataset_type: performance, expected at most one",
            ));
        }
        Ok(Self { entries })
    }

    fn listed(list: &[Value]) -> Result<Vec<Entry>, Vec<Problem>> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut names = HashSet::new();
        for value in list {
            let Some(map) = value.map() else {
                return Err(problem(format!(
                    "found {} for an entry, expected a mapping",
                    value.shown()
                )));
            };
            let name = map
                .get("dataset_name")
                .and_then(Value::text)
                .unwrap_or_default();
            if ossmark_python::strip(name).is_empty() {
                return Err(problem("found an entry without dataset_name"));
            }
            if !names.insert(name) {
                return Err(problem(format!("found the data set {name:?} twice")));
            }
            if map.get("score").is_none() {
                return Err(problem(format!("found no score for {name:?}")));
            }
            let mut map = map.clone();
            for (native, other) in [
                ("unit_samples", "num_samples"),
                ("num_repeats", "n_repeats"),
            ] {
                let Some(count) = map.get(native).cloned() else {
                    continue;
                };
                if map.get(other).is_some_and(|known| !known.equals(&count)) {
                    return Err(problem(format!(
                        "found {native} and {other} of {name:?} to differ; they are one field"
                    )));
                }
                map.insert(Key::Str(other.into()), count);
            }
            entries.push(Entry::of(name, &map));
        }
        Ok(entries)
    }

    fn mapped(map: &Map) -> Result<Vec<Entry>, Vec<Problem>> {
        let entry = |(name, value): (&str, &Value)| match value.map() {
            Some(map) => Ok(Entry::of(name, map)),
            None => Err(vec![Problem {
                field: name.to_owned(),
                message: format!("found {}, expected a mapping", value.shown()),
            }]),
        };
        map.named().map(entry).collect()
    }

    /// The entry of the performance run's own answers.
    pub(crate) fn inline(&self) -> Option<&Entry> {
        let typed = self
            .entries
            .iter()
            .find(|e| e.kind.as_deref() == Some(INLINE));
        typed.or_else(|| {
            self.entries
                .iter()
                .find(|e| e.name == INLINE && e.kind.is_none())
        })
    }

    /// Whether it holds an accuracy run.
    pub(crate) fn is_a_run(&self) -> bool {
        self.entries.len() > usize::from(self.inline().is_some())
    }

    pub(crate) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}

impl Entry {
    fn of(name: &str, map: &Map) -> Self {
        let metrics: Vec<(&str, &Value)> = match map.get("score") {
            Some(Value::Map(scores)) => scores.named().collect(),
            Some(score) if !score.is_none() => vec![("score", score)],
            _ => map
                .named()
                .filter(|(key, _)| !NO_METRICS.contains(key))
                .collect(),
        };
        let mut entry = Self {
            name: name.to_owned(),
            // A key that is there with another type is a type too: not the performance run's.
            kind: map
                .get("dataset_type")
                .map(|kind| kind.text().unwrap_or_default().to_owned()),
            metrics: Vec::new(),
            raises: None,
            issued: None,
            weight: None,
            is_incomplete: matches!(map.get("complete"), Some(Value::Bool(false))),
            unusable: Vec::new(),
        };
        for (metric, value) in metrics {
            match python::float(value) {
                Ok(x) => {
                    if !x.is_finite() {
                        entry.unusable.push(format!("{metric} = {}", value.shown()));
                    }
                    entry.metrics.push((metric.to_owned(), x));
                }
                Err(_) => entry.unusable.push(format!("{metric} = {}", value.shown())),
            }
        }
        if let Some(count) = map.get("num_samples").filter(|count| !count.is_none()) {
            entry.weight = python::float(count).ok();
            entry.issued = entry.number(count).map(|unique| {
                let repeats = map.get("n_repeats").filter(|value| value.is_truthy());
                let repeats = repeats.and_then(|value| entry.number(value)).unwrap_or(1);
                unique.saturating_mul(repeats.max(1))
            });
        }
        entry
    }

    fn number(&mut self, value: &Value) -> Option<i128> {
        match python::int(value) {
            Ok(n) => Some(n),
            // The one exception that the official checker does not catch.
            Err(Raised::Overflow) => {
                self.raises = Some(Raised::Overflow);
                None
            }
            Err(_) => None,
        }
    }

    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let found = self.metrics.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| *value)
    }
}
