//! `point.yaml`.

use super::steady_state::SteadyState;
use crate::lax::{
    Fields, Problem, Problems, boolean, dict, float, int, int_from, list, non_empty, string,
};
use crate::value::{Map, Value};

/// How a point is the Offline point.
pub(crate) const DEDICATED: &str = "dedicated";
pub(crate) const ELECTED: &str = "elected";
/// The client's load pattern of agentic benchmarks, the only mark of one.
pub(crate) const AGENTIC: &str = "agentic_inference";

/// A text each, and needed for the disclosure; C_max, which is a number, is needed besides.
const DISCLOSURE: [&str; 11] = [
    "division",
    "model_name",
    "model_precision",
    "link_to_model",
    "dataset_name",
    "dataset_type",
    "dataset_link",
    "shared_src",
    "shared_docs",
    "seed_set",
    "target_cohort",
];

#[derive(Debug, Default)]
pub(crate) struct Point {
    pub(crate) concurrency: i128,
    pub(crate) region: Option<String>,
    pub(crate) dataset: String,
    pub(crate) settings: Settings,
    pub(crate) warmup: Option<Warmup>,
    pub(crate) division: Option<String>,
    pub(crate) c_max: Option<i128>,
    pub(crate) model_name: Option<String>,
    pub(crate) shared_src: Option<String>,
    pub(crate) shared_docs: Option<String>,
    pub(crate) seed_set: Option<String>,
    pub(crate) target_cohort: Option<String>,
    /// Disclosures that are absent or empty.
    pub(crate) undisclosed: Vec<&'static str>,
    pub(crate) offline: Option<String>,
    pub(crate) steady_state: Option<SteadyState>,
    pub(crate) drafter: Option<Map>,
    pub(crate) nodes_used: Option<Vec<NodesUsed>>,
    pub(crate) shortfall: Option<Shortfall>,
}

#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) load_pattern: String,
    pub(crate) stream_all_chunks: bool,
    pub(crate) scheduler_seed: Option<i128>,
    pub(crate) sample_index_seed: Option<i128>,
    pub(crate) model_seed: Option<i128>,
    /// The names of v0.7, and no seed of the model.
    pub(crate) has_old_names: bool,
    pub(crate) salt: Option<bool>,
}

#[derive(Debug, Default)]
pub(crate) struct Warmup {
    pub(crate) is_disabled: bool,
    pub(crate) logs_retained: Option<bool>,
}

#[derive(Debug, Default)]
pub(crate) struct NodesUsed {
    pub(crate) ensemble: i128,
    pub(crate) nodes: i128,
}

#[derive(Debug, Default)]
pub(crate) struct Shortfall {
    pub(crate) actual: i128,
    pub(crate) formula: i128,
}

impl Point {
    pub(crate) fn read(value: &Value) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let point = Self::fields(value, &mut problems);
        if problems.list.is_empty() {
            Ok(point)
        } else {
            Err(problems.list)
        }
    }

    fn fields(value: &Value, problems: &mut Problems) -> Self {
        let Some(mut fields) = Fields::of(value, problems) else {
            return Self::default();
        };
        let c_max = fields.optional("max_supported_concurrency", int);
        let mut undisclosed = Vec::new();
        if c_max.is_none() {
            undisclosed.push("max_supported_concurrency");
        }
        let mut texts = DISCLOSURE.map(|name| {
            let text = fields.optional(name, string);
            if text.as_deref().unwrap_or_default().is_empty() {
                undisclosed.push(name);
            }
            text
        });
        for name in ["link_to_model_transformation", "model_notes"] {
            fields.optional(name, string);
        }
        let mut text = |name: &str| {
            let at = DISCLOSURE.iter().position(|known| *known == name);
            at.and_then(|at| texts[at].take())
        };
        Self {
            concurrency: fields.required("concurrency", int),
            region: fields.optional("region", string),
            dataset: fields.or("dataset", String::new(), string),
            settings: fields.required("runtime_settings", Settings::read),
            warmup: fields.optional("warmup", Warmup::read),
            division: text("division"),
            c_max,
            model_name: text("model_name"),
            shared_src: text("shared_src"),
            shared_docs: text("shared_docs"),
            seed_set: text("seed_set"),
            target_cohort: text("target_cohort"),
            undisclosed,
            offline: fields.optional("offline", string),
            steady_state: fields.optional("steady_state", SteadyState::read),
            drafter: fields.optional("speculative_decoding", |value, problems| {
                dict(|_, _| ())(value, problems);
                value.map().cloned().unwrap_or_default()
            }),
            nodes_used: fields.optional("nodes_used", list(NodesUsed::read)),
            shortfall: fields.optional("dp_shortfall", Shortfall::read),
        }
    }

    pub(crate) fn is_dedicated(&self) -> bool {
        self.offline.as_deref() == Some(DEDICATED)
    }

    pub(crate) fn is_elected(&self) -> bool {
        self.offline.as_deref() == Some(ELECTED)
    }

    pub(crate) fn is_agentic(&self) -> bool {
        self.settings.load_pattern == AGENTIC
    }
}

