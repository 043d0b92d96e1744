//! Small texts that a build is made from.

use std::path::Path;

use crate::error::Error;
use crate::tree::{TEXT_LIMIT, Text, read_text};

pub(super) fn text_of(path: &Path) -> Result<String, Error> {
    let why = match read_text(path, TEXT_LIMIT) {
        Text::Read(text) => return Ok(text),
        Text::Missing => "found nothing".into(),
        Text::Unreadable(why) => why,
        Text::TooLarge(size) => format!("found {size} bytes"),
    };
    Err(Error::Unusable {
        path: path.into(),
        why,
    })
}
