//! A line of the report: one scenario of a system.

use serde::Serialize;

/// One result: a scenario of a system.
#[derive(Clone, Debug, Serialize)]
pub struct ResultLine {
    /// The scenario's directory, from the root of the tree.
    pub path: String,
    /// The directory's name.
    pub scenario: String,
    /// Tokens per second; none where the log gives no number.
    pub metric: Option<f64>,
    /// No error touches it.
    pub valid: bool,
    /// What the official checker's table says of it; none where it writes no row.
    #[serde(skip)]
    pub(super) row: Option<Vec<String>>,
}
