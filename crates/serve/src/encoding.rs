//! From texts to token ids, at a cost that no client decides: what cannot fit the context is refused by its bytes, long texts
//! wait for one of a few places and are tokenised off the threads that serve connections, and what nobody waits for any more
//! is skipped, or stopped between two words.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use ossmark_harmony::{Bounds, Error, Turn};
use ossmark_protocol::TokenId;
use tokio::sync::Semaphore;

use crate::app::App;
use crate::error::ApiError;
use crate::metrics::Counting;
use crate::text::Text;

/// Longer texts leave the threads that serve connections: this takes some 15 ms at a million tokens a second.
const LONG_TEXT: usize = 64 << 10;

/// Places for long texts.
pub(crate) struct Encoders(Arc<Semaphore>);

impl Encoders {
    pub(crate) fn new(places: usize) -> Self {
        Self(Arc::new(Semaphore::new(places.max(1))))
    }
}

/// Ids of text prompts.
pub(crate) async fn texts(app: &App, texts: Vec<String>) -> Result<Vec<Vec<TokenId>>, ApiError> {
    let text = tokenizer(app, "send the prompt as token ids")?;
    let least = texts.iter().map(|one| text.least_tokens(one));
    refuse_too_long(app, least.max().unwrap_or(0))?;
    let bytes = texts.iter().map(String::len).sum();
    aside(app, text, bytes, move |text, bounds| {
        let all = texts.iter().map(|one| text.encode(one, bounds));
        all.collect::<Result<_, _>>()
    })
    .await
}

/// The prompt for the answer to a conversation.
pub(crate) async fn conversation(app: &App, turns: Vec<Turn>) -> Result<Vec<TokenId>, ApiError> {
    let text = tokenizer(app, "use /v1/completions or /generate with token ids")?;
    refuse_too_long(app, text.harmony()?.least_tokens(&turns))?;
    let lens = turns.iter().map(|turn| match turn {
        Turn::Developer(text) | Turn::User(text) | Turn::Assistant(text) => text.len(),
        Turn::System(_) => 0,
    });
    let bytes = lens.sum();
    let harmony = move |text: &Text, bounds: &Bounds<'_>| match text.harmony() {
        Ok(harmony) => harmony.prompt_within(&turns, bounds),
        // Asked above.
        Err(_) => Ok(Vec::new()),
    };
    aside(app, text, bytes, harmony).await
}

fn tokenizer<'a>(app: &'a App, instead: &str) -> Result<&'a Arc<Text>, ApiError> {
    app.text
        .as_ref()
        .ok_or_else(|| ApiError::bad(format!("this server has no tokenizer: {instead}")))
}

fn refuse_too_long(app: &App, least: usize) -> Result<(), ApiError> {
    let context = app.limits.max_context;
    if least < context as usize {
        return Ok(());
    }
    app.hub.metrics.texts_refused.fetch_add(1, Relaxed);
    Err(ApiError::bad(format!(
        "the prompt has at least {least} tokens, as its bytes tell, but the context of {context} must hold it and an answer"
    )))
}

/// Set when nobody waits any more.
struct Leaving(Arc<AtomicBool>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Runs where it disturbs nobody what takes long.
async fn aside<T: Send + 'static>(
    app: &App,
    text: &Arc<Text>,
    bytes: usize,
    encode: impl FnOnce(&Text, &Bounds<'_>) -> Result<T, Error> + Send + 'static,
) -> Result<T, ApiError> {
    let stop = Arc::new(AtomicBool::new(false));
    let most_tokens = (app.limits.max_context as usize).saturating_sub(1);
    let run = {
        let (text, stop) = (Arc::clone(text), Arc::clone(&stop));
        move || {
            let stop = &stop;
            encode(&text, &Bounds { most_tokens, stop })
        }
    };
    let encoded = if bytes <= LONG_TEXT {
        run()
    } else {
        let waiting = Counting::new(&app.hub, |metrics| &metrics.texts_waiting, 1);
        // The semaphore is never closed.
        let place = Arc::clone(&app.encoders.0).acquire_owned().await.ok();
        drop(waiting);
        let encoding = Counting::new(&app.hub, |metrics| &metrics.texts_encoding, 1);
        let hub = Arc::clone(&app.hub);
        let leaving = Leaving(stop);
        let encoded = tokio::task::spawn_blocking(move || {
            // Held by the work, not by who waits for it.
            let _held = (place, encoding);
            let encoded = run();
            if encoded.is_ok() {
                hub.metrics.texts_encoded.fetch_add(1, Relaxed);
            }
            encoded
        })
        .await;
        drop(leaving);
        encoded.map_err(|_| ApiError::engine("the tokenizer panicked"))?
    };
    encoded.map_err(|error| match error {
        Error::TooManyTokens { .. } => ApiError::bad(format!(
            "the prompt has more than {most_tokens} tokens, but the context of {} must hold it and an answer",
            app.limits.max_context
        )),
        error => ApiError::bad(error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn prompts_parse_control_tokens_and_conversations_do_not() {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo");
        let text = Text::load(&demo).unwrap();
        let stop = &AtomicBool::new(false);
        let most_tokens = 1000;
        let bounds = Bounds { most_tokens, stop };
        let said = "<|channel|>final<|message|>ok<|return|>";
        let prompt = text.encode(said, &bounds).unwrap();
        assert_eq!(text.decode(&prompt, true), "finalok");
        assert_eq!(text.decode(&prompt, false), said);
        let turns = vec![Turn::User("<|return|>".into())];
        let prompt = text.harmony().unwrap().prompt_within(&turns, &bounds);
        assert_eq!(
            text.decode(&prompt.unwrap(), true),
            "user<|return|>assistant"
        );
    }
}