impl Settings {
    fn read(value: &Value, problems: &mut Problems) -> Self {
        let Some(mut fields) = Fields::of(value, problems) else {
            return Self::default();
        };
        fields.or("min_duration_ms", 0, int);
        fields.optional("min_sample_count", int);
        let mut settings = Self {
            load_pattern: fields.or("load_pattern", "concurrency".into(), string),
            stream_all_chunks: fields.or("stream_all_chunks", true, boolean),
            salt: fields
                .optional("warmup", |value, problems| {
                    Fields::of(value, problems)?.optional("salt", boolean)
                })
                .flatten(),
            ..Self::default()
        };
        fields.required("runtime", |value, problems| settings.seeds(value, problems));
        settings
    }

    fn seeds(&mut self, value: &Value, problems: &mut Problems) {
        let Some(mut fields) = Fields::of(value, problems) else {
            return;
        };
        let old_scheduler = fields.optional("scheduler_random_seed", int);
        let old_sample_index = fields.optional("dataloader_random_seed", int);
        self.model_seed = fields.optional("model_seed", int);
        self.has_old_names =
            (old_scheduler.is_some() || old_sample_index.is_some()) && self.model_seed.is_none();
        let scheduler = fields.optional("scheduler_rng_seed", int);
        let sample_index = fields.optional("sample_index_rng_seed", int);
        self.scheduler_seed = scheduler.or(old_scheduler);
        self.sample_index_seed = sample_index.or(old_sample_index);
    }
}

impl Warmup {
    fn read(value: &Value, problems: &mut Problems) -> Self {
        const DAY_S: f64 = 86_400.0;
        let Some(mut fields) = Fields::of(value, problems) else {
            return Self::default();
        };
        let duration_s = fields.required("duration_s", |value, problems| {
            let before = problems.list.len();
            let x = float(value, problems);
            // NaN is no duration.
            if !(0.0..=DAY_S).contains(&x) && problems.list.len() == before {
                problems.expected::<()>("0 to 86400 seconds", value);
            }
            x
        });
        let issued = fields.required("requests_issued", int_from(0));
        let completed = fields.required("requests_completed", int_from(0));
        fields.required("data_source", non_empty);
        let concurrency = fields.required("concurrency", int_from(0));
        fields.or("initialization_steps", Vec::new(), list(string));
        let logs_retained = fields.optional("logs_retained", boolean);
        fields.optional("link_logs", string);
        let is_disabled = duration_s == 0.0 && issued == 0 && completed == 0;
        fields.then(|problems| {
            if completed > issued {
                problems.add(format!(
                    "found {completed} requests completed of {issued} issued"
                ));
            } else if concurrency == 0 && !is_disabled {
                problems
                    .add("found concurrency 0 with a warm-up that took place, expected at least 1");
            }
        });
        Self {
            is_disabled,
            logs_retained,
        }
    }
}

impl NodesUsed {
    fn read(value: &Value, problems: &mut Problems) -> Self {
        let Some(mut fields) = Fields::of(value, problems) else {
            return Self::default();
        };
        Self {
            ensemble: fields.required("system_node_ensemble_id", int),
            nodes: fields.required("nodes", int),
        }
    }
}

impl Shortfall {
    fn read(value: &Value, problems: &mut Problems) -> Self {
        let Some(mut fields) = Fields::of(value, problems) else {
            return Self::default();
        };
        fields.required("reason", non_empty);
        Self {
            actual: fields.required("dp_actual", int),
            formula: fields.required("dp_formula", int),
        }
    }
}
