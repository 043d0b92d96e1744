//! What the client's aggregator makes of a run's events, in their order.
//!
//! A sample counts when it was issued between the start and the stop of performance tracking. The duration of a run ends at
//! the last completion of those, whatever is sent after it.

use std::collections::HashMap;
use std::fmt;
use std::mem;

use rayon::prelude::*;

use super::event::{Answer, Event, Prompt};
use crate::steady_state::Sample;

/// Counts tokens as the client's tokenizer does: control tokens in a text are one each, and nothing is added.
pub trait CountTokens: Sync {
    /// Of one text.
    ///
    /// # Errors
    /// Says why the text cannot be encoded.
    fn count(&self, text: &str) -> Result<usize, String>;
}

/// More make no point: 6396 rows 300 times.
const MOST_SAMPLES: usize = 2_000_000;
/// Of a uuid; 32 are usual.
const MOST_ID_BYTES: usize = 64;
/// Answers that wait to be counted together, and their bytes.
const BATCH: usize = 512;
const BATCH_BYTES: usize = 16 << 20;
const REASONS: [&str; 5] = [
    "stop",
    "length",
    "tool_calls",
    "content_filter",
    "function_call",
];

/// The figures of a run so far.
pub struct Samples<'a> {
    tokens: Option<&'a dyn CountTokens>,
    open: HashMap<String, Open>,
    is_tracking: bool,
    /// Made by another client than MLCommons'.
    is_rehearsal: bool,
    /// Start, and the last completion.
    blocks: Vec<(i64, i64)>,
    waiting: Vec<Waiting>,
    waiting_bytes: usize,
    /// Uuids of tracked samples as they were issued.
    order: Vec<String>,
    /// The same samples.
    rows: Vec<Sample>,
    pub(super) seen: Seen,
}

/// Counts and values of tracked samples.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) issued: u64,
    pub(super) completed: u64,
    pub(super) failed: u64,
    /// By [`REASONS`], then all others.
    pub(super) reasons: [u64; REASONS.len() + 1],
    pub(super) ttft: Vec<i64>,
    pub(super) latency: Vec<i64>,
    pub(super) tpot: Vec<f64>,
    pub(super) input: Vec<i64>,
    pub(super) output: Vec<i64>,
    /// Prompts of which no token was counted although they have some.
    pub(super) uncounted_prompts: u64,
    /// Answers of which no token was counted although they have some.
    pub(super) uncounted_answers: u64,
    /// Tracked samples that were under way at once.
    pub(super) most_open: usize,
    pub(super) has_ended: bool,
    /// Issued, completed and failed, whether tracked or not.
    pub(super) total: [u64; 3],
    started_ns: Option<i64>,
    /// The last event.
    pub(super) last_ns: i64,
    /// From the start of the session to its last event.
    pub(super) total_ns: i64,
    first_issued: Option<i64>,
    /// Of the completed request that was issued last: when that was, and its end.
    last_completed: Option<(i64, i64)>,
    /// Answers whose first fragment is stamped after their end.
    pub(super) first_after_end: u64,
}

#[derive(Debug)]
struct Open {
    /// Its place in the order.
    at: usize,
    block: usize,
    issued: i64,
    first: Option<i64>,
}

struct Waiting {
    at: usize,
    whole: Texts,
    /// What came after the first fragment, and how long that took.
    rest: Option<(Texts, i64)>,
}

/// Reasoning and content, each counted by itself; mostly there is no reasoning.
type Texts = [String; 2];

impl Seen {
    /// What counts whether samples are tracked or not.
    fn count(&mut self, event: &Event) {
        let now = event.timestamp_ns;
        let started = self.started_ns;
        let since = started.map_or(0, |started| now.saturating_sub(started));
        (self.last_ns, self.total_ns) = (now, since.max(self.total_ns));
        let [issued, completed, failed] = &mut self.total;
        match event.event_type.as_str() {
            "session.started" => drop(self.started_ns.get_or_insert(now)),
            error if error.starts_with("error.") => *failed += 1,
            _ if event.sample_uuid.is_empty() => {}
            "sample.issued" => *issued += 1,
            "sample.complete" => *completed += 1,
            _ => {}
        }
    }

    /// From the first request to the end of the last that ended, as LoadGen's duration; 0 for none.
    pub(super) fn window_ns(&self) -> i64 {
        let window = self.first_issued.zip(self.last_completed);
        window.map_or(0, |(first, (_, end))| end.saturating_sub(first).max(0))
    }
}

