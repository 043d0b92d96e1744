//! Choosing a token from a row of logits.

use super::lanes::exp;
use crate::executor::SampleSpec;
use crate::ops::{BAD_LOGITS, SAMPLE_BLOCK};
use ossmark_protocol::TokenId;

/// See [`crate::ops::Ops::sample`]. `logits` is used as scratch.
#[inline(always)]
pub(super) fn sample(logits: &mut [f32], spec: &SampleSpec) -> TokenId {
    if !logits.iter().fold(true, |ok, l| ok & l.is_finite()) {
        return BAD_LOGITS;
    }
    let max = logits
        .iter()
        .fold(f32::NEG_INFINITY, |m, l| if *l > m { *l } else { m });
    if spec.sampling.temperature <= 0.0 {
        return logits.iter().position(|l| *l == max).unwrap_or(0) as TokenId;
    }
    let temperature = spec.sampling.temperature;
    for l in logits.iter_mut() {
        *l = exp((*l - max) / temperature);
    }
    let weights = logits;
    keep_most_probable(
        weights,
        spec.sampling.top_k as usize,
        f64::from(spec.sampling.top_p),
    );
    invert(weights, f64::from(spec.uniform))
}

/// Sets the weights of all that top-k and top-p drop to zero.
fn keep_most_probable(weights: &mut [f32], top_k: usize, top_p: f64) {
    let limited = top_k > 0 && top_k < weights.len();
    if !limited && top_p >= 1.0 {
        return;
    }
    let mut order: Vec<u32> = (0..weights.len() as u32).collect();
    let by_weight = |a: &u32, b: &u32| {
        weights[*b as usize]
            .total_cmp(&weights[*a as usize])
            .then(a.cmp(b))
    };
    if limited {
        order.select_nth_unstable_by(top_k - 1, by_weight);
        order.truncate(top_k);
    }
    if top_p < 1.0 {
        order.sort_unstable_by(by_weight);
        let total: f64 = order.iter().map(|i| f64::from(weights[*i as usize])).sum();
        let mut sum = 0.0;
        let enough = order.iter().position(|i| {
            sum += f64::from(weights[*i as usize]);
            sum >= top_p * total
        });
        order.truncate(enough.map_or(order.len(), |last| last + 1));
    }
    order.sort_unstable();
    let mut kept = order.into_iter().peekable();
    for (i, w) in weights.iter_mut().enumerate() {
        if kept.next_if_eq(&(i as u32)).is_none() {
            *w = 0.0;
        }
    }
}

