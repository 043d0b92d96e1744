//! One line of `events.jsonl`.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, SeqAccess, Visitor};

/// What happened, and when by the client's monotonic clock.
#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    /// `session.started`, `sample.issued`, ...
    pub event_type: String,
    /// Nanoseconds.
    pub timestamp_ns: i64,
    /// Empty for events of the session.
    #[serde(default)]
    pub sample_uuid: String,
    /// Of some events.
    #[serde(default)]
    pub(super) data: Option<Data>,
    /// Of `sample.complete`.
    #[serde(default)]
    pub finish_reason: Option<String>,
    /// Of `session.started`, where another client than MLCommons' made the run.
    #[serde(default)]
    pub(super) rehearsal: Option<IgnoredAny>,
}

/// `["PromptData", ...]`, `["TextModelOutput", ...]`, `["ErrorData", ...]`.
#[derive(Clone, Debug, Default)]
pub(super) struct Data {
    tag: String,
    parts: Vec<Part>,
}

/// Those after it are not looked at.
const MOST_PARTS: usize = 3;

/// What the figures need of a part; prompts' ids are only counted.
#[derive(Clone, Debug)]
enum Part {
    None,
    Text(String),
    Texts(Vec<String>),
    Ids(usize),
    Other,
}

/// What a request asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// So many ids.
    Ids(usize),
    /// A text to be counted.
    Text(String),
    /// Messages, which only the model's chat template counts; or nothing.
    Structured,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Plain text.
    Text {
        /// All of it.
        whole: String,
        /// What came after the first fragment; `None` for an answer that came whole.
        rest: Option<String>,
    },
    /// With reasoning, of which the model's chat template counts the frame too.
    Reasoned {
        /// All of the reasoning.
        thoughts: String,
        /// What of it came after the first fragment; `None` for an answer that came whole.
        later: Option<String>,
        /// What the reader is told.
        content: String,
    },
    /// With tool calls, which only the model's chat template counts.
    Structured,
}

impl Event {
    /// Of `sample.issued`.
    pub fn prompt(&self) -> Option<Prompt> {
        let data = self.data.as_ref().filter(|data| data.tag == "PromptData")?;
        // Ids count before a text, and a text before messages.
        Some(match (data.parts.first(), data.parts.get(1)) {
            (_, Some(Part::Ids(count))) => Prompt::Ids(*count),
            (_, Some(Part::Texts(none))) if none.is_empty() => Prompt::Ids(0),
            (Some(Part::Text(text)), _) if !text.is_empty() => Prompt::Text(text.clone()),
            _ => Prompt::Structured,
        })
    }

    /// Of `sample.complete`; `None` where the request failed.
    pub fn answer(&self) -> Option<Answer> {
        let data = self
            .data
            .as_ref()
            .filter(|data| data.tag == "TextModelOutput")?;
        let is_empty = |part: Option<&Part>| match part {
            None | Some(Part::None) => true,
            Some(Part::Text(text)) => text.is_empty(),
            Some(Part::Texts(texts)) => texts.is_empty(),
            Some(Part::Ids(_) | Part::Other) => false,
        };
        if !is_empty(data.parts.get(2)) {
            return Some(Answer::Structured);
        }
        if !is_empty(data.parts.get(1)) {
            return Some(reasoned(data.parts.first(), data.parts.get(1)));
        }
        Some(match data.parts.first() {
            None | Some(Part::None) => Answer::Text {
                whole: String::new(),
                rest: None,
            },
            Some(Part::Text(text)) => Answer::Text {
                whole: text.clone(),
                rest: None,
            },
            Some(Part::Texts(texts)) => Answer::Text {
                whole: texts.concat(),
                rest: texts.get(1..).map(<[String]>::concat),
            },
            Some(Part::Ids(_) | Part::Other) => Answer::Structured,
        })
    }
}

fn reasoned(content: Option<&Part>, thoughts: Option<&Part>) -> Answer {
    let content = match content {
        None | Some(Part::None) => String::new(),
        Some(Part::Text(text)) => text.clone(),
        Some(Part::Texts(texts)) => texts.concat(),
        Some(Part::Ids(_) | Part::Other) => return Answer::Structured,
    };
    let (thoughts, later) = match thoughts {
        Some(Part::Text(text)) => (text.clone(), None),
        Some(Part::Texts(texts)) => (texts.concat(), texts.get(1..).map(<[String]>::concat)),
        _ => return Answer::Structured,
    };
    Answer::Reasoned {
        thoughts,
        later,
        content,
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Tagged;
        impl<'de> Visitor<'de> for Tagged {
            type Value = Data;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("a list that begins with the name of a kind, as [\"PromptData\", ...]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Data, A::Error> {
                let tag = items.next_element()?;
                let tag = tag.ok_or_else(|| de::Error::invalid_length(0, &self))?;
                let mut parts = Vec::new();
                while let Some(part) = items.next_element()? {
                    if parts.len() < MOST_PARTS {
                        parts.push(part);
                    }
                }
                Ok(Data { tag, parts })
            }
        }
        from.deserialize_seq(Tagged)
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Part;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("any JSON value")
            }

            fn visit_unit<E>(self) -> Result<Part, E> {
                Ok(Part::None)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Part, E> {
                Ok(Part::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Part, E> {
                Ok(Part::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Part, E> {
                Ok(Part::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Part, E> {
                Ok(Part::Other)
            }

            fn visit_str<E>(self, text: &str) -> Result<Part, E> {
                Ok(Part::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Part, A::Error> {
                let mut texts = Vec::new();
                let mut others = 0;
                while let Some(item) = items.next_element::<Part>()? {
                    match item {
                        Part::Text(text) => texts.push(text),
                        _ => others += 1,
                    }
                }
                Ok(match (texts.is_empty(), others) {
                    (_, 0) => Part::Texts(texts),
                    (true, count) => Part::Ids(count),
                    (false, _) => Part::Other,
                })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut items: A) -> Result<Part, A::Error> {
                while items.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Part::Other)
            }
        }
        from.deserialize_any(Any)
    }
}
