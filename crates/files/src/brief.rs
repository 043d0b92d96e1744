//! A text from outside that may be of any length, shown.

use std::fmt::{self, Display, Formatter};

use crate::Escaped;

/// Shows at most 100 characters of a text from outside, escaped as by [`Escaped`], and how long the whole is when that is
/// more: a value of a data set may be megabytes long.
///
/// ```
/// # use ossmark_files::Brief;
/// assert_eq!(Brief("a\nb").to_string(), r"a\nb");
/// assert_eq!(Brief(&"é".repeat(300)).to_string(), format!("{}… (600 bytes)", "é".repeat(100)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Brief<'a>(pub &'a str);

const MOST: usize = 100;

impl Display for Brief<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(MOST) {
            None => write!(out, "{}", Escaped(self.0)),
            Some((at, _)) => write!(out, "{}… ({} bytes)", Escaped(&self.0[..at]), self.0.len()),
        }
    }
}