/// The first id where the running sum exceeds `uniform` of the total.
fn invert(weights: &[f32], uniform: f64) -> TokenId {
    let sum = |block: &[f32]| block.iter().map(|w| f64::from(*w)).sum::<f64>();
    let total: f64 = weights.chunks(SAMPLE_BLOCK).map(sum).sum();
    let target = uniform * total;
    let mut before = 0.0;
    for (b, block) in weights.chunks(SAMPLE_BLOCK).enumerate() {
        let after = before + sum(block);
        if after > target {
            let mut running = before;
            for (i, w) in block.iter().enumerate() {
                running += f64::from(*w);
                if running > target && *w > 0.0 {
                    return (b * SAMPLE_BLOCK + i) as TokenId;
                }
            }
        }
        before = after;
    }
    // Rounding can leave the sum just short of the target: then it is the last one kept.
    weights.iter().rposition(|w| *w > 0.0).unwrap_or(0) as TokenId
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::accepted;
    use crate::rng::RequestRng;
    use ossmark_protocol::Sampling;

    fn draw(logits: &[f32], temperature: f32, top_p: f32, top_k: u32, uniform: f32) -> TokenId {
        let spec = SampleSpec {
            sampling: Sampling {
                temperature,
                top_p,
                top_k,
            },
            uniform,
        };
        sample(&mut logits.to_vec(), &spec)
    }

    #[test]
    fn greedy_takes_the_lowest_id_of_equals() {
        assert_eq!(draw(&[1.0, 3.0, 2.0, 3.0], 0.0, 1.0, 0, 0.9), 1);
    }

    #[test]
    fn inverse_of_the_distribution_across_blocks() {
        let n = 2 * SAMPLE_BLOCK + 5;
        let logits = vec![0.25; n];
        for id in [
            0,
            1,
            SAMPLE_BLOCK - 1,
            SAMPLE_BLOCK,
            2 * SAMPLE_BLOCK,
            n - 1,
        ] {
            let uniform = ((id as f64 + 0.5) / n as f64) as f32;
            assert_eq!(draw(&logits, 1.0, 1.0, 0, uniform), id as TokenId);
        }
    }

    #[test]
    fn shares_follow_temperature() {
        // exp(ln 3 / t) : 1 is 3 : 1 at t = 1 and 9 : 1 at t = 0.5.
        let logits = [3_f32.ln(), 0.0];
        assert_eq!(
            (
                draw(&logits, 1.0, 1.0, 0, 0.74),
                draw(&logits, 1.0, 1.0, 0, 0.76)
            ),
            (0, 1)
        );
        assert_eq!(
            (
                draw(&logits, 0.5, 1.0, 0, 0.89),
                draw(&logits, 0.5, 1.0, 0, 0.91)
            ),
            (0, 1)
        );
    }

    #[test]
    fn top_k_then_top_p() {
        // Probabilities 0.1, 0.4, 0.2, 0.3.
        let logits = [0.1_f32, 0.4, 0.2, 0.3].map(f32::ln);
        assert_eq!(draw(&logits, 1.0, 1.0, 2, 0.99), 3);
        assert_eq!(draw(&logits, 1.0, 1.0, 2, 0.5), 1);
        assert_eq!(draw(&logits, 1.0, 0.39, 0, 0.99), 1);
        assert_eq!(draw(&logits, 1.0, 0.69, 0, 0.99), 3);
        assert_eq!(draw(&logits, 1.0, 0.72, 0, 0.5), 2);
        // Of the two that top-k keeps, the first alone has 4/7.
        assert_eq!(draw(&logits, 1.0, 0.57, 2, 0.99), 1);
        assert_eq!(draw(&logits, 1.0, 0.58, 2, 0.99), 3);
        // Equals: the lower ids stay.
        assert_eq!(draw(&[0.0; 4], 1.0, 1.0, 2, 0.99), 1);
    }

    #[test]
    fn logits_that_are_not_finite_are_refused() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(draw(&[0.0, bad, 1.0], 0.0, 1.0, 0, 0.5), BAD_LOGITS);
        }
    }

    /// A million tokens of rounds that draft one token thrice: each is as often as its probability says, by chi-square, and the
    /// drafted one is accepted as often as it is drawn.
    #[test]
    fn rounds_of_speculation_keep_the_distribution() {
        const DRAFTED: TokenId = 2;
        let logits = [0.3_f32, -1.0, 1.5, 0.0, 2.0, -0.5, 1.0, -2.0];
        let weights = logits.map(|l| f64::from(l).exp());
        let total: f64 = weights.iter().sum();
        let mut rng = RequestRng::new(17);
        let (mut counts, mut n) = ([0_u32; 8], 0);
        let (mut looked_at, mut taken) = (0_u32, 0_u32);
        while n < 1_000_000 {
            let chosen: Vec<_> = rng
                .of_tokens(n, 4)
                .map(|uniform| draw(&logits, 1.0, 1.0, 0, uniform))
                .collect();
            let accepted = accepted(&[DRAFTED; 3], &chosen);
            for token in &chosen[..=accepted] {
                counts[*token as usize] += 1;
            }
            looked_at += (accepted as u32 + 1).min(3);
            taken += accepted as u32;
            n += accepted as u32 + 1;
        }
        let chi_square: f64 = counts
            .iter()
            .zip(weights)
            .map(|(count, weight)| {
                let expected = f64::from(n) * weight / total;
                (f64::from(*count) - expected).powi(2) / expected
            })
            .sum();
        // 7 degrees of freedom: beyond this once in a thousand.
        assert!(chi_square < 24.3, "chi-square {chi_square}: {counts:?}");
        let probability = weights[DRAFTED as usize] / total;
        let found = f64::from(taken) / f64::from(looked_at);
        assert!((found - probability).abs() < 0.003, "{found} {probability}");
    }
}
