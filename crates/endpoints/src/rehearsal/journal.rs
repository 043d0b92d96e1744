//! The log of a run as it grows, and how an interrupted one goes on.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Error, ErrorKind, Write};
use std::path::Path;

use ossmark_files::{Claim, IfExists};

use super::lines::{self, Pieces, Prompt};
use crate::client::{EVENTS, read_log};

/// `events.jsonl` of a run that goes on. Times are nanoseconds of the run's own clock.
#[derive(Debug)]
pub struct Journal {
    file: BufWriter<File>,
    line: Vec<u8>,
}

/// What an earlier process left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resumed {
    /// Tracked samples that are complete, as they were issued: those before the first that is not.
    pub kept: Vec<String>,
    /// Samples that were issued and have to be issued again; their events are gone.
    pub dropped: usize,
    /// The last time in the log; what comes now is later.
    pub last_ns: i64,
    /// The session has its end: nothing is left to do.
    pub has_ended: bool,
}

impl Resumed {
    /// Nothing was kept.
    pub fn is_new(&self) -> bool {
        self.kept.is_empty()
    }
}

const STARTED: &str = "session.started";
const START: &str = "session.start_performance_tracking";
const STOP: &str = "session.stop_performance_tracking";
const ENDED: &str = "session.ended";
/// Between the last event of a process and the first of the next.
const GAP_NS: i64 = 1_000_000_000;

impl Journal {
    /// Opens the log in a run's directory, which belongs to the caller. Samples that were under way when an earlier process
    /// ended, and those issued after them, are taken out, so that the log is that of a run in order.
    ///
    /// # Errors
    /// A log that is damaged elsewhere than in a last line without an end; those of reading and writing.
    pub fn open(dir: &Path) -> io::Result<(Self, Resumed)> {
        let path = dir.join(EVENTS);
        let resumed = if path.exists() {
            resume(&path)?
        } else {
            Resumed::default()
        };
        if resumed.is_new() && !resumed.has_ended && path.exists() {
            ossmark_files::write_whole(&path, b"")?;
        }
        let file = ossmark_files::open_to_append(&path)?;
        let mut this = Self {
            file: BufWriter::with_capacity(1 << 16, file),
            line: Vec::new(),
        };
        if resumed.is_new() && !resumed.has_ended {
            this.session(STARTED, 0)?;
        }
        Ok((this, resumed))
    }

    /// Samples issued from now on count.
    ///
    /// # Errors
    /// Those of writing, here and below.
    pub fn start(&mut self, ns: i64) -> io::Result<()> {
        self.session(START, ns)
    }

    /// Samples issued from now on do not count.
    ///
    /// # Errors
    /// Those of writing.
    pub fn stop(&mut self, ns: i64) -> io::Result<()> {
        self.session(STOP, ns)
    }

    /// A request goes out.
    ///
    /// # Errors
    /// Those of writing.
    pub fn issued(&mut self, ns: i64, uuid: &str, prompt: Prompt<'_>) -> io::Result<()> {
        self.add(|line| lines::issued(line, ns, uuid, prompt))
    }

    /// The first text of its answer has come.
    ///
    /// # Errors
    /// Those of writing.
    pub fn first(&mut self, ns: i64, uuid: &str) -> io::Result<()> {
        self.add(|line| lines::first(line, ns, uuid))
    }

    /// Its answer is there.
    ///
    /// # Errors
    /// Those of writing.
    pub fn complete(
        &mut self,
        ns: i64,
        uuid: &str,
        answer: &Pieces<'_>,
        reason: &str,
    ) -> io::Result<()> {
        self.add(|line| lines::complete(line, ns, uuid, answer, reason))
    }

    /// It failed.
    ///
    /// # Errors
    /// Those of writing.
    pub fn failed(&mut self, ns: i64, uuid: &str, message: &str) -> io::Result<()> {
        self.add(|line| lines::failed(line, ns, uuid, message))
    }

    /// What was added survives the end of the process.
    ///
    /// # Errors
    /// Those of writing.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    /// The session is over; all of it is on the disk.
    ///
    /// # Errors
    /// Those of writing.
    pub fn end(mut self, ns: i64) -> io::Result<()> {
        self.session(ENDED, ns)?;
        self.file.flush()?;
        self.file.get_ref().sync_data()
    }

    fn session(&mut self, kind: &str, ns: i64) -> io::Result<()> {
        self.add(|line| lines::session(line, kind, ns))?;
        self.file.flush()
    }

    fn add(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        self.line.clear();
        fill(&mut self.line);
        self.file.write_all(&self.line)
    }
}

/// What is in a log.
#[derive(Debug, Default)]
struct Found {
    order: Vec<String>,
    complete: HashSet<String>,
    is_tracking: bool,
    has_ended: bool,
}

