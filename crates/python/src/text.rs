//! Characters and texts. Owns: character classes, strip, lower, upper. Pure functions; any thread.

use crate::tables;

fn within(table: &[(u32, u32)], c: char) -> bool {
    let code = u32::from(c);
    let after = table.partition_point(|&(low, _)| low <= code);
    after > 0 && code <= table[after - 1].1
}

/// `str.isspace`, which is also `\s` of `re`: wider than Unicode's White_Space by U+001C to U+001F.
pub fn is_space(c: char) -> bool {
    matches!(c, '\t'..='\r' | '\x1c'..='\x20' | '\u{85}' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{2028}'
        | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

/// The value of a decimal digit of any script (`str.isdecimal`, `\d` of `re`).
pub fn digit(c: char) -> Option<u8> {
    if c.is_ascii() {
        return c.is_ascii_digit().then(|| c as u8 - b'0');
    }
    let code = u32::from(c);
    let after = tables::ZEROS.partition_point(|&zero| zero <= code);
    let offset = code - tables::ZEROS[after.checked_sub(1)?];
    (offset < 10).then_some(offset as u8)
}

/// `str.isalpha`.
pub fn is_alpha(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphabetic()
    } else {
        within(tables::ALPHA, c)
    }
}

/// `\w` of `re`: `str.isalnum` or the underscore.
pub fn is_word(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || c == '_';
    }
    within(tables::ALPHA, c) || within(tables::NUMERIC, c)
}

/// `str.strip()`.
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// The rest of `text` after leading `\s*`.
pub fn skip_spaces(text: &str) -> &str {
    text.trim_start_matches(is_space)
}

/// `str.lower()`.
pub fn lower(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // A letter of a newer Unicode has no case in Python's tables; the standard library maps the rest alike, the final
    // sigma included (compared over all characters).
    text.split_inclusive(|c| !within(tables::ASSIGNED, c))
        .map(|part| match part.chars().next_back() {
            Some(last) if !within(tables::ASSIGNED, last) => {
                let known = &part[..part.len() - last.len_utf8()];
                known.to_lowercase() + &part[known.len()..]
            }
            _ => part.to_lowercase(),
        })
        .collect()
}

/// `str.upper()`.
pub fn upper(text: &str) -> String {
    // The four small letters got their capitals after Unicode 14.
    let cased = |c: char| {
        within(tables::ASSIGNED, c) && !matches!(c, '\u{19b}' | '\u{264}' | '\u{a7d3}' | '\u{a7d5}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if cased(c) {
            out.extend(c.to_uppercase())
        } else {
            out.push(c)
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_differ_from_the_standard_library_where_python_does() {
        assert!(is_space('\x1f') && !'\x1f'.is_whitespace() && !is_space('\u{200b}'));
        assert_eq!(digit('٤'), Some(4));
        assert_eq!(digit('𝟗'), Some(9));
        assert_eq!(
            (digit('²'), digit('½'), digit('①'), digit('x')),
            (None, None, None, None)
        );
        // Kawi digits came with Unicode 15.
        assert_eq!(digit('\u{11f50}'), None);
        assert!(
            is_word('²')
                && is_word('_')
                && is_word('é')
                && !is_word('\u{301}')
                && !is_word('\u{11f50}')
        );
        assert!(is_alpha('ª') && !is_alpha('Ⅷ') && is_word('Ⅷ'));
    }

    #[test]
    fn case_mapping_is_pythons() {
        assert_eq!(lower("AİMΕΣ Kelvin \u{212a}"), "ai\u{307}mες kelvin k");
        assert_eq!(lower("\u{a7cb}A\u{a7cb}"), "\u{a7cb}a\u{a7cb}");
        assert_eq!(upper("ıß\u{19b}"), "ISS\u{19b}");
    }

    #[test]
    fn strip_takes_separators_too() {
        assert_eq!(strip("\u{1d}\u{a0} a b \u{3000}\n"), "a b");
        assert_eq!(strip("\u{200b}a"), "\u{200b}a");
    }
}
