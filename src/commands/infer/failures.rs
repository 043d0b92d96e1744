//! Messages of failed requests, put together where they differ in numbers only: ports, counts and times make a thousand of one.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde_json::Value;

/// Different messages that are kept; the journal has all.
const MESSAGES: usize = 100;

/// How requests failed, and how often.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failures(HashMap<String, Group>);

/// Messages that differ in numbers only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// The first of them.
    message: String,
    pub(crate) count: u64,
    /// Whether others had other numbers.
    differ: bool,
}

impl Group {
    /// The first, and what the others have in common with it.
    pub(crate) fn shown(&self) -> String {
        match self.differ {
            true => format!("{} (others differ in numbers only)", self.message),
            false => self.message.clone(),
        }
    }
}

impl Failures {
    pub(crate) fn add(&mut self, message: &str) {
        let mut key = without_numbers(message);
        let full = self.0.len() >= MESSAGES && !self.0.contains_key(&key);
        let message = if full { "others" } else { message };
        if full {
            key = message.to_owned();
        }
        let group = self.0.entry(key).or_insert_with(|| Group {
            message: message.to_owned(),
            count: 0,
            differ: false,
        });
        group.count += 1;
        group.differ |= group.message != message;
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.values().map(|group| group.count).sum()
    }

    /// The most frequent first.
    pub(crate) fn sorted(&self) -> Vec<&Group> {
        let mut groups: Vec<_> = self.0.values().collect();
        groups.sort_by_key(|group| (Reverse(group.count), &group.message));
        groups
    }

    /// How often each came, by its first message.
    pub(crate) fn json(&self) -> Value {
        let groups = self.0.values();
        groups
            .map(|group| (group.message.clone(), Value::from(group.count)))
            .collect()
    }
}

fn without_numbers(message: &str) -> String {
    let mut key = String::with_capacity(message.len());
    let mut in_number = false;
    for c in message.chars() {
        let digit = c.is_ascii_digit();
        if !digit {
            key.push(c);
        } else if !in_number {
            key.push('0');
        }
        in_number = digit;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_differ_in_numbers_are_one() {
        let mut failures = Failures::default();
        for n in 0..512 {
            failures.add(&format!(
                "http://a:1: prompt of {} tokens is longer than 4096",
                4097 + n
            ));
        }
        failures.add("http://a:1: out of memory");
        failures.add("http://a:1: out of memory");
        assert_eq!(failures.count(), 514);
        let sorted = failures.sorted();
        assert_eq!(sorted.len(), 2);
        assert_eq!(sorted[0].count, 512);
        assert!(
            sorted[0].shown().contains("4097 tokens") && sorted[0].shown().contains("numbers only")
        );
        assert_eq!(sorted[1].shown(), "http://a:1: out of memory");
        assert_eq!(failures.json()["http://a:1: out of memory"], 2);
    }

    #[test]
    fn no_more_are_kept_than_anybody_reads() {
        let mut failures = Failures::default();
        for n in 0..300u32 {
            let letters: String = n
                .to_string()
                .chars()
                .map(|c| (c as u8 + 49) as char)
                .collect();
            failures.add(&letters);
        }
        assert_eq!(
            (failures.count(), failures.sorted().len()),
            (300, MESSAGES + 1)
        );
        assert_eq!(failures.json()["others"], 200);
    }
}
