//! Prometheus' text format, as far as single values go: `name{label="value",...} number [milliseconds]`.
//! Source: Prometheus, "Exposition formats". The crates that read it have not been looked after for years.

/// A value with its labels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Which of the names that were asked for.
    pub(crate) metric: usize,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: f64,
    pub(crate) at_unix_ms: Option<f64>,
}

impl Sample {
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        let label = self.labels.iter().find(|(key, _)| key == name);
        label.map(|(_, value)| value.as_str())
    }
}

/// The samples of the metrics named; other lines are not looked at.
///
/// # Errors
///
/// The number of a line that begins as one of them and is none.
pub(crate) fn samples(text: &str, metrics: &[&str]) -> Result<Vec<Sample>, String> {
    let lines = text.lines().enumerate();
    let found = lines.filter_map(|(number, line)| {
        let name = &line[..line.find(['{', ' ', '\t']).unwrap_or(line.len())];
        let metric = metrics.iter().position(|metric| *metric == name)?;
        let sample = sample(metric, &line[name.len()..]);
        Some(
            sample
                .ok_or_else(|| format!("line {} of the answer is no sample of {name}", number + 1)),
        )
    });
    found.collect()
}

fn sample(metric: usize, rest: &str) -> Option<Sample> {
    let (labels, rest) = match rest.trim_start().strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let mut numbers = rest.split_ascii_whitespace();
    let value = numbers.next()?.parse().ok()?;
    let at_unix_ms = match numbers.next() {
        Some(at) => Some(at.parse::<i64>().ok()? as f64),
        None => None,
    };
    numbers.next().is_none().then_some(Sample {
        metric,
        labels,
        value,
        at_unix_ms,
    })
}

/// The labels behind a `{`, and what follows their `}`.
fn labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, after) = rest.split_once('=')?;
        let (value, after) = quoted(after.trim_start())?;
        labels.push((name.trim().to_owned(), value));
        rest = after.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(rest) => rest,
            None if rest.starts_with('}') => rest,
            None => return None,
        };
    }
}

fn quoted(text: &str) -> Option<(String, &str)> {
    let text = text.strip_prefix('"')?;
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn samples_are_read_with_labels_and_times() {
        let text = "# HELP P watts\n# TYPE P gauge\nP{gpu=\"0\", UUID=\"GPU-a\",} 7.5e+1 1700000000000\nP 3\nPQ 9\n\
                    E{a=\"x\\\"\\\\\\n}\"} NaN\nother junk {{{\n";
        let found = samples(text, &["P", "E"]).unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!((found[0].metric, found[0].value), (0, 75.0));
        assert_eq!(
            (found[0].label("UUID"), found[0].label("x")),
            (Some("GPU-a"), None)
        );
        assert_eq!(found[0].at_unix_ms, Some(1.7e12));
        assert_eq!((found[1].value, found[1].labels.len()), (3.0, 0));
        assert_eq!(
            (found[2].metric, found[2].label("a")),
            (1, Some("x\"\\\n}"))
        );
        assert!(found[2].value.is_nan());
    }

    #[test]
    fn a_line_that_is_no_sample_is_named() {
        for line in [
            "P",
            "P{",
            "P{}",
            "P{a} 1",
            "P{a=1} 1",
            "P{a=\"1} 1",
            "P{a=\"1\" b=\"2\"} 1",
            "P{a=\"\\t\"} 1",
            "P watts",
            "P 1 2 3",
            "P 1 x",
        ] {
            let error = samples(&format!("Q 1\n{line}\n"), &["P"]).unwrap_err();
            assert!(
                error.contains("line 2") && error.contains(" P"),
                "{line}: {error}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "P?[{}=\",\\\\ a1\n.é-]*") {
            let _ = samples(&text, &["P", ""]);
        }

        #[test]
        fn what_is_written_is_read(labels in prop::collection::vec(("[a-z]{1,5}", any::<String>()), 0..5), value in any::<f64>()) {
            let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let written: Vec<_> = labels.iter().map(|(k, v)| format!("{k}=\"{}\"", escape(v))).collect();
            let found = samples(&format!("P{{{}}} {value:?}", written.join(",")), &["P"]).unwrap();
            prop_assert_eq!(&found[0].labels, &labels);
            prop_assert_eq!(found[0].value.to_bits(), value.to_bits());
        }
    }
}
