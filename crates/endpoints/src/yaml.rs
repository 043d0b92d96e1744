//! YAML as PyYAML's `safe_load` reads it: one document, the last of equal keys counts, merges, aliases, no foreign tags.
//!
//! granit-parser reads the text, in the way of PyYAML where that is laxer than the standard; what a scalar is says
//! `yaml_scalar`. Aliases are copies, so their number is bounded: a file of nine lines can stand for more than memory holds.

use std::collections::HashMap;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Tag};

use crate::value::{Key, Map, Value};
use crate::yaml_scalar::{self as scalar, Kind, Raises};

/// Why there is no value.
#[derive(Debug)]
pub(crate) enum Unread {
    /// PyYAML says what is wrong.
    Refused(String),
    /// PyYAML ends with an exception that the official checker does not expect.
    Crash(String),
    /// A limit of ours.
    TooMuch(String),
}

/// Values that are made of one file, copies by aliases among them.
const MOST_VALUES: usize = 200_000;
/// Python's own limit is near 300 levels of a document.
const MOST_LEVELS: usize = 200;

/// `yaml.safe_load(text)`.
pub(crate) fn load(text: &str) -> Result<Value, Unread> {
    if let Some(c) = text.chars().find(|c| !is_printable(*c)) {
        return Err(Unread::Refused(format!(
            "found {c:?}, expected no control characters"
        )));
    }
    let options = granit_parser::options! {
        block_scalar_eof_without_line_feed: true,
        emit_comments: false,
    };
    let mut reader = Reader {
        events: Parser::new_from_str_with_options(text, options),
        anchors: HashMap::new(),
        values: 0,
        quoted: Vec::new(),
    };
    let mut document = None;
    loop {
        match reader.next()? {
            Event::StreamEnd => {
                tabs(text, &reader.quoted)?;
                return Ok(document.unwrap_or(Value::None));
            }
            Event::DocumentStart(..) if document.is_some() => {
                return Err(Unread::Refused(
                    "found a second document, expected one".into(),
                ));
            }
            Event::DocumentStart(..) => {
                let first = reader.next()?;
                document = Some(reader.node(first, 0)?);
            }
            _ => {}
        }
    }
}

/// What PyYAML takes for text.
fn is_printable(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// PyYAML refuses a tab wherever a token might begin: everywhere but in quoted and block scalars and in comments.
fn tabs(text: &str, quoted: &[Range<usize>]) -> Result<(), Unread> {
    // Both in order of the text.
    let mut quoted = quoted.iter().peekable();
    let mut is_comment = false;
    let mut before = b'\n';
    for (at, byte) in text.bytes().enumerate() {
        while quoted.next_if(|range| range.end <= at).is_some() {}
        let is_inside = quoted.peek().is_some_and(|range| range.contains(&at));
        match byte {
            b'\n' | b'\r' => is_comment = false,
            b'#' if !is_inside && matches!(before, b'\n' | b'\r' | b' ') => is_comment = true,
            b'\t' if !is_inside && !is_comment => {
                let line = text[..at].matches('\n').count() + 1;
                return Err(Unread::Refused(format!(
                    "found a tab in line {line}, expected spaces"
                )));
            }
            _ => {}
        }
        before = byte;
    }
    Ok(())
}

struct Reader<'t> {
    events: Parser<'t, granit_parser::StrInput<'t>>,
    /// With the number of values that a copy makes.
    anchors: HashMap<usize, (Value, usize)>,
    values: usize,
    /// Where scalars stand that are not plain.
    quoted: Vec<Range<usize>>,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Event<'t>, Unread> {
        match self.events.next() {
            None => Ok(Event::StreamEnd),
            Some(Ok((event, span))) => {
                if let Event::Scalar(_, style, ..) = &event
                    && *style != ScalarStyle::Plain
                {
                    self.quoted.extend(span.byte_range());
                }
                Ok(event)
            }
            Some(Err(error)) => Err(Unread::Refused(error.to_string())),
        }
    }

    fn count(&mut self, values: usize) -> Result<(), Unread> {
        self.values += values;
        if self.values > MOST_VALUES {
            return Err(Unread::TooMuch(format!(
                "found more than {MOST_VALUES} values, with those that aliases copy"
            )));
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'t>, level: usize) -> Result<Value, Unread> {
        if level > MOST_LEVELS {
            return Err(Unread::TooMuch(format!(
                "found more than {MOST_LEVELS} levels"
            )));
        }
        let before = self.values;
        self.count(1)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (read_scalar(&text, style, tag.as_deref())?, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                let mut list = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => break,
                        event => list.push(self.node(event, level + 1)?),
                    }
                }
                (read_list(list, tag.as_deref())?, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                let map = self.mapping(level)?;
                (read_map(map, tag.as_deref())?, anchor)
            }
            Event::Alias(anchor) => {
                // An alias inside of what it names is a value without an end; nothing of it is looked at.
                let (value, values) = match self.anchors.get(&anchor) {
                    Some((_, values)) if self.values + values > MOST_VALUES => (None, *values),
                    Some((value, values)) => (Some(value.clone()), *values),
                    None => (Some(Value::Other("a value that holds itself")), 0),
                };
                self.count(values)?;
                (value.unwrap_or(Value::None), 0)
            }
            other => return Err(Unread::Refused(format!("found {other:?}"))),
        };
        if anchor != 0 {
            let values = self.values - before;
            self.anchors.insert(anchor, (value.clone(), values));
        }
        Ok(value)
    }

    fn mapping(&mut self, level: usize) -> Result<Map, Unread> {
        let mut own = Vec::new();
        let mut merged: Vec<Value> = Vec::new();
        loop {
            let event = match self.next()? {
                Event::MappingEnd => break,
                event => event,
            };
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None)
                if scalar::kind(text) == Kind::Merge);
            let key = self.node(event, level + 1)?;
            let event = self.next()?;
            let value = self.node(event, level + 1)?;
            if is_merge {
                merged.push(value);
            } else {
                own.push((hashed(key)?, value));
            }
        }
        let mut map = Map::default();
        for value in merged {
            merge(&mut map, value)?;
        }
        for (key, value) in own {
            map.insert(key, value);
        }
        Ok(map)
    }
}

