//! Numbers as people read them.

/// With thousands set apart, and as many decimals as say something: two below a thousand, four below one,
/// none of a whole number.
pub fn shown(value: f64) -> String {
    let decimals = match value.abs() {
        size if !size.is_finite() => return "not a number".into(),
        size if size >= 10_000.0 || value.fract() == 0.0 => 0,
        size if size >= 1000.0 => 1,
        size if size >= 1.0 => 2,
        _ => 4,
    };
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    apart(whole) + rest
}

/// A count with thousands set apart.
pub fn count(value: u64) -> String {
    apart(&value.to_string())
}

fn apart(whole: &str) -> String {
    let digits = whole.trim_start_matches('-');
    let mut text = String::from(&whole[..whole.len() - digits.len()]);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time in seconds, in the two greatest units that it has.
pub fn span(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {:02} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d {:02} h", s / 86_400, s % 86_400 / 3600),
    }
}

/// The label of a tick: short.
pub(crate) fn tick(value: f64) -> String {
    let short = |value: f64, unit: &str| {
        let text = format!("{value:.2}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        format!("{text}{unit}")
    };
    match value.abs() {
        size if size >= 1e9 => format!("{value:.0e}"),
        size if size >= 1e6 => short(value / 1e6, "M"),
        size if size >= 1e4 => short(value / 1e3, "k"),
        _ => short(value, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_set_apart() {
        for (value, text) in [
            (0.0, "0"),
            (0.0234, "0.0234"),
            (79.996, "80.00"),
            (3000.0, "3,000"),
            (-1234.56, "-1,234.6"),
            (999.999, "1,000.00"),
            (1_186_750.0, "1,186,750"),
            (f64::NAN, "not a number"),
        ] {
            assert_eq!(shown(value), text);
        }
        for (seconds, text) in [
            (-1.0, "0 s"),
            (59.4, "59 s"),
            (59.5, "1 min 00 s"),
            (3725.0, "1 h 02 min"),
            (90_000.0, "1 d 01 h"),
            (f64::NAN, "0 s"),
        ] {
            assert_eq!(span(seconds), text);
        }
        assert_eq!(count(6396), "6,396");
        assert_eq!(
            (tick(0.5), tick(12_500.0), tick(2e6), tick(100.0)),
            ("0.5".into(), "12.5k".into(), "2M".into(), "100".into())
        );
    }
}
