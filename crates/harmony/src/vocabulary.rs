//! Token ids back to text, as the reference's tokenizer decodes: special tokens kept, bytes that are no UTF-8 replaced.
//!
//! Owns: reading the id-to-bytes half of a Hugging Face `tokenizer.json`, and which ids are its added tokens. Does not own:
//! encoding, which needs merges and a pre-tokenizer; a scorer must start fast, and with the real vocabulary (201,088 tokens)
//! those are most of the loading time.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};

use crate::{Error, Result};

/// A tokenizer as far as decoding needs it.
pub struct Detokenizer {
    /// All tokens' bytes, one after the other.
    bytes: Vec<u8>,
    /// Where each id's bytes lie; an empty range at `ABSENT` for an id that no token has.
    spans: Vec<(u32, u32)>,
    /// The added tokens, which are the control tokens, by content.
    added: BTreeMap<String, u32>,
    /// Whether an id is in `added`; shorter than the vocabulary when the rest are not.
    is_added: Vec<bool>,
    has_harmony: bool,
}

impl fmt::Debug for Detokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tokens, added) = (self.spans.len(), self.added.len());
        write!(f, "Detokenizer({tokens} ids, {added} added)")
    }
}

/// Text and how many ids had no token.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The text; U+FFFD stands for bytes that are no UTF-8.
    pub text: String,
    /// Ids without a token. The reference's tokenizer leaves them out without a word.
    pub unknown_ids: usize,
}

const ABSENT: (u32, u32) = (u32::MAX, u32::MAX);
/// A file that names an id beyond this is damaged: the largest vocabularies have some 2^18 tokens.
const MAX_ID: u32 = 1 << 24;
/// What separates Harmony's channels; a tokenizer without them did not write a gpt-oss log.
const HARMONY: [&str; 2] = ["<|channel|>", "<|message|>"];

impl Detokenizer {
    /// Loads a `tokenizer.json`, or the one in a model directory.
    ///
    /// # Errors
    /// When the file cannot be read, is no tokenizer.json, or decodes otherwise than byte-level BPE does.
    pub fn load(path: &Path) -> Result<Self> {
        let (file, bytes) = read(path)?;
        Self::parse(&file, &bytes)
    }

