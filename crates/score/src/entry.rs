//! One entry of an accuracy log: its fields as the reference reads them (Python's `json`, `DataFrame.iloc` and
//! `bytes.fromhex`). Does not own: finding the entries (`log`), what the tokens say (`detok`).

use std::{borrow::Cow, fmt, path::Path};

use ossmark_files::Escaped;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use crate::{Error, Result};

/// One entry's text.
pub struct RawEntry {
    /// Its place in the log, from 0.
    pub number: usize,
    /// A JSON object, not yet parsed.
    pub json: Vec<u8>,
}

impl RawEntry {
    /// The entry's fields. `path` is for messages.
    ///
    /// # Errors
    /// When the object is no JSON, or lacks what the reference reads of every entry.
    pub fn parse(&self, path: &Path) -> Result<Entry<'_>> {
        let fail = |what: String| entry_error(path, self.number, what);
        let text = str::from_utf8(&self.json).map_err(|e| fail(format!("not JSON: {e}")))?;
        let fields: Fields<'_> = match serde_json::from_str(text) {
            Ok(fields) => fields,
            // What only Python reads.
            Err(_) => serde_json::from_str::<Fields<'_>>(&ossmark_json::strict(text))
                .map_err(|e| fail(format!("not JSON: {e}")))?
                .owned(),
        };
        let qsl_idx = fields
            .qsl_idx
            .ok_or_else(|| fail("has no qsl_idx".into()))?;
        Ok(Entry {
            number: self.number,
            seq_id: fields.seq_id,
            qsl_idx,
            data: fields.data,
            token_data: fields.token_data,
            token_count: fields.token_count,
        })
    }
}

/// An entry's fields, not yet decoded: the reference does not look at the data of an entry that it passes over.
pub struct Entry<'a> {
    /// Its place in the log, from 0.
    pub number: usize,
    seq_id: Option<Value>,
    /// The sample's row in the reference data: a JSON value's text. Python tells 1 from 1.0, and `-0` from `-0.0`.
    qsl_idx: String,
    data: Option<Hex<'a>>,
    token_data: Option<Hex<'a>>,
    /// What LoadGen counted.
    pub token_count: Option<Value>,
}

/// Which row of the reference data an entry answers.
#[derive(Debug, PartialEq, Eq)]
pub enum Row {
    /// A row; `negative` when the log counts from the end, which the reference lets pass.
    At {
        /// The row.
        row: usize,
        /// Whether the log has a negative number for it.
        negative: bool,
    },
    /// Beyond the last row: the reference warns and goes on.
    OutOfRange,
}

impl Entry<'_> {
    /// The row of `rows` that the entry answers, by Python's rules for `DataFrame.iloc`.
    ///
    /// # Errors
    /// When the reference could not go on: no number, a fraction, or more than `rows` before the end.
    pub fn row(&self, rows: usize, path: &Path) -> Result<Row> {
        let refuse = || {
            entry_error(
                path,
                self.number,
                format!(
                    "qsl_idx is {}, expected a row of the reference data, 0 to {}",
                    Escaped(ossmark_json::restored(&self.qsl_idx)),
                    rows as i64 - 1
                ),
            )
        };
        let digits = self.qsl_idx.strip_prefix('-').unwrap_or(&self.qsl_idx);
        let is_integer = digits.bytes().all(|b| b.is_ascii_digit());
        let index: i128 = match self.qsl_idx.parse() {
            Ok(index) if is_integer => index,
            _ if self.is_at_least(rows) => return Ok(Row::OutOfRange),
            _ => return Err(refuse()),
        };
        let row = if index < 0 {
            rows as i128 + index
        } else {
            index
        };
        match usize::try_from(row) {
            Ok(row) if row < rows => Ok(Row::At {
                row,
                negative: index < 0,
            }),
            Ok(_) => Ok(Row::OutOfRange),
            Err(_) if index > 0 => Ok(Row::OutOfRange),
            Err(_) => Err(refuse()),
        }
    }

    /// The row as LoadGen writes it: a whole number, not negative.
    pub fn index(&self) -> Option<u64> {
        self.qsl_idx.parse().ok()
    }

    /// Python's `qsl_idx >= rows`, of what is no integer that fits.
    fn is_at_least(&self, rows: usize) -> bool {
        let number = match serde_json::from_str(&self.qsl_idx) {
            Ok(Value::String(text)) => ossmark_json::float(&text),
            Ok(Value::Number(_)) => self.qsl_idx.parse().ok(),
            Ok(_) => None,
            // Beyond a float's range: an infinity.
            Err(_) => self.qsl_idx.parse().ok(),
        };
        number.is_some_and(|number| number >= rows as f64)
    }

    /// LoadGen's running number of the answer.
    ///
    /// # Errors
    /// When there is none.
    pub fn seq_id(&self, path: &Path) -> Result<Value> {
        let missing = || entry_error(path, self.number, "has no seq_id".into());
        self.seq_id
            .clone()
            .map(ossmark_json::shown)
            .ok_or_else(missing)
    }

    /// The answer's tokens.
    ///
    /// # Errors
    /// When `data` is absent, not hexadecimal, not whole int32 values, or holds a negative one.
    pub fn tokens(&self, path: &Path) -> Result<Vec<u32>> {
        let fail = |what: String| entry_error(path, self.number, what);
        let Some(Hex::Text(hex)) = &self.data else {
            return Err(fail("has no text in its field data".into()));
        };
        tokens_of(hex).map_err(|what| fail(format!("data {what}")))
    }

    /// Whether the log says that the first token is not in `data`. Server logs carry the first token in `token_data` as well;
    /// the reference's own Server implementation leaves it out of `data`.
    pub fn lacks_first_token(&self, tokens: &[u32]) -> bool {
        let Some(Hex::Text(hex)) = &self.token_data else {
            return false;
        };
        tokens_of(hex).is_ok_and(|first| !first.is_empty() && !tokens.starts_with(&first))
    }
}