fn resume(path: &Path) -> io::Result<Resumed> {
    let mut found = Found::default();
    read(path, |kind, uuid, _, _| {
        match kind {
            START => found.is_tracking = true,
            STOP => found.is_tracking = false,
            ENDED => found.has_ended = true,
            "sample.issued" if found.is_tracking => found.order.push(uuid.to_owned()),
            "sample.complete" => drop(found.complete.insert(uuid.to_owned())),
            _ => {}
        }
        Ok(())
    })?;
    if found.has_ended {
        return Ok(Resumed {
            kept: found.order,
            has_ended: true,
            ..Resumed::default()
        });
    }
    let whole = found.order.iter();
    let whole = whole
        .take_while(|uuid| found.complete.contains(*uuid))
        .count();
    let dropped = found.order.split_off(whole);
    let gone: HashSet<&str> = dropped.iter().map(String::as_str).collect();
    let mut last_ns = 0;
    let mut claim = Claim::new(path, IfExists::Replace)?;
    claim.write_with(
        |error| error,
        |file| {
            let mut to = BufWriter::new(file);
            let mut is_tracking = false;
            read(path, |kind, uuid, ns, line| {
                if gone.contains(uuid) {
                    return Ok(());
                }
                is_tracking = kind == START || is_tracking && kind != STOP;
                last_ns = last_ns.max(ns);
                to.write_all(line)
            })?;
            if is_tracking {
                let mut line = Vec::new();
                lines::session(&mut line, STOP, last_ns);
                to.write_all(&line)?;
            }
            to.flush()
        },
    )?;
    Ok(Resumed {
        kept: found.order,
        dropped: dropped.len(),
        last_ns: last_ns.saturating_add(GAP_NS),
        has_ended: false,
    })
}

/// Hands over kind, sample, time and the line of each event; a last line that was being written is none.
fn read(
    path: &Path,
    mut each: impl FnMut(&str, &str, i64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut failed = None;
    let read = read_log(path, |event, line| {
        if !line.ends_with(b"\n") {
            return Ok(());
        }
        let (kind, uuid, ns) = (&event.event_type, &event.sample_uuid, event.timestamp_ns);
        each(kind, uuid, ns, line).map_err(|error| {
            let what = error.to_string();
            failed = Some(error);
            what
        })
    });
    match (read, failed) {
        (_, Some(error)) => Err(error),
        (Err(damage), None) if !damage.is_cut => Err(Error::new(
            ErrorKind::InvalidData,
            format!("line {}: {}; the log is damaged", damage.line, damage.why),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<'a>(content: &'a [&'a str]) -> Pieces<'a> {
        Pieces {
            thoughts: &[],
            content,
        }
    }

    fn lines(dir: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(dir.join(EVENTS)).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_was_under_way_is_issued_again_and_nothing_counts_twice() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, resumed) = Journal::open(dir.path()).unwrap();
        assert_eq!(resumed, Resumed::default());
        log.start(10).unwrap();
        for (at, uuid) in ["a", "b", "c", "d"].iter().enumerate() {
            log.issued(20 + at as i64, uuid, Prompt::Ids("[1]"))
                .unwrap();
        }
        log.first(30, "a").unwrap();
        log.complete(40, "a", &text(&["x", "y"]), "stop").unwrap();
        // Issued after b, which is still open.
        log.complete(50, "c", &text(&["x"]), "stop").unwrap();
        log.flush().unwrap();
        drop(log);
        // A kill leaves part of a line.
        let path = dir.path().join(EVENTS);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend(b"{\"event_type\":\"sample.comp");
        std::fs::write(&path, bytes).unwrap();

        let (mut log, resumed) = Journal::open(dir.path()).unwrap();
        assert_eq!(
            (&resumed.kept[..], resumed.dropped),
            (&["a".to_owned()][..], 3)
        );
        assert_eq!(resumed.last_ns, 40 + GAP_NS);
        let kept = lines(dir.path());
        assert!(
            kept.iter()
                .all(|line| !line.contains("\"b\"") && !line.contains("\"c\""))
        );
        assert!(kept.last().unwrap().contains(STOP));
        log.start(resumed.last_ns).unwrap();
        log.issued(resumed.last_ns + 1, "e", Prompt::Text("what \"is\" it?"))
            .unwrap();
        log.failed(resumed.last_ns + 2, "e", "HTTP 500: \"\u{1b}\"")
            .unwrap();
        log.stop(resumed.last_ns + 3).unwrap();
        log.end(resumed.last_ns + 4).unwrap();

        let (_, resumed) = Journal::open(dir.path()).unwrap();
        assert!(resumed.has_ended && resumed.kept == ["a", "e"]);
        let mut samples = crate::client::Samples::new(None);
        read_log(&path, |event, _| samples.take(&event)).unwrap();
        let summary =
            serde_json::to_value(crate::client::Summary::of(&mut samples).unwrap()).unwrap();
        assert_eq!(
            (
                &summary["n_samples_issued"],
                &summary["n_samples_completed"]
            ),
            (&2.into(), &2.into())
        );
        assert_eq!(
            (&summary["n_samples_failed"], &summary["duration_ns"]),
            (&1.into(), &32.into())
        );
    }

    #[test]
    fn a_log_that_is_damaged_elsewhere_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(EVENTS), "{\"event_type\":1}\n{}\n").unwrap();
        let error = Journal::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
    }
}
