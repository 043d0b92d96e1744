//! The thread that writes a point's log: text of tokens and JSON of text, for which the thread that issues has no time.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};
use ossmark_endpoints::rehearsal::{Journal, Pieces, Prompt};
use ossmark_protocol::{End, TokenId};

use super::text::Texts;

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
/// How long it rests when all is written. It waits for the time, not for entries: those who send them, who have answers to
/// take the time of, would have to wake it.
const REST: Duration = Duration::from_millis(10);

/// Writes until nobody sends any more; gives the log back.
pub(super) fn write(
    mut log: Journal,
    entries: &Receiver<Entry>,
    texts: &Texts,
) -> io::Result<Journal> {
    let mut prompt_text = String::new();
    let mut flushed = Instant::now();
    loop {
        if flushed.elapsed() >= FLUSH_EVERY {
            flushed = Instant::now();
            log.flush()?;
        }
        match entries.try_recv() {
            Ok(Entry::Start(ns)) => log.start(ns)?,
            Ok(Entry::Stop(ns)) => log.stop(ns)?,
            Ok(Entry::Issued { ns, uuid, prompt }) => {
                list(&prompt, &mut prompt_text);
                let said = texts.said(&prompt).map(Prompt::Text);
                log.issued(ns, &uuid, said.unwrap_or(Prompt::Ids(&prompt_text)))?;
            }
            Ok(Entry::First { ns, uuid }) => log.first(ns, &uuid)?,
            Ok(Entry::Ended(ended)) => answer(&mut log, &ended, texts)?,
            Err(TryRecvError::Empty) => thread::sleep(REST),
            Err(TryRecvError::Disconnected) => {
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
fn answer(log: &mut Journal, ended: &Ended, texts: &Texts) -> io::Result<()> {
    let reason = match &ended.end {
        End::Failed(message) => return log.failed(ended.ns, &ended.uuid, message),
        End::Cancelled => return log.failed(ended.ns, &ended.uuid, "cancelled"),
        End::Stop => "stop",
        End::Length => "length",
    };
    let pieces = texts.pieces(&ended.tokens, &ended.end, ended.first);
    let [thoughts, content] = [&pieces.thoughts, &pieces.content].map(|[first, rest]| {
        let pieces = [first.as_str(), rest.as_str()].into_iter();
        pieces.filter(|piece| !piece.is_empty()).collect::<Vec<_>>()
    });
    let pieces = Pieces {
        thoughts: &thoughts,
        content: &content,
    };
    log.complete(ended.ns, &ended.uuid, &pieces, reason)
}
