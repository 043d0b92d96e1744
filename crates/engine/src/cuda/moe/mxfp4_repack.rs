//! Launches `kernels/mxfp4_repack.cu`.

use crate::cuda::driver::{Device, Kernel, Memory};
use crate::ops::OpResult;

#[repr(C)]
#[derive(Clone, Copy)]
struct RepackArgs {
    groups: u64,
    n: u64,
}
const _: () = assert!(size_of::<RepackArgs>() == 16);

/// Puts the nibbles of all MXFP4 groups of `blocks` into the experts' kernels' order.
pub(crate) fn mxfp4_repack(d: &Device, blocks: &Memory, groups: usize) -> OpResult {
    crate::cuda::buffer::check_count("mxfp4_repack", "bytes", blocks.bytes(), groups * 16)?;
    let args = RepackArgs {
        groups: blocks.at(),
        n: groups as u64,
    };
    let grid = ((groups.div_ceil(256)).min(8192) as u32, 1);
    // SAFETY: all groups lie within `blocks`; each is read and written by one thread.
    unsafe { d.launch(Kernel::Mxfp4Repack, grid, 256, &args) }
}
