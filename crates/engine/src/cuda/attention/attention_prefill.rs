//! Launches the kernels of `kernels/attention_prefill.cu`.

use super::args::{AttentionArgs, Operands};
use crate::cuda::driver::Kernel;
use crate::dtype::KvDtype;
use crate::ops::OpResult;

#[repr(C)]
#[derive(Clone, Copy)]
struct PrefillArgs {
    attention: AttentionArgs,
    from_rows: u32,
    unused: u32,
}
const _: () =
    assert!(size_of::<PrefillArgs>() == 120 && std::mem::offset_of!(PrefillArgs, from_rows) == 112);

/// Rows of the step that a block takes.
const ROWS: usize = 16;
/// Bytes of shared memory: two buffers of 64 keys and values.
const SHARED: u32 = 4 * 64 * 64 * 2;

/// For sequences with at least `from_rows` rows in this step; `attention_decode::takes` is the condition here too.
pub(crate) fn attention_prefill(operands: &Operands<'_>, from_rows: usize) -> OpResult {
    let c = &operands.context;
    let args = PrefillArgs {
        attention: operands.checked()?,
        from_rows: from_rows as u32,
        unused: 0,
    };
    let kernel = match c.pool.kv {
        KvDtype::AsActivations => Kernel::AttentionPrefill,
        KvDtype::Fp8 => Kernel::AttentionPrefillFp8,
    };
    let grid = (c.pool.kv_heads as u32, c.step.rows.div_ceil(ROWS) as u32);
    // SAFETY: as for `attention_reference`; the heads are those that the caller has checked; a sequence's rows lie together.
    unsafe { c.device.launch_shared(kernel, grid, 128, SHARED, &args) }
}
