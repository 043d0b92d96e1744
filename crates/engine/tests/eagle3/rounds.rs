//! Each round's drafts and acceptances against a reference in PyTorch, with the target in Hugging Face's Transformers.

use std::collections::HashMap;

use ossmark_protocol::{Request, RequestId, Sampling, StopTokens, TokenId};
use serde_json::Value;

use crate::drive::{Run, all_heads, answers, golden, speculation};

/// Below this a draft or a choice may fall either way.
const TIE: f64 = 1e-3;

fn lines(file: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn tokens(value: &Value) -> Vec<TokenId> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn drafts_and_acceptances_are_those_of_the_reference() {
    for (checkpoint, head) in all_heads() {
        let model = golden(checkpoint);
        let goldens = lines(&model.join("golden.jsonl"));
        let request = |(id, line): (u64, &Value)| Request {
            id: RequestId(id),
            prompt: tokens(&line["input_tokens"]).into(),
            sampling: Sampling::GREEDY,
            seed: id,
            max_new_tokens: tokens(&line["greedy_f32"]).len() as u32,
            want_logits: false,
            stop_tokens: StopTokens::default(),
            ignore_eos: false,
        };
        let requests: Vec<_> = (0..).zip(&goldens).map(request).collect();
        let mut expected: HashMap<String, Vec<Value>> = HashMap::new();
        for round in lines(&head.join("rounds.jsonl")) {
            let id = round["id"].as_str().unwrap().to_owned();
            expected.entry(id).or_default().push(round);
        }
        // Together in small chunks, and one after the other.
        for (max_batch, max_chunk) in [(64, 7), (1, 512)] {
            let run = Run {
                max_batch,
                max_chunk,
                ..Run::with(&model, speculation(&head))
            };
            let found = answers(&run, &requests);
            for (request, line) in requests.iter().zip(&goldens) {
                let name = format!("{} {}", head.display(), line["id"]);
                let (generated, _) = &found.by_id[&request.id];
                assert_eq!(*generated, tokens(&line["greedy_f32"]), "{name}");
                let rounds = found.rounds.iter().filter(|r| r.id == request.id);
                let rounds: Vec<_> = rounds.collect();
                let expected = &expected[line["id"].as_str().unwrap()];
                assert_eq!(rounds.len(), expected.len(), "rounds of {name}");
                let end = request.prompt.len() + request.max_new_tokens as usize;
                for (round, expected) in rounds.iter().zip(expected) {
                    if expected["margin"].as_f64().unwrap() < TIE {
                        break;
                    }
                    // At the limit fewer are drafted: what came after them would be cut off.
                    let left = end - round.position as usize;
                    let drafted = tokens(&expected["drafted"]);
                    let drafted = &drafted[..drafted.len().min(left - 1)];
                    let accepted = expected["accepted"].as_u64().unwrap();
                    assert_eq!(
                        Some(u64::from(round.position)),
                        expected["position"].as_u64()
                    );
                    assert_eq!(round.drafted, drafted, "{name} at {}", round.position);
                    assert_eq!(
                        u64::from(round.accepted),
                        accepted.min(drafted.len() as u64),
                        "{name} at {}",
                        round.position
                    );
                }
            }
        }
    }
}
