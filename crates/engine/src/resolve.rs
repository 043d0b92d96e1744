//! From what an executor returned to what happened to each sequence. Pure: checks and splits, changes no state.

use crate::error::EngineError;
use crate::executor::StepTokens;
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
    if results.tokens.len() != n || results.logits.len() != n {
        let (tokens, logits) = (results.tokens.len(), results.logits.len());
        return broken(format!(
            "it returned {tokens} tokens and {logits} sets of logits for {n} sequences"
        ));
    }
    let mut out = Vec::with_capacity(n);
    for (seq, (token, mut logits)) in step
        .seqs
        .iter()
        .zip(results.tokens.into_iter().zip(results.logits))
    {
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
        let expected = seq.rows as usize * vocab_size as usize;
        if logits.len() != expected {
            let found = logits.len();
            return broken(format!(
                "it returned {found} logits for request {id}, expected {expected}"
            ));
        }
        logits.drain(..expected.min(seq.skip_rows as usize * vocab_size as usize));
        out.push(SeqStep {
            key: seq.key,
            token,
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
            rows,
            skip_rows,
        };
        InFlight {
            step: 3,
            handle: StepHandle(0),
            inputs: 0,
            seqs: vec![seq],
        }
    }

    fn results(token: Option<TokenId>, logits: Vec<f32>) -> StepTokens {
        StepTokens {
            tokens: vec![token],
            logits: vec![logits],
        }
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