/// `<<: ...`; what is there already stays.
fn merge(into: &mut Map, from: Value) -> Result<(), Unread> {
    let maps = match from {
        Value::List(list) => list,
        other => vec![other],
    };
    for map in maps {
        let Value::Map(map) = map else {
            return Err(Unread::Refused(format!(
                "found {} to merge, expected a mapping or a list of them",
                map.shown()
            )));
        };
        for (key, value) in map.entries() {
            if !into.has(key) {
                into.insert(key.clone(), value.clone());
            }
        }
    }
    Ok(())
}

fn hashed(key: Value) -> Result<Key, Unread> {
    Ok(match key {
        Value::Str(text) => Key::Str(text),
        Value::Bool(b) => Key::Other(u8::from(b).to_string()),
        Value::List(_) | Value::Map(_) => {
            return Err(Unread::Refused(format!(
                "found {} for a key, expected a scalar",
                key.shown()
            )));
        }
        other => Key::Other(other.shown()),
    })
}

/// `None` where the tag does not say.
fn name(tag: Option<&Tag>) -> Result<Option<&str>, Unread> {
    let Some(tag) = tag else { return Ok(None) };
    match tag.handle() {
        "tag:yaml.org,2002:" => Ok(Some(tag.suffix())),
        // The tag that says only that nothing is to be guessed.
        "" | "!" if tag.suffix().is_empty() || tag.suffix() == "!" => Ok(Some("!")),
        handle => Err(unknown(&format!("{handle}{}", tag.suffix()))),
    }
}

fn unknown(tag: &str) -> Unread {
    Unread::Refused(format!("found the tag {tag:?}, expected one of YAML's own"))
}

fn read_scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, Unread> {
    let kind = match name(tag)? {
        None if style == ScalarStyle::Plain => scalar::kind(text),
        None | Some("str" | "!") => Kind::Text,
        Some("null") => Kind::Null,
        Some("bool") => Kind::Bool,
        Some("int") => Kind::Int,
        Some("float") => Kind::Float,
        Some("timestamp") => Kind::Timestamp,
        Some("binary") => return Ok(Value::Other("bytes")),
        Some(other) => return Err(unknown(other)),
    };
    scalar::value(kind, text).map_err(|Raises| {
        Unread::Crash(format!(
            "found {text:?}, which PyYAML takes for a {kind:?} and cannot read"
        ))
    })
}

fn read_list(list: Vec<Value>, tag: Option<&Tag>) -> Result<Value, Unread> {
    match name(tag)? {
        None | Some("seq" | "!") => Ok(Value::List(list)),
        Some("omap" | "pairs") => Ok(Value::Other("pairs")),
        Some(other) => Err(unknown(other)),
    }
}

fn read_map(map: Map, tag: Option<&Tag>) -> Result<Value, Unread> {
    match name(tag)? {
        None | Some("map" | "!") => Ok(Value::Map(map)),
        Some("set") => Ok(Value::Other("a set")),
        Some(other) => Err(unknown(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_merges_and_doubled_keys() {
        let text = "a: &x {k: 1, l: no}\nb: {<<: *x, l: 2}\nc: *x\na: last\n1: t\n";
        let value = load(text).unwrap();
        let map = value.map().unwrap();
        assert_eq!(map.get("a").unwrap().text(), Some("last"));
        let merged = map.get("b").unwrap().map().unwrap();
        assert_eq!(merged.get("k").unwrap().plain_int(), Some(1));
        assert_eq!(merged.get("l").unwrap().plain_int(), Some(2));
        assert!(matches!(
            map.get("c").unwrap().map().unwrap().get("l"),
            Some(Value::Bool(false))
        ));
        assert!(map.has(&Key::Other("1".into())));
    }

    #[test]
    fn what_pyyaml_refuses_and_what_ends_it() {
        for text in [
            "a: [1",
            "a: b: c",
            "--- 1\n--- 2\n",
            "a: *none",
            "a: !!python/none x",
            "a: \x01",
            "{[1]: 2}",
            "a:\t1",
            "a: 1\t",
            "a: 1\t# c",
            "a: x\ty",
            "\tb: 1",
            "<<: 1",
        ] {
            assert!(matches!(load(text), Err(Unread::Refused(_))), "{text:?}");
        }
        assert!(matches!(load("a: 2026-13-45"), Err(Unread::Crash(_))));
        assert!(load("\u{feff}a: 1").unwrap().map().is_some());
        assert!(load("").unwrap().is_none());
        for text in [
            "a: \"x\ty\"",
            "a: 'x\t'",
            "a: |\n x\ty\n",
            "a: 1 # x\ty",
            "#\t\na: 1",
        ] {
            assert!(load(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn nine_lines_do_not_fill_the_memory() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..9 {
            let before = format!("*a{}, ", n - 1).repeat(9);
            text += &format!("a{n}: &a{n} [{before}]\n");
        }
        assert!(matches!(load(&text), Err(Unread::TooMuch(_))));
        assert!(load(&"[".repeat(100_000)).is_err());
        assert!(load("&a [*a]").is_ok());
    }
}
