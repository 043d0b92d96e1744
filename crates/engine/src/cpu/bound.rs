//! What this machine's memory and arithmetic would allow at most, measured, and what a step of the model asks of them.

use std::hint::black_box;
use std::time::Instant;

use super::simd::Simd;
use crate::config::ModelConfig;
use crate::load_error::LoadError;
use crate::memory::zeroed;

/// Bytes that each thread reads: more than caches keep.
const READ: usize = 256 << 20;
/// Multiply-adds in each chain.
const CHAIN: usize = 20_000_000;
/// Each figure is the best of so many: a machine is never faster than it is.
const TRIES: usize = 3;

/// The most that this machine gave.
#[derive(Clone, Copy, Debug)]
pub struct CpuBound {
    /// Bytes a second of a read of memory, by all threads together.
    pub bytes_per_s: f64,
    /// Operations a second of independent chains of fused multiply-adds (two each) in registers, by all threads together.
    pub flops_per_s: f64,
}

/// What a step asks for, without attention, whose share depends on positions.
#[derive(Clone, Copy, Debug)]
pub struct StepWork {
    /// Of weights, each read once.
    pub bytes: f64,
    /// Two for each multiply-add.
    pub flops: f64,
}

impl StepWork {
    /// A step of `rows` rows, `logit_rows` of which get logits, when each expert is chosen as often as the others.
    #[must_use]
    pub fn new(c: &ModelConfig, rows: u32, logit_rows: u32) -> Self {
        let (rows, logit_rows) = (f64::from(rows), f64::from(logit_rows));
        let dense = (c.hidden * (c.qkv_dim() + c.q_dim() + c.experts)) as f64;
        let expert = (3 * c.hidden * c.intermediate) as f64;
        let (top_k, experts) = (c.top_k as f64, c.experts as f64);
        let read = experts * (1.0 - (1.0 - top_k / experts).powf(rows));
        let (layers, head) = (c.layers.len() as f64, (c.vocab_size * c.hidden) as f64);
        let head_bytes = if logit_rows > 0.0 { 2.0 * head } else { 0.0 };
        Self {
            bytes: layers * (2.0 * dense + read * expert * 17.0 / 32.0) + head_bytes,
            flops: 2.0 * (layers * rows * (dense + top_k * expert) + logit_rows * head),
        }
    }
}

impl CpuBound {
    /// Takes some seconds.
    ///
    /// # Errors
    /// [`LoadError::NoMemory`]; what [`Simd::from_environment`] says.
    pub fn measure(threads: usize) -> Result<Self, LoadError> {
        let simd = Simd::from_environment()?;
        let mut memory: Vec<Vec<u64>> = (0..threads)
            .map(|_| zeroed(READ / size_of::<u64>(), "the measurement of memory"))
            .collect::<Result<_, _>>()?;
        // Pages that were never written are all the same one.
        memory.iter_mut().for_each(|m| m.fill(1));
        let read = |i: usize| {
            black_box(black_box(&memory[i]).iter().fold(0_u64, |s, x| s ^ x));
        };
        let chain = |_| {
            black_box(simd.chains(CHAIN));
        };
        let bytes = (threads * READ) as f64;
        let flops = (threads * CHAIN * simd.chains_flops()) as f64;
        Ok(Self {
            bytes_per_s: bytes / best(threads, read),
            flops_per_s: flops / best(threads, chain),
        })
    }

    /// Seconds that a step takes at least.
    #[must_use]
    pub fn seconds(&self, work: &StepWork) -> f64 {
        (work.bytes / self.bytes_per_s).max(work.flops / self.flops_per_s)
    }
}

/// Seconds until all threads are done, at best.
fn best(threads: usize, work: impl Fn(usize) + Sync) -> f64 {
    let tries = (0..TRIES).map(|_| {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for i in 0..threads {
                let work = &work;
                scope.spawn(move || work(i));
            }
        });
        begun.elapsed().as_secs_f64()
    });
    tries.fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::gpt_oss_120b;

    #[test]
    fn work_of_gpt_oss_120b() {
        let c = gpt_oss_120b();
        let one = StepWork::new(&c, 1, 1);
        // The model's card: 5.1 billion active parameters.
        assert!((2.0 * 5.1e9..2.0 * 5.2e9).contains(&one.flops), "{one:?}");
        // Four of 128 experts, and everything else, in every layer.
        let experts = 36.0 * 4.0 * 3.0 * 2880.0 * 2880.0 * 17.0 / 32.0;
        let dense = 36.0 * 2.0 * 2880.0 * (5120.0 + 4096.0 + 128.0);
        let head = 2.0 * 2880.0 * 201_088.0;
        assert!(
            (one.bytes / (experts + dense + head) - 1.0).abs() < 1e-9,
            "{one:?}"
        );
        // So many rows need every expert.
        let many = StepWork::new(&c, 4096, 0);
        assert!(
            (many.bytes / (32.0 * experts + dense) - 1.0).abs() < 1e-6,
            "{many:?}"
        );
    }
}
