//! What a server said about one request, pieced together and doubted. Owns: the tokens so far and every check that makes
//! them credible. Pure.
//!
//! SGLang streams `output_ids` in two ways, whole so far or new only, depending on version and flags; `completion_tokens`,
//! always the count so far, tells which. Versions that drop pieces under load exist (the reference SUT fills such gaps
//! with made-up ids): there the counts disagree, and the answer fails.

use std::fmt;
use std::ops::Range;

use ossmark_protocol::{End, TokenId};
use serde::de::{Deserialize, Deserializer, Visitor};
use smallvec::SmallVec;

use crate::quote::quote;

/// Ids of a piece: a stream's usual ones take no allocation.
pub(crate) type Ids = SmallVec<[TokenId; 16]>;

/// What one chunk of a stream, or a whole response, holds.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ResponseChunk {
    pub(crate) ids: Ids,
    /// Tokens of the answer so far, where the server counts.
    pub(crate) total: Option<u64>,
    /// Tokens of the prompt as the server saw it.
    pub(crate) prompt: Option<u64>,
    pub(crate) finish: Option<Finish>,
}

/// How the server says that a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    Length,
    /// Whatever else: the request failed.
    Other(String),
}

impl<'de> Deserialize<'de> for Finish {
    /// OpenAI's form: a word.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Word;

        impl Visitor<'_> for Word {
            type Value = Finish;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word")
            }

            fn visit_str<E>(self, word: &str) -> Result<Finish, E> {
                Ok(Finish::named(word))
            }
        }

        from.deserialize_str(Word)
    }
}

impl Finish {
    /// From `finish_reason`; both APIs share the two words that matter.
    pub(crate) fn named(reason: &str) -> Self {
        match reason {
            "stop" => Self::Stop,
            "length" => Self::Length,
            other => Self::Other(quote(other)),
        }
    }
}

/// How a stream's pieces carry tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    WholeSoFar,
    NewOnly,
}

/// One answer as it grows.
#[derive(Debug)]
pub(crate) struct Answer {
    prompt_tokens: usize,
    max_new_tokens: u32,
    tokens: Vec<TokenId>,
    shape: Option<Shape>,
    finish: Option<Finish>,
    /// The server has said how many tokens there are.
    counted: bool,
    /// A piece may have held new tokens only, or all so far with some lost; no other piece has told which.
    ambiguous: bool,
}

/// LoadGen's log holds tokens as int32.
const MAX_TOKEN: TokenId = i32::MAX as TokenId;

impl Answer {
    pub(crate) fn new(prompt_tokens: usize, max_new_tokens: u32) -> Self {
        Self {
            prompt_tokens,
            max_new_tokens,
            tokens: Vec::new(),
            shape: None,
            finish: None,
            counted: false,
            ambiguous: false,
        }
    }

    /// All tokens so far.
    pub(crate) fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    /// Takes a piece whose ids are new ones (OpenAI's API).
    pub(crate) fn add_new(&mut self, chunk: &ResponseChunk) -> Result<Range<usize>, String> {
        self.begin(chunk)?;
        self.append(&chunk.ids)
            .and_then(|new| self.end(chunk).map(|()| new))
    }

    /// Takes a piece whose ids are new ones or all so far (SGLang's API); the piece must say how many there are so far.
    pub(crate) fn add_counted(&mut self, chunk: &ResponseChunk) -> Result<Range<usize>, String> {
        self.begin(chunk)?;
        let Some(total) = chunk.total else {
            return Err("a piece of the stream has no meta_info.completion_tokens, without which its output_ids are \
                        ambiguous"
                .into());
        };
        let (had, ids) = (self.tokens.len(), chunk.ids.len() as u64);
        let new = if had == 0 && ids == total {
            &chunk.ids[..]
        } else if ids == total {
            self.shape(Shape::WholeSoFar)?;
            match chunk.ids.split_at_checked(had) {
                Some((before, new)) if before == self.tokens => new,
                Some(_) => return Err("tokens that were already sent changed".into()),
                None => {
                    return Err(format!(
                        "the answer shrank from {had} to {ids} tokens while it was streamed"
                    ));
                }
            }
        } else if Some(ids) == total.checked_sub(had as u64) {
            let repeats = chunk.ids.iter().zip(&self.tokens).all(|(a, b)| a == b);
            if ids > 0 && repeats && self.shape.is_none() {
                self.ambiguous = true;
            } else if ids > 0 {
                self.shape(Shape::NewOnly)?;
                self.ambiguous = false;
            }
            &chunk.ids[..]
        } else {
            return Err(format!(
                "the server counts {total} tokens and sent {ids} ids in a piece after {had}: ids are missing; ask without \
                 streaming, or use a version of SGLang that does not drop pieces"
            ));
        };
        self.append(new)
            .and_then(|new| self.end(chunk).map(|()| new))
    }

