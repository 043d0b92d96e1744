//! Conversations as Harmony writes them: special tokens and texts in turn. Pure; knows no vocabulary.
//!
//! The wording and the order of sections are those of OpenAI's `openai-harmony` (checked token by token against it:
//! tests/it/golden.rs).

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Namespace, SpecialToken};

/// How long the model is asked to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// What the performance data set is made with.
    Low,
    /// The model's own default.
    Medium,
    /// What the accuracy data set is made with.
    High,
}

impl Effort {
    /// As it stands in the system message.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Effort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Low, Self::Medium, Self::High]
            .into_iter()
            .find(|effort| effort.name() == text)
            .ok_or_else(|| {
                format!("reasoning effort {text:?}: expected \"low\", \"medium\" or \"high\"")
            })
    }
}

/// What the system message says; every line that is None is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct System {
    /// Who the model is.
    pub identity: Option<String>,
    /// Year and month, such as 2024-06.
    pub knowledge_cutoff: Option<String>,
    /// The day of the conversation, such as 2025-09-30. Given, never taken from the clock: it changes the tokens.
    pub date: Option<String>,
    /// How long to think.
    pub effort: Option<Effort>,
    /// Whether the line that names the channels is there.
    pub channels: bool,
}

impl System {
    /// The system message that gpt-oss was trained with.
    pub fn gpt_oss(date: &str, effort: Effort) -> Self {
        Self {
            identity: Some("You are ChatGPT, a large language model trained by OpenAI.".into()),
            knowledge_cutoff: Some("2024-06".into()),
            date: Some(date.into()),
            effort: Some(effort),
            channels: true,
        }
    }

    /// The message's text, with a line about functions where the conversation has any.
    fn text(&self, functions: bool) -> String {
        let labelled = |label: &str, value: &Option<String>| {
            value.as_ref().map(|value| format!("{label}: {value}"))
        };
        let top: Vec<String> = [
            self.identity.clone(),
            labelled("Knowledge cutoff", &self.knowledge_cutoff),
            labelled("Current date", &self.date),
        ]
        .into_iter()
        .flatten()
        .collect();
        let sections = [
            (!top.is_empty()).then(|| top.join("\n")),
            self.effort.map(|effort| format!("Reasoning: {effort}")),
            self.channels.then(|| {
                let calls = match functions {
                    true => "\nCalls to these tools must go to the commentary channel: 'functions'.",
                    false => "",
                };
                format!("# Valid channels: analysis, commentary, final. Channel must be included for every message.{calls}")
            }),
        ];
        let sections: Vec<String> = sections.into_iter().flatten().collect();
        sections.join("\n\n")
    }
}

/// What the developer message says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Developer {
    /// What other formats call the system prompt.
    pub instructions: Option<String>,
    /// The functions that may be called.
    pub functions: Option<Namespace>,
}

impl From<String> for Developer {
    fn from(instructions: String) -> Self {
        Self {
            instructions: Some(instructions),
            functions: None,
        }
    }
}

impl Developer {
    fn text(&self) -> String {
        let instructions = self.instructions.as_ref();
        let instructions = instructions.map(|text| format!("# Instructions\n\n{text}"));
        let functions = self.functions.as_ref();
        let functions = functions.map(|text| format!("# Tools\n\n## functions\n\n{}", text.text()));
        let sections: Vec<String> = instructions.into_iter().chain(functions).collect();
        sections.join("\n\n")
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PromptMessage {
    /// Date, effort and channels.
    System(System),
    /// Instructions and functions.
    Developer(Developer),
    /// A question.
    User(String),
    /// An earlier answer: what stood on the final channel. The thoughts before it are not shown to the model again.
    Assistant(String),
    /// Thoughts that led to a call: while calls go on, the model sees them again.
    Thoughts(String),
    /// What was said to the reader before a call, on the commentary channel.
    Preamble(String),
    /// A call of a function.
    Call {
        /// The function, without its namespace.
        name: String,
        /// In JSON, as the model wrote them.
        arguments: String,
    },
    /// What a function answered.
    Answer {
        /// The function, without its namespace.
        name: String,
        /// Its answer.
        text: String,
    },
}

impl PromptMessage {
    /// The text after its header. `functions`: the conversation has some.
    fn content(&self, functions: bool) -> Cow<'_, str> {
        match self {
            Self::System(system) => system.text(functions).into(),
            Self::Developer(developer) => developer.text().into(),
            Self::User(text)
            | Self::Assistant(text)
            | Self::Thoughts(text)
            | Self::Preamble(text)
            | Self::Call {
                arguments: text, ..
            }
            | Self::Answer { text, .. } => text.into(),
        }
    }

    /// The texts in it that somebody else wrote.
    pub fn texts(&self) -> Vec<Cow<'_, str>> {
        match self {
            Self::System(_) => Vec::new(),
            Self::Call { name, .. } | Self::Answer { name, .. } => {
                vec![name.into(), self.content(false)]
            }
            _ => vec![self.content(false)],
        }
    }
}

/// A stretch of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PromptPart<'a> {
    /// One token.
    SpecialToken(SpecialToken),
    /// Ordinary text, encoded by itself.
    Text(Cow<'a, str>),
}

/// The parts of `messages`, up to and with the beginning of the answer.
pub fn conversation(messages: &[PromptMessage]) -> Vec<PromptPart<'_>> {
    let mut parts = Vec::with_capacity(messages.len() * 5 + 2);
    let functions = messages.iter().any(|message| match message {
        PromptMessage::Developer(developer) => developer.functions.is_some(),
        _ => false,
    });
    for message in messages {
        parts.push(PromptPart::SpecialToken(SpecialToken::Start));
        let end = header(message, &mut parts);
        parts.extend([
            PromptPart::SpecialToken(SpecialToken::Message),
            PromptPart::Text(message.content(functions)),
            PromptPart::SpecialToken(end),
        ]);
    }
    parts.extend([
        PromptPart::SpecialToken(SpecialToken::Start),
        text("assistant"),
    ]);
    parts
}

/// What stands before a message's text, and the special token after it.
fn header<'a>(message: &'a PromptMessage, parts: &mut Vec<PromptPart<'a>>) -> SpecialToken {
    let mut channel = |role: PromptPart<'a>, name: &'static str| {
        parts.extend([
            role,
            PromptPart::SpecialToken(SpecialToken::Channel),
            text(name),
        ]);
    };
    match message {
        PromptMessage::System(_) => parts.push(text("system")),
        PromptMessage::Developer(_) => parts.push(text("developer")),
        PromptMessage::User(_) => parts.push(text("user")),
        PromptMessage::Assistant(_) => channel(text("assistant"), "final"),
        PromptMessage::Thoughts(_) => channel(text("assistant"), "analysis"),
        PromptMessage::Preamble(_) => channel(text("assistant"), "commentary"),
        PromptMessage::Call { name, .. } => {
            let to = format!("assistant to=functions.{name}");
            channel(PromptPart::Text(to.into()), "commentary ");
            parts.extend([
                PromptPart::SpecialToken(SpecialToken::Constrain),
                text("json"),
            ]);
            return SpecialToken::Call;
        }
        PromptMessage::Answer { name, .. } => {
            let from = format!("functions.{name} to=assistant");
            channel(PromptPart::Text(from.into()), "commentary");
        }
    }
    SpecialToken::End
}

fn text(text: &'static str) -> PromptPart<'static> {
    PromptPart::Text(text.into())
}
