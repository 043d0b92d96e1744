//! A phase of a point under way: which requests are open, and what is to be noted of each event. Knows no generator and no
//! clock but the times that it is given.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use crossbeam_channel::Sender;
use ossmark_protocol::{
    End, Event, Request, RequestId, Sampling, StepOutputs, StopTokens, TokenId, request_seed,
};

use super::text::{Reader, Texts};
use super::writer::{Ended, Entry};

/// What is asked, at every point.
pub(super) struct Template {
    /// Asked before what counts.
    pub(super) warmup: Vec<Arc<[TokenId]>>,
    pub(super) sampling: Sampling,
    pub(super) seed: u64,
    pub(super) texts: Texts,
}

/// Nanoseconds since the point began, whatever processes it was measured by.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    pub(super) base_ns: i64,
    pub(super) began: Instant,
}

impl Clock {
    pub(super) fn ns(&self, at: Instant) -> i64 {
        let since = at.saturating_duration_since(self.began);
        self.base_ns
            .saturating_add(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    pub(super) fn now(&self) -> i64 {
        self.ns(Instant::now())
    }
}

/// What came of a point.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// Uuids as they were issued, with their rows.
    pub(super) order: Vec<(String, u32)>,
    /// Requests under way on average, from the first moment when all were until the last was issued; `None` for a load that
    /// was never kept up.
    pub(super) mean_under_way: Option<f64>,
    pub(super) failed: u64,
    /// Of the failed, the first message.
    pub(super) failure: Option<String>,
}

struct Open {
    uuid: Arc<str>,
    tokens: Vec<TokenId>,
    /// Until there is text.
    stream: Option<Reader>,
    first: usize,
}

/// A sample that is not issued yet: its row and prompt.
pub(super) type Sample = (u32, Arc<[TokenId]>);

/// A phase of a point.
pub(super) struct Phase {
    pub(super) template: Arc<Template>,
    pub(super) clock: Clock,
    pub(super) entries: Sender<Entry>,
    /// Of this process, so that no two requests have one id.
    pub(super) session: u64,
    pub(super) max_new_tokens: u32,
    /// Counts requests over all phases.
    pub(super) next_id: u64,
    /// Requests to keep under way.
    pub(super) at_once: usize,
    pub(super) samples: std::vec::IntoIter<Sample>,
    open: HashMap<RequestId, Open>,
    under_way: UnderWay,
    /// Tokens so far, for people.
    pub(super) tokens: u64,
    /// Requests that have ended.
    pub(super) ended: u64,
    pub(super) measured: Measured,
}

/// How many requests were under way, over time.
#[derive(Default)]
struct UnderWay {
    /// From when all were, while samples are left.
    from_ns: Option<i64>,
    until_ns: i64,
    /// Requests times nanoseconds.
    area: f64,
}

impl UnderWay {
    /// So many have been under way since it was last told.
    fn until(&mut self, ns: i64, open: usize, at_once: usize) {
        // Of two threads that tell, the later may come first.
        let ns = ns.max(self.until_ns);
        match self.from_ns {
            Some(_) => self.area += open as f64 * (ns - self.until_ns) as f64,
            None if open == at_once => self.from_ns = Some(ns),
            None => {}
        }
        self.until_ns = ns;
    }

    fn mean(&self) -> Option<f64> {
        let span = self.until_ns - self.from_ns?;
        (span > 0).then(|| self.area / span as f64)
    }
}

impl Phase {
    /// Nothing of it is issued.
    pub(super) fn new(
        (template, clock, entries): (Arc<Template>, Clock, Sender<Entry>),
        (session, next_id): (u64, u64),
        (at_once, max_new_tokens): (usize, u32),
        samples: Vec<Sample>,
        measured: Measured,
    ) -> Self {
        Self {
            template,
            clock,
            entries,
            session,
            max_new_tokens,
            next_id,
            at_once,
            samples: samples.into_iter(),
            open: HashMap::new(),
            under_way: UnderWay::default(),
            tokens: 0,
            ended: 0,
            measured,
        }
    }

    /// Nothing is under way and nothing left to issue.
    pub(super) fn is_over(&self) -> bool {
        self.open.is_empty() && self.samples.len() == 0
    }