impl fmt::Debug for Samples<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = &self.seen;
        to.debug_struct("Samples")
            .field("seen", seen)
            .finish_non_exhaustive()
    }
}

impl<'a> Samples<'a> {
    /// Of a run that has not begun. Without a tokenizer neither output tokens nor times for each are known.
    pub fn new(tokens: Option<&'a dyn CountTokens>) -> Self {
        Self {
            tokens,
            open: HashMap::new(),
            is_tracking: false,
            is_rehearsal: false,
            blocks: Vec::new(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            order: Vec::new(),
            rows: Vec::new(),
            seen: Seen::default(),
        }
    }

    /// The next event.
    ///
    /// # Errors
    /// Says what makes it no event of a run: more samples than any has, a text that has no tokens.
    pub fn take(&mut self, event: &Event) -> Result<(), String> {
        // Nobody listens after the end.
        if self.seen.has_ended {
            return Ok(());
        }
        let length = event.sample_uuid.len();
        if length > MOST_ID_BYTES {
            return Err(format!(
                "found an id of {length} bytes, expected at most {MOST_ID_BYTES}"
            ));
        }
        let now = event.timestamp_ns;
        self.seen.count(event);
        match event.event_type.as_str() {
            "session.started" => self.is_rehearsal = event.rehearsal.is_some(),
            "session.start_performance_tracking" if !self.is_tracking => {
                self.is_tracking = true;
                self.blocks.push((now, now));
            }
            "session.stop_performance_tracking" => self.is_tracking = false,
            "session.ended" => self.seen.has_ended = true,
            error if error.starts_with("error.") => {
                self.seen.failed += u64::from(self.open.contains_key(&event.sample_uuid));
            }
            _ if event.sample_uuid.is_empty() => {}
            "sample.issued" => self.issued(event)?,
            "sample.recv_first" => self.first(&event.sample_uuid, now),
            "sample.complete" => self.completed(event)?,
            _ => {}
        }
        Ok(())
    }

    fn issued(&mut self, event: &Event) -> Result<(), String> {
        let known = self.open.get_mut(&event.sample_uuid);
        if !self.is_tracking {
            self.seen.issued += u64::from(known.is_some());
            return Ok(());
        }
        self.seen.issued += 1;
        self.seen.first_issued.get_or_insert(event.timestamp_ns);
        let block = self.blocks.len() - 1;
        match known {
            // Issued again: one sample.
            Some(open) => (open.block, open.issued) = (block, event.timestamp_ns),
            None => {
                if self.order.len() >= MOST_SAMPLES {
                    return Err(format!("found more than {MOST_SAMPLES} samples"));
                }
                let at = self.order.len();
                self.order.push(event.sample_uuid.clone());
                self.rows.push(Sample {
                    issued_ns: event.timestamp_ns,
                    ..Sample::default()
                });
                let open = Open {
                    at,
                    block,
                    issued: event.timestamp_ns,
                    first: None,
                };
                self.open.insert(event.sample_uuid.clone(), open);
            }
        }
        self.seen.most_open = self.seen.most_open.max(self.open.len());
        match (event.prompt(), self.tokens) {
            (Some(Prompt::Ids(count)), _) => self.seen.input.push(count as i64),
            (Some(Prompt::Text(text)), Some(tokens)) => {
                self.seen.input.push(tokens.count(&text)? as i64);
            }
            (Some(Prompt::Text(_) | Prompt::Structured), _) => self.seen.uncounted_prompts += 1,
            (None, _) => {}
        }
        Ok(())
    }

    fn first(&mut self, uuid: &str, now: i64) {
        if let Some(open) = self.open.get_mut(uuid) {
            let ttft = now.saturating_sub(open.issued);
            self.seen.ttft.push(ttft);
            self.rows[open.at].ttft_ns.get_or_insert(ttft);
            open.first = Some(now);
        }
    }

    fn completed(&mut self, event: &Event) -> Result<(), String> {
        let now = event.timestamp_ns;
        let Some(open) = self.open.remove(&event.sample_uuid) else {
            return Ok(());
        };
        self.seen.completed += 1;
        let latency = now.saturating_sub(open.issued);
        self.seen.latency.push(latency);
        self.rows[open.at].latency_ns = Some(latency);
        let last = &mut self.seen.last_completed;
        if last.is_none_or(|(issued, _)| open.issued > issued) {
            *last = Some((open.issued, now));
        }
        let last = &mut self.blocks[open.block].1;
        *last = now.max(*last);
        if let Some(reason) = &event.finish_reason {
            let at = REASONS.iter().position(|known| known == reason);
            self.seen.reasons[at.unwrap_or(REASONS.len())] += 1;
        }
        let decoding = open.first.map(|first| now.saturating_sub(first));
        self.seen.first_after_end += u64::from(decoding.is_some_and(|ns| ns < 0));
        let (whole, rest) = match event.answer() {
            None => return Ok(()),
            Some(Answer::Text { whole, .. }) if whole.is_empty() => return Ok(()),
            Some(Answer::Text { whole, rest }) => (
                [String::new(), whole],
                rest.map(|rest| [String::new(), rest]),
            ),
            // A rehearsal counts what came, without the frame of a chat template.
            Some(Answer::Reasoned {
                thoughts,
                later,
                content,
            }) if self.is_rehearsal => {
                let rest = later.map(|later| [later, content.clone()]);
                ([thoughts, content], rest)
            }
            Some(Answer::Reasoned { .. } | Answer::Structured) => {
                self.seen.uncounted_answers += 1;
                return Ok(());
            }
        };
        if self.tokens.is_none() {
            self.seen.uncounted_answers += 1;
            return Ok(());
        }
        let rest = rest.filter(|rest| rest.iter().any(|text| !text.is_empty()));
        self.waiting_bytes += whole.iter().map(String::len).sum::<usize>();
        self.waiting.push(Waiting {
            at: open.at,
            whole,
            rest: rest.zip(decoding),
        });
        if self.waiting.len() >= BATCH || self.waiting_bytes >= BATCH_BYTES {
            self.count()?;
        }
        Ok(())
    }

    /// Counts what waits, on all processors; the order of the values is that of the completions.
    fn count(&mut self) -> Result<(), String> {
        let Some(tokens) = self.tokens else {
            return Ok(());
        };
        self.waiting_bytes = 0;
        let waiting = mem::take(&mut self.waiting);
        let count = |[thoughts, content]: &Texts| {
            let thoughts = match thoughts.is_empty() {
                true => 0,
                false => tokens.count(thoughts)?,
            };
            Ok::<_, String>(thoughts + tokens.count(content)?)
        };
        let counted = waiting.par_iter().map(|one| {
            let rest = one.rest.as_ref();
            let rest = rest.map(|(texts, ns)| Ok::<_, String>((count(texts)?, *ns)));
            Ok((one.at, count(&one.whole)?, rest.transpose()?))
        });
        for (at, whole, rest) in counted.collect::<Result<Vec<_>, String>>()? {
            self.seen.output.push(whole as i64);
            if let Some((tokens, ns)) = rest.filter(|(tokens, _)| *tokens > 0) {
                let tpot = ns as f64 / tokens as f64;
                self.seen.tpot.push(tpot);
                self.rows[at].tpot_ns = Some(tpot);
                self.rows[at].rest_tokens = tokens as u64;
            }
        }
        Ok(())
    }

    /// Tracked samples as they were issued; times per token of those that were counted.
    pub fn rows(&self) -> &[Sample] {
        &self.rows
    }

    /// Everything that was taken is counted.
    pub(super) fn finish(&mut self) -> Result<Finished<'_>, String> {
        self.count()?;
        let duration = self
            .blocks
            .iter()
            .map(|(start, last)| last.saturating_sub(*start));
        Ok(Finished {
            duration_ns: duration.fold(0i64, i64::saturating_add),
            open: self.open.len(),
            order: &self.order,
            rows: &self.rows,
            seen: &self.seen,
            has_tokens: self.tokens.is_some(),
        })
    }
}

/// Of a run whose events were all taken.
#[derive(Debug)]
pub(super) struct Finished<'a> {
    pub(super) duration_ns: i64,
    /// Samples that were issued and never completed.
    pub(super) open: usize,
    pub(super) order: &'a [String],
    pub(super) rows: &'a [Sample],
    pub(super) seen: &'a Seen,
    pub(super) has_tokens: bool,
}

impl Finished<'_> {
    /// All latencies over the duration: how many were under way on average.
    pub(super) fn mean_open(&self) -> f64 {
        let total = self.seen.latency.iter().map(|ns| *ns as f64).sum::<f64>();
        total / self.duration_ns as f64
    }
}
