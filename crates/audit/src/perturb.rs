//! Probes that an implementation made for the benchmark fails: the same questions to a changed model, and changed or other
//! questions to the same.
//!
//! Owns how prompts are changed, and what the answers mean. Who answers and who grades is not its affair. Pure.

mod prompts;

use serde::Serialize;

use crate::finding::{Finding, Findings, Level};
use crate::kind::Kind;

pub use prompts::one_token_changed;

/// What was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "probe", content = "layer")]
pub enum Probe {
    /// Nothing: what all others are held against.
    Unchanged,
    /// A layer is computed and its result dropped.
    LayerLeftOut(u32),
    /// In a layer each row goes to the experts next to its own.
    ExpertsSwapped(u32),
    /// One token of each prompt is another.
    OneToken,
    /// Other questions of the same kinds, with known answers.
    OtherPrompts,
}

impl Probe {
    /// For people.
    pub fn name(self) -> String {
        match self {
            Self::Unchanged => "unchanged".into(),
            Self::LayerLeftOut(layer) => format!("layer {layer} left out"),
            Self::ExpertsSwapped(layer) => format!("experts of layer {layer} swapped"),
            Self::OneToken => "one token of each prompt changed".into(),
            Self::OtherPrompts => "other prompts".into(),
        }
    }

    fn is_of_the_model(self) -> bool {
        matches!(self, Self::LayerLeftOut(_) | Self::ExpertsSwapped(_))
    }
}

/// What came of a probe.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probed {
    /// Which.
    #[serde(flatten)]
    pub probe: Probe,
    /// Answers.
    pub answers: usize,
    /// Those that are right.
    pub correct: usize,
    /// Those from which an answer could be read, right or wrong.
    pub readable: usize,
    /// Requests that failed.
    pub failed: usize,
    /// Long answers that are those of the unchanged prompts and model, token for token; none where the questions are others.
    pub as_before: Option<usize>,
    /// Output tokens of all answers.
    pub tokens: u64,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// Steps of the engine, where it counts them.
    pub steps: Option<u64>,
    /// Rows that its operations worked on, where it counts them.
    pub operations: Option<u64>,
}

impl Probed {
    /// Of all answers, 0 to 1.
    pub fn score(&self) -> f64 {
        share(self.correct, self.answers)
    }

    /// Output tokens a second.
    pub fn tokens_per_s(&self) -> f64 {
        self.tokens as f64 / self.seconds.max(1e-9)
    }
}

fn share(part: usize, all: usize) -> f64 {
    part as f64 / all.max(1) as f64
}

/// The unchanged score says something from here on.
const ENOUGH: f64 = 0.5;
/// Answers that stay the same although a token of the prompt is another: the demo's four layers, which add numbers, give half
/// of them again, and who looks answers up gives all.
const SAME_NOTE: f64 = 0.5;
const SAME_ASK: f64 = 0.75;
/// A token changes what some short questions ask, and never all of them.
const LOST: f64 = 0.3;
/// How much slower unknown prompts may be: machines are busy now and then.
const SLOWER_NOTE: f64 = 1.5;
const SLOWER_ASK: f64 = 3.0;

/// What the probes mean, each against the unchanged one.
pub fn judge(unchanged: &Probed, probes: &[Probed]) -> Findings {
    let mut found = Findings::default();
    if unchanged.answers == 0 || unchanged.score() < ENOUGH {
        found.skip(format!(
            "what a changed score means: unchanged, {} of {} answers are right, expected half of them",
            unchanged.correct, unchanged.answers
        ));
    }
    for probed in probes {
        match probed.probe.is_of_the_model() {
            true => model(unchanged, probed, &mut found),
            false => prompts(unchanged, probed, &mut found),
        }
    }
    found
}

