//! Progress of loading on stderr: a bar on a terminal, a line now and then otherwise. Reads a shared counter on a thread of
//! its own.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ossmark_engine::LoadProgress;

use crate::terminal::{Bar, progress};

const TEMPLATE: &str =
    "weights {wide_bar} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}";
const BAR_EVERY: Duration = Duration::from_millis(200);
/// Without a terminal. What is loaded sooner needs no word.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows progress until it is dropped.
pub(crate) struct ProgressDisplay {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ProgressDisplay {
    /// Without a thread to spare nothing is shown.
    pub(crate) fn start(progress: &Arc<LoadProgress>) -> Self {
        let (end, ended) = channel();
        let progress = Arc::clone(progress);
        let run = move || {
            let bar = Bar::on_terminal(0, TEMPLATE);
            let every = if bar.is_some() { BAR_EVERY } else { LINE_EVERY };
            let start = Instant::now();
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let (loaded, total) = progress.bytes();
                match &bar {
                    Some(bar) => {
                        bar.length(total);
                        bar.position(loaded);
                    }
                    None if total > 0 => progress!("{}", line(loaded, total, start.elapsed())),
                    None => {}
                }
            }
            if let Some(bar) = bar {
                bar.end();
            }
        };
        let thread = std::thread::Builder::new().name("loading".into());
        Self {
            end: Some(end),
            thread: thread.spawn(run).ok(),
        }
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn line(loaded: u64, total: u64, elapsed: Duration) -> String {
    let gib = |bytes: u64| bytes as f64 / (1_u64 << 30) as f64;
    format!(
        "weights: {:.1} of {:.1} GiB on the device, {:.1} GiB/s",
        gib(loaded),
        gib(total),
        gib(loaded) / elapsed.as_secs_f64().max(1e-9)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_much_and_how_fast() {
        assert_eq!(
            line(3 << 30, 6 << 30, Duration::from_secs(2)),
            "weights: 3.0 of 6.0 GiB on the device, 1.5 GiB/s"
        );
    }

    #[test]
    fn it_ends_at_once_when_dropped() {
        let start = Instant::now();
        drop(ProgressDisplay::start(&Arc::default()));
        assert!(start.elapsed() < LINE_EVERY);
    }
}
