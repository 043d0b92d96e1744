//! What is kept of a request. Plain data.

use std::time::Duration;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// All its tokens.
    pub tokens: Vec<u32>,
    /// It ended because the limit was reached.
    pub cut: bool,
    /// From the request to its end.
    pub took: Duration,
}

/// How one (row, pass) ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The row of the data set.
    pub row: u32,
    /// The pass, from 0.
    pub pass: u32,
    /// The answer, or why there is none.
    pub result: std::result::Result<Answer, String>,
}
