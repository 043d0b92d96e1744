//! Made-up steps for whoever looks at a device before it answers anything: enough rows for every kind of kernel, as far as the
//! capacity allows, some token at each place.

use std::ops::Range;

use super::thresholds::Thresholds;
use crate::config::ModelConfig;
use crate::executor::{BlockTable, Capacity, InputToken, SampleSpec, StepPlan, StepSeq};
use ossmark_protocol::Sampling;

/// Lengths on either side of what the kernels' tiles are, besides one long prompt.
const SHORT: [u32; 7] = [1, 2, 5, 9, 15, 16, 33];

/// Kernels and their tiles differ with the number of rows.
pub(super) fn steps(lengths: &[u32], capacity: &Capacity) -> [StepPlan; 4] {
    let half: Vec<u32> = lengths.iter().map(|n| n.div_ceil(2)).collect();
    let few = &lengths[lengths.len().min(1)..lengths.len().min(5)];
    [
        prompts(lengths, capacity),
        decode(lengths, capacity),
        prompts(&half, capacity),
        prompts(few, capacity),
    ]
}

/// Prompts, the longest first: enough rows in one step for every kind of kernel, as far as the limits allow.
pub(super) fn lengths(config: &ModelConfig, capacity: &Capacity) -> Option<Vec<u32>> {
    // A token and drafted ones come behind each.
    let behind = 1 + capacity.draft_tokens;
    let max = match capacity.max_context.saturating_sub(behind) {
        0 if capacity.draft_tokens > 0 => return None,
        n => n.max(1),
    };
    let short = SHORT.iter().take(capacity.max_seqs as usize - 1);
    let short: Vec<u32> = short.map(|n| *n.min(&max)).collect();
    let rows = Thresholds::counted(config).for_all() as u32 + 1;
    // Beyond the window, too.
    let long = rows.saturating_sub(short.iter().sum());
    let long = long.max(capacity.window.map_or(1, |w| w + 9)).min(max);
    let mut lengths = vec![long];
    lengths.extend(short);
    loop {
        let tables = u32::from(capacity.has_full) + u32::from(capacity.window.is_some());
        let blocks: u32 = lengths.iter().map(|n| blocks(*n, capacity) * tables).sum();
        if blocks <= capacity.n_blocks && lengths.iter().sum::<u32>() <= capacity.max_step_tokens {
            return Some(lengths);
        }
        if lengths[0] > SHORT[SHORT.len() - 1] {
            lengths[0] = lengths[0] * 3 / 4;
        } else if lengths.len() > 1 {
            lengths.pop();
        } else if lengths[0] > 1 {
            lengths[0] -= 1;
        } else {
            return None;
        }
    }
}

/// For a prompt, a token after it and drafted ones.
pub(super) fn blocks(length: u32, capacity: &Capacity) -> u32 {
    (length + 1 + capacity.draft_tokens).div_ceil(capacity.block_size)
}

/// So many rows, of as many sequences as there may be, each from its beginning; `None` where they do not fit.
pub(super) fn of_rows(rows: u32, capacity: &Capacity) -> Option<StepPlan> {
    let seqs = rows.min(capacity.max_seqs).max(1);
    let length = |i| rows / seqs + u32::from(i < rows % seqs);
    let lengths: Vec<u32> = (0..seqs).map(length).collect();
    let tables = u32::from(capacity.has_full) + u32::from(capacity.window.is_some());
    let needed: u32 = lengths.iter().map(|n| blocks(*n, capacity) * tables).sum();
    let fits = rows <= capacity.max_step_tokens
        && needed <= capacity.n_blocks
        && length(0) + 1 + capacity.draft_tokens <= capacity.max_context;
    fits.then(|| prompts(&lengths, capacity))
}

pub(super) fn prompts(lengths: &[u32], capacity: &Capacity) -> StepPlan {
    plan(lengths, capacity, |n| 0..n)
}

pub(super) fn decode(lengths: &[u32], capacity: &Capacity) -> StepPlan {
    plan(lengths, capacity, |n| n..n + 1)
}

/// A step with these positions of prompts of these lengths.
fn plan(lengths: &[u32], capacity: &Capacity, part: fn(u32) -> Range<u32>) -> StepPlan {
    let mut next = 0;
    let mut table = |wanted: bool, length: u32| {
        let n = if wanted { blocks(length, capacity) } else { 0 };
        next += n;
        BlockTable {
            first_block: 0,
            blocks: (next - n..next).collect(),
        }
    };
    // Some token, another one at each place.
    let token = |slot: u32, position: u32| {
        InputToken::Known(
            (position + 1)
                .wrapping_mul(7919)
                .wrapping_add(slot * 104_729)
                % capacity.vocab_size,
        )
    };
    let seq = |(slot, length): (u32, &u32)| StepSeq {
        slot,
        start: part(*length).start,
        inputs: part(*length).map(|p| token(slot, p)).collect(),
        full: table(capacity.has_full, *length),
        window: table(capacity.window.is_some(), *length),
        sample: Some(SampleSpec {
            sampling: Sampling::GREEDY,
            uniform: 0.0,
        }),
        want_logits: false,
        ..StepSeq::default()
    };
    StepPlan {
        seqs: (0..).zip(lengths).map(seq).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(n_blocks: u32, max_seqs: u32, max_step_tokens: u32, max_context: u32) -> Capacity {
        Capacity {
            n_blocks,
            block_size: 16,
            window: Some(128),
            has_full: true,
            max_step_tokens,
            max_seqs,
            max_context,
            vocab_size: 100,
            draft_tokens: 0,
        }
    }

    #[test]
    fn lengths_keep_every_limit() {
        let c = crate::weights::gpt_oss_120b();
        let all = lengths(&c, &capacity(1000, 256, 4096, 4096)).unwrap();
        assert_eq!(all.len(), 8);
        assert!(all.iter().sum::<u32>() as usize > Thresholds::counted(&c).for_all());
        assert!(all[0] > 128);
        for (n, seqs, step, context) in [
            (2, 1, 1, 1),
            (3, 4, 512, 40),
            (40, 3, 20, 64),
            (16, 8, 512, 9),
        ] {
            let capacity = capacity(n, seqs, step, context);
            let found = lengths(&c, &capacity).unwrap();
            assert!(found.len() <= seqs as usize);
            assert!(found.iter().sum::<u32>() <= step);
            assert!(found.iter().map(|n| 2 * blocks(*n, &capacity)).sum::<u32>() <= n);
            assert!(found.iter().all(|n| *n >= 1 && *n <= context));
        }
        assert_eq!(lengths(&c, &capacity(1, 4, 512, 512)), None);
    }
}
