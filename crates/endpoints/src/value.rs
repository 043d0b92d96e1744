//! A value of a JSON or YAML file with Python's types, which is what the official checker judges.
//!
//! | Python | here |
//! |---|---|
//! | integers of any size | `i128`, the ends of which stand for what is beyond |
//! | keys that are no texts (YAML) | [`Key::Other`] |
//! | dates, sets, bytes (YAML) | [`Value::Other`]: no field takes one |

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

#[derive(Clone, Debug)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(String),
    List(Vec<Value>),
    Map(Map),
    /// What it is.
    Other(&'static str),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Str(String),
    /// Equal where Python's keys are equal.
    Other(String),
}

/// In the order of first occurrence; a key that comes again replaces the value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Map {
    entries: Vec<(Key, Value)>,
    at: HashMap<Key, usize>,
}

impl Map {
    pub(crate) fn insert(&mut self, key: Key, value: Value) {
        if let Some(&at) = self.at.get(&key) {
            self.entries[at].1 = value;
            return;
        }
        self.at.insert(key.clone(), self.entries.len());
        self.entries.push((key, value));
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        let at = self.at.get(&Key::Str(name.to_owned()))?;
        Some(&self.entries[*at].1)
    }

    pub(crate) fn has(&self, key: &Key) -> bool {
        self.at.contains_key(key)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// Those with a text for a key: all of a JSON object.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().filter_map(|(key, value)| match key {
            Key::Str(name) => Some((name.as_str(), value)),
            Key::Other(_) => None,
        })
    }
}

impl Value {
    pub(crate) fn map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn list(&self) -> Option<&[Value]> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// An integer and no bool.
    pub(crate) fn plain_int(&self) -> Option<i128> {
        match self {
            Self::Int(n) => Some(*n),
            _ => None,
        }
    }

    /// An integer or a float, and no bool.
    pub(crate) fn plain_number(&self) -> Option<f64> {
        match self {
            Self::Int(n) => Some(*n as f64),
            Self::Float(x) => Some(*x),
            _ => None,
        }
    }

    /// `bool(value)`.
    pub(crate) fn is_truthy(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(b) => *b,
            Self::Int(n) => *n != 0,
            Self::Float(x) => *x != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Other(_) => true,
        }
    }

    /// A number as `==` sees it: a bool is one too.
    fn number(&self) -> Option<f64> {
        match self {
            Self::Bool(b) => Some(f64::from(u8::from(*b))),
            other => other.plain_number(),
        }
    }

    /// Python's `==` of two values inside of lists and mappings, where the one NaN that its JSON has is equal to itself.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let is_nan = |value: &Self| matches!(value, Self::Float(x) if x.is_nan());
        is_nan(self) && is_nan(other) || self.equals(other)
    }

    /// Python's `==` of two values.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Str(a), Self::Str(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::List(a), Self::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_same(b))
            }
            (Self::Map(a), Self::Map(b)) => {
                a.entries.len() == b.entries.len()
                    && a.entries.iter().all(|(key, value)| {
                        let at = b.at.get(key);
                        at.is_some_and(|at| b.entries[*at].1.is_same(value))
                    })
            }
            (a, b) => matches!((a.number(), b.number()), (Some(a), Some(b)) if a == b),
        }
    }

    /// What it is, for messages.
    pub(crate) fn shown(&self) -> String {
        const MOST: usize = 60;
        let text = match self {
            Self::None => "nothing (null)".into(),
            Self::Bool(b) => b.to_string(),
            Self::Int(n) => n.to_string(),
            Self::Float(x) => x.to_string(),
            Self::Str(text) => format!("the text {text:?}"),
            Self::List(list) => format!("a list of {}", list.len()),
            Self::Map(map) => format!("a mapping with {} keys", map.entries.len()),
            Self::Other(what) => (*what).into(),
        };
        match text.char_indices().nth(MOST) {
            None => text,
            Some((end, _)) => format!("{}...", &text[..end]),
        }
    }
}

struct Read;

impl<'de> Visitor<'de> for Read {
    type Value = Value;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::None)
    }

    fn visit_bool<E>(self, b: bool) -> Result<Value, E> {
        Ok(Value::Bool(b))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Value, E> {
        Ok(Value::Int(n.into()))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Value, E> {
        Ok(Value::Int(n.into()))
    }

    fn visit_f64<E>(self, x: f64) -> Result<Value, E> {
        Ok(Value::Float(x))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        // NaN and the infinities, which JSON has not.
        Ok(ossmark_json::float(text).map_or_else(|| Value::Str(text.to_owned()), Value::Float))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut map = Map::default();
        while let Some((key, value)) = items.next_entry::<String, Value>()? {
            map.insert(Key::Str(key), value);
        }
        Ok(Value::Map(map))
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Read)
    }
}
