//! `--trace`: steps of the engine, and each sample from its issue over its first token to its end, on one time line, as
//! Chrome's tracing and Perfetto open it (Trace Event Format, JSON). The responder hands events over and waits for nobody; a
//! thread of its own writes them. Bounded: what is too much, or too fast for the disk, is left out and counted.

use std::fmt::Write as _;
use std::io::{BufWriter, Write};
use std::time::Duration;

use anyhow::Result;
use crossbeam_channel::{Receiver, Sender, bounded};
use ossmark_protocol::{RequestId, StepOutputs};
use ossmark_report::number::count;

use super::moment::Moment;
use crate::output::Output;
use crate::terminal::note;
use crate::terminal::text::counted;

/// Some 200 MB, which Perfetto still opens.
const MOST_EVENTS: u64 = 2_000_000;
/// Handed over at a time, and such portions on their way: 10 MB.
const TOGETHER: usize = 4096;
const UNDER_WAY: usize = 64;
/// For the writer to end: seconds at most, unless the disk hangs.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
enum Event {
    Issued {
        id: u64,
        sample: u64,
    },
    FirstToken {
        id: u64,
    },
    Ended {
        id: u64,
        tokens: u64,
        end: &'static str,
    },
    Step {
        engine: u16,
        took: Duration,
        rows: u64,
        prefill: u64,
        context: u64,
        outputs: u64,
    },
}

/// Events for the trace, from the thread that answers LoadGen.
pub(crate) struct Trace {
    to: Sender<Message>,
    here: Vec<(Moment, Event)>,
    /// Events that may still be taken.
    room: u64,
    left_out: u64,
}

enum Message {
    Events(Vec<(Moment, Event)>),
    End { left_out: u64 },
}

/// The thread that writes it.
pub(crate) struct TraceWriter {
    done: Receiver<Result<u64>>,
}

/// Begins a trace.
///
/// # Errors
///
/// There is no thread for it.
pub(super) fn begin(mut output: Output) -> std::io::Result<(Trace, TraceWriter)> {
    let (to, events) = bounded(UNDER_WAY);
    let (say, done) = bounded(1);
    let begun = Moment::now();
    std::thread::Builder::new()
        .name("trace".into())
        .spawn(move || {
            let mut left_out = 0;
            let written = output.with(|claim| {
                let written = claim.write_with(
                    |error| error,
                    |file| {
                        left_out = write(&mut BufWriter::new(file), begun, &events)?;
                        Ok(())
                    },
                );
                written.map(|((), moved)| moved)
            });
            let _ = say.send(written.map(|()| left_out));
        })?;
    let trace = Trace {
        to,
        here: Vec::new(),
        room: MOST_EVENTS,
        left_out: 0,
    };
    Ok((trace, TraceWriter { done }))
}

impl Trace {
    pub(super) fn issued(&mut self, at: Moment, id: RequestId, sample: u64) {
        self.add(at, Event::Issued { id: id.0, sample });
    }

    pub(super) fn first_token(&mut self, at: Moment, id: RequestId) {
        self.add(at, Event::FirstToken { id: id.0 });
    }

    pub(super) fn ended(
        &mut self,
        at: Moment,
        id: RequestId,
        tokens: usize,
        end: ossmark_record::End,
    ) {
        let (tokens, end) = (tokens as u64, end.name());
        self.add(
            at,
            Event::Ended {
                id: id.0,
                tokens,
                end,
            },
        );
    }

    /// A step that was heard of at `heard`; what has no steps of its own is not shown as one.
    pub(super) fn step(&mut self, heard: Moment, step: &StepOutputs) {
        let at = step.ended.map_or(heard, Moment::of);
        if step.took > Duration::ZERO {
            let (engine, took, rows) = (step.engine, step.took, step.rows);
            let outputs = step.outputs.len() as u64;
            self.add(
                at,
                Event::Step {
                    engine,
                    took,
                    rows,
                    prefill: step.prefill_tokens,
                    context: step.context,
                    outputs,
                },
            );
        }
    }

