//! Prompt templates as data: a TOML file, the built-in one in `templates.toml`, where the format is explained.

use std::{collections::BTreeMap, path::Path};

use ossmark_harmony::{Effort, System};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A template file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Templates {
    /// The system message of every prompt.
    #[serde(default)]
    system: SystemTemplate,
    kind: BTreeMap<String, Template>,
    /// sha256 of the file's text, in lower-case hex.
    #[serde(skip)]
    pub(crate) sha256: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SystemTemplate {
    identity: Option<String>,
    knowledge_cutoff: Option<String>,
    date: bool,
    channels: bool,
}

/// What is written around a question of one kind.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// How a row is read.
    pub reader: Reader,
    /// How often each question is asked, unless the recipe says otherwise.
    pub repeats: u32,
    /// How many questions the publisher's files hold, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub questions: Option<usize>,
    /// Instructions in the developer message; without them there is no such message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub developer: Option<String>,
    /// The user message, with the question's parts in braces.
    pub user: String,
    /// Where the wording comes from.
    pub source: String,
}

/// How a row is read, and which parts a question of it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reader {
    /// A question and its answer as they are.
    Question,
    /// A question and a whole number from 0 to 999.
    Integer,
    /// GPQA's csv.
    Choices,
    /// LiveCodeBench's jsonl.
    Code,
}

impl Reader {
    /// The names that stand in braces in a template, in the order of a question's parts.
    pub(crate) fn parts(self) -> &'static [&'static str] {
        match self {
            Self::Question | Self::Integer => &["{question}"],
            Self::Choices => &[
                "{question}",
                "{choice1}",
                "{choice2}",
                "{choice3}",
                "{choice4}",
            ],
            Self::Code => &["{question}", "{starter_code}"],
        }
    }
}

impl Templates {
    /// The built-in file.
    pub fn built_in() -> Self {
        let name = Path::new("templates.toml");
        Self::parse(include_str!("../templates.toml"), name)
            .expect("the built-in templates are part of the program and parsed by its tests")
    }

    /// Reads and checks a template file.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Settings`].
    pub fn load(path: &Path) -> Result<Self> {
        let text = ossmark_files::read_to_string(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path)
    }

    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self> {
        let refuse = |what: String| Error::Settings {
            path: path.to_owned(),
            what,
        };
        let mut templates: Self =
            toml::from_str(text).map_err(|e| refuse(e.to_string().trim_end().into()))?;
        for (kind, template) in &templates.kind {
            let missing = |part: &&&str| !template.user.contains(**part);
            if let Some(part) = template.reader.parts().iter().find(missing) {
                return Err(refuse(format!(
                    "kind {kind}: user has no {part}, which its reader gives"
                )));
            }
            if template.repeats == 0 {
                return Err(refuse(format!(
                    "kind {kind}: repeats is 0; expected at least 1"
                )));
            }
        }
        templates.sha256 = crate::manifest::sha256(text.as_bytes());
        Ok(templates)
    }

    /// A kind's template, or the names of those that there are.
    pub fn kind(&self, name: &str) -> Result<&Template, String> {
        self.kind.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.kind.keys().map(String::as_str).collect();
            format!("no template of this kind; there are: {}", known.join(", "))
        })
    }

    /// The system message.
    pub(crate) fn system(&self, date: &str, effort: Effort) -> System {
        let system = &self.system;
        System {
            identity: system.identity.clone(),
            knowledge_cutoff: system.knowledge_cutoff.clone(),
            date: system.date.then(|| date.to_owned()),
            effort: Some(effort),
            channels: system.channels,
        }
    }
}

impl Template {
    /// The user message. In one pass: what stands in a question is never taken for a part's name.
    pub(crate) fn fill(&self, parts: &[String]) -> String {
        let names = self.reader.parts();
        let mut text =
            String::with_capacity(self.user.len() + parts.iter().map(String::len).sum::<usize>());
        let mut rest = self.user.as_str();
        while let Some(brace) = rest.find('{') {
            text.push_str(&rest[..brace]);
            rest = &rest[brace..];
            let found = names
                .iter()
                .zip(parts)
                .find(|(name, _)| rest.starts_with(**name));
            let taken = match found {
                Some((name, part)) => {
                    text.push_str(part);
                    name.len()
                }
                None => {
                    text.push('{');
                    1
                }
            };
            rest = &rest[taken..];
        }
        text.push_str(rest);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_file_holds_the_benchmarks_kinds() {
        let templates = Templates::built_in();
        let of = |kind| templates.kind(kind).unwrap();
        let repeats = ossmark_repeats();
        for (kind, questions) in [
            ("aime25", 30),
            ("gpqa_diamond", 198),
            ("livecodebench_v6", 1055),
        ] {
            assert_eq!(of(kind).questions, Some(questions));
            assert_eq!(of(kind).repeats, repeats[kind], "{kind}");
        }
        let system = templates.system("2025-09-30", Effort::High);
        assert_eq!(system, System::gpt_oss("2025-09-30", Effort::High));
        assert!(
            templates
                .kind("aime")
                .unwrap_err()
                .contains("aime1983, aime25, gpqa_diamond")
        );
    }

    fn ossmark_repeats() -> &'static BTreeMap<String, u32> {
        &ossmark_rules::rules().accuracy.repeats.value
    }

    #[test]
    fn parts_are_filled_in_once() {
        let template = Template {
            reader: Reader::Code,
            repeats: 1,
            questions: None,
            developer: None,
            user: "a {question} \\boxed{} {{starter_code}} {other} {".into(),
            source: String::new(),
        };
        let parts = ["{starter_code} {question}".to_owned(), "x".to_owned()];
        assert_eq!(
            template.fill(&parts),
            "a {starter_code} {question} \\boxed{} {x} {other} {"
        );
    }

    #[test]
    fn mistakes_are_named() {
        let kind = |fields: &str| format!("[kind.a]\nsource = \"\"\n{fields}");
        for (text, expected) in [
            (
                kind("reader = \"question\"\nrepeats = 1\nuser = \"{questoin}\""),
                "kind a: user has no {question}",
            ),
            (
                kind(
                    "reader = \"choices\"\nrepeats = 1\nuser = \"{question}{choice1}{choice2}{choice3}\"",
                ),
                "no {choice4}",
            ),
            (
                kind("reader = \"question\"\nrepeats = 0\nuser = \"{question}\""),
                "repeats is 0",
            ),
            (
                kind("reader = \"poem\"\nrepeats = 1\nuser = \"\""),
                "unknown variant `poem`",
            ),
            (
                kind("reader = \"question\"\nrepeats = 1"),
                "missing field `user`",
            ),
        ] {
            let error = Templates::parse(&text, Path::new("t.toml"))
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with("t.toml: ") && error.contains(expected),
                "{error}"
            );
        }
    }
}
