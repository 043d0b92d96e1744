//! The kinds of findings: their names and what to ask.

/// A kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Queries are not due when the seeds say.
    ScheduleTimes,
    /// Samples are not those that the seeds say, or in another order.
    ScheduleOrder,
    /// A sample was issued before it was due.
    IssuedEarly,
    /// A first token came sooner than any machine computes one.
    FirstTokenFloor,
    /// The time to first token does not depend on the prompt's length.
    FirstTokenLength,
    /// The time per output token is the same for all.
    OutputTimesConstant,
    /// The same times per output token again and again.
    OutputTimesRepeated,
    /// Answers are longer or shorter than anybody else's.
    AnswerLengths,
    /// Answers to the same questions have other lengths in another run.
    LengthsBetweenRuns,
    /// A question that is asked again gets an answer of the same length.
    LengthsRepeated,
    /// Two answers of one log are the same.
    AnswersIdentical,
    /// Two results have an answer in common.
    AnswersShared,
    /// The share of correct answers is not the field's.
    Accuracy,
    /// Server, or Interactive, against Offline.
    ScenarioRates,
    /// Figures of one log contradict each other.
    LogFigures,
    /// The record contradicts the log.
    RecordAgainstLog,
    /// Power was measured over another time.
    PowerWindow,
    /// Answers stay what they were when the model is changed.
    ModelIgnored,
    /// A changed model took other work than the model.
    WorkDiffers,
    /// Answers to changed or other prompts are not those of who answered the data set's.
    PromptsKnown,
    /// Changed or other prompts take longer than the data set's.
    PromptsSlower,
}

impl Kind {
    /// Every one.
    pub const ALL: [Self; 21] = [
        Self::ScheduleTimes,
        Self::ScheduleOrder,
        Self::IssuedEarly,
        Self::FirstTokenFloor,
        Self::FirstTokenLength,
        Self::OutputTimesConstant,
        Self::OutputTimesRepeated,
        Self::AnswerLengths,
        Self::LengthsBetweenRuns,
        Self::LengthsRepeated,
        Self::AnswersIdentical,
        Self::AnswersShared,
        Self::Accuracy,
        Self::ScenarioRates,
        Self::LogFigures,
        Self::RecordAgainstLog,
        Self::PowerWindow,
        Self::ModelIgnored,
        Self::WorkDiffers,
        Self::PromptsKnown,
        Self::PromptsSlower,
    ];

    /// Its name, as it stands in JSON and in docs/auditing.md.
    pub fn name(self) -> &'static str {
        match self {
            Self::ScheduleTimes => "schedule.times",
            Self::ScheduleOrder => "schedule.order",
            Self::IssuedEarly => "schedule.early",
            Self::FirstTokenFloor => "first-token.floor",
            Self::FirstTokenLength => "first-token.length",
            Self::OutputTimesConstant => "output-tokens.constant",
            Self::OutputTimesRepeated => "output-tokens.repeated",
            Self::AnswerLengths => "lengths.field",
            Self::LengthsBetweenRuns => "lengths.runs",
            Self::LengthsRepeated => "lengths.repeated",
            Self::AnswersIdentical => "answers.identical",
            Self::AnswersShared => "answers.shared",
            Self::Accuracy => "accuracy.field",
            Self::ScenarioRates => "scenarios.rates",
            Self::LogFigures => "log.figures",
            Self::RecordAgainstLog => "record.log",
            Self::PowerWindow => "power.window",
            Self::ModelIgnored => "perturb.model",
            Self::WorkDiffers => "perturb.work",
            Self::PromptsKnown => "perturb.prompts",
            Self::PromptsSlower => "perturb.speed",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What to ask.
    pub fn question(self) -> &'static str {
        match self {
            Self::ScheduleTimes => {
                "which LoadGen was this, and which seeds and target_qps did it have?"
            }
            Self::ScheduleOrder => "which samples were loaded and issued, and by which LoadGen?",
            Self::IssuedEarly => {
                "how can a sample have been issued before it was due; whose clock is this?"
            }
            Self::FirstTokenFloor => {
                "what was the first token computed from; was the prompt seen before?"
            }
            Self::FirstTokenLength => {
                "why does a long prompt take no longer than a short one; is any of it cached?"
            }
            Self::OutputTimesConstant => {
                "when were tokens reported: as they came, or at times that were made up afterwards?"
            }
            Self::OutputTimesRepeated => {
                "where do the same times come from again; were latencies measured for each sample?"
            }
            Self::AnswerLengths => {
                "which reasoning effort and which most tokens were in the prompts and requests; are answers cut?"
            }
            Self::LengthsBetweenRuns => "were both runs made with the same code and settings?",
            Self::LengthsRepeated => {
                "is an answer computed each time it is asked for, at temperature 1 and with its own random numbers?"
            }
            Self::AnswersIdentical => "are answers cached; how are random numbers seeded?",
            Self::AnswersShared => "was this log made by a run of this system?",
            Self::Accuracy => {
                "which checkpoint, precision and reasoning effort was this; who scored it, with which scorer?"
            }
            Self::ScenarioRates => {
                "why is the harder scenario this fast beside Offline; were both runs made on the same machine and code?"
            }
            Self::LogFigures => {
                "who wrote this log? LoadGen computes these figures from each other"
            }
            Self::RecordAgainstLog => {
                "are the record and the log of one run; which of them was changed?"
            }
            Self::PowerWindow => "what was measured from when to when, on which clock?",
            Self::ModelIgnored => "do the answers come from these weights?",
            Self::WorkDiffers => "what is computed when a layer is changed; is work skipped?",
            Self::PromptsKnown => {
                "is anything of the data set, or of its answers, in the implementation?"
            }
            Self::PromptsSlower => {
                "why are the data set's own prompts answered faster than others?"
            }
        }
    }

    /// Whether it says something about who computes the answers; a script's answers and times are as they were written.
    pub(crate) fn is_of_the_engine(self) -> bool {
        match self {
            Self::FirstTokenFloor
            | Self::FirstTokenLength
            | Self::OutputTimesConstant
            | Self::OutputTimesRepeated
            | Self::AnswerLengths
            | Self::LengthsBetweenRuns
            | Self::LengthsRepeated
            | Self::AnswersIdentical
            | Self::AnswersShared
            | Self::Accuracy
            | Self::ScenarioRates
            | Self::ModelIgnored
            | Self::WorkDiffers
            | Self::PromptsKnown
            | Self::PromptsSlower => true,
            Self::ScheduleTimes
            | Self::ScheduleOrder
            | Self::IssuedEarly
            | Self::LogFigures
            | Self::RecordAgainstLog
            | Self::PowerWindow => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_stands_in_the_manual() {
        let manual = include_str!("../../../docs/auditing.md");
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.name()), Some(kind));
            assert!(manual.contains(&format!("`{}`", kind.name())), "{kind:?}");
        }
    }
}
