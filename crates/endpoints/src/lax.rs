//! Fields with types, as pydantic 2 reads them in its lax mode: what is converted, what is refused.
//!
//! Each problem is noted with the place of its field; a file with one problem is invalid, so a refused value may stand for
//! anything and is the type's default. Facts: §5, "Parsing".

use crate::value::{Key, Map, Value};

/// A field that does not validate.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    /// `a.b.0.c`; empty for the file itself.
    pub(crate) field: String,
    pub(crate) message: String,
}

/// Of one file.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    at: Vec<String>,
    pub(crate) list: Vec<Problem>,
}

/// One file's problems that are kept; a file with more is as invalid.
const KEPT: usize = 200;

impl Problems {
    pub(crate) fn add(&mut self, message: impl Into<String>) {
        if self.list.len() < KEPT {
            self.list.push(Problem {
                field: self.at.join("."),
                message: message.into(),
            });
        }
    }

    /// What is expected where something else was found.
    pub(crate) fn expected<T: Default>(&mut self, what: &str, found: &Value) -> T {
        self.add(format!("found {}, expected {what}", found.shown()));
        T::default()
    }

    pub(crate) fn within<T>(
        &mut self,
        name: impl Into<String>,
        f: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.at.push(name.into());
        let result = f(self);
        self.at.pop();
        result
    }
}

/// `int`.
pub(crate) fn int(value: &Value, problems: &mut Problems) -> i128 {
    let found = match value {
        Value::Bool(b) => Some(i128::from(*b)),
        Value::Int(n) => Some(*n),
        // Beyond 64 bits a float is refused, an integer is not.
        Value::Float(x) if x.fract() == 0.0 && x.abs() < 9_223_372_036_854_775_808.0 => {
            Some(*x as i128)
        }
        Value::Str(text) => int_of_text(text),
        _ => None,
    };
    found.unwrap_or_else(|| problems.expected("a whole number", value))
}

fn int_of_text(text: &str) -> Option<i128> {
    let text = text.trim();
    let whole = match text.split_once('.') {
        None => text,
        Some((whole, zeros)) => {
            let is_whole = !zeros.is_empty() && zeros.bytes().all(|b| b == b'0');
            is_whole.then_some(whole)?
        }
    };
    // Only ASCII digits here, unlike `int()`.
    let is_ascii = whole.is_ascii() && !whole.contains(char::is_whitespace);
    is_ascii
        .then(|| crate::python::int_of_text(whole))
        .flatten()
}

/// `int` with a least value.
pub(crate) fn int_from(least: i128) -> impl Fn(&Value, &mut Problems) -> i128 {
    move |value, problems| {
        let before = problems.list.len();
        let n = int(value, problems);
        if n < least && problems.list.len() == before {
            problems.expected::<()>(&format!("at least {least}"), value);
        }
        n
    }
}

/// `float`.
pub(crate) fn float(value: &Value, problems: &mut Problems) -> f64 {
    let found = match value {
        Value::Str(text) if !text.trim().is_ascii() => None,
        Value::Str(text) => ossmark_python::parse_float(text.trim()),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => crate::python::float(value).ok(),
        _ => None,
    };
    found.unwrap_or_else(|| problems.expected("a number", value))
}

/// `float` of at least 0. NaN passes, as there.
pub(crate) fn float_from_0(value: &Value, problems: &mut Problems) -> f64 {
    let x = float(value, problems);
    if x < 0.0 {
        problems.expected::<()>("at least 0", value);
    }
    x
}

/// `bool`.
pub(crate) fn boolean(value: &Value, problems: &mut Problems) -> bool {
    let found = match value {
        Value::Bool(b) => Some(*b),
        Value::Int(0) => Some(false),
        Value::Int(1) => Some(true),
        Value::Float(x) if *x == 0.0 => Some(false),
        Value::Float(x) if *x == 1.0 => Some(true),
        Value::Str(text) => match text.to_ascii_lowercase().as_str() {
            "1" | "on" | "t" | "true" | "y" | "yes" => Some(true),
            "0" | "off" | "f" | "false" | "n" | "no" => Some(false),
            _ => None,
        },
        _ => None,
    };
    found.unwrap_or_else(|| problems.expected("true or false", value))
}

/// `str`: a text and nothing else, no number and no date.
pub(crate) fn string(value: &Value, problems: &mut Problems) -> String {
    match value {
        Value::Str(text) => text.clone(),
        _ => problems.expected("a text (quote what YAML reads as something else)", value),
    }
}

