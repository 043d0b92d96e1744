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

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For people.
    pub message: String,
    /// It took too long and was given up, rather than failed.
    pub given_up: bool,
}

/// When a request was made and answered, in nanoseconds since its journal was begun, by whichever process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When the engine was given it.
    pub issued_ns: i64,
    /// When its first token was there, if there was one.
    pub first_token_ns: Option<i64>,
    /// When it ended.
    pub ended_ns: i64,
    /// Which engine or server answered, from 0.
    pub engine: u16,
}

/// How one (row, pass) ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The row of the data set.
    pub row: u32,
    /// The pass, from 0.
    pub pass: u32,
    /// Unknown of those of ossmark 0.1.
    pub times: Option<Times>,
    /// The answer, or why there is none.
    pub result: std::result::Result<Answer, Failure>,
}

/// An outcome without its tokens or message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The row of the data set.
    pub row: u32,
    /// The pass, from 0.
    pub pass: u32,
    /// As in [`Outcome`].
    pub times: Option<Times>,
    /// How.
    pub end: End,
    /// Tokens of the answer; 0 where there is none.
    pub tokens: u32,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Answered, to a stop token.
    Stop,
    /// Answered, up to the most tokens.
    Length,
    /// It failed.
    Failed,
    /// It took too long and was given up.
    GivenUp,
}
