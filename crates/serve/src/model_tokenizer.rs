//! Text and token ids, by the model's own `tokenizer.json`. The tokenizer, Harmony and decoding are `ossmark-harmony`'s; when
//! and where texts are tokenised is decided by `async_tokenizer`. Every task may use it.

use std::path::Path;
use std::sync::Arc;

use ossmark_harmony::{Bounds, Error, Harmony, Parser, SpecialTokens, TextStream, Tokenizer};
use ossmark_protocol::TokenId;

use crate::answer_delta::AnswerDelta;
use crate::error::{ApiError, ServeError};
use crate::stop_text::{StopFinder, StopTexts};

/// A tokenizer, with Harmony where the vocabulary has its control tokens.
pub struct ModelTokenizer {
    inner: Inner,
    /// Whoever answers knows no Harmony (the echo engine).
    answers_in_text: bool,
}

enum Inner {
    Harmony(Harmony),
    Plain(Tokenizer),
}

impl ModelTokenizer {
    /// Loads a `tokenizer.json`, or the one in a model directory.
    ///
    /// # Errors
    /// When it cannot be read, is none, or does not decode byte by byte as gpt-oss' does.
    pub fn load(path: &Path) -> Result<Self, ServeError> {
        let tokenizer = Tokenizer::load(path)?;
        let inner = match SpecialTokens::find(tokenizer.vocabulary()) {
            Ok(_) => Inner::Harmony(Harmony::new(tokenizer)?),
            Err(_) => Inner::Plain(tokenizer),
        };
        Ok(Self {
            inner,
            answers_in_text: false,
        })
    }

    /// Answers to conversations are text from their first token on: nothing is waited for that might be a header.
    #[must_use]
    pub fn answering_in_text(self) -> Self {
        Self {
            answers_in_text: true,
            ..self
        }
    }

    /// Ids below this are text.
    pub fn text_ids(&self) -> u32 {
        self.tokenizer().vocabulary().text_ids()
    }

    fn tokenizer(&self) -> &Tokenizer {
        match &self.inner {
            Inner::Harmony(harmony) => harmony.tokenizer(),
            Inner::Plain(tokenizer) => tokenizer,
        }
    }

    /// Ids of a prompt in which control tokens such as `<|start|>` are parsed: who may send prompts may send any tokens.
    pub(crate) fn encode(&self, text: &str, bounds: &Bounds<'_>) -> Result<Vec<TokenId>, Error> {
        self.tokenizer()
            .encode_with_control_tokens_within(text, bounds)
    }

    /// The text has at least so many tokens.
    pub(crate) fn least_tokens(&self, text: &str) -> usize {
        self.tokenizer().least_tokens(text)
    }

    /// Prompts for answers to conversations, whose texts stay text.
    pub(crate) fn harmony(&self) -> Result<&Harmony, ApiError> {
        match &self.inner {
            Inner::Harmony(harmony) => Ok(harmony),
            Inner::Plain(_) => Err(ApiError::bad(
                "this model's tokenizer has no Harmony control tokens: use /v1/completions",
            )),
        }
    }

    /// Reads an answer to a prompt of [`ModelTokenizer::harmony`], by channel.
    pub(crate) fn parser(&self) -> Result<Parser, ApiError> {
        let parser = self.harmony()?.parser();
        Ok(match self.answers_in_text {
            true => parser.of_text(),
            false => parser,
        })
    }

    /// The bytes of a token.
    pub(crate) fn bytes(&self, id: TokenId) -> Option<&[u8]> {
        self.tokenizer().vocabulary().bytes(id)
    }

    /// Decodes token by token, up to one of `stops`.
    pub(crate) fn decoder(&self, skip_special: bool, stops: &StopTexts) -> IncrementalDetokenizer {
        let vocabulary = Arc::clone(self.tokenizer().vocabulary());
        IncrementalDetokenizer {
            stream: Some(TextStream::new(vocabulary, !skip_special)),
            finder: StopFinder::new(stops.clone()),
        }
    }

    /// The text of ids.
    pub(crate) fn decode(&self, ids: &[TokenId], skip_special: bool) -> String {
        self.decoder(skip_special, &StopTexts::default())
            .push(ids, true)
    }
}

/// Ids to text as they come, up to a text that ends the answer; without a tokenizer the text stays empty.
#[derive(Default)]
pub(crate) struct IncrementalDetokenizer {
    stream: Option<TextStream>,
    finder: StopFinder,
}

impl IncrementalDetokenizer {
    /// The text of what is new; with `trim_stop` without the token that stopped the answer.
    pub(crate) fn text(&mut self, delta: &AnswerDelta, trim_stop: bool) -> String {
        self.push(
            delta.visible_tokens(trim_stop),
            delta.finish_reason.is_some(),
        )
    }

    /// The text of the next ids; the beginning of a character is held back, and becomes U+FFFD when nothing more comes.
    pub(crate) fn push(&mut self, ids: &[TokenId], ended: bool) -> String {
        let mut text = String::new();
        if let Some(stream) = &mut self.stream {
            text.extend(ids.iter().map(|&id| stream.push(id)));
            if ended {
                text += &stream.finish();
            }
        }
        self.finder.push(text, ended)
    }

    /// The text that ended it, once it is complete.
    pub(crate) fn stopped(&self) -> Option<&str> {
        self.finder.found()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_in_text_is_content_from_its_first_token_on() {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo");
        let first = |tokenizer: ModelTokenizer| {
            let token = tokenizer.tokenizer().encode_text("a").unwrap()[0];
            let mut parser = tokenizer.parser().ok().unwrap();
            parser.push(token).map(|delta| delta.text)
        };
        // Of a model it may be a header's.
        assert_eq!(first(ModelTokenizer::load(&demo).unwrap()), None);
        let echo = ModelTokenizer::load(&demo).unwrap().answering_in_text();
        assert_eq!(first(echo), Some("a".to_owned()));
    }

    #[test]
    fn what_is_no_tokenizer_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokenizer.json");
        let error = |file: &Path| ModelTokenizer::load(file).err().unwrap().to_string();
        assert!(error(&file).contains("cannot be read"));
        std::fs::write(&file, "{}").unwrap();
        assert!(error(&file).contains("tokenizer.json"));
    }
}