    fn add(&mut self, at: Moment, event: Event) {
        if self.room == 0 {
            self.left_out += 1;
            return;
        }
        self.room -= 1;
        self.here.push((at, event));
        if self.here.len() >= TOGETHER {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let events = std::mem::take(&mut self.here);
        let count = events.len() as u64;
        if self.to.try_send(Message::Events(events)).is_err() {
            self.left_out += count;
        }
    }

    /// No more events will come.
    pub(super) fn end(mut self) {
        self.hand_over();
        let left_out = self.left_out;
        let _ = self.to.send_timeout(Message::End { left_out }, LIMIT);
    }
}

impl TraceWriter {
    /// Waits for the file. What is wrong with it is said, and is no fault of the run.
    pub(super) fn finish(self) {
        match self.done.recv_timeout(LIMIT) {
            Ok(Ok(0)) => {}
            Ok(Ok(left_out)) => note!(
                "ossmark: warning: the trace lacks {}: it has {} events at most, and those that its writer could follow",
                counted(left_out, "event"),
                count(MOST_EVENTS)
            ),
            Ok(Err(error)) => note!("ossmark: warning: there is no trace: {error:#}"),
            Err(_) => note!("ossmark: warning: there is no trace: its writer has not ended"),
        }
    }
}

/// Writes what comes until the end, or until nobody is left to say so; returns how many events were left out.
fn write(file: &mut impl Write, begun: Moment, events: &Receiver<Message>) -> std::io::Result<u64> {
    file.write_all(
        b"[\n{\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\",\"args\":{\"name\":\"ossmark run\"}}",
    )?;
    let mut left_out = 0;
    let mut line = String::new();
    for message in events {
        match message {
            Message::Events(events) => {
                for (at, event) in events {
                    line.clear();
                    event.put(at.since(begun), &mut line);
                    file.write_all(line.as_bytes())?;
                }
            }
            Message::End { left_out: so_many } => {
                left_out = so_many;
                break;
            }
        }
    }
    write!(
        file,
        ",\n{{\"ph\":\"M\",\"pid\":1,\"name\":\"process_labels\",\"args\":{{\"labels\":\"{left_out} events left out\"}}}}\n]\n"
    )?;
    file.flush()?;
    Ok(left_out)
}

impl Event {
    /// As an object after others. Times are microseconds.
    fn put(self, at: Duration, to: &mut String) {
        let us = |time: Duration| time.as_nanos() as f64 / 1e3;
        let mut sample = |phase: char, name: &str, id: u64, more: std::fmt::Arguments<'_>| {
            write!(
                to,
                ",\n{{\"ph\":\"{phase}\",\"cat\":\"sample\",\"name\":\"{name}\",\"id\":{id},\"pid\":1,\"tid\":0,\"ts\":{:.3}{more}}}",
                us(at)
            )
        };
        let written = match self {
            Self::Issued { id, sample: row } => sample(
                'b',
                "sample",
                id,
                format_args!(",\"args\":{{\"sample\":{row}}}"),
            ),
            Self::FirstToken { id } => sample('n', "first token", id, format_args!("")),
            Self::Ended { id, tokens, end } => sample(
                'e',
                "sample",
                id,
                format_args!(",\"args\":{{\"tokens\":{tokens},\"end\":\"{end}\"}}"),
            ),
            Self::Step {
                engine,
                took,
                rows,
                prefill,
                context,
                outputs,
            } => write!(
                to,
                ",\n{{\"ph\":\"X\",\"cat\":\"engine\",\"name\":\"step\",\"pid\":1,\"tid\":{},\"ts\":{:.3},\"dur\":{:.3},\
                 \"args\":{{\"rows\":{rows},\"prefill\":{prefill},\"context\":{context},\"outputs\":{outputs}}}}}",
                engine + 1,
                us(at.saturating_sub(took)),
                us(took)
            ),
        };
        written.expect("a string takes everything");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traced(fill: impl FnOnce(&mut Trace)) -> (Vec<serde_json::Value>, u64) {
        let tmp = tempfile::tempdir().unwrap();
        let file = tmp.path().join("trace.json");
        let (mut trace, writer) = begin(crate::output::claim_file(&file, false).unwrap()).unwrap();
        fill(&mut trace);
        trace.end();
        let left_out = writer.done.recv_timeout(LIMIT).unwrap().unwrap();
        (
            serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap(),
            left_out,
        )
    }

    #[test]
    fn a_trace_is_json_of_chromes_kinds() {
        // After its begin.
        let at = Moment::now().after(Duration::from_secs(1));
        let (events, left_out) = traced(|trace| {
            trace.issued(at, RequestId(7), 3);
            trace.step(
                at.after(Duration::from_millis(2)),
                &StepOutputs {
                    took: Duration::from_micros(1500),
                    rows: 12,
                    prefill_tokens: 9,
                    context: 40,
                    engine: 1,
                    ..StepOutputs::default()
                },
            );
            trace.step(at, &StepOutputs::default());
            trace.first_token(at.after(Duration::from_millis(2)), RequestId(7));
            trace.ended(
                at.after(Duration::from_millis(5)),
                RequestId(7),
                9,
                ossmark_record::End::Stop,
            );
        });
        assert_eq!(left_out, 0);
        let phases: Vec<&str> = events.iter().map(|e| e["ph"].as_str().unwrap()).collect();
        assert_eq!(phases, ["M", "b", "X", "n", "e", "M"]);
        assert_eq!((&events[1]["id"], &events[4]["id"]), (&7.into(), &7.into()));
        assert_eq!(
            (&events[2]["dur"], &events[2]["tid"]),
            (&1500.0.into(), &2.into())
        );
        let ts = |n: usize| events[n]["ts"].as_f64().unwrap();
        assert!((ts(2) - ts(1) - 500.0).abs() < 0.01 && (ts(4) - ts(1) - 5000.0).abs() < 0.01);
        let work = &events[2]["args"];
        assert_eq!(
            [&work["rows"], &work["prefill"], &work["context"]],
            [12, 9, 40]
        );
        assert_eq!(events[4]["args"]["end"], "stop");
    }

    #[test]
    fn what_is_too_much_is_counted() {
        let (events, left_out) = traced(|trace| {
            trace.room = 10;
            (0..25).for_each(|id| trace.first_token(Moment::now(), RequestId(id)));
        });
        assert_eq!((events.len(), left_out), (12, 15));
        assert!(
            events[11]["args"]["labels"]
                .as_str()
                .unwrap()
                .contains("15 events left out")
        );
    }
}
