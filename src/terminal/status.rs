//! The line that says how far something is: what matters most of it, in the columns that there are. Pure.

/// A line that is made anew each time.
pub(crate) struct Status {
    /// Each with its weight: when not all have room, those of the least go first.
    parts: Vec<(u8, String)>,
    /// Of the whole, 0 to 1, where that is known.
    done: Option<f64>,
}

/// Between two parts.
const GAP: &str = "  ";
/// A bar shorter than this says nothing, one that is longer no more.
const BAR: std::ops::RangeInclusive<usize> = 10..=30;

impl Status {
    /// `name` stands first and is always there, and so does `done` of `total`.
    pub(crate) fn new(name: &str, done: u64, total: Option<u64>) -> Self {
        let count = match total {
            Some(total) => format!("{done}/{total}"),
            None => done.to_string(),
        };
        Self {
            parts: vec![(u8::MAX, name.to_owned()), (u8::MAX, count)],
            done: total.map(|total| (done as f64 / total.max(1) as f64).min(1.0)),
        }
    }

    /// One more part.
    pub(crate) fn part(&mut self, weight: u8, text: String) {
        self.parts.push((weight, text));
    }

    /// When it will be done by the pace so far: `done` in `elapsed_s`, `left` to do. Nothing before there is a pace.
    pub(crate) fn eta(&mut self, weight: u8, elapsed_s: f64, done: u64, left: u64) {
        if done > 0 && left > 0 {
            let seconds = elapsed_s / done as f64 * left as f64;
            self.part(weight, format!("ETA {}", clock(seconds)));
        }
    }

    /// All of it.
    pub(crate) fn whole(&self) -> String {
        let texts: Vec<&str> = self.parts.iter().map(|(_, text)| text.as_str()).collect();
        texts.join(GAP)
    }

    /// What fits, with a bar where there is room for one.
    pub(crate) fn fit(mut self, columns: usize) -> String {
        while self.width() > columns {
            let least = self.parts.iter().map(|(weight, _)| *weight).min();
            let least = least.filter(|weight| *weight < u8::MAX);
            let last = self
                .parts
                .iter()
                .rposition(|(weight, _)| Some(*weight) == least);
            let Some(last) = last else { break };
            self.parts.remove(last);
        }
        let room = columns.saturating_sub(self.width() + GAP.len());
        if let (Some(done), true) = (self.done, room >= *BAR.start() + 2) {
            let columns = (room - 2).min(*BAR.end());
            let full = (done * columns as f64) as usize;
            let bar = format!("[{}{}]", "=".repeat(full), " ".repeat(columns - full));
            self.parts.insert(1, (0, bar));
        }
        self.whole().chars().take(columns).collect()
    }

    fn width(&self) -> usize {
        self.whole().chars().count()
    }
}

/// A time as a clock shows it: `0:22`, `1:02:33`.
pub(crate) fn clock(seconds: f64) -> String {
    // Saturates, and no number is 0.
    let s = seconds.round() as u64;
    match s / 3600 {
        0 => format!("{}:{:02}", s / 60, s % 60),
        h => format!("{h}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        let mut status = Status::new("server", 483, Some(1024));
        status.part(1, "1301 tok/s".into());
        status.part(3, "TTFT 20/3000 ms".into());
        status.part(2, "TPOT 2/80 ms".into());
        status.eta(4, 20.0, 483, 541);
        status
    }

    #[test]
    fn what_matters_least_goes_first_and_nothing_wraps() {
        let columns = 0..200;
        let texts: Vec<String> = columns.map(|columns| status().fit(columns)).collect();
        for (columns, text) in texts.iter().enumerate() {
            assert!(text.chars().count() <= columns, "{columns}: {text}");
        }
        let all = "server  483/1024  1301 tok/s  TTFT 20/3000 ms  TPOT 2/80 ms  ETA 0:22";
        assert_eq!(status().whole(), all);
        assert_eq!(texts[all.len()], all);
        let less = "server  483/1024  TTFT 20/3000 ms  TPOT 2/80 ms  ETA 0:22";
        assert_eq!(texts[all.len() - 1], less);
        assert_eq!(
            texts[less.len() - 1],
            "server  483/1024  TTFT 20/3000 ms  ETA 0:22"
        );
        assert!(texts[120].contains("[=======") && texts[120].ends_with("ETA 0:22"));
    }

    #[test]
    fn there_is_no_time_left_before_there_is_a_pace() {
        let mut status = Status::new("infer", 0, Some(7));
        status.eta(1, 9.0, 0, 7);
        assert_eq!(status.whole(), "infer  0/7");
        let mut status = Status::new("infer", 7, Some(7));
        status.eta(1, 9.0, 7, 0);
        assert_eq!(status.whole(), "infer  7/7");
        assert_eq!(Status::new("find-peak", 3, None).fit(80), "find-peak  3");
    }

    #[test]
    fn clocks() {
        for (seconds, text) in [
            (0.4, "0:00"),
            (22.0, "0:22"),
            (3753.0, "1:02:33"),
            (f64::NAN, "0:00"),
        ] {
            assert_eq!(clock(seconds), text);
        }
    }
}
