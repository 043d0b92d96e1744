//! From what an executor returned to what happened to each sequence. Pure: checks and splits, changes no state.

use crate::error::EngineError;
use crate::executor::{Draft, StepTokens};
use crate::in_flight::{InFlight, SeqStep};

/// Splits a step's results by sequence, or says in what the executor broke its contract.
pub(crate) fn resolve(
    step: &InFlight,
    results: StepTokens,
    vocab_size: u32,
) -> Result<Vec<SeqStep>, EngineError> {
    let broken = |what: String| {
        Err(EngineError::BadStep {
            step: step.step,
            what,
        })
    };
    let n = step.seqs.len();
    let mut drafts = results.drafts;
    if drafts.is_empty() {
        drafts.resize(n, Draft::default());
    }
    if results.tokens.len() != n || results.logits.len() != n || drafts.len() != n {
        let (tokens, logits) = (results.tokens.len(), results.logits.len());
        return broken(format!(
            "it returned {tokens} tokens and {logits} sets of logits for {n} sequences"
        ));
    }
    let mut out = Vec::with_capacity(n);
    let parts = results.tokens.into_iter().zip(results.logits).zip(drafts);
    for (seq, ((token, mut logits), draft)) in step.seqs.iter().zip(parts) {
        let id = seq.id.0;
        match token {
            Some(token) if token >= vocab_size => {
                return broken(format!(
                    "it sampled token {token} for request {id}, outside the vocabulary of {vocab_size}"
                ));
            }
            _ if token.is_some() != seq.samples => {
                let (asked, got) = if seq.samples {
                    ("one", "none")
                } else {
                    ("no", "one")
                };
                return broken(format!(
                    "{asked} token was asked for request {id}, it returned {got}"
                ));
            }
            _ => {}
        }
        let (asked, drafted) = (seq.drafts.unwrap_or(0) as usize, draft.tokens.len());
        if drafted != asked || draft.accepted as usize > drafted {
            let accepted = draft.accepted;
            return broken(format!(
                "it drafted {drafted} tokens for request {id} and accepted {accepted}, asked for {asked}"
            ));
        }
        if let Some(token) = draft.tokens.iter().find(|token| **token >= vocab_size) {
            return broken(format!(
                "it drafted token {token} for request {id}, outside the vocabulary of {vocab_size}"
            ));
        }
        let expected = seq.rows as usize * vocab_size as usize;
        if logits.len() != expected {
            let found = logits.len();
            return broken(format!(
                "it returned {found} logits for request {id}, expected {expected}"
            ));
        }
        // The rows of drafted tokens that were refused are of no text.
        let refused = (drafted - draft.accepted as usize) * vocab_size as usize;
        logits.truncate(expected.saturating_sub(refused));
        logits.drain(
            ..logits
                .len()
                .min(seq.skip_rows as usize * vocab_size as usize),
        );
        out.push(SeqStep {
            key: seq.key,
            token,
            draft: seq.drafts.map(|_| draft),
            start: seq.start,
            logits,
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::StepHandle;
    use crate::in_flight::{InFlightSeq, SeqKey};
    use ossmark_protocol::{RequestId, TokenId};

    fn step(samples: bool, rows: u32, skip_rows: u32) -> InFlight {
        let seq = InFlightSeq {
            key: SeqKey(0),
            id: RequestId(7),
            samples,
            drafts: None,
            start: 0,
            rows,
            skip_rows,
        };
        InFlight {
            step: 3,
            handle: StepHandle(0),
            rows: 0,
            prefill_tokens: 0,
            context: 0,
            seqs: vec![seq],
        }
    }

    fn results(token: Option<TokenId>, logits: Vec<f32>) -> StepTokens {
        StepTokens {
            tokens: vec![token],
            drafts: Vec::new(),
            logits: vec![logits],
        }
    }

    #[test]
    fn logits_of_refused_drafts_are_dropped_and_a_broken_draft_is_named() {
        let mut round = step(true, 3, 1);
        round.seqs[0].drafts = Some(2);
        let results = |tokens: Vec<TokenId>, accepted| StepTokens {
            drafts: vec![Draft { tokens, accepted }],
            ..results(Some(1), vec![0.0, 0.1, 1.0, 1.1, 2.0, 2.1])
        };
        let out = resolve(&round, results(vec![0, 1], 1), 2).unwrap();
        assert_eq!(out[0].logits, [1.0, 1.1]);
        let draft = out[0].draft.as_ref().unwrap();
        assert_eq!((&draft.tokens[..], draft.accepted), (&[0, 1][..], 1));
        let message = |results| resolve(&round, results, 2).err().unwrap().to_string();
        assert!(message(results(vec![0], 0)).contains("drafted 1 tokens"));
        assert!(message(results(vec![0, 1], 3)).contains("accepted 3, asked for 2"));
        assert!(message(results(vec![0, 2], 0)).contains("drafted token 2 for request 7"));
    }

    #[test]
    fn rows_that_were_delivered_before_are_dropped() {
        let out = resolve(
            &step(true, 3, 2),
            results(Some(1), vec![0.0, 0.1, 1.0, 1.1, 2.0, 2.1]),
            2,
        )
        .unwrap();
        assert_eq!(
            (out[0].token, &out[0].logits[..]),
            (Some(1), &[2.0, 2.1][..])
        );
    }

    #[test]
    fn a_broken_contract_is_named() {
        let message =
            |step: &InFlight, results| resolve(step, results, 2).err().unwrap().to_string();
        assert!(
            message(&step(true, 0, 0), results(Some(2), vec![]))
                .contains("token 2 for request 7, outside the vocabulary of 2")
        );
        assert!(message(&step(true, 0, 0), results(None, vec![])).contains("one token was asked"));
        assert!(
            message(&step(false, 0, 0), results(Some(1), vec![])).contains("no token was asked")
        );
        assert!(
            message(&step(false, 2, 0), results(None, vec![0.0; 3]))
                .contains("3 logits for request 7, expected 4")
        );
        assert!(message(&step(true, 0, 0), StepTokens::default()).contains("0 tokens"));
    }
}