    /// Takes the requests that there is room for out of what is left, and notes that they are issued.
    ///
    /// # Errors
    /// The log ended.
    pub(super) fn fill(&mut self) -> Result<Vec<Request>> {
        let room = self.at_once - self.open.len();
        let mut batch = Vec::with_capacity(room.min(self.samples.len()));
        while batch.len() < room {
            let Some((row, prompt)) = self.samples.next() else {
                break;
            };
            batch.push(self.issue(row, prompt)?);
        }
        Ok(batch)
    }

    fn issue(&mut self, row: u32, prompt: Arc<[TokenId]>) -> Result<Request> {
        let id = RequestId(self.next_id);
        self.next_id += 1;
        let uuid = self.uuid(id.0);
        self.measured.order.push((uuid.to_string(), row));
        let ns = self.clock.now();
        self.under_way.until(ns, self.open.len(), self.at_once);
        let open = Open {
            uuid: Arc::clone(&uuid),
            tokens: Vec::new(),
            stream: Some(self.template.texts.reader()),
            first: 0,
        };
        self.open.insert(id, open);
        self.send(Entry::Issued {
            ns,
            uuid,
            prompt: Arc::clone(&prompt),
        })?;
        Ok(Request {
            id,
            prompt,
            sampling: self.template.sampling,
            seed: request_seed(self.template.seed, id.0),
            max_new_tokens: self.max_new_tokens,
            want_logits: false,
            stop_tokens: StopTokens::default(),
            ignore_eos: false,
        })
    }

    fn uuid(&self, number: u64) -> Arc<str> {
        // The form of a random one: version 4, variant 2.
        let high = self.session & !0xf000 | 0x4000;
        let low = number & (u64::MAX >> 2) | 1 << 63;
        format!("{high:016x}{low:016x}").into()
    }

    pub(super) fn send(&self, entry: Entry) -> Result<()> {
        let sent = self.entries.send(entry);
        sent.map_err(|_| anyhow!("the log ended"))
    }

    /// Notes what came at `ns`.
    ///
    /// # Errors
    /// The engine failed, the log ended.
    pub(super) fn take(&mut self, ns: i64, event: Event) -> Result<()> {
        self.under_way.until(ns, self.open.len(), self.at_once);
        match event {
            Event::Step(step) => self.step(ns, step)?,
            Event::Fatal(message) => {
                bail!(failed(&message));
            }
        }
        // The last of the load is no load: fewer and fewer are under way.
        if self.samples.len() > 0 {
            self.measured.mean_under_way = self.under_way.mean();
        }
        Ok(())
    }

    fn step(&mut self, ns: i64, step: StepOutputs) -> Result<()> {
        let mut tokens = &step.tokens[..];
        for out in step.outputs {
            let (new, others) = tokens.split_at(tokens.len().min(out.n_tokens as usize));
            tokens = others;
            let Some(open) = self.open.get_mut(&out.id) else {
                continue;
            };
            open.tokens.extend_from_slice(new);
            self.tokens += new.len() as u64;
            let visible = self.template.texts.visible(new, out.end.as_ref());
            let has_text = |stream: &mut Reader| stream.has_text(visible);
            if open.stream.as_mut().is_some_and(has_text) {
                open.stream = None;
                open.first = open.tokens.len();
                let uuid = Arc::clone(&open.uuid);
                self.send(Entry::First { ns, uuid })?;
            }
            if let Some(end) = out.end
                && let Some(open) = self.open.remove(&out.id)
            {
                self.ended += 1;
                self.end(ns, open, end)?;
            }
        }
        Ok(())
    }

    fn end(&mut self, ns: i64, open: Open, end: End) -> Result<()> {
        if let End::Failed(message) = &end {
            self.measured.failed += 1;
            self.measured.failure.get_or_insert_with(|| message.clone());
        }
        self.send(Entry::Ended(Ended {
            ns,
            uuid: open.uuid,
            tokens: open.tokens,
            first: open.first,
            end,
        }))
    }
}

/// A generator's last word.
pub(super) fn failed(message: &str) -> String {
    format!("the engine failed: {message}; run the same command again to go on")
}
