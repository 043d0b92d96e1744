//! Launches `kernels/mxfp4_repack.cu`.

use crate::cuda::buffer::check_count;
use crate::cuda::driver::{Device, Kernel, Memory, load_failed};
use crate::load_error::LoadError;
use crate::ops::OpResult;

#[repr(C)]
#[derive(Clone, Copy)]
struct RepackArgs {
    from_blocks: u64,
    from_scales: u64,
    blocks: u64,
    scales: u64,
    experts: u32,
    outs: u32,
    cols: u32,
    unused: u32,
}
const _: () =
    assert!(size_of::<RepackArgs>() == 48 && std::mem::offset_of!(RepackArgs, experts) == 32);

/// Rows and columns that lie together on the device (`MXFP4_SIDE`), and the bytes of their words and scales.
const SIDE: usize = 64;
const WORDS: usize = 2048;
const SCALES: usize = 128;

/// A matrix in MXFP4 for each of so many experts.
#[derive(Clone, Copy)]
pub(crate) struct PackedShape {
    pub(crate) experts: usize,
    pub(crate) outs: usize,
    pub(crate) cols: usize,
}

impl PackedShape {
    /// Groups of 32 elements, as shipped: 16 bytes and one of scale each.
    pub(crate) fn groups(self) -> usize {
        self.experts * self.outs * (self.cols / 32)
    }

    fn squares(self) -> usize {
        self.experts * self.outs.div_ceil(SIDE) * self.cols.div_ceil(SIDE)
    }

    /// Room for them in the kernels' order: blocks and scales.
    pub(crate) fn memory(self, d: &Device) -> Result<(Memory, Memory), LoadError> {
        Ok((
            d.memory("the experts", self.squares() * WORDS)?,
            d.memory("the experts' scales", self.squares() * SCALES)?,
        ))
    }
}

/// Puts matrices as shipped into the experts' kernels' order.
pub(crate) fn mxfp4_repack(
    d: &Device,
    shape: PackedShape,
    (from_blocks, from_scales): (&Memory, &Memory),
    (blocks, scales): (&Memory, &Memory),
) -> OpResult {
    let (op, groups, squares) = ("mxfp4_repack", shape.groups(), shape.squares());
    check_count(op, "bytes", from_blocks.bytes(), (groups * 16).max(16))?;
    check_count(op, "bytes of scales", from_scales.bytes(), groups.max(16))?;
    check_count(op, "bytes", blocks.bytes(), squares * WORDS)?;
    check_count(op, "bytes of scales", scales.bytes(), squares * SCALES)?;
    let args = RepackArgs {
        from_blocks: from_blocks.at(),
        from_scales: from_scales.at(),
        blocks: blocks.at(),
        scales: scales.at(),
        experts: shape.experts as u32,
        outs: shape.outs as u32,
        cols: shape.cols as u32,
        unused: 0,
    };
    let grid = (squares.min(65_536) as u32, 1);
    // SAFETY: the kernel reads groups of this shape and writes its squares, for which all four have room.
    unsafe { d.launch(Kernel::Mxfp4Repack, grid, 128, &args) }
}

/// What is on its way to the kernels' order; gone when it is there.
pub(crate) struct Shipped {
    pub(crate) blocks: Memory,
    pub(crate) scales: Memory,
    shape: PackedShape,
}

impl Shipped {
    pub(crate) fn new(d: &Device, shape: PackedShape) -> Result<Self, LoadError> {
        Ok(Self {
            blocks: d.memory("the experts on their way", shape.groups() * 16)?,
            scales: d.memory("the experts' scales on their way", shape.groups())?,
            shape,
        })
    }

    /// Into the kernels' order, once the bytes are there; waits, so that the room they took is free again.
    pub(crate) fn repack(self, d: &Device) -> Result<(Memory, Memory), LoadError> {
        let (blocks, scales) = self.shape.memory(d)?;
        mxfp4_repack(
            d,
            self.shape,
            (&self.blocks, &self.scales),
            (&blocks, &scales),
        )
        .and_then(|()| d.synchronize())
        .map_err(load_failed)?;
        Ok((blocks, scales))
    }
}
