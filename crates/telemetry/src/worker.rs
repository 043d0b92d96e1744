//! The thread of a source: asks it, writes down what it says, and asks less often while it fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::board::Board;
use crate::clock::Clock;
use crate::source::{Source, Stop, Trouble};

/// The longest time between two tries of a source that fails; it may come back.
const MOST_PAUSE: Duration = Duration::from_secs(60);

/// What a source's thread works with.
pub(crate) struct Worker {
    pub(crate) board: Arc<Board>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) stop: Arc<Stop>,
    pub(crate) interval: Duration,
}

impl Worker {
    /// Until the end, or until it is clear that there is nothing to ask.
    pub(crate) fn run(&self, source: &mut dyn Source) {
        let mut failures = 0;
        let pause = |failures: u32, usual: Duration| match failures {
            0 => usual,
            n => (self.interval * 2_u32.pow(n.min(6)))
                .min(MOST_PAUSE)
                .max(usual),
        };
        loop {
            match self.ask(source) {
                Answer::Absent => return,
                Answer::Good => failures = 0,
                Answer::Bad => failures += 1,
            }
            if self.stop.wait(pause(failures, source.pause(self.interval))) {
                break;
            }
        }
        if source.has_last_word() {
            self.ask(source);
        }
    }

    fn ask(&self, source: &mut dyn Source) -> Answer {
        let asked = self.clock.now();
        self.board.notes().asked_at = Some(asked);
        let answer = catch_unwind(AssertUnwindSafe(|| source.read()));
        let answered = self.clock.now();
        let most_w = source.most_w();
        let mut notes = self.board.notes();
        notes.asked_at = None;
        match answer {
            Ok(Ok(round)) => {
                let nothing = round.readings.is_empty() && !round.faults.is_empty();
                for fault in round.faults {
                    notes.fault(answered, fault);
                }
                notes.add(f64::midpoint(asked, answered), round.readings, most_w);
                if nothing { Answer::Bad } else { Answer::Good }
            }
            Ok(Err(Trouble::Absent(why))) => {
                notes.absent = Some(why);
                Answer::Absent
            }
            Ok(Err(Trouble::Fault(what))) => {
                notes.fault(answered, what);
                Answer::Bad
            }
            Err(_) => {
                notes.fault(answered, "its reader panicked; its message is above".into());
                Answer::Bad
            }
        }
    }
}

enum Answer {
    Good,
    Bad,
    Absent,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power::SourceKind;
    use crate::source::Round;

    /// Says what it is told to, then rings the bell.
    struct Script(Vec<fn() -> Result<Round, Trouble>>, Arc<Stop>, usize);

    impl Source for Script {
        fn read(&mut self) -> Result<Round, Trouble> {
            let next = self.0.pop();
            self.2 += 1;
            if self.0.is_empty() {
                self.1.ring();
            }
            next.unwrap_or(|| Ok(Round::default()))()
        }
        fn most_w(&self) -> f64 {
            1e3
        }
    }

    fn run(script: Vec<fn() -> Result<Round, Trouble>>) -> (Arc<Board>, usize) {
        let stop = Arc::new(Stop::default());
        let board = Arc::new(Board::new(SourceKind::Command, "x".into()));
        let worker = Worker {
            board: Arc::clone(&board),
            clock: Arc::new(Clock::start()),
            stop: Arc::clone(&stop),
            interval: Duration::from_millis(1),
        };
        let mut source = Script(script, stop, 0);
        worker.run(&mut source);
        (board, source.2)
    }

    #[test]
    fn a_panic_and_a_failure_are_faults_and_the_source_is_asked_again() {
        let (board, asked) = run(vec![
            || Ok(Round::default()),
            || panic!("on purpose"),
            || Err(Trouble::Fault("broken".into())),
        ]);
        // Three times, and once for the last word.
        assert_eq!(asked, 4);
        let notes = board.notes();
        let faults: Vec<_> = notes.faults.iter().map(|f| f.what.as_str()).collect();
        assert_eq!(
            faults,
            ["broken", "its reader panicked; its message is above"]
        );
        assert_eq!(notes.asked_at, None);
    }

    #[test]
    fn what_is_not_there_is_not_asked_again() {
        let (board, asked) = run(vec![|| unreachable!(), || {
            Err(Trouble::Absent("none here".into()))
        }]);
        assert_eq!(asked, 1);
        assert_eq!(board.notes().absent.as_deref(), Some("none here"));
    }
}
