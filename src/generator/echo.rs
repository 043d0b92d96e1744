//! Scripted answers: token counts and latencies by the data set's row. Used by tests, by preflight and to measure the
//! harness itself; it never reads a prompt's text. A run with it is labelled and can never be submitted.
//!
//! Its requests carry one token: the data set's row (see `run::plan`), since an answer depends on nothing else.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use ossmark_dataset::Table;
use ossmark_files::Brief;
use ossmark_protocol::{
    Closed, End, Event, Generator, Request, RequestId, SeqOutput, Sink, StepOutputs, TokenId,
};

/// One scripted answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) answer: Answer,
    pub(crate) ttft: Duration,
    pub(crate) tpot: Duration,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// That many made-up tokens: see [`echo_token`].
    Count(u32),
    /// These tokens.
    Tokens(Arc<[TokenId]>),
}

impl Line {
    /// Tokens of the answer.
    pub(crate) fn len(&self) -> u32 {
        match &self.answer {
            Answer::Count(n) => *n,
            Answer::Tokens(tokens) => tokens.len() as u32,
        }
    }

    fn token(&self, row: u64, j: u32, ids: u32) -> TokenId {
        match &self.answer {
            Answer::Count(_) => echo_token(row, j, ids),
            Answer::Tokens(tokens) => tokens[j as usize],
        }
    }
}

/// What to answer: a line per row of the data set, used again from the top when there are more rows than lines.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) lines: Vec<Line>,
    /// Requests served at a time; 0 is no limit.
    pub(crate) slots: usize,
    /// Made-up tokens are below this.
    pub(crate) ids: u32,
}

/// All but gpt-oss' control tokens, as a round number.
pub(crate) const IDS: u32 = 200_000;

/// Token `j` of the answer for `row`, so that a log can be checked token by token.
pub(crate) fn echo_token(row: u64, j: u32, ids: u32) -> TokenId {
    ((row.wrapping_mul(31).wrapping_add(u64::from(j))) % u64::from(ids.max(1))) as TokenId
}

/// Reads a script: column `index` (row of the data set, each from 0 on once), `tokens` (a count, or a list of token
/// ids), and where they are there `ttft_ms` and `tpot_ms`; what is not there is taken from `default`.
pub(crate) fn read_script(file: &Path, default: Line) -> Result<Vec<Line>> {
    let name = format!("--echo-script {}", file.display());
    let table = Table::open(file).context(name.clone())?;
    for column in ["index", "tokens"] {
        if !table.has(column) {
            bail!(
                "{name}: no column {column}; found {}",
                table.columns().join(", ")
            );
        }
    }
    let numbers = |column: &str| -> Result<Option<Vec<f64>>> {
        if !table.has(column) {
            return Ok(None);
        }
        let text = table.text(column)?;
        let values = (0..table.rows()).map(|row| {
            let cell = text[row]
                .as_deref()
                .with_context(|| format!("{name}: {column} of row {row} is null"))?;
            let value = cell.parse::<f64>().ok().filter(|x| (0.0..=1e9).contains(x));
            value.with_context(|| {
                format!(
                    "{name}: {column} of row {row} is {}, expected a number from 0 to 1e9",
                    Brief(cell)
                )
            })
        });
        values.collect::<Result<Vec<f64>>>().map(Some)
    };
    let answers: Vec<Answer> = match table.is_text("tokens") {
        true => numbers("tokens")?
            .unwrap_or_default()
            .iter()
            .map(|n| Answer::Count(*n as u32))
            .collect(),
        false => table
            .tokens("tokens")?
            .into_iter()
            .map(Answer::Tokens)
            .collect(),
    };
    let index = numbers("index")?.unwrap_or_default();
    let (ttft, tpot) = (numbers("ttft_ms")?, numbers("tpot_ms")?);
    let mut lines: Vec<Option<Line>> = vec![None; answers.len()];
    let rows = lines.len();
    for (row, answer) in answers.into_iter().enumerate() {
        let at = index[row];
        let ms = |column: &Option<Vec<f64>>, or| {
            column
                .as_ref()
                .map_or(or, |v| Duration::from_secs_f64(v[row] / 1e3))
        };
        let line = Line {
            answer,
            ttft: ms(&ttft, default.ttft),
            tpot: ms(&tpot, default.tpot),
        };
        match lines.get_mut(at as usize) {
            Some(place) if place.is_none() && at.fract() == 0.0 => *place = Some(line),
            _ => bail!(
                "{name}: index of row {row} is {at}, expected each of 0 to {} once",
                rows - 1
            ),
        }
    }
    Ok(lines.into_iter().flatten().collect())
}