/// `str` of at least one character.
pub(crate) fn non_empty(value: &Value, problems: &mut Problems) -> String {
    let text = string(value, problems);
    if value.text() == Some("") {
        problems.expected::<()>("at least one character", value);
    }
    text
}

/// One of some words, spelt exactly.
pub(crate) fn one_of(
    words: &'static [&'static str],
) -> impl Fn(&Value, &mut Problems) -> &'static str {
    move |value, problems| {
        let known = words.iter().find(|word| value.text() == Some(word));
        known
            .copied()
            .unwrap_or_else(|| problems.expected(&format!("one of {}", words.join(", ")), value))
    }
}

/// `list[...]`.
pub(crate) fn list<T>(
    item: impl Fn(&Value, &mut Problems) -> T,
) -> impl Fn(&Value, &mut Problems) -> Vec<T> {
    move |value, problems| match value.list() {
        None => problems.expected("a list", value),
        Some(list) => list
            .iter()
            .enumerate()
            .map(|(at, value)| problems.within(at.to_string(), |problems| item(value, problems)))
            .collect(),
    }
}

/// `dict[str, ...]`.
pub(crate) fn dict<T>(
    item: impl Fn(&Value, &mut Problems) -> T,
) -> impl Fn(&Value, &mut Problems) -> Vec<(String, T)> {
    move |value, problems| {
        let Some(map) = value.map() else {
            return problems.expected("a mapping", value);
        };
        texts_for_keys(map, problems);
        map.named()
            .map(|(name, value)| {
                let item = problems.within(name, |problems| item(value, problems));
                (name.to_owned(), item)
            })
            .collect()
    }
}

fn texts_for_keys(map: &Map, problems: &mut Problems) {
    for (key, _) in map.entries() {
        if let Key::Other(key) = key {
            problems.add(format!(
                "found the key {key}, expected a text (quote what YAML reads as something else)"
            ));
        }
    }
}

/// The fields of a model. Keys that no field has are let pass.
pub(crate) struct Fields<'v, 'p> {
    map: &'v Map,
    problems: &'p mut Problems,
    before: usize,
}

impl<'v, 'p> Fields<'v, 'p> {
    /// `None` where the value is no mapping, which is noted.
    pub(crate) fn of(value: &'v Value, problems: &'p mut Problems) -> Option<Self> {
        let Some(map) = value.map() else {
            problems.expected::<()>("a mapping", value);
            return None;
        };
        let before = problems.list.len();
        texts_for_keys(map, problems);
        Some(Self {
            map,
            problems,
            before,
        })
    }

    /// Refuses keys that are none of these.
    pub(crate) fn only(&mut self, names: &[&str]) {
        for (name, _) in self.map.named().filter(|(name, _)| !names.contains(name)) {
            self.problems.within(name, |problems| {
                problems.add(format!("unknown key, expected only {}", names.join(", ")));
            });
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'v Value> {
        self.map.get(name)
    }

    pub(crate) fn required<T: Default>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value, &mut Problems) -> T,
    ) -> T {
        self.given(name, self.map.get(name), read)
    }

    /// A required field whose value was found under another name, perhaps.
    pub(crate) fn given<T: Default>(
        &mut self,
        name: &str,
        value: Option<&Value>,
        read: impl FnOnce(&Value, &mut Problems) -> T,
    ) -> T {
        self.problems.within(name, |problems| match value {
            Some(value) => read(value, problems),
            None => {
                problems.add("missing, and required");
                T::default()
            }
        })
    }

    /// Absent or null.
    pub(crate) fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value, &mut Problems) -> T,
    ) -> Option<T> {
        let value = self.map.get(name).filter(|value| !value.is_none())?;
        Some(self.problems.within(name, |problems| read(value, problems)))
    }

    /// Absent, but not null.
    pub(crate) fn or<T>(
        &mut self,
        name: &str,
        default: T,
        read: impl FnOnce(&Value, &mut Problems) -> T,
    ) -> T {
        match self.map.get(name) {
            None => default,
            Some(value) => self.problems.within(name, |problems| read(value, problems)),
        }
    }

    /// A rule about several fields, looked at where each of them is good.
    pub(crate) fn then(self, rule: impl FnOnce(&mut Problems)) {
        if self.problems.list.len() == self.before {
            rule(self.problems);
        }
    }
}
