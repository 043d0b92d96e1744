//! The scenarios of one system against each other.

use ossmark_rules::Scenario;

use super::lengths;
use crate::field::field;
use crate::finding::{Finding, Findings, Level};
use crate::kind::Kind;

/// What is compared of a result.
#[derive(Clone, Debug)]
pub(super) struct Rates {
    pub(super) scenario: Scenario,
    pub(super) place: String,
    pub(super) tokens_per_s: f64,
    pub(super) answer_tokens: f64,
}

/// Server is given its queries one by one and within limits: it is no faster than all of them at once. What runs differ by is
/// allowed for.
const FASTER: f64 = 1.15;

pub(super) fn compare(results: &[Rates], found: &mut Findings) {
    let offline = results.iter().find(|one| one.scenario == Scenario::Offline);
    let Some(offline) = offline else {
        for one in results {
            found.skip(format!(
                "{}: Offline beside it; its system has none",
                one.place
            ));
        }
        return;
    };
    for one in results {
        let seen = match one.scenario {
            Scenario::Offline => continue,
            Scenario::Server => &field().ratio.server_to_offline,
            Scenario::Interactive => &field().ratio.interactive_to_offline,
        };
        let ratio = one.tokens_per_s / offline.tokens_per_s;
        let level = match ratio {
            ratio if ratio > FASTER => Some(Level::Ask),
            ratio if seen.is_above(ratio) => Some(Level::Note),
            _ => None,
        };
        if let Some(level) = level {
            found.add(Finding::new(
                Kind::ScenarioRates,
                level,
                &one.place,
                format!(
                    "tokens/s of {} over those of offline: {ratio:.4}",
                    one.scenario.name()
                ),
                seen.usual(),
            ));
        }
        let (tokens, of_offline) = (one.answer_tokens, offline.answer_tokens);
        lengths::of_scenario(one.scenario, tokens, of_offline, &one.place, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_faster_than_offline_is_asked_about() {
        let rates = |scenario, tokens_per_s| Rates {
            scenario,
            place: "result".into(),
            tokens_per_s,
            answer_tokens: 1331.0,
        };
        for (server, asks, notes) in [(900.0, 0, 0), (1100.0, 0, 1), (1500.0, 1, 0)] {
            let mut found = Findings::default();
            let results = [
                rates(Scenario::Offline, 1000.0),
                rates(Scenario::Server, server),
            ];
            compare(&results, &mut found);
            assert_eq!(found.asks(), asks, "{found:?}");
            assert_eq!(found.findings.len() - asks, notes, "{found:?}");
        }
        let mut found = Findings::default();
        compare(&[rates(Scenario::Server, 1.0)], &mut found);
        assert_eq!(found.not_looked_at.len(), 1);
    }
}
