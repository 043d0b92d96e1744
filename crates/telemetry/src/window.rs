//! The time that energy is asked for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::NaiveDateTime;
use ossmark_logs::detail_log::DetailLog;

use crate::Error;

/// How LoadGen writes power_begin and power_end, in UTC with milliseconds. Source: LoadGen 6.0.17, DateTimeStringForPower.
const FORMAT: &str = "%m-%d-%Y %H:%M:%S%.f";

/// From one date to another, by the system's clock as LoadGen reads it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Seconds since 1970, UTC.
    pub begin_unix_s: f64,
    /// The same; not before `begin_unix_s`.
    pub end_unix_s: f64,
}

impl Window {
    /// A window of a run's own; an end before the beginning counts as the beginning.
    pub fn new(begin: SystemTime, end: SystemTime) -> Self {
        let seconds = |time: SystemTime| {
            let since = time.duration_since(UNIX_EPOCH);
            since.map_or(0.0, |since| since.as_secs_f64())
        };
        let begin = seconds(begin);
        Self {
            begin_unix_s: begin,
            end_unix_s: seconds(end).max(begin),
        }
    }

    /// LoadGen's own, by its dates: it logs both lines when the test is over, so their `time_ms` says nothing. From the first
    /// `power_begin` to the last `power_end`. A performance run has one of each; an accuracy run has a pair for each set that
    /// it loads, and the time between them counts.
    ///
    /// # Errors
    ///
    /// [`Error::Window`] where they are missing, are no dates or are the wrong way round.
    pub fn of_log(log: &DetailLog) -> Result<Self, Error> {
        let bad = |what: String| Error::Window { what };
        let date = |key: &str, value: Option<&serde_json::Value>| {
            let value = value.ok_or_else(|| bad(format!("found no {key}")))?;
            let text = value.as_str().unwrap_or_default();
            match NaiveDateTime::parse_from_str(text, FORMAT) {
                Ok(date) => Ok(date.and_utc().timestamp_millis() as f64 / 1e3),
                Err(_) => Err(bad(format!("found {key} {value}, which is no date"))),
            }
        };
        let begin = date("power_begin", log.values("power_begin").next())?;
        let end = date("power_end", log.values("power_end").next_back())?;
        if end < begin {
            return Err(bad("found power_end before power_begin".into()));
        }
        Ok(Self {
            begin_unix_s: begin,
            end_unix_s: end,
        })
    }

    /// Its length.
    pub fn duration(&self) -> Duration {
        Duration::try_from_secs_f64(self.end_unix_s - self.begin_unix_s).unwrap_or_default()
    }

    pub(crate) fn now() -> Self {
        let now = SystemTime::now();
        Self::new(now, now)
    }

    pub(crate) fn until_now(self) -> Self {
        let now = Self::now().end_unix_s;
        Self {
            begin_unix_s: self.begin_unix_s,
            end_unix_s: now.max(self.begin_unix_s),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: &[(&str, &str)]) -> DetailLog {
        let text: String = lines
            .iter()
            .map(|(key, value)| {
                format!(
                    ":::MLLOG {{\"key\": \"{key}\", \"value\": {value}, \"time_ms\": 1.0, \"namespace\": \"x\", \"event_type\": \
                     \"POINT_IN_TIME\", \"metadata\": {{\"is_error\": false, \"is_warning\": false}}}}\n"
                )
            })
            .collect();
        DetailLog::parse(text.as_bytes(), "log".as_ref()).unwrap()
    }

    #[test]
    fn loadgens_window_is_utc_with_milliseconds_over_all_sets() {
        let window = Window::of_log(&log(&[
            ("power_begin", "\"11-22-2026 23:33:54.671\""),
            ("power_end", "\"11-22-2026 23:33:58.000\""),
            ("power_begin", "\"11-22-2026 23:34:00.000\""),
            ("power_end", "\"11-23-2026 00:00:00.171\""),
        ]));
        let window = window.unwrap();
        // 1795390434 = 2026-11-22T23:33:54Z.
        assert_eq!(window.begin_unix_s, 1_795_390_434.671);
        assert_eq!(window.duration(), Duration::from_millis(1_565_500));
    }

    #[test]
    fn a_log_of_loadgens_own_has_one() {
        let path = "../logs/tests/fixtures/server_detail.txt";
        let log = DetailLog::read(path.as_ref()).unwrap();
        let window = Window::of_log(&log).unwrap();
        assert!((window.duration().as_secs_f64() - 1073.099).abs() < 1e-6);
    }

    #[test]
    fn a_log_without_a_window_says_so() {
        for (lines, found) in [
            (&[][..], "found no power_begin"),
            (
                &[("power_begin", "\"11-22-2026 23:33:54.671\"")],
                "found no power_end",
            ),
            (
                &[("power_begin", "\"soon\""), ("power_end", "7")],
                "no date",
            ),
            (
                &[
                    ("power_begin", "\"11-22-2026 23:33:54.671\""),
                    ("power_end", "\"11-22-2026 23:33:54.670\""),
                ],
                "before",
            ),
        ] {
            let error = Window::of_log(&log(lines)).unwrap_err().to_string();
            assert!(error.contains(found), "{error}");
        }
    }
}
