//! The `steady_state` block of `point.yaml`.

use crate::lax::{Fields, Problems, dict, float, int, string};
use crate::value::Value;

/// What a plateau's states are called.
const DRIFTING: &str = "Drifting";

#[derive(Debug, Default)]
pub(crate) struct SteadyState {
    pub(crate) status: Option<String>,
    pub(crate) verdict: Option<String>,
    pub(crate) window: Window,
    pub(crate) state: Vec<(String, String)>,
}

#[derive(Debug, Default)]
pub(crate) struct Window {
    pub(crate) first: Option<i128>,
    pub(crate) last: Option<i128>,
    pub(crate) pass_size: Option<i128>,
    pub(crate) samples: Option<i128>,
    pub(crate) duration_s: Option<f64>,
}

impl SteadyState {
    pub(crate) fn read(value: &Value, problems: &mut Problems) -> Self {
        let Some(mut fields) = Fields::of(value, problems) else {
            return Self::default();
        };
        let mut state = fields.or("state", Vec::new(), dict(string));
        state.sort();
        Self {
            status: fields.optional("status", string),
            verdict: fields.optional("verdict", string),
            window: fields.or("window", Window::default(), Window::read),
            state,
        }
    }

    /// Metrics that drift, in order of their names.
    pub(crate) fn drifting(&self) -> Vec<&str> {
        let drifting = self.state.iter().filter(|(_, s)| s.starts_with(DRIFTING));
        drifting.map(|(name, _)| name.as_str()).collect()
    }
}

impl Window {
    fn read(value: &Value, problems: &mut Problems) -> Self {
        let Some(mut fields) = Fields::of(value, problems) else {
            return Self::default();
        };
        Self {
            first: fields.optional("super_pass_start", int),
            last: fields.optional("super_pass_end", int),
            pass_size: fields.optional("super_pass_size", int),
            samples: fields.optional("n_samples", int),
            duration_s: fields.optional("duration_s", float),
        }
    }

    /// Both ends belong to it.
    pub(crate) fn super_passes(&self) -> Option<i128> {
        let (first, last) = self.first.zip(self.last)?;
        Some(last.saturating_sub(first).saturating_add(1))
    }
}
