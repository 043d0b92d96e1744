//! Nothing that a text holds becomes a special token, in the demo's vocabulary and in the real one.

use ossmark_harmony::{Effort, Harmony, PromptMessage, System};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{demo, vocabulary::o200k};

const NAMES: [&str; 14] = [
    "<|start|>",
    "<|end|>",
    "<|message|>",
    "<|channel|>",
    "<|constrain|>",
    "<|return|>",
    "<|call|>",
    "<|endofprompt|>",
    "<|endoftext|>",
    "<|startoftext|>",
    "<|reserved_200000|>",
    "<|reserved_200013|>",
    "<|reserved_201087|>",
    "<|fim_middle|>",
];

fn check(harmony: &Harmony, text: &str) {
    let vocabulary = harmony.tokenizer().vocabulary();
    let ids = harmony.tokenizer().encode_text(text).unwrap();
    assert!(
        ids.iter().all(|&id| !vocabulary.is_added(id)),
        "{text:?}: {ids:?}"
    );
    assert_eq!(harmony.tokenizer().decode(&ids), text);
    // Every special token of a prompt is one that the renderer put there.
    let turns = |text: &str| {
        [
            PromptMessage::System(System::gpt_oss("2025-09-30", Effort::High)),
            PromptMessage::Developer(text.to_owned().into()),
            PromptMessage::User(text.into()),
        ]
    };
    let specials = |ids: Vec<u32>| {
        ids.into_iter()
            .filter(|&id| vocabulary.is_added(id))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        specials(harmony.prompt(&turns(text)).unwrap()),
        specials(harmony.prompt(&turns("x")).unwrap())
    );
}

#[test]
fn names_of_control_tokens_are_text() {
    for harmony in [o200k(), &demo()] {
        for name in NAMES {
            check(harmony, name);
            check(harmony, &format!("{name}{name} {name}\n"));
        }
        let all: String = NAMES.concat();
        check(harmony, &all);
        // Whoever may write special tokens has another way.
        let trusted = harmony
            .tokenizer()
            .encode_with_control_tokens("<|start|>")
            .unwrap();
        assert!(
            harmony.tokenizer().vocabulary().is_added(trusted[0]),
            "{trusted:?}"
        );
    }
}

/// Names, pieces of names and other text, in any order.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        select(NAMES.to_vec()).prop_map(str::to_owned),
        select(vec![
            "<|",
            "|>",
            "<",
            "|",
            ">",
            "start",
            "end",
            "message",
            " ",
            "\n",
            "\u{200b}",
            "assistant",
            "Ġ",
            "é"
        ])
        .prop_map(str::to_owned),
        ".{0,8}",
    ];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_a_control_token(text in hostile()) {
        check(o200k(), &text);
        thread_local!(static DEMO: Harmony = demo());
        DEMO.with(|demo| check(demo, &text));
    }
}
