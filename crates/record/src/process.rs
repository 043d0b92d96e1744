//! What this process uses, from /proc. Read here and not by the caller, because a share of a core needs two moments, and
//! the writer's thread is the one that wakes once a second; it is a thread of the process that is measured.

use std::path::Path;
use std::time::{Duration, Instant};

/// Clock ticks a second in /proc: 100 on every Linux that Rust's x86_64 and aarch64 targets run on (the kernel's USER_HZ).
const TICKS: u64 = 100;

/// Processor time between two moments.
#[derive(Debug)]
pub(crate) struct Usage {
    at: Instant,
    cpu: Option<Duration>,
}

impl Usage {
    pub(crate) fn now() -> Self {
        Self {
            at: Instant::now(),
            cpu: processor_time(),
        }
    }

    /// The share of one core since `before`, in percent.
    pub(crate) fn percent_since(&self, before: &Self) -> Option<f64> {
        let spent = self.cpu?.checked_sub(before.cpu?)?.as_secs_f64();
        let passed = self.at.duration_since(before.at).as_secs_f64();
        // A few ticks would say nothing.
        (passed >= 0.2).then(|| 100.0 * spent / passed)
    }
}

/// User and system time of this process so far, all threads together, in steps of 10 ms; `None` where /proc does not say.
#[must_use]
pub fn processor_time() -> Option<Duration> {
    cpu(&read("/proc/self/stat"))
}

/// Resident memory of this process, in MiB.
pub(crate) fn rss_mib() -> Option<f64> {
    rss(&read("/proc/self/status"))
}

fn read(path: &str) -> String {
    ossmark_files::read_to_string(Path::new(path)).unwrap_or_default()
}

/// User and system time. Source: proc_pid_stat(5), fields 14 and 15; the name in field 2 may hold anything.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis(
        (user + system).checked_mul(1000)? / TICKS,
    ))
}

/// Source: proc_pid_status(5), VmRSS; its kB are KiB.
fn rss(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lines_are_read() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20";
        assert_eq!(cpu(stat), Some(Duration::from_secs(3)));
        assert_eq!(rss("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2.0));
        assert_eq!((cpu("7 (x) S 1"), cpu(""), rss("")), (None, None, None));
    }

    #[test]
    fn this_process_uses_something() {
        assert!(rss_mib().unwrap() > 0.1);
        let before = Usage::now();
        assert_eq!(before.percent_since(&before), None);
        while Usage::now().cpu == before.cpu || before.at.elapsed().as_secs() < 1 {}
        assert!(Usage::now().percent_since(&before).unwrap() > 0.0);
    }
}
