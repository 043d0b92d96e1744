//! Pieces of JSON that all APIs have: ids in a request, errors in an answer.

use std::fmt;
use std::marker::PhantomData;

use ossmark_protocol::TokenId;
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use smallvec::{Array, SmallVec};

use crate::quote::{quote, quote_bytes};

/// Appends a list of ids.
pub(crate) fn push_ids(body: &mut Vec<u8>, ids: &[TokenId]) {
    let mut digits = itoa::Buffer::new();
    body.push(b'[');
    for (i, id) in ids.iter().enumerate() {
        if i > 0 {
            body.push(b',');
        }
        body.extend_from_slice(digits.format(*id).as_bytes());
    }
    body.push(b']');
}

/// A list that is mostly short: up to `N` items take no allocation.
pub(crate) struct Few<T, const N: usize>(pub(crate) SmallVec<[T; N]>)
where
    [T; N]: Array<Item = T>;

impl<T, const N: usize> Default for Few<T, N>
where
    [T; N]: Array<Item = T>,
{
    fn default() -> Self {
        Self(SmallVec::new())
    }
}

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for Few<T, N>
where
    [T; N]: Array<Item = T>,
{
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Items<T, const N: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for Items<T, N>
        where
            [T; N]: Array<Item = T>,
        {
            type Value = Few<T, N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Few<T, N>, A::Error> {
                let mut few = SmallVec::new();
                while let Some(item) = items.next_element()? {
                    few.push(item);
                }
                Ok(Few(few))
            }
        }

        from.deserialize_seq(Items(PhantomData))
    }
}

/// The message of an error object, which servers put where an answer should be.
pub(crate) fn error_text(error: &serde_json::Value) -> String {
    let message = error["message"].as_str().or(error.as_str());
    let text = message.map_or_else(|| error.to_string(), str::to_owned);
    format!("the server reported: {}", quote(&text))
}

/// Where JSON that a server sent stops making sense.
pub(crate) fn bad_json(error: &serde_json::Error, body: &[u8]) -> String {
    format!(
        "not the JSON that this API answers with ({}): {}",
        // Names what it found, whole.
        quote(&error.to_string()),
        quote_bytes(body)
    )
}
