//! Text to ids, by the model's own tokenizer.json. Owns the promise that text stays text.

use std::{cell::Cell, path::Path, sync::Arc};

use tokenizers::{Model, Normalizer, OffsetType, PreTokenizedString, PreTokenizer};

use crate::{Bounds, Detokenizer, Error, Result, bounds::Shares, vocabulary::read};

/// A loaded tokenizer.json: both directions.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    vocabulary: Arc<Detokenizer>,
    shares: Option<Shares>,
}

impl Tokenizer {
    /// Loads a `tokenizer.json`, or the one in a model directory.
    ///
    /// # Errors
    /// When the file cannot be read, is no tokenizer.json, or decodes otherwise than byte-level BPE does.
    pub fn load(path: &Path) -> Result<Self> {
        // Read first: the tokenizers crate does not say which file it could not open.
        let (file, bytes) = read(path)?;
        let vocabulary = Detokenizer::parse(&file, &bytes)?;
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(|e| Error::Tokenizer {
            path: file.clone(),
            what: format!("not a Hugging Face tokenizer.json: {e}"),
        })?;
        // A file may ask that texts be cut or filled up to a length; a prompt must be whole.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|e| Error::Tokenizer {
            path: file,
            what: e.to_string(),
        })?;
        Ok(Self {
            shares: Shares::find(&inner, &vocabulary),
            inner,
            vocabulary: Arc::new(vocabulary),
        })
    }

    /// The ids of ordinary text. Whatever it holds, no id is that of a control token: the tokenizer's added tokens are not
    /// looked for at all, and a vocabulary that reaches one otherwise is refused.
    ///
    /// # Errors
    /// [`Error::Encode`], [`Error::ControlInText`].
    pub fn encode_text(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_text_within(text, &Bounds::NONE)
    }

    /// The same, ended early by `bounds`.
    ///
    /// # Errors
    /// Those of [`Tokenizer::encode_text`], [`Error::TooManyTokens`], [`Error::Stopped`].
    pub fn encode_text_within(&self, text: &str, bounds: &Bounds<'_>) -> Result<Vec<u32>> {
        let mut pieces = PreTokenizedString::from(text);
        if let Some(normalizer) = self.inner.get_normalizer() {
            pieces
                .normalize(|piece| normalizer.normalize(piece))
                .map_err(|e| failed(text, &e))?;
        }
        let ids = self.encode(text, pieces, bounds)?;
        match ids.iter().find(|&&id| self.vocabulary.is_added(id)) {
            Some(&id) => Err(Error::ControlInText { id }),
            None => Ok(ids),
        }
    }

    /// The ids of a whole prompt in which `<|start|>` and its like are control tokens. Only for text whose author may write
    /// those; a data set's or a client's text goes through [`Tokenizer::encode_text`].
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn encode_with_control_tokens(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_with_control_tokens_within(text, &Bounds::NONE)
    }

    /// The same, ended early by `bounds`.
    ///
    /// # Errors
    /// [`Error::Encode`], [`Error::TooManyTokens`], [`Error::Stopped`].
    pub fn encode_with_control_tokens_within(
        &self,
        text: &str,
        bounds: &Bounds<'_>,
    ) -> Result<Vec<u32>> {
        let added = self.inner.get_added_vocabulary();
        let pieces = added.extract_and_normalize(self.inner.get_normalizer(), text);
        self.encode(text, pieces, bounds)
    }

    /// What the tokenizers crate does to a text, asking between its pieces whether to go on.
    fn encode(
        &self,
        text: &str,
        mut pieces: PreTokenizedString,
        bounds: &Bounds<'_>,
    ) -> Result<Vec<u32>> {
        bounds.check(0)?;
        let (tokens, ended) = (Cell::new(0), Cell::new(None));
        let encoded = || -> tokenizers::Result<Vec<u32>> {
            if let Some(pre_tokenizer) = self.inner.get_pre_tokenizer() {
                pre_tokenizer.pre_tokenize(&mut pieces)?;
            }
            let model = self.inner.get_model();
            pieces.tokenize(|piece| {
                let new = model.tokenize(piece.get())?;
                tokens.set(tokens.get() + new.len());
                if let Err(error) = bounds.check(tokens.get()) {
                    ended.set(Some(error));
                    return Err("ended early".into());
                }
                Ok(new)
            })?;
            let encoding = pieces.into_encoding(None, 0, OffsetType::None)?;
            Ok(encoding.get_ids().to_vec())
        };
        let encoded = encoded();
        match ended.take() {
            Some(error) => Err(error),
            None => encoded.map_err(|e| failed(text, &e)),
        }
    }

    /// The text has at least this many tokens, control tokens parsed or not; told without encoding, 0 where nothing is known.
    pub fn least_tokens(&self, text: &str) -> usize {
        self.shares
            .as_ref()
            .map_or(0, |shares| shares.least_tokens(text))
    }

    /// The text of ids, control tokens included, as the reference scorer decodes.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.vocabulary.decode(ids).text
    }

    /// The other direction.
    pub fn vocabulary(&self) -> &Arc<Detokenizer> {
        &self.vocabulary
    }
}

