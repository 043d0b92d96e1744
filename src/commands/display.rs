//! Progress of `infer` on stderr: a bar on a terminal, a line now and then otherwise. The estimate is of this process's pace.

use std::time::{Duration, Instant};

use indicatif::HumanDuration;

use crate::terminal::{Bar, note};

const LINE_EVERY: Duration = Duration::from_secs(10);

pub(super) struct Display {
    bar: Option<Bar>,
    began: Instant,
    said: Instant,
    total: u64,
    earlier: u64,
}

impl Display {
    pub(super) fn new(total: u64, earlier: u64) -> Self {
        let bar = Bar::on_terminal(total, "infer {wide_bar} {pos}/{len} {msg}");
        let now = Instant::now();
        Self {
            bar,
            began: now,
            said: now,
            total,
            earlier,
        }
    }

    pub(super) fn show(&mut self, answered: u64, tokens: u64, failed: u64) {
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
                    "infer: {answered} of {} answered, {} of them earlier, {text}",
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
