//! What accepted results look like: `mlperf_conf/field.toml`.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::finding::{Finding, Level};
use crate::kind::Kind;
use crate::statistics::two_sided;

/// A figure over all results that have it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seen {
    pub(crate) results: u32,
    pub(crate) mean: f64,
    pub(crate) sd: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sourced {
    pub(crate) value: f64,
    pub(crate) source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Field {
    pub(crate) answer_tokens: AnswerTokens,
    pub(crate) accuracy: Accuracy,
    pub(crate) ratio: Ratio,
    pub(crate) floor: Floor,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerTokens {
    pub(crate) performance: Seen,
    pub(crate) test09: Seen,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Accuracy {
    pub(crate) aime25: Seen,
    pub(crate) gpqa_diamond: Seen,
    pub(crate) livecodebench_v6: Seen,
    pub(crate) test07: Seen,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ratio {
    pub(crate) server_to_offline: Seen,
    pub(crate) interactive_to_offline: Seen,
    pub(crate) performance_to_test09: Seen,
    pub(crate) server_length_to_offline: Seen,
    pub(crate) tpot_p99_to_p50: Seen,
    pub(crate) latency_law: Seen,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Floor {
    pub(crate) flop_per_prompt_token: Sourced,
    pub(crate) flop_per_second: Sourced,
    pub(crate) layers_ns: Sourced,
}

/// The one that is compiled in.
pub(crate) fn field() -> &'static Field {
    static FIELD: LazyLock<Field> = LazyLock::new(|| {
        let text = include_str!("../../../mlperf_conf/field.toml");
        toml::from_str(text)
            .expect("the embedded figures are part of the program and parsed by its tests")
    });
    &FIELD
}

/// So many standard deviations from the mean, and outside of all that was seen: worth knowing, worth a question. A normal
/// figure is beyond the first once in 370, beyond the second once in 1.7 million; a result has some ten.
const NOTE: f64 = 3.0;
const ASK: f64 = 5.0;

/// The figures of the field are rounded: one that differs by so small a share of itself is the same.
const ROUNDED: f64 = 5e-4;

impl Seen {
    /// Whether nothing higher was seen.
    pub(crate) fn is_above(&self, value: f64) -> bool {
        value > self.high * (1.0 + ROUNDED)
    }

    /// What is odd about `value`, if anything is.
    pub(crate) fn judge(&self, kind: Kind, place: &str, what: &str, value: f64) -> Option<Finding> {
        let off = (value - self.mean) / self.sd;
        let level = match off.abs() {
            _ if value >= self.low * (1.0 - ROUNDED) && !self.is_above(value) => return None,
            off if off >= ASK => Level::Ask,
            off if off >= NOTE => Level::Note,
            _ => return None,
        };
        let finding = Finding::new(
            kind,
            level,
            place,
            format!("{what}: {value:.4}"),
            self.usual(),
        );
        Some(finding.rare(two_sided(off)))
    }

    pub(crate) fn usual(&self) -> String {
        format!(
            "{} to {}, mean {} ({} results; {})",
            self.low, self.high, self.mean, self.results, self.source
        )
    }
}

impl Floor {
    /// Nanoseconds that the first token of a prompt takes at the least.
    pub(crate) fn first_token_ns(&self, prompt_tokens: u32) -> f64 {
        let compute = f64::from(prompt_tokens) * self.flop_per_prompt_token.value;
        self.layers_ns.value + compute / self.flop_per_second.value * 1e9
    }

    pub(crate) fn usual(&self) -> String {
        format!(
            "{} FLOP a token of the prompt ({}) at {} FLOP/s ({}), and {} ns for the layers ({})",
            self.flop_per_prompt_token.value,
            self.flop_per_prompt_token.source,
            self.flop_per_second.value,
            self.flop_per_second.source,
            self.layers_ns.value,
            self.layers_ns.source
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_what_its_types_ask_for() {
        let field = field();
        let all = [
            &field.answer_tokens.performance,
            &field.answer_tokens.test09,
            &field.accuracy.aime25,
            &field.accuracy.gpqa_diamond,
            &field.accuracy.livecodebench_v6,
            &field.accuracy.test07,
            &field.ratio.server_to_offline,
            &field.ratio.interactive_to_offline,
            &field.ratio.performance_to_test09,
            &field.ratio.server_length_to_offline,
            &field.ratio.tpot_p99_to_p50,
            &field.ratio.latency_law,
        ];
        for seen in all {
            assert!(seen.low <= seen.mean && seen.mean <= seen.high && seen.sd > 0.0);
            assert!(!seen.source.is_empty() && seen.results > 0);
            assert!(seen.judge(Kind::Accuracy, "", "", seen.low).is_none());
            assert!(seen.judge(Kind::Accuracy, "", "", seen.high).is_none());
        }
    }

    #[test]
    fn what_is_far_off_is_asked_about() {
        let seen = &field().accuracy.aime25;
        let level = |value| seen.judge(Kind::Accuracy, "", "", value).map(|f| f.level);
        assert_eq!(level(84.0), None);
        assert_eq!(level(88.0), Some(Level::Note));
        assert_eq!(level(99.0), Some(Level::Ask));
        assert_eq!(level(20.0), Some(Level::Ask));
        assert_eq!(level(f64::NAN), None);
    }

    #[test]
    fn longer_prompts_take_longer_at_the_least() {
        let floor = &field().floor;
        let [short, long] = [1, 100_000].map(|tokens| floor.first_token_ns(tokens));
        assert!(short >= 100_000.0 && long > 1.5 * short, "{short} {long}");
    }

    /// A result that the field's figures were taken from has more decimals than they do.
    #[test]
    fn what_the_figures_were_taken_from_is_not_beyond_them() {
        let seen = &field().ratio.interactive_to_offline;
        assert!(!seen.is_above(seen.high + 4e-5));
        assert!(seen.is_above(seen.high + 1e-2));
    }
}