fn failed(text: &str, reason: &dyn std::fmt::Display) -> Error {
    Error::Encode {
        bytes: text.len(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use proptest::prelude::*;

    use super::*;

    fn demo() -> Tokenizer {
        Tokenizer::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo")).unwrap()
    }

    /// The demo's file, changed.
    fn changed(change: impl FnOnce(&mut serde_json::Value)) -> Tokenizer {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo/tokenizer.json");
        let mut file = serde_json::from_slice(&std::fs::read(demo).unwrap()).unwrap();
        change(&mut file);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("tokenizer.json"), file.to_string()).unwrap();
        Tokenizer::load(dir.path()).unwrap()
    }

    proptest! {
        #[test]
        fn a_text_never_has_fewer_tokens_than_were_foretold(
            parts in prop::collection::vec(prop_oneof![
                "[a-z0-9 +=]{0,40}", any::<String>(), Just("<|start|>".to_owned()), Just(" ".repeat(70)), Just("the".repeat(20)),
            ], 0..6)
        ) {
            let tokenizer = demo();
            let text = parts.concat();
            let least = tokenizer.least_tokens(&text);
            let parsed = tokenizer.encode_with_control_tokens(&text).unwrap();
            prop_assert!(least <= parsed.len() && least <= tokenizer.encode_text(&text).unwrap().len());
            prop_assert_eq!(least == 0, text.is_empty());
            let theirs = tokenizer.inner.encode_fast(text.as_str(), false).unwrap();
            prop_assert_eq!(&parsed[..], theirs.get_ids());
        }
    }

    #[test]
    fn nothing_is_foretold_where_bytes_can_get_lost() {
        let text = "a b".repeat(1000);
        assert!(demo().least_tokens(&text) > 100);
        for change in [
            (|f: &mut serde_json::Value| f["normalizer"] = serde_json::json!({ "type": "NFC" }))
                as fn(&mut _),
            |f| f["added_tokens"][0]["lstrip"] = true.into(),
            |f| {
                f["pre_tokenizer"]["pretokenizers"][0] =
                    serde_json::json!({ "type": "WhitespaceSplit" })
            },
            |f| {
                f["pre_tokenizer"]["pretokenizers"][0] = serde_json::json!({ "type": "Split", "pattern": { "String": " " }, "behavior": "Removed", "invert": false });
            },
            |f| f["pre_tokenizer"] = serde_json::Value::Null,
        ] {
            assert_eq!(changed(change).least_tokens(&text), 0);
        }
    }

    #[test]
    fn an_encoding_ends_where_its_bounds_say() {
        let tokenizer = demo();
        let text = "1 + 2 ".repeat(1000);
        let all = tokenizer.encode_text(&text).unwrap();
        let never = AtomicBool::new(false);
        let within = |most_tokens| Bounds {
            most_tokens,
            stop: &never,
        };
        assert_eq!(
            tokenizer
                .encode_text_within(&text, &within(all.len()))
                .unwrap(),
            all
        );
        let most = all.len() - 1;
        for error in [
            tokenizer
                .encode_text_within(&text, &within(most))
                .unwrap_err(),
            tokenizer
                .encode_with_control_tokens_within(&text, &within(most))
                .unwrap_err(),
        ] {
            assert!(
                matches!(error, Error::TooManyTokens { most: m } if m == most),
                "{error}"
            );
        }
        let stopped = AtomicBool::new(true);
        let bounds = Bounds {
            most_tokens: usize::MAX,
            stop: &stopped,
        };
        assert!(matches!(
            tokenizer.encode_text_within(&text, &bounds),
            Err(Error::Stopped)
        ));
    }
}
