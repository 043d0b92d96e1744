//! Launches the kernels of `kernels/synthetic.cu`.

use crate::cuda::driver::{Device, Kernel, Memory};
use crate::ops::OpResult;
use crate::weights::Random;

#[repr(C)]
#[derive(Clone, Copy)]
struct SyntheticArgs {
    out: u64,
    n: u64,
    seed: u32,
    middle: f32,
    spread: f32,
    unused: u32,
}
const _: () =
    assert!(size_of::<SyntheticArgs>() == 32 && std::mem::offset_of!(SyntheticArgs, seed) == 16);

/// Which numbers are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    Bf16,
    Bytes,
    Scales,
}

/// Fills `n` elements from `offset` bytes on.
pub(crate) fn synthetic(
    d: &Device,
    numbers: Numbers,
    random: Random,
    to: &Memory,
    offset: usize,
    n: usize,
) -> OpResult {
    let (kernel, width) = match numbers {
        Numbers::Bf16 => (Kernel::SyntheticBf16, 2),
        Numbers::Bytes => (Kernel::SyntheticBytes, 1),
        Numbers::Scales => (Kernel::SyntheticScales, 1),
    };
    crate::cuda::buffer::check_count(
        "synthetic",
        "bytes",
        (offset + n * width).min(to.bytes()),
        offset + n * width,
    )?;
    let args = SyntheticArgs {
        out: to.at() + offset as u64,
        n: n as u64,
        seed: random.seed,
        middle: random.middle,
        spread: random.spread,
        unused: 0,
    };
    // SAFETY: the elements lie within `to`.
    unsafe { d.launch(kernel, ((n.div_ceil(256)).min(8192) as u32, 1), 256, &args) }
}
