//! The only thread that answers LoadGen. Owns the ledger, the tickets and the latency histograms; everything that
//! happens to a sample arrives through one channel, so that nothing here needs a lock.
//!
//! LoadGen wants the first token and the completion of a sample from the same thread; the ticket's type keeps that.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use loadgen::ResponseBuffer;
use ossmark_protocol::{End, Event, RequestId, StepOutputs, TokenId};

use super::faults::{FaultKind, Faults};
use super::hopeless::Hopeless;
use super::ledger::{Arrived, Asked, Ledger, Open, State};
use super::metrics::{Latencies, Progress};
use super::moment::Moment;
use super::recording::{self, Recording};
use super::trace::Trace;
use crate::terminal::text::counted;

/// What the responder is told.
pub(crate) enum Message {
    /// LoadGen issued samples; the first has this id, the others follow.
    Issued {
        first: RequestId,
        at: Moment,
        samples: Vec<Arrived>,
    },
    /// From the engine.
    Event(Event),
    /// The engine dropped its sink: nothing more will come from it.
    EngineGone,
    /// End the run: answer everything that is open as a fault.
    Stop(FaultKind, String),
    /// LoadGen has returned.
    End,
}

/// What the responder needs to know of the run.
pub(crate) struct Setup {
    pub(crate) faults: Arc<Faults>,
    pub(crate) progress: Arc<Progress>,
    /// The run is ended when nothing has moved for this long while samples are open.
    pub(crate) watchdog: Duration,
    /// Offline has no first tokens to time.
    pub(crate) streaming: bool,
    /// Where the record's rows go; none with `--no-record`.
    pub(crate) record: Option<Recording>,
    /// What is traced; none without `--trace`.
    pub(crate) trace: Option<Trace>,
    /// Ends a run that cannot become VALID any more; none without `--stop-hopeless`.
    pub(crate) hopeless: Option<Hopeless>,
    /// Called once, after the run has failed and everything that was open has been answered.
    pub(crate) on_failed: Box<dyn FnMut() + Send>,
}

/// How often the published percentiles are refreshed.
const PUBLISH: Duration = Duration::from_millis(500);

/// Runs until `Message::End`; returns the latencies.
pub(crate) fn respond(inbox: &Receiver<Message>, setup: Setup) -> Latencies {
    let mut responder = Responder {
        setup,
        ledger: Ledger::default(),
        latencies: Latencies::default(),
        failed: None,
        engine_gone: false,
        buffer: ResponseBuffer::new(),
        moved: Moment::now(),
        published: Moment::now(),
    };
    // Short enough to notice a stall in time, long enough to cost nothing.
    let often = match &responder.setup.record {
        Some(_) => Recording::OFTEN,
        None => PUBLISH,
    };
    let tick = (responder.setup.watchdog / 8).clamp(Duration::from_millis(10), often);
    loop {
        match inbox.recv_timeout(tick) {
            Ok(Message::Issued { first, at, samples }) => responder.issued(first, at, samples),
            Ok(Message::Event(Event::Step(step))) => responder.step(&step),
            Ok(Message::Event(Event::Fatal(message))) => responder.fail(FaultKind::Engine, message),
            Ok(Message::EngineGone) => responder.engine_gone(),
            Ok(Message::Stop(kind, message)) => responder.fail(kind, message),
            Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => return responder.end(),
            Err(RecvTimeoutError::Timeout) => {}
        }
        responder.watch();
    }
}

/// A sample whose answer is whole, with the tokens of its last step.
struct Ended<'a> {
    id: RequestId,
    open: Open,
    new: &'a [TokenId],
    end: ossmark_record::End,
    engine: u16,
}

struct Responder {
    setup: Setup,
    ledger: Ledger,
    latencies: Latencies,
    /// The first cause, once the run has failed.
    failed: Option<String>,
    engine_gone: bool,
    /// Memory of the batches that go to LoadGen.
    buffer: ResponseBuffer,
    /// When a sample last got a token, or when the first of the open ones came.
    moved: Moment,
    published: Moment,
}

impl Responder {
    fn issued(&mut self, first: RequestId, at: Moment, samples: Vec<Arrived>) {
        self.setup
            .progress
            .issued
            .fetch_add(samples.len() as u64, Relaxed);
        if self.ledger.len() == 0 {
            self.moved = Moment::now();
        }
        if let Some(record) = &mut self.setup.record {
            record.issued(&samples);
        }
        for (id, arrived) in (first.0..).map(RequestId).zip(samples) {
            if let Some(trace) = &mut self.setup.trace {
                trace.issued(at, id, arrived.row);
            }
            let asked = Asked {
                sample: arrived.row,
                scheduled: arrived.scheduled,
                issued: at,
            };
            self.ledger.insert(
                id,
                Open {
                    asked,
                    state: State::Waiting(arrived.ticket),
                    tokens: Vec::new(),
                },
            );
        }
        if self.failed.is_some() {
            self.answer_open_as_faults();
        } else if self.engine_gone {
            self.engine_gone();
        }
    }

