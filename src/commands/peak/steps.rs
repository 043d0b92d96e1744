//! Steps of an engine with what they computed and took, from the trace of a run (`run --trace`).

use std::path::Path;

use anyhow::{Context, Result};
use ossmark_files::Escaped;
use ossmark_predict::{Measured, Step};
use serde_json::Value;

/// The steps of the first engine, in order; none where the file has none.
pub(super) fn steps(trace: &Path) -> Result<Vec<Measured>> {
    let shown = || format!("{}: expected a trace", Escaped::path(trace));
    let text = ossmark_files::read(trace).with_context(shown)?;
    let events: Vec<Value> = serde_json::from_slice(&text).with_context(shown)?;
    Ok(events.iter().filter_map(step).collect())
}

fn step(event: &Value) -> Option<Measured> {
    if event["name"] != "step" || event["tid"] != 1 {
        return None;
    }
    let number = |name: &str| event["args"][name].as_u64();
    let (rows, prefill_tokens) = (number("rows")?, number("prefill")?);
    Some(Measured {
        step: Step {
            prefill_tokens,
            decode_rows: rows.checked_sub(prefill_tokens)?,
            context: number("context")?,
        },
        seconds: event["dur"].as_f64()? / 1e6,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_those_of_the_first_engine() {
        let tmp = tempfile::tempdir().unwrap();
        let file = tmp.path().join("trace.json");
        let step = |tid: u32, args: &str| {
            format!("{{\"name\":\"step\",\"tid\":{tid},\"dur\":1500.5,\"args\":{{{args}}}}}")
        };
        let whole = "\"rows\":12,\"prefill\":9,\"context\":40";
        let text = [
            step(1, whole),
            step(2, whole),
            step(1, "\"rows\":1,\"prefill\":9,\"context\":0"),
            step(1, "\"rows\":1"),
            "{\"name\":\"sample\"}".to_owned(),
        ];
        std::fs::write(&file, format!("[{}]", text.join(","))).unwrap();
        let found = steps(&file).unwrap();
        let expected = Measured {
            step: Step {
                prefill_tokens: 9,
                decode_rows: 3,
                context: 40,
            },
            seconds: 0.0015005,
        };
        assert_eq!(found, [expected]);
        std::fs::write(&file, "[").unwrap();
        assert!(steps(&file).is_err());
    }
}
