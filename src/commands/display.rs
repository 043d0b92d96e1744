//! Progress of a command that has many prompts answered, on stderr: a bar on a terminal, a line now and then otherwise. The
//! estimate is of this process's pace.

use std::time::{Duration, Instant};

use indicatif::HumanDuration;

use crate::terminal::{Bar, note};

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
    /// `name` stands before each line; it has no braces.
    pub(crate) fn new(name: &str, total: u64, earlier: u64) -> Self {
        let bar = Bar::on_terminal(
            total,
            &format!("{name} {{wide_bar}} {{pos}}/{{len}} {{msg}}"),
        );
        let now = Instant::now();
        Self {
            name: name.to_owned(),
            bar,
            began: now,
            said: now,
            total,
            earlier,
        }
    }

    pub(crate) fn show(&mut self, answered: u64, tokens: u64, failed: u64) {
        let elapsed = self.began.elapsed().as_secs_f64().max(1e-3);
        let here = answered - self.earlier;
        let rate = tokens as f64 / elapsed;
        let left = (self.total - answered).saturating_sub(failed);
        let mut text = format!("{rate:.0} tokens/s");
        if here > 0 {
            let seconds = elapsed / here as f64 * left as f64;
            text += &format!(", {} left", HumanDuration(Duration::from_secs_f64(seconds)));
        }
        if failed > 0 {
            text += &format!(", {failed} failed");
        }
        match &self.bar {
            Some(bar) => {
                bar.position(answered);
                bar.message(text);
            }
            None if self.said.elapsed() >= LINE_EVERY => {
                self.said = Instant::now();
                note!(
                    "{}: {answered} of {} answered, {} of them earlier, {text}",
                    self.name,
                    self.total,
                    self.earlier
                );
            }
            None => {}
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.end();
        }
    }
}