enum Command {
    Submit(Vec<Request>),
    Cancel(Vec<RequestId>),
    Stop,
}

pub(crate) struct Echo {
    commands: Sender<Command>,
    thread: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Echo {
    /// Starts the echo thread.
    pub(crate) fn start(script: Script, sink: Sink) -> std::io::Result<Self> {
        let (commands, incoming) = unbounded();
        let thread = std::thread::Builder::new()
            .name("echo".into())
            .spawn(move || Worker::new(script, sink).work(&incoming))?;
        Ok(Self {
            commands,
            thread: std::sync::Mutex::new(Some(thread)),
        })
    }
}

impl Generator for Echo {
    fn submit(&self, requests: Vec<Request>) -> Result<(), Closed> {
        self.commands
            .send(Command::Submit(requests))
            .map_err(|_| Closed)
    }

    fn cancel(&self, ids: Vec<RequestId>) {
        let _ = self.commands.send(Command::Cancel(ids));
    }

    fn shutdown(&self) {
        let _ = self.commands.send(Command::Stop);
        if let Some(thread) = self.thread.lock().ok().and_then(|mut t| t.take()) {
            let _ = thread.join();
        }
    }
}

/// A request that has its slot.
struct Open {
    /// In which order it was started: a place is used again while `due` may still hold a cancelled one's.
    order: u64,
    request: Request,
    /// How many tokens its answer has, and whether a stop token of the request is the last.
    length: (u32, bool),
    /// Those that were sent.
    sent: u32,
    /// The step that named it last.
    named_in: u64,
}

struct Worker {
    script: Script,
    sink: Sink,
    /// With when each came.
    waiting: VecDeque<(Instant, Request)>,
    /// When the next token of a request is due, in which order among equals, for which place in `open`.
    due: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    open: Vec<Option<Open>>,
    /// Places of `open`, and since when each is free by the script: that its answer was sent late delays nobody else's, so
    /// that a run takes as long as its script says whatever else the machine does.
    free: BinaryHeap<Reverse<(Instant, usize)>>,
    started: u64,
    /// Number of the last step.
    step: u64,
}

impl Worker {
    fn new(script: Script, sink: Sink) -> Self {
        Self {
            script,
            sink,
            waiting: VecDeque::new(),
            due: BinaryHeap::new(),
            open: Vec::new(),
            free: BinaryHeap::new(),
            started: 0,
            step: 0,
        }
    }

