//! What scorers' texts say: counts by data set, and numbers behind a label. Pure.

use ossmark_rules::rules;

/// A data set's line in a scorer's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Component {
    pub(crate) name: &'static str,
    pub(crate) correct: u64,
    pub(crate) total: u64,
}

impl Component {
    pub(crate) fn percent(&self) -> f64 {
        100.0 * self.correct as f64 / self.total as f64
    }
}

/// The lines `name correct total ...` of the data sets that the benchmark has; of several tables the last.
pub(crate) fn components(text: &str) -> Vec<Component> {
    let mut found: Vec<Component> = Vec::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(name) = words.next().and_then(known) else {
            continue;
        };
        let mut number = || words.next()?.parse::<u64>().ok();
        let (Some(correct), Some(total)) = (number(), number()) else {
            continue;
        };
        if total == 0 || correct > total {
            continue;
        }
        found.retain(|other| other.name != name);
        found.push(Component {
            name,
            correct,
            total,
        });
    }
    found
}

fn known(name: &str) -> Option<&'static str> {
    let names = rules().accuracy.repeats.value.keys();
    names.map(String::as_str).find(|known| *known == name)
}

/// The last number that stands behind `label`.
pub(crate) fn number(text: &str, label: &str) -> Option<f64> {
    let (_, rest) = text.rsplit_once(label)?;
    let word = rest.split_ascii_whitespace().next()?;
    let number: f64 = word.trim_end_matches(['%', ',', '}']).parse().ok()?;
    number.is_finite().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scorers_table_is_read() {
        let text = "Dataset Correct Total\naime25   203   240   8  25.38 84.58%\naime25 300 240\nother 1 2\n\
                    livecodebench_v6 2700 3165\n'exact_match': 83.724\n";
        let found = components(text);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].name, found[0].correct), ("aime25", 203));
        assert!((found[1].percent() - 85.308).abs() < 1e-3);
        assert_eq!(number(text, "'exact_match':"), Some(83.724));
        assert_eq!(
            number("Mean output tokens: 1346.29\n", "Mean output tokens:"),
            Some(1346.29)
        );
        assert_eq!(number("x: nan", "x:"), None);
        assert_eq!(number("", "x:"), None);
    }
}