fn model(unchanged: &Probed, probed: &Probed, found: &mut Findings) {
    let place = probed.probe.name();
    let same = share(probed.as_before.unwrap_or(0), probed.answers);
    let (before, now) = (unchanged.score(), probed.score());
    let level = if same > 0.9 {
        Some(Level::Ask)
    } else if before >= ENOUGH && now > before / 2.0 {
        // A large model gets over the loss of a layer better than a small one.
        Some(Level::Note)
    } else {
        None
    };
    if let Some(level) = level {
        found.add(Finding::new(
            Kind::ModelIgnored,
            level,
            &place,
            format!(
                "{:.1}% right, {:.1}% unchanged; {:.1}% of the answers are the same",
                100.0 * now,
                100.0 * before,
                100.0 * same
            ),
            "the score falls, on small models below half; hardly any answer stays the same",
        ));
    }
    for (name, before, now) in [
        ("steps", unchanged.steps, probed.steps),
        (
            "rows of operations",
            unchanged.operations,
            probed.operations,
        ),
    ] {
        match before.zip(now) {
            None => found.skip(format!("{place}: {name}; the engine does not count them")),
            Some((before, now)) if before != now => found.add(Finding::new(
                Kind::WorkDiffers,
                Level::Ask,
                &place,
                format!("{now} {name}"),
                format!("{before}, as unchanged: the layer is computed, its result dropped"),
            )),
            Some(_) => {}
        }
    }
}

fn prompts(unchanged: &Probed, probed: &Probed, found: &mut Findings) {
    let place = probed.probe.name();
    let mut tell = |level: Level, figure: String, usual: &str| {
        found.add(Finding::new(
            Kind::PromptsKnown,
            level,
            &place,
            figure,
            usual,
        ));
    };
    let (before, now) = (
        share(unchanged.readable, unchanged.answers),
        share(probed.readable, probed.answers),
    );
    if now < before / 2.0 {
        tell(
            Level::Ask,
            format!(
                "{:.1}% of the answers say anything, {:.1}% of the unchanged ones",
                100.0 * now,
                100.0 * before
            ),
            "as many: a prompt with another token is a prompt as well",
        );
    }
    let failed = share(probed.failed, probed.answers);
    if failed > 0.05 {
        tell(
            Level::Ask,
            format!("{:.1}% of the requests failed", 100.0 * failed),
            "none",
        );
    }
    let same = share(probed.as_before.unwrap_or(0), probed.answers);
    if same > SAME_NOTE {
        tell(
            if same > SAME_ASK {
                Level::Ask
            } else {
                Level::Note
            },
            format!(
                "{:.1}% of the answers are those to the unchanged prompts, token for token",
                100.0 * same
            ),
            "few: at temperature 1 an answer of some length is not given twice; small models with little to choose give half of them again",
        );
    }
    let (score, right) = (unchanged.score(), probed.score());
    if score >= ENOUGH && right < score / 2.0 {
        let (level, usual) = match probed.probe {
            Probe::OtherPrompts => (
                Level::Ask,
                "about as many, where the questions are of the same kinds",
            ),
            _ => (
                if right < LOST * score {
                    Level::Ask
                } else {
                    Level::Note
                },
                "nearly as many, where prompts are long; of short ones some ask something else by it",
            ),
        };
        tell(
            level,
            format!(
                "{:.1}% right, {:.1}% of the data set's",
                100.0 * right,
                100.0 * score
            ),
            usual,
        );
    }
    speed(unchanged, probed, &place, found);
}

/// What took a moment, or made hardly a token, has no speed.
fn has_speed(probed: &Probed) -> bool {
    probed.seconds >= 1.0 && probed.tokens >= 1000
}