    /// Resolves one engine step: first tokens to LoadGen in one call, completions in another.
    fn step(&mut self, step: &StepOutputs) {
        let now = Moment::now();
        self.moved = now;
        if let Some(record) = &mut self.setup.record {
            record.generated(step.tokens.len());
        }
        if let Some(trace) = &mut self.setup.trace {
            trace.step(now, step);
        }
        let mut at = 0;
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut firsts = buffer.first_tokens();
        let mut fresh = Vec::with_capacity(step.outputs.len());
        let mut ended: Vec<Ended<'_>> = Vec::with_capacity(step.outputs.len());
        for out in &step.outputs {
            let range = at..(at + out.n_tokens as usize).min(step.tokens.len());
            at = range.end;
            let new = &step.tokens[range];
            let Some(mut open) = self.ledger.take(out.id) else {
                // After a failure the engine may still deliver what was in flight; everything has been answered.
                if self.failed.is_none() {
                    self.setup.faults.record(FaultKind::UnknownRequest, None, || {
                        format!("the engine answered request {} which is not open (answered twice?)", out.id.0)
                    });
                }
                continue;
            };
            if let Some(End::Failed(message)) = &out.end {
                self.setup
                    .faults
                    .record(FaultKind::RequestFailed, Some(open.asked.sample), || {
                        message.clone()
                    });
                self.answer_as_is(out.id, open, ossmark_record::End::Failed, out.engine);
                self.count_completed(1, 0);
                continue;
            }
            let end = out.end.as_ref().map(recorded);
            match open.state {
                State::Waiting(ticket) if !new.is_empty() => {
                    if self.setup.streaming {
                        let after_ns = now.ns_since(open.asked.scheduled);
                        self.latencies.first_token(after_ns);
                        if let Some(hopeless) = &mut self.setup.hopeless {
                            hopeless.first_token(Duration::from_nanos(after_ns));
                        }
                    }
                    firsts.push(ticket, &new[..1]);
                    fresh.push((out, open.asked, new, end));
                    continue;
                }
                state => open.state = state,
            }
            match end {
                Some(end) => ended.push(Ended {
                    id: out.id,
                    open,
                    new,
                    end,
                    engine: out.engine,
                }),
                None => {
                    open.tokens.extend_from_slice(new);
                    self.ledger.put_back(out.id, open);
                }
            }
        }
        // LoadGen reads its clock in the call.
        let told = Moment::now();
        for ((out, asked, new, end), ticket) in fresh.into_iter().zip(firsts.send()) {
            let (id, engine) = (out.id, out.engine);
            if let Some(trace) = &mut self.setup.trace {
                trace.first_token(told, id);
            }
            let state = State::Streaming(ticket, told);
            let mut open = Open {
                asked,
                state,
                tokens: Vec::new(),
            };
            match end {
                Some(end) => ended.push(Ended {
                    id,
                    open,
                    new,
                    end,
                    engine,
                }),
                None => {
                    open.tokens = new.to_vec();
                    self.ledger.put_back(id, open);
                }
            }
        }
        self.complete(now, ended, &mut buffer);
        self.buffer = buffer;
        self.ledger.trim();
        let hopeless = self
            .setup
            .hopeless
            .as_ref()
            .filter(|_| self.failed.is_none());
        if let Some(why) = hopeless.and_then(Hopeless::verdict) {
            self.fail(FaultKind::Hopeless, why);
        }
    }

    fn complete(&mut self, now: Moment, ended: Vec<Ended<'_>>, buffer: &mut ResponseBuffer) {
        let n_ended = ended.len() as u64;
        let mut n_tokens = 0;
        let (mut answers, mut states) = (
            Vec::with_capacity(ended.len()),
            Vec::with_capacity(ended.len()),
        );
        for Ended {
            id,
            mut open,
            new,
            end,
            engine,
        } in ended
        {
            // The common single-step answer is passed on without a copy.
            if !open.tokens.is_empty() {
                open.tokens.extend_from_slice(new);
            }
            let tokens = open.tokens.len().max(new.len());
            let first_token = match open.state {
                State::Streaming(_, at) => Some(at),
                State::Waiting(_) => (tokens > 0).then_some(now),
            };
            if let Some(trace) = &mut self.setup.trace {
                trace.ended(now, id, tokens, end);
            }
            let ended = recording::Ended {
                id,
                asked: open.asked,
                first_token,
                tokens,
                end,
                engine,
            };
            answers.push((open.tokens, new, ended));
            states.push(open.state);
        }
        let mut batch = buffer.completions();
        for ((own, new, ended), state) in answers.iter().zip(states) {
            let tokens: &[TokenId] = if own.is_empty() { new } else { own };
            if tokens.len() < 2 {
                self.setup.faults.record(FaultKind::ShortAnswer, Some(ended.asked.sample), || {
                    format!(
                        "the answer has {}; LoadGen needs at least 2 to compute the time per output token",
                        counted(tokens.len() as u64, "token")
                    )
                });
            }
            let (ticket, first_at) = match state {
                State::Streaming(ticket, at) => (ticket, at),
                State::Waiting(ticket) => (ticket.first_token(tokens), now),
            };
            let decode_ns = now.ns_since(first_at);
            let total_ns = now.ns_since(ended.asked.scheduled);
            self.latencies.complete(total_ns, decode_ns, tokens.len());
            if let Some(hopeless) = &mut self.setup.hopeless {
                hopeless.completed(Duration::from_nanos(decode_ns), tokens.len());
            }
            n_tokens += tokens.len() as u64;
            batch.push(ticket, tokens);
        }
        // As with the first tokens.
        let completed = Moment::now();
        batch.send();
        // After LoadGen has its answers.
        if let Some(record) = &mut self.setup.record {
            for (_, _, ended) in &answers {
                record.ended(ended, Some(completed));
            }
        }
        self.count_completed(n_ended, n_tokens);
    }