    /// The same from bytes that were read from `file`.
    pub(crate) fn parse(file: &Path, bytes: &[u8]) -> Result<Self> {
        let refuse = |what: String| Error::Tokenizer {
            path: file.to_owned(),
            what,
        };
        let parsed: File = serde_json::from_slice(ossmark_files::without_mark(bytes))
            .map_err(|e| refuse(format!("not a Hugging Face tokenizer.json: {e}")))?;
        let decoder = parsed.decoder.map(|d| d.kind).unwrap_or_default();
        if decoder != "ByteLevel" {
            return Err(refuse(format!(
                "its decoder is '{decoder}', expected 'ByteLevel' as gpt-oss has it; give the model's own \
                 tokenizer.json"
            )));
        }
        let settings = file.with_file_name("tokenizer_config.json");
        let text = match ossmark_files::read(&settings) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(source) => {
                return Err(Error::Io {
                    path: settings,
                    source,
                });
            }
        };
        if let Ok(config) = serde_json::from_slice::<Config>(&text)
            && config.clean_up_tokenization_spaces
        {
            return Err(Error::Tokenizer {
                path: settings,
                what: "clean_up_tokenization_spaces is true, which gpt-oss does not set and ossmark does not do; give the \
                       model's own tokenizer files"
                    .into(),
            });
        }
        let mut this = parsed.model.0;
        for token in parsed.added_tokens {
            this.insert(token.id, &token.content)
                .map_err(|e| refuse(e.to_owned()))?;
            let id = token.id as usize;
            if id >= this.is_added.len() {
                this.is_added.resize(id + 1, false);
            }
            this.is_added[id] = true;
            this.added.insert(token.content, token.id);
        }
        this.has_harmony = HARMONY.iter().all(|wanted| {
            this.spans
                .iter()
                .any(|span| this.slice(*span) == Some(wanted.as_bytes()))
        });
        Ok(this)
    }

    /// Whether the tokens that separate Harmony's channels are there.
    pub fn has_harmony(&self) -> bool {
        self.has_harmony
    }

    /// The id of an added token, by its content.
    pub fn added_id(&self, content: &str) -> Option<u32> {
        self.added.get(content).copied()
    }

    /// Whether an id is an added token: a control token, and no text.
    pub fn is_added(&self, id: u32) -> bool {
        self.is_added.get(id as usize).copied().unwrap_or(false)
    }

    /// Ids below this are text: no added token is among them.
    pub fn text_ids(&self) -> u32 {
        let all = u32::try_from(self.spans.len()).unwrap_or(u32::MAX);
        self.added.values().copied().min().unwrap_or(all).min(all)
    }

    /// The bytes of a token; None for an id that no token has.
    pub fn bytes(&self, id: u32) -> Option<&[u8]> {
        self.slice(*self.spans.get(id as usize)?)
    }

    /// The bytes of every token.
    #[cfg(feature = "encode")]
    pub(crate) fn tokens(&self) -> impl Iterator<Item = &[u8]> {
        self.spans.iter().filter_map(|span| self.slice(*span))
    }

    /// The text of `ids`.
    pub fn decode(&self, ids: &[u32]) -> Decoded {
        let mut bytes = Vec::with_capacity(ids.len() * 4);
        let mut unknown_ids = 0;
        for &id in ids {
            match self.bytes(id) {
                Some(token) => bytes.extend_from_slice(token),
                None => unknown_ids += 1,
            }
        }
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        Decoded { text, unknown_ids }
    }

    fn slice(&self, (start, end): (u32, u32)) -> Option<&[u8]> {
        self.bytes.get(start as usize..end as usize)
    }

    fn insert(&mut self, id: u32, token: &str) -> std::result::Result<(), &'static str> {
        if id > MAX_ID {
            return Err("a token's id is beyond 2^24; the file is damaged");
        }
        let start = self.bytes.len();
        let mapped = token.chars().try_for_each(|c| {
            self.bytes.push(byte_of(c)?);
            Some(())
        });
        // A token with a character outside the byte alphabet stands for itself: added tokens with spaces, for one.
        if mapped.is_none() {
            self.bytes.truncate(start);
            self.bytes.extend_from_slice(token.as_bytes());
        }
        let end = u32::try_from(self.bytes.len()).map_err(|_| "its tokens are over 4 GiB")?;
        let id = id as usize;
        if id >= self.spans.len() {
            self.spans.resize(id + 1, ABSENT);
        }
        self.spans[id] = (start as u32, end);
        Ok(())
    }
}

/// The file and its bytes; `path` may be a model directory.
pub(crate) fn read(path: &Path) -> Result<(PathBuf, Vec<u8>)> {
    let file = if path.is_dir() {
        path.join("tokenizer.json")
    } else {
        path.to_owned()
    };
    match ossmark_files::read(&file) {
        Ok(bytes) => Ok((file, bytes)),
        Err(source) => Err(Error::Io { path: file, source }),
    }
}

/// The byte that a character of a byte-level vocabulary stands for: printable Latin-1 stands for itself, the other 68 bytes
/// were moved, in order, to U+0100 and on (GPT-2's alphabet).
fn byte_of(c: char) -> Option<u8> {
    match c as u32 {
        n @ (0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) => Some(n as u8),
        n @ 0x100..=0x120 => Some((n - 0x100) as u8),
        n @ 0x121..=0x142 => Some((n - 0x121 + 0x7f) as u8),
        0x143 => Some(0xad),
        _ => None,
    }
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    decoder: Option<Decoder>,
    model: Model,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
}

#[derive(Deserialize)]
struct Decoder {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    clean_up_tokenization_spaces: bool,
}

struct Model(Detokenizer);

