//! Tables, and the cells in them. Whatever is shown goes through here, so that it is escaped once and in one way.

use std::fmt::Display;

use ossmark_files::Escaped;

use crate::number::{count, shown};

/// A table with a line of heads.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) caption: String,
    pub(super) head: Vec<String>,
    pub(super) lines: Vec<Vec<Cell>>,
}

/// What stands in a table. HTML is escaped by the template, what is not seen by [`Escaped`].
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    pub(super) text: String,
    /// For machines: the figure's name, and all its digits.
    pub(super) figure: Option<(String, String)>,
}

/// The longest text that is shown whole; a page is no place for megabytes.
const LONGEST: usize = 2000;
/// The longest word that makes its column as wide as it is: a date. Longer ones, hashes and attacks, are broken anywhere.
const LONG_WORD: usize = 24;

impl Cell {
    /// A text from outside or from here.
    pub(super) fn text(text: impl Display) -> Self {
        Self {
            text: plain(text),
            figure: None,
        }
    }

    /// A figure under a name that is its own on the page.
    pub(super) fn figure(name: String, value: f64, unit: &str) -> Self {
        Self {
            text: format!("{}{unit}", shown(value)),
            figure: Some((name, value.to_string())),
        }
    }

    /// A figure, or a dash where there is none.
    pub(super) fn maybe(name: String, value: Option<f64>, unit: &str) -> Self {
        value.map_or_else(|| Self::text("–"), |value| Self::figure(name, value, unit))
    }

    pub(super) fn count(name: String, value: u64) -> Self {
        Self {
            text: count(value),
            figure: Some((name, value.to_string())),
        }
    }

    /// Whether a browser must break words of it.
    pub(super) fn has_long_words(&self) -> bool {
        let mut words = self.text.split_whitespace();
        words.any(|word| word.chars().count() > LONG_WORD)
    }

    pub(super) fn maybe_count(name: String, value: Option<u64>) -> Self {
        value.map_or_else(|| Self::text("–"), |value| Self::count(name, value))
    }
}

/// A text without what changes how others are seen, and not longer than a page bears.
pub(super) fn plain(text: impl Display) -> String {
    let mut shown = Escaped(text).to_string();
    if let Some((at, _)) = shown.char_indices().nth(LONGEST) {
        let bytes = shown.len();
        shown.truncate(at);
        shown += &format!("… ({bytes} bytes)");
    }
    shown
}