    fn count_completed(&self, samples: u64, tokens: u64) {
        self.setup.progress.completed.fetch_add(samples, Relaxed);
        self.setup.progress.tokens.fetch_add(tokens, Relaxed);
    }

    fn engine_gone(&mut self) {
        self.engine_gone = true;
        if self.ledger.len() > 0 {
            self.fail(
                FaultKind::ChannelClosed,
                "the engine ended while samples were open".into(),
            );
        }
    }

    /// Records the cause, answers everything that is open, and lets the run end early where it can.
    fn fail(&mut self, kind: FaultKind, message: String) {
        self.setup.faults.record(kind, None, || message.clone());
        if self.failed.is_none() {
            self.failed = Some(message);
            self.answer_open_as_faults();
            self.hand_over();
            self.end_trace();
            (self.setup.on_failed)();
        }
    }

    fn answer_open_as_faults(&mut self) {
        let cause = self.failed.clone().unwrap_or_default();
        let mut n = 0;
        let drained: Vec<_> = self.ledger.drain().collect();
        for (id, open) in drained {
            self.setup
                .faults
                .record(FaultKind::NotServed, Some(open.asked.sample), || {
                    format!("not served: {cause}")
                });
            self.answer_as_is(id, open, ossmark_record::End::Cancelled, 0);
            n += 1;
        }
        self.count_completed(n, 0);
    }

    /// Answers a sample with the tokens that it has, however few: LoadGen counts an error, the run can end.
    fn answer_as_is(&mut self, id: RequestId, open: Open, end: ossmark_record::End, engine: u16) {
        if let Some(record) = &mut self.setup.record {
            let ended = recording::Ended {
                id,
                asked: open.asked,
                first_token: match open.state {
                    State::Streaming(_, at) => Some(at),
                    State::Waiting(_) => None,
                },
                tokens: open.tokens.len(),
                end,
                engine,
            };
            record.ended(&ended, None);
        }
        if let Some(trace) = &mut self.setup.trace {
            trace.ended(Moment::now(), id, open.tokens.len(), end);
        }
        let ticket = match open.state {
            State::Waiting(ticket) => ticket.first_token(&[]),
            State::Streaming(ticket, _) => ticket,
        };
        ticket.complete(&open.tokens);
    }

    fn watch(&mut self) {
        let now = Moment::now();
        if now.since(self.published) > PUBLISH {
            self.published = now;
            self.latencies.publish(&self.setup.progress);
        }
        if let Some(record) = &mut self.setup.record {
            record.look(now);
        }
        if self.ledger.len() > 0 && now.since(self.moved) > self.setup.watchdog {
            let message = format!(
                "nothing moved for {:.1} s with {} open (their rows are listed under not_served)",
                self.setup.watchdog.as_secs_f64(),
                counted(self.ledger.len() as u64, "sample"),
            );
            self.fail(FaultKind::Stalled, message);
        }
    }

    fn end(mut self) -> Latencies {
        if self.ledger.len() > 0 {
            self.fail(
                FaultKind::ChannelClosed,
                "LoadGen returned while samples were open".into(),
            );
        }
        self.hand_over();
        self.end_trace();
        self.latencies
    }

    /// Rows of the record that are still here.
    fn hand_over(&mut self) {
        if let Some(record) = &mut self.setup.record {
            record.hand_over();
        }
    }

    /// Ends the trace: nothing is traced of a run that failed after that.
    fn end_trace(&mut self) {
        if let Some(trace) = self.setup.trace.take() {
            trace.end();
        }
    }
}

fn recorded(end: &End) -> ossmark_record::End {
    match end {
        End::Stop => ossmark_record::End::Stop,
        End::Length => ossmark_record::End::Length,
        End::Cancelled => ossmark_record::End::Cancelled,
        End::Failed(_) => ossmark_record::End::Failed,
    }
}
