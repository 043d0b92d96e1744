//! The thread that writes a point's log: text of tokens and JSON of text, for which the thread that issues has no time.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use ossmark_endpoints::rehearsal::Journal;
use ossmark_harmony::{Detokenizer, TextStream};
use ossmark_protocol::{End, TokenId};

/// What happened, in order. Times in nanoseconds of the point's clock.
#[derive(Debug)]
pub(super) enum Entry {
    /// Samples issued from now on count.
    Start(i64),
    Stop(i64),
    Issued {
        ns: i64,
        uuid: Arc<str>,
        prompt: Arc<[TokenId]>,
    },
    First {
        ns: i64,
        uuid: Arc<str>,
    },
    Ended(Ended),
}

/// An answer that is whole, or failed.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) ns: i64,
    pub(super) uuid: Arc<str>,
    pub(super) tokens: Vec<TokenId>,
    /// How many of them came with the first text; 0 for no text.
    pub(super) first: usize,
    pub(super) end: End,
}

/// What is lost of a log when the process is killed, at most: it is measured again.
const FLUSH_EVERY: Duration = Duration::from_millis(500);

/// Writes until nobody sends any more; gives the log back.
pub(super) fn write(
    mut log: Journal,
    entries: &Receiver<Entry>,
    vocabulary: &Arc<Detokenizer>,
) -> io::Result<Journal> {
    let mut prompt_text = String::new();
    let mut flushed = Instant::now();
    loop {
        if flushed.elapsed() >= FLUSH_EVERY {
            flushed = Instant::now();
            log.flush()?;
        }
        match entries.recv_timeout(FLUSH_EVERY) {
            Ok(Entry::Start(ns)) => log.start(ns)?,
            Ok(Entry::Stop(ns)) => log.stop(ns)?,
            Ok(Entry::Issued { ns, uuid, prompt }) => {
                list(&prompt, &mut prompt_text);
                log.issued(ns, &uuid, &prompt_text)?;
            }
            Ok(Entry::First { ns, uuid }) => log.first(ns, &uuid)?,
            Ok(Entry::Ended(ended)) => answer(&mut log, &ended, vocabulary)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                log.flush()?;
                return Ok(log);
            }
        }
    }
}

/// Ids as a JSON list.
fn list(ids: &[TokenId], to: &mut String) {
    to.clear();
    to.push('[');
    for (at, id) in ids.iter().enumerate() {
        if at > 0 {
            to.push(',');
        }
        // Writing into a string cannot fail.
        let _ = std::fmt::Write::write_fmt(to, format_args!("{id}"));
    }
    to.push(']');
}

/// The client sees the text of the tokens without the stop token, in two pieces: the first fragment and the rest.
fn answer(log: &mut Journal, ended: &Ended, vocabulary: &Arc<Detokenizer>) -> io::Result<()> {
    let reason = match &ended.end {
        End::Failed(message) => return log.failed(ended.ns, &ended.uuid, message),
        End::Cancelled => return log.failed(ended.ns, &ended.uuid, "cancelled"),
        End::Stop => "stop",
        End::Length => "length",
    };
    let tokens = without_stop(&ended.tokens, Some(&ended.end), vocabulary);
    let (first, rest) = tokens.split_at(ended.first.min(tokens.len()));
    let mut stream = TextStream::new(Arc::clone(vocabulary), true);
    let first: String = first.iter().map(|id| stream.push(*id)).collect();
    let mut rest: String = rest.iter().map(|id| stream.push(*id)).collect();
    rest.push_str(&stream.finish());
    let pieces = [first.as_str(), rest.as_str()];
    let pieces: Vec<&str> = pieces
        .into_iter()
        .filter(|piece| !piece.is_empty())
        .collect();
    log.complete(ended.ns, &ended.uuid, &pieces, reason)
}

/// What a client sees of tokens, of which the last may be the stop token.
pub(super) fn without_stop<'a>(
    tokens: &'a [TokenId],
    end: Option<&End>,
    vocabulary: &Detokenizer,
) -> &'a [TokenId] {
    match tokens.split_last() {
        Some((last, before)) if end == Some(&End::Stop) && vocabulary.is_added(*last) => before,
        _ => tokens,
    }
}
