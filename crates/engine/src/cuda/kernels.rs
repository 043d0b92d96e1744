//! The kernels by name, the one list of them. To add one: its file in `kernels/`, its launch beside the others of its family,
//! and a line here; where it is one of several for an operation, `select.rs` chooses.

/// What a kernel's launch needs to know of it.
macro_rules! kernels {
    ($($variant:ident = $name:literal in $module:literal,)*) => {
        /// Every kernel, by its name in `kernels/`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kernel { $($variant),* }

        /// Kernel, its name, and the file in `kernels/` that holds it, in the order of [`Kernel`].
        pub(crate) const KERNELS: &[(Kernel, &str, &str)] = &[$((Kernel::$variant, $name, $module)),*];
    };
}

kernels! {
    Embed = "embed" in "embed",
    Rmsnorm = "rmsnorm" in "rmsnorm",
    Add = "add" in "rmsnorm",
    AddRmsnorm = "add_rmsnorm" in "rmsnorm",
    LinearReference = "linear_reference" in "linear_reference",
    LinearMma = "linear_mma" in "linear_mma",
    LinearWgmma = "linear_wgmma" in "linear_wgmma",
    Rope = "rope" in "rope",
    RopeKv = "rope_kv" in "rope_kv",
    KvWrite = "kv_write" in "kv_write",
    AttentionReference = "attention_reference" in "attention_reference",
    AttentionDecode = "attention_decode" in "attention_decode",
    AttentionDecodeFp8 = "attention_decode_fp8" in "attention_decode",
    AttentionPrefill = "attention_prefill" in "attention_prefill",
    AttentionPrefillFp8 = "attention_prefill_fp8" in "attention_prefill",
    AttentionCombine = "attention_combine" in "attention_decode",
    TopkSoftmax = "topk_softmax" in "topk_softmax",
    Router = "router" in "router",
    MoeAlign = "moe_align" in "topk_softmax",
    MoeGateUpReference = "moe_gate_up_reference" in "moe_gate_up_reference",
    MoeGateUpMma = "moe_gate_up_mma" in "moe_gate_up_mma",
    MoeGateUpWgmma = "moe_gate_up_wgmma" in "moe_gate_up_wgmma",
    MoeDownMma = "moe_down_mma" in "moe_down_mma",
    MoeDownWgmma = "moe_down_wgmma" in "moe_down_wgmma",
    MoeDownReference = "moe_down_reference" in "moe_down_reference",
    MoeCombine = "moe_combine" in "moe_down_reference",
    Mxfp4Repack = "mxfp4_repack" in "mxfp4_repack",
    GatherRows = "gather_rows" in "gather_rows",
    Sample = "sample" in "sample",
    CopyColumns = "copy_columns" in "copy_rows",
    GatherStates = "gather_states" in "copy_rows",
    SiluMul = "silu_mul" in "silu_mul",
    DraftArgmax = "draft_argmax" in "draft_argmax",
    DraftArgmaxReference = "draft_argmax_reference" in "draft_argmax",
    DraftArgmaxWgmma = "draft_argmax_wgmma" in "draft_argmax_wgmma",
    DraftToken = "draft_token" in "draft_argmax",
    AcceptDrafts = "accept_drafts" in "accept_drafts",
    SyntheticBf16 = "synthetic_bf16" in "synthetic",
    SyntheticBytes = "synthetic_bytes" in "synthetic",
    SyntheticScales = "synthetic_scales" in "synthetic",
}
