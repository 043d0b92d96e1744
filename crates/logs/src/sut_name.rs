//! What a run of ossmark says of itself in its SUT's name, which stands in LoadGen's log and so goes wherever that does.

use std::fmt;

/// Every such name begins so.
const OURS: &str = "ossmark ";
const HEAD: &str = "EAGLE3 head ";

/// A draft head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drafting {
    /// The first digits of the SHA-256 of its tensors.
    pub head: String,
    /// Tokens drafted at a time.
    pub steps: u32,
}

/// Digits that tell heads apart.
const DIGITS: usize = 12;

impl Drafting {
    /// For a head with this hash.
    #[must_use]
    pub fn new(tensors_sha256: &str, steps: u32) -> Self {
        Self {
            head: tensors_sha256.chars().take(DIGITS).collect(),
            steps,
        }
    }

    /// That of the run with this SUT, if it was one of ossmark's and drafted.
    #[must_use]
    pub fn of_sut(name: &str) -> Option<Self> {
        let (_, said) = name.strip_prefix(OURS)?.split_once(HEAD)?;
        let (head, said) = said.split_once(", ")?;
        let (steps, _) = said.split_once(" drafts")?;
        Some(Self {
            head: head.into(),
            steps: steps.parse().ok()?,
        })
    }

    /// Whether this may be the hash of its head's tensors.
    #[must_use]
    pub fn is_of(&self, tensors_sha256: &str) -> bool {
        self.head.len() == DIGITS && tensors_sha256.starts_with(&self.head)
    }
}

impl fmt::Display for Drafting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HEAD}{}, {} drafts", self.head, self.steps)
    }
}

#[cfg(test)]
mod tests {
    use super::Drafting;

    #[test]
    fn what_is_written_is_read() {
        let hash = "0123456789abcdef".repeat(4);
        for steps in [1, 3, 16] {
            let drafting = Drafting::new(&hash, steps);
            let name = format!("ossmark 1.2.3 (cpu, SYNTHETIC weights, {drafting})");
            let read = Drafting::of_sut(&name).unwrap();
            assert_eq!(read, drafting);
            assert!(read.is_of(&hash) && !read.is_of("0123"));
        }
        for name in [
            "PySUT",
            "ossmark 1.2.3 (cpu)",
            "other (EAGLE3 head 0123456789ab, 3 drafts)",
            "ossmark EAGLE3 head 0123456789ab, many drafts",
        ] {
            assert_eq!(Drafting::of_sut(name), None, "{name}");
        }
    }
}
