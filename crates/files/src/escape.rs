//! A text from outside, shown.

use std::fmt::{self, Display, Formatter, Write};
use std::path::Path;

/// Shows a text from outside (a name, a message, a line of a file) on one line: control characters, line ends, and the
/// characters that turn or hide other text come out as Rust escapes (`\u{1b}`, `\n`), everything else as it is.
///
/// ```
/// # use ossmark_files::Escaped;
/// assert_eq!(Escaped("a\x1b[2Jb\n").to_string(), r"a\u{1b}[2Jb\n");
/// assert_eq!(Escaped("plain: é 漢字").to_string(), "plain: é 漢字");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Escaped<T>(pub T);

impl<'a> Escaped<std::path::Display<'a>> {
    /// A path, whatever bytes its name has (those that are not UTF-8 show as U+FFFD).
    pub fn path(path: &'a Path) -> Self {
        Self(path.display())
    }
}

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(Escaping(out), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut plain = 0;
        for (at, c) in text.char_indices() {
            if !changes_what_is_seen(c) {
                continue;
            }
            self.0.write_str(&text[plain..at])?;
            write!(self.0, "{}", c.escape_default())?;
            plain = at + c.len_utf8();
        }
        self.0.write_str(&text[plain..])
    }
}

/// Characters that do something instead of being seen: C0, DEL and C1 controls, line and paragraph separators, marks of
/// direction and their overrides, zero-width ones, tags, and what Unicode calls not a character.
fn changes_what_is_seen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// JSON text that says the same and shows nothing of what is in its texts but characters: those that [`Escaped`] shows as
/// escapes are `\uXXXX` in it. For JSON from a serialiser, which has escaped C0 controls in texts already.
pub fn quiet_json(json: String) -> String {
    // Outside of texts JSON is ASCII, with blanks and line ends as its only control characters.
    let is_loud = |c: char| c >= '\x7f' && changes_what_is_seen(c);
    if !json.contains(is_loud) {
        return json;
    }
    let mut quiet = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if !is_loud(c) {
            quiet.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(quiet, "\\u{unit:04x}");
        }
    }
    quiet
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn json_of_what_turns_text_around_says_the_same_in_characters() {
        let loud = "a\u{202e}b\u{9b}c\u{7f}d\u{e0041}é漢";
        let quiet = quiet_json(format!("{{\n  \"k\": \"{loud}\"\n}}"));
        assert_eq!(
            quiet,
            "{\n  \"k\": \"a\\u202eb\\u009bc\\u007fd\\udb40\\udc41é漢\"\n}"
        );
    }

    #[test]
    fn what_turns_text_around_is_visible() {
        let shown = Escaped("a\u{202e}b\u{9b}c\u{7f}\r\t").to_string();
        assert_eq!(shown, r"a\u{202e}b\u{9b}c\u{7f}\r\t");
    }

    proptest! {
        #[test]
        fn nothing_shown_is_a_control_character(text in any::<String>()) {
            let shown = Escaped(&text).to_string();
            prop_assert!(!shown.chars().any(changes_what_is_seen));
            let quiet: String = text.chars().filter(|c| !changes_what_is_seen(*c)).collect();
            if quiet == text {
                prop_assert_eq!(shown, text);
            }
        }
    }
}
