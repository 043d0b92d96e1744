//! What kinds of run there are. Their names are those of the command line, of `run_plan.json` and of `verdict.json`.

use serde::Serialize;

/// The three submission scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// All samples at once; tokens per second.
    Offline,
    /// Samples arrive at random; tokens per second within limits of latency.
    Server,
    /// LoadGen's Server with model name gpt-oss-120b-interactive.
    Interactive,
}

impl Scenario {
    /// `offline`, `server`, `interactive`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Server => "server",
            Self::Interactive => "interactive",
        }
    }
}

/// What LoadGen does in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Measures.
    Performance,
    /// Every sample of the data set once, answers logged.
    Accuracy,
    /// Searches the highest load; never submitted.
    FindPeak,
}

impl Mode {
    /// `performance`, `accuracy`, `find-peak`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Performance => "performance",
            Self::Accuracy => "accuracy",
            Self::FindPeak => "find-peak",
        }
    }
}
