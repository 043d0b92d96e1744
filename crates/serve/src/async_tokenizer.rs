//! From texts to token ids, at a cost that no client decides: what cannot fit the context is refused by its bytes, long texts
//! wait for one of a few permits and are tokenised off the threads that serve connections, and what nobody waits for any more
//! is skipped, or stopped between two words.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use ossmark_harmony::{Bounds, Error, Parser, PromptMessage};
use ossmark_protocol::TokenId;
use tokio::sync::Semaphore;

use crate::error::ApiError;
use crate::events::Limits;
use crate::metrics::{GaugeGuard, Metrics};
use crate::model_tokenizer::{IncrementalDetokenizer, ModelTokenizer};
use crate::options::ValidatedOptions;
use crate::prompts::Prompts;
use crate::settings::Settings;
use crate::text_tokens::StopDetector;

/// Longer texts leave the threads that serve connections: this takes some 15 ms at a million tokens a second.
const LONG_TEXT: usize = 64 << 10;
/// What to do about a chat request to a server without a tokenizer.
const NO_CHAT: &str = "use /v1/completions or /generate with token ids";

/// The server's tokenizer, if it has one, and the permits for long texts.
pub(crate) struct AsyncTokenizer {
    tokenizer: Option<Arc<ModelTokenizer>>,
    max_context: u32,
    permits: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

/// Stops a tokenisation that nobody waits for any more.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl AsyncTokenizer {
    pub(crate) fn new(
        tokenizer: Option<ModelTokenizer>,
        limits: &Limits,
        settings: &Settings,
        metrics: &Arc<Metrics>,
    ) -> Self {
        Self {
            tokenizer: tokenizer.map(Arc::new),
            max_context: limits.max_context,
            permits: Arc::new(Semaphore::new(settings.max_tokenizations.max(1))),
            metrics: Arc::clone(metrics),
        }
    }

    /// Prompts as token ids; `param` is the field that they came in, if it is to be blamed.
    pub(crate) async fn prompts(
        &self,
        prompts: Prompts,
        param: Option<&'static str>,
    ) -> Result<Vec<Vec<TokenId>>, ApiError> {
        match prompts {
            Prompts::Tokens(tokens) => Ok(vec![tokens]),
            Prompts::TokenLists(lists) => Ok(lists),
            Prompts::Text(text) => self.texts(vec![text]).await,
            Prompts::Texts(texts) => self.texts(texts).await,
            Prompts::Empty => {
                let mut error = ApiError::bad("the prompt is empty: give at least one token");
                error.param = param;
                Err(error)
            }
        }
    }

    async fn texts(&self, texts: Vec<String>) -> Result<Vec<Vec<TokenId>>, ApiError> {
        let tokenizer = self.tokenizer("send the prompt as token ids")?;
        let least = texts.iter().map(|text| tokenizer.least_tokens(text));
        self.refuse_too_long(least.max().unwrap_or(0))?;
        let bytes = texts.iter().map(String::len).sum();
        self.offload(tokenizer, bytes, move |tokenizer, bounds| {
            let all = texts.iter().map(|text| tokenizer.encode(text, bounds));
            all.collect::<Result<_, _>>()
        })
        .await
    }

