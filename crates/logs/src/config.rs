//! LoadGen's configuration files (user.conf, audit.config), a line as LoadGen's own parser takes it.
//!
//! Owns what a line is to LoadGen 6.0.17 and what number it makes of a value. Does not own which names mean something, nor
//! what is worth an objection. Held against LoadGen itself on random files (`src/run/user_conf/tests/loadgen.rs`).

use std::sync::LazyLock;

use regex::bytes::Regex;

/// What LoadGen does with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Nothing stands in it, or a comment: it begins with the word `#`.
    Blank,
    /// It has a name and no value. LoadGen passes over it.
    NoValue {
        /// The first word.
        name: &'a [u8],
        /// Whether `=` follows.
        equals: bool,
    },
    /// LoadGen keeps the last of the values under the name, looked up or not.
    Set {
        /// The first word. LoadGen looks up `model.scenario.key`, letter by letter.
        name: &'a [u8],
        /// All numbers, at least one.
        values: Vec<&'a str>,
    },
    /// LoadGen refuses the whole file for it.
    Drops {
        /// The first word.
        name: &'a [u8],
        /// The word at which LoadGen gives up.
        found: &'a [u8],
        /// Whether it stands where a value is expected; else where `=` is.
        as_value: bool,
    },
}

impl<'a> Line<'a> {
    /// Reads a line, which is what stands between two line feeds.
    pub fn read(line: &'a [u8]) -> Line<'a> {
        let mut words = line.split(|b| is_space(*b)).filter(|word| !word.is_empty());
        let name = match words.next() {
            None | Some(b"#") => return Line::Blank,
            Some(name) => name,
        };
        match words.next() {
            None | Some(b"#") => {
                return Line::NoValue {
                    name,
                    equals: false,
                };
            }
            Some(b"=") => {}
            Some(found) => {
                return Line::Drops {
                    name,
                    found,
                    as_value: false,
                };
            }
        }
        let mut values = Vec::new();
        for word in words {
            // No comment ends this part of a line.
            match std::str::from_utf8(word) {
                Ok(value) if is_number(word) => values.push(value),
                _ => {
                    return Line::Drops {
                        name,
                        found: word,
                        as_value: true,
                    };
                }
            }
        }
        match values.is_empty() {
            true => Line::NoValue { name, equals: true },
            false => Line::Set { name, values },
        }
    }
}

/// What C's isspace takes for white space: what LoadGen splits lines at.
fn is_space(byte: u8) -> bool {
    byte == b' ' || (b'\t'..=b'\r').contains(&byte)
}

/// Whether C's strtoul or strtod takes the whole word for a number.
///
/// Binary digits (`0b1`) are none here: C libraries differ.
fn is_number(word: &[u8]) -> bool {
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
        let decimal = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?";
        let hexadecimal =
            r"0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)(?:[pP][+-]?[0-9]+)?";
        let named = r"(?i:inf|infinity|nan(?:\([0-9a-z_]*\))?)";
        let whole = format!(r"(?-u)\A[+-]?(?:{decimal}|{hexadecimal}|{named})\z");
        Regex::new(&whole).expect("a fixed pattern, compiled by the tests")
    });
    NUMBER.is_match(word)
}

/// What LoadGen reads of a value where it wants a whole number: C's strtoull with the base that the digits say, which stops
/// where the number does.
///
/// ```
/// # use ossmark_logs::config::whole;
/// assert_eq!(whole("600000"), 600_000);
/// assert_eq!((whole("1e6"), whole("010"), whole("0x10"), whole("-1")), (1, 8, 16, u64::MAX));
/// ```
pub fn whole(value: &str) -> u64 {
    let (negative, digits) = match value.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        all => (false, all),
    };
    let (base, digits) = match digits {
        [b'0', b'x' | b'X', rest @ ..] if rest.first().is_some_and(u8::is_ascii_hexdigit) => {
            (16, rest)
        }
        [b'0', ..] => (8, digits),
        all => (10, all),
    };
    let mut number: u64 = 0;
    for digit in digits.iter().map_while(|b| char::from(*b).to_digit(base)) {
        let next = number.checked_mul(base.into());
        number = match next.and_then(|n| n.checked_add(digit.into())) {
            Some(next) => next,
            None => return u64::MAX,
        };
    }
    if negative {
        number.wrapping_neg()
    } else {
        number
    }
}

/// What LoadGen reads of a value where it wants any number; None for hexadecimal ones.
pub fn real(value: &str) -> Option<f64> {
    value.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_what_they_are_to_loadgen() {
        let set = |name: &'static str, values: &[&'static str]| Line::Set {
            name: name.as_bytes(),
            values: values.to_vec(),
        };
        let drops = |found: &'static str, as_value| Line::Drops {
            name: b"a",
            found: found.as_bytes(),
            as_value,
        };
        let alone = |name: &'static str, equals| Line::NoValue {
            name: name.as_bytes(),
            equals,
        };
        for (line, expected) in [
            ("", Line::Blank),
            (" \t\r\x0b\x0c", Line::Blank),
            ("# a = b c", Line::Blank),
            ("a = 1", set("a", &["1"])),
            ("\ta\x0c=\x0b1\r", set("a", &["1"])),
            ("#a = 1", set("#a", &["1"])),
            ("a = 1 2 nan", set("a", &["1", "2", "nan"])),
            ("a", alone("a", false)),
            ("a=1", alone("a=1", false)),
            ("a # b = c", alone("a", false)),
            ("a =", alone("a", true)),
            ("a b", drops("b", false)),
            ("a =1", drops("=1", false)),
            ("a #b", drops("#b", false)),
            ("a = # 1", drops("#", true)),
            ("a = 1 # one", drops("#", true)),
            ("a = 1 two", drops("two", true)),
        ] {
            assert_eq!(Line::read(line.as_bytes()), expected, "{line:?}");
        }
    }

    #[test]
    fn numbers_are_cs() {
        for word in [
            "1",
            "+1",
            "-1",
            "1.",
            ".5",
            "1e5",
            "1E-5",
            "08",
            "010",
            "0x1F",
            "0x.8",
            "0x1.8p-3",
            "inf",
            "-Infinity",
            "NaN",
            "nan(0_x)",
            "18446744073709551616",
        ] {
            assert!(is_number(word.as_bytes()), "{word}");
        }
        for word in [
            "", ".", "+", "e5", "1e", "1e+", "1,5", "1_000", "0x", "0x1p", "ten", "infin", "nan(",
            "--1", "1\0", "１",
        ] {
            assert!(!is_number(word.as_bytes()), "{word}");
        }
        for (value, read) in [
            ("2.5", 2),
            (".5", 0),
            ("+7", 7),
            ("08", 0),
            ("017.5", 15),
            ("0x", 0),
            ("-2", u64::MAX - 1),
            ("18446744073709551616", u64::MAX),
            ("-18446744073709551616", u64::MAX),
            ("nan", 0),
        ] {
            assert_eq!(whole(value), read, "{value}");
        }
    }
}
