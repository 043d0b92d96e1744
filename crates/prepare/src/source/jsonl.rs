//! One JSON object a line, or a list of them. Fields that nobody asked for are passed over without being kept: a LiveCodeBench line holds up to
//! many megabytes of tests.

use std::{fmt, path::Path};

use ossmark_dataset::TextFile;
use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

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
    let mut json = serde_json::Deserializer::from_slice(line);
    let found = WantedFields(&names)
        .deserialize(&mut json)
        .and_then(|found| json.end().map(|()| found))
        .map_err(|e| {
            format!("not a JSON object: {e}; expected one object a line, or a list of objects")
        })?;
    let value = |field: &Field<'_>| {
        let held = field.names.iter().find_map(|name| {
            let held = found
                .values
                .iter()
                .find(|(key, value)| key == name && !value.is_null());
            held.map(|(_, value)| (name, value))
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

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "an array",
        _ => "an object",
    }
}

struct WantedFields<'a>(&'a [&'a str]);

#[derive(Default)]
struct FieldValues {
    keys: Vec<String>,
    values: Vec<(String, Value)>,
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
                found.values.push((key.clone(), map.next_value()?));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
            found.keys.push(key);
        }
        Ok(found)
    }
}
