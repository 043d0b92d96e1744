//! Every conversation and answer of fixtures/harmony.json, which openai-harmony wrote (fixtures/make_harmony.py).

use ossmark_harmony::{
    Channel, Developer, Effort, Harmony, PromptMessage, PromptPart, System, conversation, parse,
};
use serde::Deserialize;

use crate::functions::{Offered, namespace};
use crate::{demo, vocabulary::o200k};

#[derive(Deserialize)]
struct Fixture {
    conversations: Vec<Case>,
    answers: Vec<Answer>,
}

#[derive(Deserialize)]
struct Case {
    turns: Vec<Written>,
    pieces: Vec<WrittenPart>,
    o200k_harmony: Vec<u32>,
    demo: Vec<u32>,
}

#[derive(Deserialize, Debug)]
#[serde(tag = "role", rename_all = "lowercase")]
enum Written {
    System {
        identity: Option<String>,
        knowledge_cutoff: Option<String>,
        date: Option<String>,
        effort: Option<Effort>,
        channels: bool,
    },
    Developer {
        text: Option<String>,
        #[serde(default)]
        functions: Vec<Offered>,
    },
    User {
        text: String,
    },
    Assistant {
        text: String,
    },
    Thoughts {
        text: String,
    },
    Preamble {
        text: String,
    },
    Call {
        name: String,
        text: String,
    },
    Answer {
        name: String,
        text: String,
    },
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(rename_all = "lowercase")]
enum WrittenPart {
    Control(String),
    Text(String),
}

#[derive(Deserialize)]
struct Answer {
    answer: String,
    messages: Vec<WrittenMessage>,
}

#[derive(Deserialize)]
struct WrittenMessage {
    channel: Option<String>,
    recipient: Option<String>,
    text: String,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../fixtures/harmony.json")).unwrap()
}

fn turn(written: &Written) -> PromptMessage {
    match written {
        Written::System {
            identity,
            knowledge_cutoff,
            date,
            effort,
            channels,
        } => PromptMessage::System(System {
            identity: identity.clone(),
            knowledge_cutoff: knowledge_cutoff.clone(),
            date: date.clone(),
            effort: *effort,
            channels: *channels,
        }),
        Written::Developer { text, functions } => PromptMessage::Developer(Developer {
            instructions: text.clone(),
            functions: namespace(functions).unwrap(),
        }),
        Written::User { text } => PromptMessage::User(text.clone()),
        Written::Assistant { text } => PromptMessage::Assistant(text.clone()),
        Written::Thoughts { text } => PromptMessage::Thoughts(text.clone()),
        Written::Preamble { text } => PromptMessage::Preamble(text.clone()),
        Written::Call { name, text } => PromptMessage::Call {
            name: name.clone(),
            arguments: text.clone(),
        },
        Written::Answer { name, text } => PromptMessage::Answer {
            name: name.clone(),
            text: text.clone(),
        },
    }
}

fn efforts(case: &Case) -> Option<Effort> {
    case.turns.iter().find_map(|turn| match turn {
        Written::System { effort, .. } => *effort,
        _ => None,
    })
}

#[test]
fn control_tokens_and_texts_are_those_of_openai_harmony() {
    for case in fixture().conversations {
        let turns: Vec<PromptMessage> = case.turns.iter().map(turn).collect();
        let pieces: Vec<WrittenPart> = conversation(&turns)
            .into_iter()
            .filter(|piece| *piece != PromptPart::Text("".into()))
            .map(|piece| match piece {
                PromptPart::SpecialToken(control) => WrittenPart::Control(control.text().into()),
                PromptPart::Text(text) => WrittenPart::Text(text.into_owned()),
            })
            .collect();
        assert_eq!(pieces, case.pieces);
    }
}

#[test]
fn ids_are_those_of_openai_harmony_for_every_effort() {
    let fixture = fixture();
    for effort in [Effort::Low, Effort::Medium, Effort::High] {
        let cases = fixture
            .conversations
            .iter()
            .filter(|c| efforts(c) == Some(effort));
        let mut seen = 0;
        for case in cases {
            ids(o200k(), case, &case.o200k_harmony);
            ids(&demo(), case, &case.demo);
            seen += 1;
        }
        assert!(seen >= 16, "{effort}: {seen} conversations");
    }
    for case in fixture
        .conversations
        .iter()
        .filter(|c| efforts(c).is_none())
    {
        ids(o200k(), case, &case.o200k_harmony);
        ids(&demo(), case, &case.demo);
    }
}

#[track_caller]
fn ids(harmony: &Harmony, case: &Case, expected: &[u32]) {
    let turns: Vec<PromptMessage> = case.turns.iter().map(turn).collect();
    assert_eq!(
        harmony.prompt(&turns).unwrap(),
        expected,
        "{:?}",
        case.turns
    );
}

#[test]
fn the_system_message_of_the_model_is_openai_harmonys() {
    let with = |effort| {
        vec![
            PromptMessage::System(System::gpt_oss("2025-09-30", effort)),
            PromptMessage::User("What is 75+23?".into()),
        ]
    };
    let fixture = fixture();
    for effort in [Effort::Low, Effort::Medium, Effort::High] {
        let ids = o200k().prompt(&with(effort)).unwrap();
        assert_eq!(
            fixture
                .conversations
                .iter()
                .filter(|c| c.o200k_harmony == ids)
                .count(),
            1,
            "{effort}"
        );
    }
}

#[test]
fn answers_are_parsed_as_openai_harmony_parses_them() {
    for harmony in [o200k(), &demo()] {
        for Answer { answer, messages } in fixture().answers {
            let ids = harmony
                .tokenizer()
                .encode_with_control_tokens(&answer)
                .unwrap();
            let parsed = parse(harmony.parser(), &ids);
            assert_eq!(parsed.len(), messages.len(), "{answer}");
            for (found, expected) in parsed.iter().zip(&messages) {
                let channel = match expected.channel.as_deref() {
                    Some("analysis") => Channel::Analysis,
                    Some("commentary") => Channel::Commentary,
                    Some("final") | None => Channel::Final,
                    Some(_) => Channel::Other,
                };
                assert_eq!(found.header.channel, channel, "{answer}");
                assert_eq!(found.header.recipient, expected.recipient, "{answer}");
                assert_eq!(found.text, expected.text, "{answer}");
            }
        }
    }
}