fn entry_error(path: &Path, entry: usize, what: String) -> Error {
    Error::Entry {
        path: path.to_owned(),
        entry,
        what,
    }
}

/// int32 values, the lowest byte first, two hexadecimal digits a byte; white space may stand between bytes.
fn tokens_of(hex: &str) -> std::result::Result<Vec<u32>, String> {
    let mut tokens = Vec::with_capacity(hex.len() / 8);
    let (mut value, mut bytes) = (0u32, 0usize);
    let digits = hex.as_bytes();
    let mut at = 0;
    while at < digits.len() {
        if matches!(digits[at], b' ' | b'\t'..=b'\r') {
            at += 1;
            continue;
        }
        let high = nibble(digits[at]).ok_or_else(|| not_hex(hex, at))?;
        let low = digits
            .get(at + 1)
            .ok_or_else(|| format!("has an odd number of hexadecimal digits ({at} and one)"))?;
        let low = nibble(*low).ok_or_else(|| not_hex(hex, at + 1))?;
        at += 2;
        value |= u32::from(high << 4 | low) << (8 * (bytes % 4));
        bytes += 1;
        if bytes % 4 == 0 {
            if value > i32::MAX as u32 {
                return Err(format!(
                    "holds the token {} at place {}, expected no negative one",
                    value as i32,
                    tokens.len()
                ));
            }
            tokens.push(value);
            value = 0;
        }
    }
    if bytes % 4 != 0 {
        return Err(format!(
            "has {bytes} bytes, expected a multiple of 4: a token is an int32"
        ));
    }
    Ok(tokens)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn not_hex(hex: &str, at: usize) -> String {
    let found = hex.as_bytes()[at];
    format!(
        "has '{}' at position {at}, expected a hexadecimal digit",
        found.escape_ascii()
    )
}

#[derive(Default)]
struct Fields<'a> {
    seq_id: Option<Value>,
    qsl_idx: Option<String>,
    data: Option<Hex<'a>>,
    token_data: Option<Hex<'a>>,
    token_count: Option<Value>,
}

impl Fields<'_> {
    fn owned(self) -> Fields<'static> {
        Fields {
            seq_id: self.seq_id,
            qsl_idx: self.qsl_idx,
            data: self.data.map(Hex::owned),
            token_data: self.token_data.map(Hex::owned),
            token_count: self.token_count,
        }
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// Of a key that is there twice the last counts, as in Python; a derived reader would refuse it.
struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry of an accuracy log")
    }

    fn visit_map<A: MapAccess<'de>>(
        self,
        mut map: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match key.as_ref() {
                "seq_id" => fields.seq_id = Some(map.next_value()?),
                "qsl_idx" => {
                    let raw: &RawValue = map.next_value()?;
                    fields.qsl_idx = Some(raw.get().to_owned());
                }
                "data" => fields.data = Some(map.next_value()?),
                "token_data" => fields.token_data = Some(map.next_value()?),
                "token_count" => fields.token_count = Some(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(fields)
    }
}

/// A text that may be long, or whatever else stands in its place.
enum Hex<'a> {
    Text(Cow<'a, str>),
    Other,
}

impl Hex<'_> {
    fn owned(self) -> Hex<'static> {
        match self {
            // It stands for a float.
            Hex::Text(text) if ossmark_json::float(&text).is_some() => Hex::Other,
            Hex::Text(text) => Hex::Text(Cow::Owned(text.into_owned())),
            Hex::Other => Hex::Other,
        }
    }
}

impl<'de> Deserialize<'de> for Hex<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(HexVisitor)
    }
}

struct HexVisitor;

impl<'de> Visitor<'de> for HexVisitor {
    type Value = Hex<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hexadecimal text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> std::result::Result<Self::Value, E> {
        Ok(Hex::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<Self::Value, E> {
        Ok(Hex::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<Self::Value, E> {
        Ok(Hex::Other)
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<Self::Value, E> {
        Ok(Hex::Other)
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<Self::Value, E> {
        Ok(Hex::Other)
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<Self::Value, E> {
        Ok(Hex::Other)
    }

    fn visit_unit<E>(self) -> std::result::Result<Self::Value, E> {
        Ok(Hex::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(
        self,
        mut seq: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Hex::Other)
    }

    fn visit_map<A: MapAccess<'de>>(
        self,
        mut map: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Hex::Other)
    }
}

#[cfg(test)]
mod tests;
