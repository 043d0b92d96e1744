//! Groups of options in a help text, in its order.

pub(crate) const RUN: &str = "Run";
pub(crate) const ENGINE: &str = "Model and engine";
pub(crate) const SYNTHETIC: &str = "Random weights";
pub(crate) const GPU: &str = "GPU";
pub(crate) const SPECULATION: &str = "Speculative decoding";
pub(crate) const HTTP: &str = "HTTP";
pub(crate) const ECHO: &str = "Echo engine";
pub(crate) const SAMPLING: &str = "Sampling";
pub(crate) const POWER: &str = "Power";
pub(crate) const OUTPUT: &str = "Output";
pub(crate) const WARM_UP: &str = "Warm-up";
pub(crate) const ACCURACY: &str = "Accuracy runs";
pub(crate) const PROGRAMS: &str = "LiveCodeBench's programs";
pub(crate) const SEARCH: &str = "Search";
pub(crate) const MADE_ALREADY: &str = "Instead of making runs";
pub(crate) const OFFLINE: &str = "Requests given at once";
/// [`RUN`], in a command that makes runs.
pub(crate) const OPTIONS_OF_RUN: &str = "Options of run";
/// Those that `-h` shows; options without a heading are shown too.
pub(crate) const BRIEF: [&str; 3] = [RUN, OPTIONS_OF_RUN, ENGINE];
