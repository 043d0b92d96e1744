//! The header of a safetensors file: its own reader, because the safetensors crate takes the last of two tensors of one name
//! in silence. Time and memory grow with the header's length, which is bounded.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use safetensors::Dtype;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

/// The format's own limit. Source: safetensors' README, "Format"; gpt-oss-120b's headers have under 100 kB each.
const MAX_BYTES: u64 = 100_000_000;
/// Eight bytes of length come before the header.
const LENGTH: usize = 8;

/// A tensor as a header names it.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// In the file.
    pub(super) bytes: Range<usize>,
}

/// Every tensor of a file. Together they are the whole of what follows the header, each byte in one tensor.
pub(super) fn read(file: &[u8]) -> Result<Vec<Entry>, String> {
    let (length, rest) = file
        .split_first_chunk::<LENGTH>()
        .ok_or("is shorter than the eight bytes of its header's length")?;
    let length = u64::from_le_bytes(*length);
    if length > MAX_BYTES {
        return Err(format!(
            "claims a header of {length} bytes, expected at most {MAX_BYTES}"
        ));
    }
    let header = rest.get(..length as usize).ok_or(format!(
        "claims a header of {length} bytes, and {} follow",
        rest.len()
    ))?;
    let mut json = serde_json::Deserializer::from_slice(header);
    let mut tensors = json
        .deserialize_map(Header)
        .and_then(|tensors| json.end().map(|()| tensors))
        .map_err(|e| format!("has no safetensors header: {e}"))?;
    tensors.sort_unstable_by_key(|(_, info)| info.data_offsets);
    let mut end = 0;
    let data = LENGTH + header.len();
    let entries = tensors.into_iter().map(|(name, info)| {
        let (from, to) = info.data_offsets;
        let size = size(&info).filter(|size| from.checked_add(*size) == Some(to));
        if size.is_none() {
            return Err(format!(
                "says that tensor {name:?} of {:?} {:?} lies at {from}..{to}, which is another size",
                info.dtype, info.shape
            ));
        }
        if from != end {
            return Err(format!(
                "says that tensor {name:?} lies at {from}..{to}, and the one before it ends at {end}"
            ));
        }
        end = to;
        let place = |at: u64| usize::try_from(at).ok()?.checked_add(data);
        let bytes = place(from).zip(place(to)).filter(|(_, to)| *to <= file.len());
        let (from, to) = bytes.ok_or_else(|| {
            format!(
                "is cut off: tensor {name:?} ends at byte {to} of its data, and the file has {}",
                file.len() - data
            )
        })?;
        Ok(Entry {
            name,
            dtype: info.dtype,
            shape: info.shape.iter().map(|n| *n as usize).collect(),
            bytes: from..to,
        })
    });
    let entries = entries.collect::<Result<Vec<_>, String>>()?;
    if end != (file.len() - data) as u64 {
        return Err(format!(
            "has {} bytes of data, and its tensors end at {end}",
            file.len() - data
        ));
    }
    Ok(entries)
}

#[derive(Deserialize)]
struct Info {
    dtype: Dtype,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// In bytes; None beyond 64 bits, and where it is no whole number of them.
fn size(info: &Info) -> Option<u64> {
    let bits = info
        .shape
        .iter()
        .try_fold(info.dtype.bitsize() as u64, |n, d| n.checked_mul(*d))?;
    bits.is_multiple_of(8).then_some(bits / 8)
}

struct Header;

impl<'de> Visitor<'de> for Header {
    type Value = Vec<(String, Info)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut names, mut tensors) = (HashSet::new(), Vec::new());
        while let Some(name) = map.next_key::<String>()? {
            // What its publisher wrote about the file.
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let info = map.next_value()?;
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(twice("tensor", &name)));
            }
            tensors.push((name, info));
        }
        Ok(tensors)
    }
}

fn twice(what: &str, name: &str) -> String {
    format!(
        "{what} {name:?} is there twice; nobody can tell which is meant: get the file again from its publisher"
    )
}

