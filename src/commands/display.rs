//! Progress of a command that has many prompts answered, on stderr: a line that moves on a terminal, one now and then
//! otherwise. The estimate is of this process's pace.

use std::time::{Duration, Instant};

use crate::terminal::screen::line_columns;
use crate::terminal::status::Status;
use crate::terminal::{Bar, progress};

const LINE_EVERY: Duration = Duration::from_secs(10);

pub(crate) struct Display {
    name: String,
    bar: Option<Bar>,
    began: Instant,
    said: Instant,
    total: u64,
    earlier: u64,
}

impl Display {
    /// `name` stands before each line.
    pub(crate) fn new(name: &str, total: u64, earlier: u64) -> Self {
        let now = Instant::now();
        Self {
            name: name.to_owned(),
            bar: Bar::line(),
            began: now,
            said: now,
            total,
            earlier,
        }
    }

    pub(crate) fn show(&mut self, answered: u64, tokens: u64, failed: u64) {
        if self.bar.is_none() && self.said.elapsed() < LINE_EVERY {
            return;
        }
        self.said = Instant::now();
        let status = self.status(self.began.elapsed(), answered, tokens, failed);
        match &self.bar {
            Some(bar) => bar.message(status.fit(line_columns())),
            None => progress!("{}", status.whole()),
        }
    }

    fn status(&self, elapsed: Duration, answered: u64, tokens: u64, failed: u64) -> Status {
        let elapsed_s = elapsed.as_secs_f64();
        let mut status = Status::new(&self.name, answered, Some(self.total));
        status.part(
            1,
            format!("{:.0} tok/s", tokens as f64 / elapsed_s.max(1e-3)),
        );
        if self.earlier > 0 {
            status.part(2, format!("{} earlier", self.earlier));
        }
        if failed > 0 {
            status.part(4, format!("{failed} failed"));
        }
        let left = (self.total - answered).saturating_sub(failed);
        status.eta(3, elapsed_s, answered - self.earlier, left);
        status
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_is_no_pace_and_is_not_said_where_there_was_none() {
        let shown = |earlier, failed| {
            let display = Display::new("infer", 512, earlier);
            let status = display.status(Duration::from_secs(10), 112, 3330, failed);
            status.whole()
        };
        assert_eq!(shown(0, 0), "infer  112/512  333 tok/s  ETA 0:36");
        assert_eq!(
            shown(12, 2),
            "infer  112/512  333 tok/s  12 earlier  2 failed  ETA 0:40"
        );
    }
}
