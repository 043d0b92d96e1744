//! A line of a view, and texts from outside in it.

use std::fmt::Display;

use ossmark_files::Escaped;

/// What a line says about the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// A figure.
    Plain,
    /// As it should be.
    Good,
    /// Close to not being so.
    Warn,
    /// Not as it should be.
    Bad,
}

/// A line with what it is about; a line without a label goes on with the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// A word, or nothing.
    pub label: &'static str,
    /// Escaped text.
    pub text: String,
    /// How it is shown.
    pub tone: Tone,
}

impl Line {
    pub(crate) fn new(label: &'static str, tone: Tone, text: impl Display) -> Self {
        Self {
            label,
            tone,
            text: brief(text),
        }
    }
}

/// Nothing of what a file says is longer on a terminal.
const LONGEST: usize = 300;

/// A text from outside on one line.
pub(crate) fn brief(text: impl Display) -> String {
    let mut shown = Escaped(text).to_string();
    if let Some((at, _)) = shown.char_indices().nth(LONGEST) {
        shown.truncate(at);
        shown.push('…');
    }
    shown
}