    /// The prompt for the answer to a conversation.
    pub(crate) async fn conversation(
        &self,
        messages: Vec<PromptMessage>,
    ) -> Result<Vec<TokenId>, ApiError> {
        let tokenizer = self.tokenizer(NO_CHAT)?;
        self.refuse_too_long(tokenizer.harmony()?.least_tokens(&messages))?;
        let texts = messages.iter().flat_map(PromptMessage::texts);
        let bytes = texts.map(|text| text.len()).sum();
        let harmony =
            move |tokenizer: &ModelTokenizer, bounds: &Bounds<'_>| match tokenizer.harmony() {
                Ok(harmony) => harmony.prompt_within(&messages, bounds),
                // Asked above.
                Err(_) => Ok(Vec::new()),
            };
        self.offload(tokenizer, bytes, harmony).await
    }

    /// Reads the answer to a conversation, by channel.
    pub(crate) fn parser(&self) -> Result<Parser, ApiError> {
        self.tokenizer(NO_CHAT)?.parser()
    }

    /// Decodes token by token; without a tokenizer into nothing.
    pub(crate) fn decoder(&self, options: &ValidatedOptions) -> IncrementalDetokenizer {
        let tokenizer = self.tokenizer.as_ref();
        tokenizer
            .map(|tokenizer| tokenizer.decoder(options.skip_special, &options.stop_texts))
            .unwrap_or_default()
    }

    /// Finds the token that completes one of the texts which end an answer.
    pub(crate) fn stop_detector(
        &self,
        options: &ValidatedOptions,
    ) -> Result<Option<Box<StopDetector>>, ApiError> {
        if !options.stop_texts.is_empty() {
            self.tokenizer("give stop_token_ids instead of stop")?;
        }
        Ok(StopDetector::text(
            self.decoder(options),
            &options.stop_texts,
        ))
    }

    /// It, for who writes texts by himself.
    pub(crate) fn shared(&self) -> Option<Arc<ModelTokenizer>> {
        self.tokenizer.clone()
    }

    /// The text of ids.
    pub(crate) fn text(&self, ids: &[TokenId]) -> Result<String, ApiError> {
        Ok(self.tokenizer("it knows no text")?.decode(ids, false))
    }

    fn tokenizer(&self, instead: &str) -> Result<&Arc<ModelTokenizer>, ApiError> {
        self.tokenizer
            .as_ref()
            .ok_or_else(|| ApiError::bad(format!("this server has no tokenizer: {instead}")))
    }

    fn refuse_too_long(&self, least: usize) -> Result<(), ApiError> {
        let context = self.max_context;
        if least < context as usize {
            return Ok(());
        }
        self.metrics.texts_refused.fetch_add(1, Relaxed);
        Err(ApiError::bad(format!(
            "the prompt has at least {least} tokens, as its bytes tell, but the context of {context} must hold it and an answer"
        )))
    }

    /// Tokenises; long texts off the threads that serve connections.
    async fn offload<T: Send + 'static>(
        &self,
        tokenizer: &Arc<ModelTokenizer>,
        bytes: usize,
        encode: impl FnOnce(&ModelTokenizer, &Bounds<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, ApiError> {
        let context = self.max_context;
        let most_tokens = (context as usize).saturating_sub(1);
        let stop = Arc::new(AtomicBool::new(false));
        let run = {
            let (tokenizer, stop) = (Arc::clone(tokenizer), Arc::clone(&stop));
            move || {
                let stop = &stop;
                encode(&tokenizer, &Bounds { most_tokens, stop })
            }
        };
        let encoded = if bytes <= LONG_TEXT {
            run()
        } else {
            let stop_on_drop = StopOnDrop(stop);
            let waiting = GaugeGuard::new(&self.metrics, |metrics| &metrics.texts_waiting, 1);
            // The semaphore is never closed.
            let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
            drop(waiting);
            let encoding = GaugeGuard::new(&self.metrics, |metrics| &metrics.texts_encoding, 1);
            let metrics = Arc::clone(&self.metrics);
            let encoded = tokio::task::spawn_blocking(move || {
                // Held by the work, not by who waits for it.
                let _held = (permit, encoding);
                let encoded = run();
                if encoded.is_ok() {
                    metrics.texts_encoded.fetch_add(1, Relaxed);
                }
                encoded
            })
            .await;
            drop(stop_on_drop);
            encoded.map_err(|_| ApiError::engine("the tokenizer panicked"))?
        };
        encoded.map_err(|error| match error {
            Error::TooManyTokens { .. } => ApiError::bad(format!(
                "the prompt has more than {most_tokens} tokens, but the context of {context} must hold it and an answer"
            )),
            error => ApiError::bad(error.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn prompts_parse_control_tokens_and_conversations_do_not() {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo");
        let text = ModelTokenizer::load(&demo).unwrap();
        let stop = &AtomicBool::new(false);
        let most_tokens = 1000;
        let bounds = Bounds { most_tokens, stop };
        let said = "<|channel|>final<|message|>ok<|return|>";
        let prompt = text.encode(said, &bounds).unwrap();
        assert_eq!(text.decode(&prompt, true), "finalok");
        assert_eq!(text.decode(&prompt, false), said);
        let messages = vec![PromptMessage::User("<|return|>".into())];
        let prompt = text.harmony().unwrap().prompt_within(&messages, &bounds);
        assert_eq!(
            text.decode(&prompt.unwrap(), true),
            "user<|return|>assistant"
        );
    }
}
