//! Rotary position embedding with YaRN: the frequencies, computed once per model on the host.
//!
//! The rule is Hugging Face's `_compute_yarn_parameters`, on which the golden logits depend: without truncation the
//! ramp's ends stay fractional, and they are still clamped to `0 ..= head_dim - 1`.

/// How a longer context is reached from the one the model was first trained on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Yarn {
    /// Context length over original context length.
    pub factor: f64,
    /// Rotations over the original context above which a frequency is left alone.
    pub beta_fast: f64,
    /// Rotations below which a frequency is fully interpolated.
    pub beta_slow: f64,
    /// Positions of the original context.
    pub original_context: f64,
    /// Round the ramp's ends to whole dimensions (false in gpt-oss).
    pub truncate: bool,
    /// Replaces `0.1 ln(factor) + 1`.
    pub attention_factor: Option<f64>,
}

/// Llama 3's way to a longer context (Hugging Face's `_compute_llama3_parameters`): slow rotations are interpolated, fast ones
/// left alone, and those between them mixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Llama3 {
    /// Context length over original context length.
    pub factor: f64,
    /// Rotations over the original context up to which a frequency is fully interpolated.
    pub low_freq_factor: f64,
    /// Rotations from which it is left alone; more than `low_freq_factor`.
    pub high_freq_factor: f64,
    /// Positions of the original context.
    pub original_context: f64,
}

/// What a device needs to rotate a head: NeoX halves, element `i` with element `i + head_dim / 2`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Radians per position, `head_dim / 2` of them.
    pub inv_freq: Vec<f32>,
    /// Cosine and sine are multiplied by it, for queries and for keys.
    pub concentration: f32,
}

impl Rope {
    /// Frequencies for heads of `head_dim` (even) elements.
    #[must_use]
    pub fn new(head_dim: usize, theta: f64, yarn: Option<&Yarn>) -> Self {
        let half = head_dim / 2;
        let plain = |i: usize| theta.powf(2.0 * i as f64 / head_dim as f64).recip();
        let Some(yarn) = yarn else {
            return Self {
                inv_freq: (0..half).map(|i| plain(i) as f32).collect(),
                concentration: 1.0,
            };
        };
        let dim_of = |rotations: f64| {
            half as f64 * (yarn.original_context / (rotations * std::f64::consts::TAU)).ln()
                / theta.ln()
        };
        let (mut low, mut high) = (dim_of(yarn.beta_fast), dim_of(yarn.beta_slow));
        if yarn.truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        low = low.max(0.0);
        high = high.min((head_dim - 1) as f64);
        if low == high {
            high += 0.001;
        }
        let inv_freq = (0..half)
            .map(|i| {
                let interpolated = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
                let f = plain(i);
                (f / yarn.factor * interpolated + f * (1.0 - interpolated)) as f32
            })
            .collect();
        let by_length = if yarn.factor > 1.0 {
            0.1 * yarn.factor.ln() + 1.0
        } else {
            1.0
        };
        Self {
            inv_freq,
            concentration: yarn.attention_factor.unwrap_or(by_length) as f32,
        }
    }

    /// The same with Llama 3's scaling.
    #[must_use]
    pub fn llama3(head_dim: usize, theta: f64, scaling: &Llama3) -> Self {
        let scaled = |i: usize| {
            let plain = theta.powf(2.0 * i as f64 / head_dim as f64).recip();
            let rotations = scaling.original_context * plain / std::f64::consts::TAU;
            let (low, high) = (scaling.low_freq_factor, scaling.high_freq_factor);
            let kept = ((rotations - low) / (high - low)).clamp(0.0, 1.0);
            ((1.0 - kept) * plain / scaling.factor + kept * plain) as f32
        };
        Self {
            inv_freq: (0..head_dim / 2).map(scaled).collect(),
            concentration: 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpt_oss_120b_ramp_and_concentration() {
        let yarn = Yarn {
            factor: 32.0,
            beta_fast: 32.0,
            beta_slow: 1.0,
            original_context: 4096.0,
            truncate: false,
            attention_factor: None,
        };
        let (rope, plain) = (
            Rope::new(64, 150_000.0, Some(&yarn)),
            Rope::new(64, 150_000.0, None),
        );
        assert!((rope.concentration - 1.346_574).abs() < 1e-6);
        // The ramp runs from 8.0928 to 17.3980: 8 is untouched, 9 is not, 17 is nearly and 18 fully interpolated.
        assert_eq!(rope.inv_freq[8], plain.inv_freq[8]);
        let kept = |i: usize| (rope.inv_freq[i] * 32.0 / plain.inv_freq[i] - 1.0) / 31.0;
        assert!((kept(9) - (1.0 - (9.0 - 8.0928) / (17.398 - 8.0928))).abs() < 1e-4);
        assert!((kept(17) - (17.398 - 17.0) / (17.398 - 8.0928)).abs() < 1e-4);
        assert_eq!(
            rope.inv_freq[18],
            (f64::from(plain.inv_freq[18]) / 32.0) as f32
        );
    }

    /// The three parts, by Hugging Face's rule: wavelengths below 8192 / 4 are left alone, those above 8192 / 1 are 8 times as
    /// long.
    #[test]
    fn llama3_leaves_fast_rotations_alone() {
        let scaling = Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_context: 8192.0,
        };
        let (rope, plain) = (
            Rope::llama3(64, 500_000.0, &scaling),
            Rope::new(64, 500_000.0, None),
        );
        let wavelength = |i: usize| std::f64::consts::TAU / f64::from(plain.inv_freq[i]);
        for i in 0..32 {
            let share = f64::from(rope.inv_freq[i]) / f64::from(plain.inv_freq[i]);
            let smooth = (8192.0 / wavelength(i) - 1.0) / 3.0;
            let expected = match wavelength(i) {
                w if w < 2048.0 => 1.0,
                w if w > 8192.0 => 0.125,
                _ => (1.0 - smooth) / 8.0 + smooth,
            };
            assert!((share - expected).abs() < 1e-6, "{i}: {share} {expected}");
        }
        assert!(wavelength(13) < 2048.0 && wavelength(16) > 2048.0 && wavelength(18) > 8192.0);
        assert_eq!(rope.concentration, 1.0);
    }

    #[test]
    fn short_original_context_clamps_the_ramp() {
        let yarn = Yarn {
            factor: 8.0,
            beta_fast: 32.0,
            beta_slow: 1.0,
            original_context: 64.0,
            truncate: false,
            attention_factor: None,
        };
        let rope = Rope::new(64, 150_000.0, Some(&yarn));
        // Unclamped, the ramp would begin at -3.07 and already interpolate dimension 0.
        assert_eq!(rope.inv_freq[0], 1.0);
    }
}