    /// Takes a whole response.
    pub(crate) fn add_response(&mut self, chunk: &ResponseChunk) -> Result<Range<usize>, String> {
        self.begin(chunk)?;
        let new = self.append(&chunk.ids)?;
        self.end(chunk)?;
        Ok(new)
    }

    /// The answer's end, once the response is complete.
    pub(crate) fn finish(&self) -> Result<End, String> {
        let end = match &self.finish {
            Some(Finish::Stop) => End::Stop,
            Some(Finish::Length) => End::Length,
            Some(Finish::Other(reason)) => {
                return Err(format!("the server ended the request: {reason}"));
            }
            None => return Err("the response ended without a finish_reason".into()),
        };
        if self.tokens.is_empty() {
            return Err("the server answered with no tokens".into());
        }
        if self.ambiguous {
            return Err(
                "output_ids may have held new tokens, or all so far with some missing; nothing in the stream tells which".into(),
            );
        }
        if !self.counted {
            return Err(
                "the server did not say how many tokens it generated (completion_tokens), so that lost ones would go unseen"
                    .into(),
            );
        }
        Ok(end)
    }

    fn begin(&self, chunk: &ResponseChunk) -> Result<(), String> {
        if let Some(prompt) = chunk.prompt
            && prompt != self.prompt_tokens as u64
        {
            return Err(format!(
                "the server saw a prompt of {prompt} tokens, {} were sent (truncated?)",
                self.prompt_tokens
            ));
        }
        if self.finish.is_some() && !chunk.ids.is_empty() {
            return Err("tokens came after the finish_reason".into());
        }
        Ok(())
    }

    fn append(&mut self, ids: &[TokenId]) -> Result<Range<usize>, String> {
        let had = self.tokens.len();
        if had + ids.len() > self.max_new_tokens as usize {
            return Err(format!(
                "the server sent {} tokens, {} were asked for at most",
                had + ids.len(),
                self.max_new_tokens
            ));
        }
        if let Some(id) = ids.iter().find(|id| **id > MAX_TOKEN) {
            return Err(format!("token id {id} is beyond {MAX_TOKEN}"));
        }
        self.tokens.extend_from_slice(ids);
        Ok(had..self.tokens.len())
    }

    fn end(&mut self, chunk: &ResponseChunk) -> Result<(), String> {
        if let Some(total) = chunk.total
            && total != self.tokens.len() as u64
        {
            return Err(format!(
                "the server counts {total} tokens and sent {} ids",
                self.tokens.len()
            ));
        }
        self.counted |= chunk.total.is_some();
        if chunk.finish.is_some() {
            self.finish.clone_from(&chunk.finish);
        }
        Ok(())
    }

