//! Small texts that a build is made from.

use std::path::Path;

use crate::error::Error;
use crate::tree::{TEXT_LIMIT, Text, read_text};

/// `expected` ends the sentence about a file that is not there, or is none.
pub(super) fn text_of(path: &Path, expected: &str) -> Result<String, Error> {
    let found = match read_text(path, TEXT_LIMIT) {
        Text::Read(text) => return Ok(text),
        Text::Missing => "not found".into(),
        Text::Unreadable(why) => why,
        Text::TooLarge(size) => format!("found {size} bytes"),
    };
    Err(Error::Unusable {
        path: path.into(),
        why: format!("{found}; expected {expected}"),
    })
}
