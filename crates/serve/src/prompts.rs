//! Prompts as both interfaces spell them: a text, a list of texts, a list of token ids, or a list of such lists. Read
//! without an intermediate tree: a prompt may have a hundred thousand tokens.

use std::fmt;

use ossmark_protocol::TokenId;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// One or several prompts of one kind.
#[derive(Debug, PartialEq)]
pub(crate) enum Prompts {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<TokenId>),
    TokenLists(Vec<Vec<TokenId>>),
    /// An empty list: of what, nobody knows.
    Empty,
}

impl Prompts {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(_) | Self::Tokens(_) => 1,
            Self::Texts(texts) => texts.len(),
            Self::TokenLists(lists) => lists.len(),
            Self::Empty => 0,
        }
    }

    /// Whether they came in a list, so that their answers do, too.
    pub(crate) fn is_batch(&self) -> bool {
        matches!(self, Self::Texts(_) | Self::TokenLists(_))
    }
}

enum FirstElement {
    Text(String),
    Token(TokenId),
    Tokens(Vec<TokenId>),
}

struct PromptsVisitor;
struct FirstElementVisitor;

impl<'de> Deserialize<'de> for Prompts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PromptsVisitor)
    }
}

impl<'de> Deserialize<'de> for FirstElement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FirstElementVisitor)
    }
}

const EXPECTED: &str =
    "a text, a list of texts, a list of token ids, or a list of lists of token ids";

impl<'de> Visitor<'de> for PromptsVisitor {
    type Value = Prompts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Prompts, E> {
        Ok(Prompts::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Prompts, A::Error> {
        match seq.next_element::<FirstElement>()? {
            None => Ok(Prompts::Empty),
            Some(FirstElement::Text(first)) => rest(first, &mut seq).map(Prompts::Texts),
            Some(FirstElement::Token(first)) => rest(first, &mut seq).map(Prompts::Tokens),
            Some(FirstElement::Tokens(first)) => rest(first, &mut seq).map(Prompts::TokenLists),
        }
    }
}

fn rest<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(
    first: T,
    seq: &mut A,
) -> Result<Vec<T>, A::Error> {
    let mut all = vec![first];
    while let Some(next) = seq.next_element()? {
        all.push(next);
    }
    Ok(all)
}

impl<'de> Visitor<'de> for FirstElementVisitor {
    type Value = FirstElement;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a token id, or a list of token ids")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<FirstElement, E> {
        Ok(FirstElement::Text(text.into()))
    }

    fn visit_u64<E: Error>(self, token: u64) -> Result<FirstElement, E> {
        let token = TokenId::try_from(token);
        token
            .map(FirstElement::Token)
            .map_err(|_| E::custom("a token id is below 2^32"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<FirstElement, A::Error> {
        let mut tokens = Vec::new();
        while let Some(token) = seq.next_element()? {
            tokens.push(token);
        }
        Ok(FirstElement::Tokens(tokens))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_understood() {
        let read = |json: &str| serde_json::from_str::<Prompts>(json).unwrap();
        assert_eq!(read("\"a\\u00e9\""), Prompts::Text("aé".into()));
        assert_eq!(
            read("[\"a\",\"b\"]"),
            Prompts::Texts(vec!["a".into(), "b".into()])
        );
        assert_eq!(read("[1, 2,3]"), Prompts::Tokens(vec![1, 2, 3]));
        assert_eq!(
            read("[[1],[],[2,3]]"),
            Prompts::TokenLists(vec![vec![1], vec![], vec![2, 3]])
        );
        assert_eq!(read("[]"), Prompts::Empty);
    }

    #[test]
    fn what_is_no_prompt_is_refused() {
        for json in [
            "1",
            "null",
            "{}",
            "[1,\"a\"]",
            "[\"a\",1]",
            "[[1],2]",
            "[-1]",
            "[1.5]",
            "[4294967296]",
            "[[4294967296]]",
            "[true]",
            "[[[1]]]",
        ] {
            assert!(serde_json::from_str::<Prompts>(json).is_err(), "{json}");
        }
    }
}