impl<'de> Deserialize<'de> for Model {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(ModelFields)
    }
}

/// Reads `vocab` and passes over the rest: the merges alone are 12 MB of the real file.
struct ModelFields;

impl<'de> Visitor<'de> for ModelFields {
    type Value = Model;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a BPE model with a vocab")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Model, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "vocab" {
                found = Some(map.next_value_seed(Vocab)?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        found
            .map(Model)
            .ok_or_else(|| serde::de::Error::missing_field("vocab"))
    }
}

struct Vocab;

impl<'de> DeserializeSeed<'de> for Vocab {
    type Value = Detokenizer;

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<Detokenizer, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Vocab {
    type Value = Detokenizer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of token texts and ids")
    }

    fn visit_map<A: MapAccess<'de>>(
        self,
        mut map: A,
    ) -> std::result::Result<Detokenizer, A::Error> {
        let mut this = Detokenizer {
            bytes: Vec::new(),
            spans: Vec::new(),
            added: BTreeMap::new(),
            is_added: Vec::new(),
            has_harmony: false,
        };
        let mut token = String::new();
        while map.next_key_seed(ReusedString(&mut token))?.is_some() {
            let id = map.next_value()?;
            let is_taken = |span: &(u32, u32)| *span != ABSENT;
            if this.spans.get(id as usize).is_some_and(is_taken) {
                let twice =
                    format!("two tokens have the id {id}; give the model's own tokenizer.json");
                return Err(serde::de::Error::custom(twice));
            }
            this.insert(id, &token).map_err(serde::de::Error::custom)?;
        }
        Ok(this)
    }
}

/// Reads a string into a buffer that is used again: most keys hold escapes and could not be borrowed.
struct ReusedString<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for ReusedString<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for ReusedString<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token's text")
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<(), E> {
        self.0.clear();
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Detokenizer> {
        let tmp = tempfile::tempdir().unwrap();
        std::fs::write(tmp.path().join("tokenizer.json"), text).unwrap();
        Detokenizer::load(tmp.path())
    }

    #[test]
    fn every_byte_has_one_character() {
        let mut seen: Vec<u8> = (0..0x200u32)
            .filter_map(|n| byte_of(char::from_u32(n).unwrap()))
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..=255).collect::<Vec<u8>>());
        assert_eq!(byte_of('Ġ'), Some(b' '));
        assert_eq!(byte_of('Ċ'), Some(b'\n'));
    }

    #[test]
    fn bytes_join_before_they_become_text_and_unknown_ids_vanish() {
        let tokenizer = load(
            r#"{"added_tokens": [{"id": 5, "content": "<|a b|>"}], "decoder": {"type": "ByteLevel"},
                "model": {"merges": [["x", "y"]], "vocab": {"Ã": 0, "©": 1, "\u0120x": 2}}}"#,
        )
        .unwrap();
        let decoded = tokenizer.decode(&[0, 1, 2, 4, 5, 99, 0]);
        assert_eq!(decoded.text, "é x<|a b|>\u{fffd}");
        assert_eq!(decoded.unknown_ids, 2);
        assert!(!tokenizer.has_harmony());
    }

    #[test]
    fn other_decoders_and_damaged_files_are_refused() {
        for (text, expected) in [
            (r#"{"model": {"vocab": {}}}"#, "decoder is ''"),
            (
                r#"{"decoder": {"type": "WordPiece"}, "model": {"vocab": {}}}"#,
                "WordPiece",
            ),
            (
                r#"{"decoder": {"type": "ByteLevel"}, "model": {}}"#,
                "missing field `vocab`",
            ),
            (
                r#"{"decoder": {"type": "ByteLevel"}, "model": {"vocab": {"a": 4000000000}}}"#,
                "beyond 2^24",
            ),
            (
                r#"{"decoder": {"type": "ByteLevel"}, "model": {"vocab": {"a": -1}}}"#,
                "invalid value",
            ),
            ("[1]", "not a Hugging Face"),
        ] {
            let error = load(text).err().unwrap().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
