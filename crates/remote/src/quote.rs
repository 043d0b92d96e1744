//! A server's words as they stand in a message: short, on one line, nothing in them that a terminal would obey.

use ossmark_files::Escaped;

/// Characters of one quotation: enough to understand it.
const QUOTED: usize = 300;
/// Characters of a whole message, quotations and all.
const MESSAGE: usize = 2000;

/// A text that a server sent.
pub(crate) fn quote(text: &str) -> String {
    cut(text.trim(), QUOTED)
}

/// A body, or the beginning of one. What is no text is described, not shown.
pub(crate) fn quote_bytes(bytes: &[u8]) -> String {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        // Cut within a character.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    match text {
        Some(text) if !text.contains('\0') => quote(text),
        _ => format!(
            "{} bytes that are no text{}",
            bytes.len(),
            if bytes.starts_with(b"\x1f\x8b") {
                " (gzip, which was not asked for)"
            } else {
                ""
            }
        ),
    }
}

/// What leaves this package for a person's eyes, whatever it was put together from.
pub(crate) fn message(what: &str) -> String {
    cut(what, MESSAGE)
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}...", Escaped(&text[..at])),
        None => Escaped(text).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_short_and_nothing_in_them_acts() {
        assert_eq!(
            quote(" out\x1b[2J\nof memory\n"),
            r"out\u{1b}[2J\nof memory"
        );
        assert_eq!(quote(&"ä".repeat(400)), format!("{}...", "ä".repeat(300)));
        assert_eq!(message(&"x".repeat(9999)).len(), 2003);
        // Said twice is said once.
        assert_eq!(message(&quote("a\x07b")), quote("a\x07b"));
    }

    #[test]
    fn bodies_that_are_no_text_are_described() {
        assert_eq!(quote_bytes("caf\u{e9}".as_bytes()), "café");
        assert_eq!(quote_bytes(&"café".as_bytes()[..4]), "caf");
        assert_eq!(quote_bytes(b"a\0b"), "3 bytes that are no text");
        assert_eq!(quote_bytes(b"\xff\xfe{}"), "4 bytes that are no text");
        assert!(quote_bytes(b"\x1f\x8b\x08\0{\"error\"").contains("gzip"));
    }
}
