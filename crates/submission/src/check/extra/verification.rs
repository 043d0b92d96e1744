//! The texts that the verifications of TEST07 and TEST09 write: figures against each other and against the round's bounds.

use super::figures::{self, Range};
use crate::python;

/// The number in a line "name: number", the last such line, as it is printed.
pub(super) fn number(text: &str, name: &str) -> Option<Range> {
    numbers(text, name).pop()
}

fn numbers(text: &str, name: &str) -> Vec<Range> {
    let values =
        python::lines(text).filter_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
    values
        .filter_map(|text| Range::printed(text.trim()))
        .collect()
}

/// The same of a number that Python writes with all its digits.
fn written(text: &str, name: &str) -> Option<Range> {
    let values =
        python::lines(text).filter_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
    values.last().and_then(python::float_of).map(Range::exactly)
}

/// A score against its threshold, the threshold against the round's, both against what the text says of them.
pub(super) fn test07(text: &str, lowest: f64, report: &mut impl FnMut(String)) {
    let (score, threshold) = (
        written(text, "Accuracy score"),
        written(text, "Accuracy threshold"),
    );
    match score {
        None => report("found no line \"Accuracy score:\"".into()),
        Some(score) if score.high() < lowest => {
            report(format!(
                "found accuracy score {score}, expected at least {lowest}"
            ));
        }
        Some(score) => {
            if let Some(scored) = figures::value(text, "exact_match").filter(|s| !s.meets(score)) {
                report(format!(
                    "found accuracy score {score}, but the scorer's 'exact_match' is {scored}"
                ));
            }
        }
    }
    match threshold {
        None => report("found no line \"Accuracy threshold:\"".into()),
        Some(threshold) if !threshold.meets(Range::exactly(lowest)) => {
            report(format!(
                "found accuracy threshold {threshold}, expected {lowest}"
            ));
        }
        Some(_) => {}
    }
    if let Some((score, threshold)) = score.zip(threshold) {
        flag(
            text,
            "Accuracy check pass",
            score.high() >= threshold.low(),
            report,
        );
    }
}

/// Lengths and bounds against each other.
pub(super) fn test09(text: &str, low: f64, high: f64, report: &mut impl FnMut(String)) {
    let means = numbers(text, "Mean output tokens");
    let Some(&mean) = means.last() else {
        return report("found no line \"Mean output tokens:\"".into());
    };
    for other in &means {
        if !other.meets(mean) {
            report(format!(
                "found {other} and {mean} mean output tokens, expected one mean"
            ));
        }
    }
    // Printed with two digits.
    if !mean.meets(Range::between(low, high)) {
        report(format!(
            "found {mean} mean output tokens, expected {low} to {high}"
        ));
    }
    for (line, flag_line, wanted, is_low) in [
        ("Min threshold", "Min check pass", low, true),
        ("Max threshold", "Max check pass", high, false),
    ] {
        match written(text, line) {
            None => report(format!("found no line \"{line}:\"")),
            Some(bound) => {
                if !bound.meets(Range::exactly(wanted)) {
                    report(format!("found {line} {bound}, expected {wanted}"));
                }
                let passes = match is_low {
                    true => mean.high() >= bound.low(),
                    false => mean.low() <= bound.high(),
                };
                flag(text, flag_line, passes, report);
            }
        }
    }
    let (least, most) = (
        number(text, "Min output tokens"),
        number(text, "Max output tokens"),
    );
    let Some((least, most)) = least.zip(most) else {
        return;
    };
    if least.low() > mean.high() || most.high() < mean.low() {
        report(format!(
            "found a mean of {mean} output tokens between {least} and {most}"
        ));
        return;
    }
    let (Some(deviation), Some(samples)) =
        (number(text, "Std deviation"), number(text, "Total samples"))
    else {
        return;
    };
    // Of numbers with this mean between these two: at most all at the ends, at least those two alone are not the mean.
    let (below, above) = (mean.high() - least.low(), most.high() - mean.low());
    let highest = (below * above).max(0.0).sqrt();
    let lowest = ((below.powi(2) + above.powi(2)) / samples.high().max(1.0)).sqrt();
    if !deviation.meets(Range::between(lowest, highest).or_so(0.02)) {
        report(format!(
            "found a standard deviation of {deviation}, where lengths from {least} to {most} with this mean have {lowest:.2} to {highest:.2}"
        ));
    }
}

/// What a text says of a check, where it says it.
fn flag(text: &str, name: &str, passes: bool, report: &mut impl FnMut(String)) {
    let stated =
        python::lines(text).find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
    let expected = if passes { "True" } else { "False" };
    if let Some(stated) = stated.filter(|stated| stated.trim() != expected) {
        report(format!(
            "found \"{name}:{stated}\", but the figures give {expected}"
        ));
    }
}