/// The `weight_map` of a checkpoint's index: the file of each tensor, each named once.
pub(super) fn weight_map<'de, D: Deserializer<'de>>(
    json: D,
) -> Result<Vec<(String, String)>, D::Error> {
    struct Pairs;
    impl<'de> Visitor<'de> for Pairs {
        type Value = Vec<(String, String)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object from tensors to files")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let (mut names, mut pairs) = (HashSet::new(), Vec::new());
            while let Some((name, file)) = map.next_entry::<String, String>()? {
                if !names.insert(name.clone()) {
                    return Err(A::Error::custom(twice("tensor", &name)));
                }
                pairs.push((name, file));
            }
            Ok(pairs)
        }
    }
    json.deserialize_map(Pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        [
            &(header.len() as u64).to_le_bytes(),
            header.as_bytes(),
            &vec![0; data],
        ]
        .concat()
    }

    fn refused(header: &str, data: usize) -> String {
        read(&file(header, data)).err().expect("refused")
    }

    #[test]
    fn tensors_are_read_in_the_order_of_their_bytes() {
        let header = r#"{"__metadata__":{"format":"pt","format":"pt"},
            "b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},
            "c":{"dtype":"U8","shape":[0],"data_offsets":[16,16]}}   "#;
        let entries = read(&file(header, 16)).unwrap();
        let start = 8 + header.len();
        let found: Vec<_> = entries
            .iter()
            .map(|e| (&*e.name, e.bytes.len(), e.bytes.start - start))
            .collect();
        assert_eq!(found, [("a", 4, 0), ("b", 12, 4), ("c", 0, 16)]);
        assert_eq!(
            (entries[1].dtype, &entries[1].shape[..]),
            (Dtype::BF16, &[2, 3][..])
        );
        assert!(read(&file("{}", 0)).unwrap().is_empty());
    }

    #[test]
    fn what_is_there_twice_overlaps_or_is_left_over_is_named() {
        let t = |name: &str, from: u64, to: u64| {
            format!(
                r#""{name}":{{"dtype":"U8","shape":[{}],"data_offsets":[{from},{to}]}}"#,
                to.saturating_sub(from)
            )
        };
        let header = |tensors: &[String]| format!("{{{}}}", tensors.join(","));
        for (tensors, data, expected) in [
            (
                vec![t("a", 0, 4), t("b", 4, 8), t("a", 8, 12)],
                12,
                "tensor \"a\" is there twice",
            ),
            (
                vec![t("a", 0, 4), t("b", 2, 6)],
                6,
                "tensor \"b\" lies at 2..6, and the one before it ends at 4",
            ),
            (
                vec![t("a", 0, 4), t("b", 5, 6)],
                6,
                "tensor \"b\" lies at 5..6",
            ),
            (
                vec![t("a", 0, 4)],
                5,
                "has 5 bytes of data, and its tensors end at 4",
            ),
            (vec![t("a", 0, 4)], 3, "tensor \"a\" ends at byte 4"),
            (vec![t("a", 4, 0)], 4, "another size"),
        ] {
            let found = refused(&header(&tensors), data);
            assert!(found.contains(expected), "{found}");
        }
        for (header, expected) in [
            (
                r#"{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#,
                "duplicate field `dtype`",
            ),
            (
                r#"{"a":{"dtype":"U8","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,1]}}"#,
                "another size",
            ),
            (
                r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[18446744073709551615,0]}}"#,
                "another size",
            ),
            (
                r#"{"a":{"dtype":"F4","shape":[1],"data_offsets":[0,1]}}"#,
                "another size",
            ),
            (
                r#"{"a":{"dtype":"BF17","shape":[1],"data_offsets":[0,1]}}"#,
                "BF17",
            ),
            (r#"{} {}"#, "trailing characters"),
            ("[]", "expected an object of tensors"),
        ] {
            let found = refused(header, 1);
            assert!(found.contains(expected), "{header}: {found}");
        }
        let long = [&(MAX_BYTES + 1).to_le_bytes()[..], b"{}"].concat();
        assert!(
            read(&long)
                .err()
                .unwrap()
                .contains("expected at most 100000000")
        );
    }

    /// Where each tensor was looked for among all, this took half a minute in a release build, and hours in others.
    #[test]
    fn a_header_of_many_tensors_costs_no_more_for_each() {
        let n = 300_000;
        let tensors = (0..n).map(|i| {
            format!(
                r#""t{i}":{{"dtype":"U8","shape":[1],"data_offsets":[{i},{}]}}"#,
                i + 1
            )
        });
        let header = format!("{{{}}}", tensors.collect::<Vec<_>>().join(","));
        assert_eq!(read(&file(&header, n)).unwrap().len(), n);
    }
}