    fn shape(&mut self, found: Shape) -> Result<(), String> {
        match self.shape.replace(found) {
            Some(before) if before != found => Err(
                "output_ids held new tokens in some pieces of the stream and all so far in others"
                    .into(),
            ),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(ids: &[TokenId], total: u64) -> ResponseChunk {
        ResponseChunk {
            ids: ids.into(),
            total: Some(total),
            prompt: Some(3),
            finish: None,
        }
    }

    fn counted(pieces: &[(&[TokenId], u64)]) -> Result<Vec<TokenId>, String> {
        let mut answer = Answer::new(3, 8);
        for (ids, total) in pieces {
            answer.add_counted(&chunk(ids, *total))?;
        }
        Ok(answer.tokens)
    }

    #[test]
    fn both_shapes_of_a_stream_give_the_same_tokens() {
        let whole = counted(&[(&[5], 1), (&[5, 6], 2), (&[5, 6], 2), (&[5, 6, 7, 8], 4)]);
        let new = counted(&[(&[5], 1), (&[6], 2), (&[], 2), (&[7, 8], 4)]);
        assert_eq!(whole, Ok(vec![5, 6, 7, 8]));
        assert_eq!(new, whole);
        // A first piece of several tokens, and one of none.
        assert_eq!(
            counted(&[(&[], 0), (&[1, 2], 2), (&[1, 2, 3], 3)]),
            Ok(vec![1, 2, 3])
        );
    }

    #[test]
    fn what_does_not_add_up_is_refused() {
        for (pieces, expected) in [
            (&[(&[5][..], 1), (&[7][..], 3)][..], "ids are missing"),
            (&[(&[5], 2)], "ids are missing"),
            (&[(&[5, 6], 1)], "ids are missing"),
            (&[(&[5, 6], 2), (&[9], 1)], "shrank"),
            (&[(&[5, 6], 2), (&[5, 7, 8], 3)], "changed"),
            (&[(&[5], 1), (&[6], 2), (&[5, 6, 7], 3)], "in others"),
            (&[(&[1, 2, 3, 4, 5, 6, 7, 8, 9], 9)], "at most"),
            (&[(&[u32::MAX], 1)], "beyond"),
        ] {
            let error = counted(pieces).unwrap_err();
            assert!(error.contains(expected), "{pieces:?}: {error}");
        }
    }

    #[test]
    fn lost_ids_are_not_taken_for_new_ones() {
        let finish = |pieces: &[(&[TokenId], u64)]| {
            let mut answer = Answer::new(3, 8);
            for (i, (ids, total)) in pieces.iter().enumerate() {
                let last = i + 1 == pieces.len();
                let mut chunk = chunk(ids, *total);
                chunk.finish = last.then_some(Finish::Stop);
                answer.add_counted(&chunk)?;
            }
            answer.finish().map(|_| answer.tokens)
        };
        // Of [5, 6, 7, 8] sent whole, the last is lost: as many ids as there would be new ones.
        let lost = finish(&[(&[5], 1), (&[5, 6, 7], 4)]).unwrap_err();
        assert!(lost.contains("nothing in the stream tells"), "{lost}");
        assert!(finish(&[(&[5, 6, 7], 3), (&[5], 4)]).is_err());
        assert!(finish(&[(&[5], 1), (&[5], 2), (&[5, 6, 7], 3)]).is_err());
        // A repeated token in a stream of new ones, of which another piece gives proof.
        let pieces: [(&[TokenId], u64); 4] = [(&[5], 1), (&[5], 2), (&[6], 3), (&[5], 4)];
        assert_eq!(finish(&pieces), Ok(vec![5, 5, 6, 5]));
    }

    #[test]
    fn an_answer_needs_tokens_a_reason_and_the_whole_prompt() {
        let with = |finish: Option<Finish>, ids: &[TokenId]| {
            let mut answer = Answer::new(3, 8);
            answer
                .add_response(&ResponseChunk {
                    finish,
                    ..chunk(ids, ids.len() as u64)
                })
                .unwrap();
            answer.finish()
        };
        assert_eq!(with(Some(Finish::Stop), &[1]), Ok(End::Stop));
        assert_eq!(with(Some(Finish::Length), &[1, 2]), Ok(End::Length));
        assert!(
            with(Some(Finish::Stop), &[])
                .unwrap_err()
                .contains("no tokens")
        );
        assert!(with(None, &[1]).unwrap_err().contains("finish_reason"));
        assert!(
            with(Some(Finish::named("abort")), &[1])
                .unwrap_err()
                .contains("abort")
        );

        let mut answer = Answer::new(2, 8);
        assert!(
            answer
                .add_new(&chunk(&[1], 1))
                .unwrap_err()
                .contains("truncated")
        );
        let mut answer = Answer::new(3, 8);
        let end = ResponseChunk {
            finish: Some(Finish::Stop),
            ..chunk(&[1], 1)
        };
        answer.add_new(&end).unwrap();
        assert!(
            answer
                .add_new(&chunk(&[2], 2))
                .unwrap_err()
                .contains("after the finish")
        );
        assert!(
            Answer::new(3, 8)
                .add_response(&chunk(&[1], 2))
                .unwrap_err()
                .contains("counts 2")
        );
    }
}
