//! Texts that end an answer (`stop`): found in a text that grows, whatever the pieces, and never shown in part.

use std::sync::Arc;

/// The texts that end an answer. Cloning is cheap: every choice has its own finder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StopTexts {
    texts: Arc<[String]>,
    /// The one that was found stays in the answer.
    keep: bool,
}

impl StopTexts {
    /// None of them may be empty.
    pub(crate) fn new(texts: Vec<String>, keep: bool) -> Self {
        Self {
            texts: texts.into(),
            keep,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}

/// Looks for the first of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct StopFinder {
    stops: StopTexts,
    /// May be the beginning of one.
    held: String,
    found: Option<usize>,
}

impl StopFinder {
    pub(crate) fn new(stops: StopTexts) -> Self {
        Self {
            stops,
            held: String::new(),
            found: None,
        }
    }

    /// The text that ended the answer.
    pub(crate) fn found(&self) -> Option<&str> {
        self.found.map(|which| self.stops.texts[which].as_str())
    }

    /// Takes what is new, and gives what is certain not to be part of a stop; at the end, all that is left.
    pub(crate) fn push(&mut self, text: String, ended: bool) -> String {
        if self.stops.is_empty() {
            return text;
        }
        if self.found.is_some() {
            return String::new();
        }
        self.held.push_str(&text);
        let texts = self.stops.texts.iter().enumerate();
        let found = texts.filter_map(|(which, stop)| Some((self.held.find(stop)?, which)));
        if let Some((at, which)) = found.min() {
            self.found = Some(which);
            let mut before = std::mem::take(&mut self.held);
            before.truncate(match self.stops.keep {
                true => at + self.stops.texts[which].len(),
                false => at,
            });
            return before;
        }
        let keep = if ended { 0 } else { self.begun() };
        let rest = self.held.split_off(self.held.len() - keep);
        std::mem::replace(&mut self.held, rest)
    }

    /// How many of the last bytes may begin a stop.
    fn begun(&self) -> usize {
        let begun = |stop: &String| {
            let most = (stop.len() - 1).min(self.held.len());
            let lens = (1..=most).rev();
            let mut lens = lens.filter(|n| stop.is_char_boundary(*n));
            lens.find(|n| self.held.as_bytes().ends_with(&stop.as_bytes()[..*n]))
        };
        self.stops.texts.iter().filter_map(begun).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown of a text in these pieces, and what ended it.
    fn shown(stops: &[&str], keep: bool, pieces: &[&str]) -> (String, Option<String>) {
        let stops = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut finder = StopFinder::new(StopTexts::new(stops, keep));
        let mut text = String::new();
        for (i, piece) in pieces.iter().enumerate() {
            text += &finder.push((*piece).to_owned(), i + 1 == pieces.len());
        }
        (text, finder.found().map(str::to_owned))
    }

    #[test]
    fn texts_end_before_the_first_stop_whatever_the_pieces() {
        let text = "aé\n\nQ: b END";
        for cut in 0..=text.len() {
            if !text.is_char_boundary(cut) {
                continue;
            }
            let pieces = [&text[..cut], &text[cut..]];
            assert_eq!(
                shown(&["END", "\n\nQ:"], false, &pieces),
                ("aé".into(), Some("\n\nQ:".into()))
            );
            assert_eq!(shown(&["\n\nQ:"], true, &pieces).0, "aé\n\nQ:");
            assert_eq!(
                shown(&["never", "ENDE"], false, &pieces),
                (text.into(), None)
            );
        }
        let letters: Vec<String> = text.chars().map(String::from).collect();
        let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
        assert_eq!(shown(&["b E"], false, &letters).0, "aé\n\nQ: ");
        // The beginning of one turns out to be none; the next begins within it.
        assert_eq!(shown(&["aab"], false, &["a", "a", "a", "b", "x"]).0, "a");
        assert_eq!(shown(&[], false, &["a", "b"]), ("ab".into(), None));
    }

    #[test]
    fn what_may_be_a_stop_is_held_back() {
        let mut finder = StopFinder::new(StopTexts::new(vec!["</s>".into()], false));
        assert_eq!(finder.push("ok <".into(), false), "ok ");
        assert_eq!(finder.push("/".into(), false), "");
        assert_eq!(finder.push("p>".into(), false), "</p>");
        assert_eq!(finder.push("</s> more".into(), false), "");
        assert_eq!(finder.found(), Some("</s>"));
        assert_eq!(finder.push("x".into(), true), "");
    }
}