    fn work(mut self, incoming: &Receiver<Command>) {
        loop {
            let next = match self.due.peek() {
                Some(Reverse((at, ..))) => incoming.recv_deadline(*at),
                None => incoming.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match next {
                Ok(Command::Submit(requests)) => {
                    let now = Instant::now();
                    let arrived = requests.into_iter().map(|request| (now, request));
                    self.waiting.extend(arrived);
                }
                Ok(Command::Cancel(ids)) => {
                    let step = self.cancel(&ids.into_iter().collect());
                    if !step.outputs.is_empty() && !(self.sink)(Event::Step(step)) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
            self.start_waiting();
            loop {
                let steps = self.take_due(Instant::now());
                if steps.is_empty() {
                    break;
                }
                for step in steps {
                    if !(self.sink)(Event::Step(step)) {
                        return;
                    }
                }
            }
        }
    }

    fn cancel(&mut self, ids: &HashSet<RequestId>) -> StepOutputs {
        let mut ended = Vec::new();
        self.waiting.retain(|(_, request)| {
            let stays = !ids.contains(&request.id);
            if !stays {
                ended.push(request.id);
            }
            stays
        });
        let now = Instant::now();
        for (place, open) in self.open.iter_mut().enumerate() {
            if let Some(open) = open.take_if(|open| ids.contains(&open.request.id)) {
                ended.push(open.request.id);
                self.free.push(Reverse((now, place)));
            }
        }
        let outputs = ended.into_iter().map(|id| SeqOutput {
            id,
            n_tokens: 0,
            end: Some(End::Cancelled),
            engine: 0,
            logits: Vec::new(),
        });
        StepOutputs {
            tokens: Vec::new(),
            outputs: outputs.collect(),
            ..StepOutputs::default()
        }
    }

    fn line(&self, request: &Request) -> &Line {
        &self.script.lines[request.prompt[0] as usize % self.script.lines.len()]
    }

    /// A place for a request that came at `arrived`, and when it is begun there; none while all are taken.
    fn place(&mut self, arrived: Instant) -> Option<(usize, Instant)> {
        let slots = self.script.slots;
        let has_new = slots == 0 || self.open.len() < slots;
        let serves = |free: &Reverse<(Instant, usize)>| {
            let Reverse((since, _)) = *free;
            !has_new || slots == 0 || since <= arrived
        };
        if self.free.peek().is_some_and(serves) {
            let Reverse((since, place)) = self.free.pop()?;
            let begun = if slots == 0 {
                arrived
            } else {
                arrived.max(since)
            };
            return Some((place, begun));
        }
        has_new.then(|| {
            self.open.push(None);
            (self.open.len() - 1, arrived)
        })
    }

    fn start_waiting(&mut self) {
        while let Some(arrived) = self.waiting.front().map(|(arrived, _)| *arrived)
            && let Some((place, begun)) = self.place(arrived)
            && let Some((_, request)) = self.waiting.pop_front()
        {
            let line = self.line(&request);
            let row = u64::from(request.prompt[0]);
            let (ttft, length) = (line.ttft, length(line, row, self.script.ids, &request));
            self.started += 1;
            self.open[place] = Some(Open {
                order: self.started,
                request,
                length,
                sent: 0,
                named_in: 0,
            });
            self.due.push(Reverse((begun + ttft, self.started, place)));
        }
    }

    /// What is due, in the order of the script's times: a token of each request, all of them where the line has no time per
    /// token. A request that is late gets its next one with the next step: a step names a request once.
    fn take_due(&mut self, now: Instant) -> Vec<StepOutputs> {
        let mut steps: Vec<StepOutputs> = Vec::new();
        while let Some(&Reverse((at, order, place))) = self.due.peek()
            && at <= now
        {
            self.due.pop();
            let (lines, ids) = (&self.script.lines, self.script.ids);
            let Some(open) = self.open[place].as_mut().filter(|open| open.order == order) else {
                continue;
            };
            if steps.is_empty() || open.named_in == self.step {
                self.step += 1;
                steps.push(StepOutputs::default());
            }
            open.named_in = self.step;
            let row = u64::from(open.request.prompt[0]);
            let line = &lines[row as usize % lines.len()];
            let (all, stopped) = open.length;
            let range = match line.tpot.is_zero() {
                true => open.sent..all,
                false => open.sent..(open.sent + 1).min(all),
            };
            open.sent = range.end;
            let ended = range.end == all;
            if let Some(step) = steps.last_mut() {
                step.outputs.push(SeqOutput {
                    id: open.request.id,
                    n_tokens: range.len() as u32,
                    end: ended.then_some(match stopped {
                        true => End::Stop,
                        false => End::Length,
                    }),
                    engine: 0,
                    logits: Vec::new(),
                });
                step.tokens.extend(range.map(|j| line.token(row, j, ids)));
            }
            if ended {
                self.open[place] = None;
                self.free.push(Reverse((at, place)));
                self.start_waiting();
            } else {
                self.due.push(Reverse((at + line.tpot, order, place)));
            }
        }
        steps
    }
}

/// How many of the line's tokens are the answer, and whether a stop token of the request is the last.
fn length(line: &Line, row: u64, ids: u32, request: &Request) -> (u32, bool) {
    let n = line.len().min(request.max_new_tokens);
    let stops = |j: &u32| request.stop_tokens.contains(&line.token(row, *j, ids));
    match request.stop_tokens.is_empty() {
        true => (n, false),
        false => (0..n).find(stops).map_or((n, false), |j| (j + 1, true)),
    }
}

#[cfg(test)]
mod tests;