fn speed(unchanged: &Probed, probed: &Probed, place: &str, found: &mut Findings) {
    if !has_speed(unchanged) || !has_speed(probed) {
        found.skip(format!(
            "{place}: speed; that takes a second and a thousand tokens at least"
        ));
        return;
    }
    let slower = unchanged.tokens_per_s() / probed.tokens_per_s();
    if slower > SLOWER_NOTE {
        found.add(Finding::new(
            Kind::PromptsSlower,
            if slower > SLOWER_ASK { Level::Ask } else { Level::Note },
            place,
            format!("{:.1} tokens/s, {:.1} unchanged", probed.tokens_per_s(), unchanged.tokens_per_s()),
            "about as fast, where prompts and answers are about as long and the machine is not busy",
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// `frame question frame`, and the answer to it.
    fn set(from: u32, n: u32) -> (Vec<Vec<u32>>, Vec<u32>) {
        let prompts = (from..from + n).map(|q| vec![1, 2, 1000 + q, 2000 + q * 3, 9]);
        (prompts.collect(), (from..from + n).map(answer_of).collect())
    }

    fn answer_of(question: u32) -> u32 {
        5000 + question * 7
    }

    /// Asks, grades and counts.
    fn probed(
        probe: Probe,
        prompts: &[Vec<u32>],
        truths: &[u32],
        before: Option<&[Vec<u32>]>,
        answer: &dyn Fn(&[u32]) -> Vec<u32>,
    ) -> (Probed, Vec<Vec<u32>>) {
        let answers: Vec<Vec<u32>> = prompts.iter().map(|prompt| answer(prompt)).collect();
        let right = |(answer, truth): (&Vec<u32>, &u32)| answer.last() == Some(truth);
        let probed = Probed {
            probe,
            answers: answers.len(),
            correct: answers
                .iter()
                .zip(truths)
                .filter(|pair| right(*pair))
                .count(),
            readable: answers.iter().filter(|answer| !answer.is_empty()).count(),
            failed: 0,
            as_before: before
                .map(|before| answers.iter().zip(before).filter(|(a, b)| a == b).count()),
            tokens: answers
                .iter()
                .map(|answer| answer.len() as u64)
                .sum::<u64>()
                .max(1),
            seconds: 1.0,
            steps: Some(10),
            operations: Some(100),
        };
        (probed, answers)
    }

    /// Reads the question, as long as it is one.
    fn honest(prompt: &[u32]) -> Vec<u32> {
        vec![prompt[3], answer_of(prompt[2] - 1000)]
    }

    fn judged(answer: &dyn Fn(&[u32]) -> Vec<u32>) -> Findings {
        let (prompts, truths) = set(0, 100);
        let (unchanged, before) = probed(Probe::Unchanged, &prompts, &truths, None, answer);
        let changed = one_token_changed(&prompts, 1);
        let (one, _) = probed(Probe::OneToken, &changed, &truths, Some(&before), answer);
        let (others, known) = set(500, 100);
        let (other, _) = probed(Probe::OtherPrompts, &others, &known, None, answer);
        judge(&unchanged, &[one, other])
    }

    #[test]
    fn who_reads_the_prompt_is_not_asked_about() {
        let answer = |prompt: &[u32]| match prompt[2] {
            1000.. if prompt[2] < 2000 => honest(prompt),
            other => vec![other, 0],
        };
        // Half of the changes make another question of it.
        let found = judged(&answer);
        assert_eq!(found.asks(), 0, "{found:?}");
        assert!(found.findings.iter().all(|f| f.figure.contains("right")));
    }

    #[test]
    fn answers_that_are_partly_the_same_are_noted() {
        let (prompts, truths) = set(0, 100);
        let (unchanged, before) = probed(Probe::Unchanged, &prompts, &truths, None, &honest);
        for (same, right, expected) in [
            (40, 80, vec![]),
            (60, 80, vec![Level::Note]),
            (78, 95, vec![Level::Ask]),
            (0, 40, vec![Level::Note]),
            (0, 20, vec![Level::Ask]),
        ] {
            let (mut one, _) = probed(Probe::OneToken, &prompts, &truths, Some(&before), &honest);
            (one.as_before, one.correct) = (Some(same), right);
            let found = judge(&unchanged, &[one]);
            let levels: Vec<Level> = found.findings.iter().map(|f| f.level).collect();
            assert_eq!(levels, expected, "{same} {right}: {found:?}");
        }
    }

    /// It knows the data set by heart: exactly, or by a part of the prompt.
    #[test]
    fn who_has_memorised_the_data_set_is_exposed() {
        let (prompts, _) = set(0, 100);
        let memory: HashMap<Vec<u32>, Vec<u32>> = prompts
            .iter()
            .map(|prompt| (prompt.clone(), honest(prompt)))
            .collect();
        let exact = |prompt: &[u32]| memory.get(prompt).cloned().unwrap_or_default();
        let found = judged(&exact);
        assert!(found.asks() >= 3, "{found:?}");
        assert!(
            found
                .findings
                .iter()
                .all(|f| f.name.starts_with("perturb."))
        );
        // It makes something up where it does not know.
        let guess = |prompt: &[u32]| memory.get(prompt).cloned().unwrap_or(vec![prompt[2], 4]);
        let found = judged(&guess);
        let asks = found.findings.iter().filter(|f| f.level == Level::Ask);
        let places: Vec<&str> = asks.map(|f| f.place.as_str()).collect();
        assert_eq!(places, [Probe::OneToken.name(), Probe::OtherPrompts.name()]);
        let near = |prompt: &[u32]| {
            let close =
                |known: &&Vec<u32>| known.iter().zip(prompt).filter(|(a, b)| a != b).count() <= 1;
            prompts
                .iter()
                .find(close)
                .map(|known| honest(known))
                .unwrap_or_default()
        };
        let found = judged(&near);
        let token = |f: &&Finding| f.place == Probe::OneToken.name() && f.level == Level::Ask;
        assert!(found.findings.iter().any(|f| token(&f)), "{found:?}");
    }

    #[test]
    fn prompts_that_take_longer_are_noted_and_much_longer_ones_asked_about() {
        let (prompts, truths) = set(0, 10);
        let (mut unchanged, before) = probed(Probe::Unchanged, &prompts, &truths, None, &honest);
        let other = |prompt: &[u32]| vec![prompt[2], prompt[3] - 1, answer_of(prompt[2] - 1000)];
        let (mut changed, _) = probed(Probe::OneToken, &prompts, &truths, Some(&before), &other);
        for (seconds, expected) in [
            (1.0, None),
            (2.0, Some(Level::Note)),
            (9.0, Some(Level::Ask)),
        ] {
            (unchanged.tokens, changed.tokens, changed.seconds) = (10_000, 10_000, seconds);
            let found = judge(&unchanged, std::slice::from_ref(&changed));
            assert_eq!(
                found.findings.first().map(|f| f.level),
                expected,
                "{seconds}: {found:?}"
            );
        }
        changed.tokens = 10;
        let found = judge(&unchanged, &[changed]);
        assert_eq!((found.findings.len(), found.not_looked_at.len()), (0, 1));
    }

    #[test]
    fn a_model_that_does_not_matter_is_asked_about_and_so_is_less_work() {
        let (prompts, truths) = set(0, 100);
        let (unchanged, before) = probed(Probe::Unchanged, &prompts, &truths, None, &honest);
        let probe = Probe::LayerLeftOut(1);
        let (ignored, _) = probed(probe, &prompts, &truths, Some(&before), &honest);
        let found = judge(&unchanged, &[ignored]);
        assert_eq!(found.asks(), 1, "{found:?}");
        let noise = |prompt: &[u32]| vec![prompt[2], 1];
        let (mut broken, _) = probed(probe, &prompts, &truths, Some(&before), &noise);
        assert_eq!(judge(&unchanged, &[broken.clone()]), Findings::default());
        broken.operations = Some(99);
        let found = judge(&unchanged, &[broken]);
        assert_eq!(
            (found.asks(), found.findings[0].name),
            (1, Kind::WorkDiffers.name())
        );
    }
}
