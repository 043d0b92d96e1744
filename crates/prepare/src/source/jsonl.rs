//! One JSON object a line, or a list of them, as Python's json reads them. Fields that nobody asked for are passed over
//! without being kept: a LiveCodeBench line holds up to many megabytes of tests.

use std::{collections::BTreeMap, fmt, path::Path};

use ossmark_dataset::TextFile;
use ossmark_python::float_repr;
use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::{Field, Record, row};
use crate::{Error, Result};

pub(super) fn read(path: &Path, fields: &[Field<'_>]) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    TextFile::open(path)?.records(path, |place, _, text| {
        let values = object(text, fields).map_err(|what| row(path, place, what))?;
        records.push(Record { place, values });
        Ok::<_, Error>(())
    })?;
    Ok(records)
}

fn object(line: &[u8], fields: &[Field<'_>]) -> Result<Vec<Option<String>>, String> {
    let names: Vec<&str> = fields
        .iter()
        .flat_map(|f| f.names.iter().copied())
        .collect();
    let line = str::from_utf8(line).map_err(|e| format!("not a JSON object: {e}"))?;
    let read = |text: &str| {
        let mut json = serde_json::Deserializer::from_str(text);
        let found = WantedFields(&names).deserialize(&mut json)?;
        json.end().map(|()| found)
    };
    // Long lines are looked through for what only Python reads where something is.
    let found = read(line)
        .or_else(|_| read(&ossmark_json::strict(line)))
        .map_err(|e| {
            format!("not a JSON object: {e}; expected one object a line, or a list of objects")
        })?;
    let value = |field: &Field<'_>| {
        let held = field.names.iter().find_map(|name| {
            let held = found.values.get(*name).filter(|value| !value.is_null());
            held.map(|value| (name, value))
        });
        match held {
            Some((name, value)) => text(value)
                .map(Some)
                .ok_or_else(|| format!("'{name}' is {}, expected text or a number", kind(value))),
            None if field.optional => Ok(None),
            None => Err(format!(
                "no {}; its fields are: {}",
                field.wanted(),
                found.keys.join(", ")
            )),
        }
    };
    fields.iter().map(value).collect()
}

/// `str` of it in Python.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => match ossmark_json::float(text) {
            None => Some(text.clone()),
            // What pandas takes for nothing.
            Some(number) if number.is_nan() => None,
            Some(number) => Some(float_repr(number)),
        },
        Value::Number(number) if number.is_f64() => number.as_f64().map(float_repr),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(if *value { "True" } else { "False" }.into()),
        _ => None,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "an array",
        Value::String(_) => "NaN",
        _ => "an object",
    }
}

struct WantedFields<'a>(&'a [&'a str]);

#[derive(Default)]
struct FieldValues {
    keys: Vec<String>,
    /// Of a key that is there twice the last counts, as in Python.
    values: BTreeMap<String, Value>,
}

impl<'de> DeserializeSeed<'de> for WantedFields<'_> {
    type Value = FieldValues;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<FieldValues, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for WantedFields<'_> {
    type Value = FieldValues;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the row's fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldValues, A::Error> {
        let mut found = FieldValues::default();
        while let Some(key) = map.next_key::<String>()? {
            if self.0.contains(&key.as_str()) {
                let raw = map.next_value::<&RawValue>()?.get();
                let value = ossmark_json::loads(raw).map_err(A::Error::custom)?;
                found.values.insert(key.clone(), value);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
            found.keys.push(key);
        }
        Ok(found)
    }
}
