//! Dates and times as Python's `str` shows what pandas makes of them.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike};

/// 1970-01-01 in days of the common era, as chrono counts them.
const EPOCH: i32 = 719_163;
/// 1970-01-01 in Julian days, as INT96 counts them.
const JULIAN_EPOCH: i64 = 2_440_588;
const SECONDS_A_DAY: i64 = 86_400;

/// `str(datetime.date)` of days since 1970-01-01; None outside the years 1 to 9999, which Python does not know either.
pub(crate) fn date(days: i32) -> Option<String> {
    let date = NaiveDate::from_num_days_from_ce_opt(days.checked_add(EPOCH)?)?;
    (1..=9999).contains(&date.year()).then(|| date.to_string())
}

/// `str(datetime.time)` of a count since midnight; None beyond the day.
pub(crate) fn time(count: i64, per_second: i64) -> Option<String> {
    (0..SECONDS_A_DAY * per_second)
        .contains(&count)
        .then(|| moment(count, per_second))?
        .map(|at| of_day(&at))
}

/// `str(pandas.Timestamp)` of a count since 1970-01-01 00:00; None outside the years 1 to 9999.
pub(crate) fn timestamp(count: i64, per_second: i64, utc: bool) -> Option<String> {
    let at = moment(count, per_second)?;
    let zone = if utc { "+00:00" } else { "" };
    (1..=9999)
        .contains(&at.year())
        .then(|| format!("{} {}{zone}", at.date(), of_day(&at)))
}

/// As [`timestamp`], of an INT96's three words.
pub(crate) fn int96(words: &[u32]) -> Option<String> {
    let &[low, high, day] = words else {
        return None;
    };
    let nanos = i64::from(low) | i64::from(high) << 32;
    let seconds = (i64::from(day) - JULIAN_EPOCH) * SECONDS_A_DAY;
    let inside = (0..SECONDS_A_DAY * 1_000_000_000).contains(&nanos);
    let at = inside.then(|| {
        DateTime::from_timestamp(
            seconds + nanos / 1_000_000_000,
            (nanos % 1_000_000_000) as u32,
        )
    })??;
    let at = at.naive_utc();
    (1..=9999)
        .contains(&at.year())
        .then(|| format!("{} {}", at.date(), of_day(&at)))
}

fn moment(count: i64, per_second: i64) -> Option<NaiveDateTime> {
    let (seconds, rest) = (count.div_euclid(per_second), count.rem_euclid(per_second));
    let nanos = u32::try_from(rest * (1_000_000_000 / per_second)).ok()?;
    Some(DateTime::from_timestamp(seconds, nanos)?.naive_utc())
}

/// A fraction of a second has six digits, or nine where six do not do.
fn of_day(at: &NaiveDateTime) -> String {
    match at.nanosecond() {
        0 => at.format("%H:%M:%S"),
        nanos if nanos % 1000 == 0 => at.format("%H:%M:%S%.6f"),
        _ => at.format("%H:%M:%S%.9f"),
    }
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From pandas 3.1.1 and Python 3.11: str() of what pandas.read_parquet gives.
    #[test]
    fn texts_are_those_of_python() {
        assert_eq!(date(0).unwrap(), "1970-01-01");
        assert_eq!(date(-719_162).unwrap(), "0001-01-01");
        assert_eq!((date(-719_163), date(i32::MAX)), (None, None));
        assert_eq!(date(2_932_896).unwrap(), "9999-12-31");
        assert_eq!(time(3_720_000, 1000).unwrap(), "01:02:00");
        assert_eq!(time(3_720_000_001, 1_000_000).unwrap(), "01:02:00.000001");
        assert_eq!((time(-1, 1000), time(86_400_000, 1000)), (None, None));
        assert_eq!(timestamp(0, 1000, false).unwrap(), "1970-01-01 00:00:00");
        assert_eq!(
            timestamp(-1, 1000, true).unwrap(),
            "1969-12-31 23:59:59.999000+00:00"
        );
        assert_eq!(
            timestamp(1, 1_000_000_000, false).unwrap(),
            "1970-01-01 00:00:00.000000001"
        );
        assert_eq!(timestamp(i64::MAX, 1000, false), None);
        assert_eq!(
            int96(&[1000, 0, 2_440_589]).unwrap(),
            "1970-01-02 00:00:00.000001"
        );
        assert_eq!(int96(&[0, u32::MAX, 2_440_589]), None);
    }
}
