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
    Linear = "linear" in "linear",
    LinearThin = "linear_thin" in "linear_thin",
    LinearWide = "linear_wide" in "linear_wide",
    Rope = "rope" in "rope",
    RopeKv = "rope_kv" in "rope_kv",
    KvWrite = "kv_write" in "kv_write",
    Attention = "attention" in "attention",
    AttentionPacked = "attention_packed" in "attention_packed",
    AttentionPackedFp8 = "attention_packed_fp8" in "attention_packed",
    AttentionPrefill = "attention_prefill" in "attention_prefill",
    AttentionPrefillFp8 = "attention_prefill_fp8" in "attention_prefill",
    AttentionCombine = "attention_combine" in "attention_packed",
    Route = "route" in "route",
    Router = "router" in "router",
    Schedule = "schedule" in "route",
    ExpertsUp = "experts_up" in "experts_up",
    ExpertsUpThin = "experts_up_thin" in "experts_up_thin",
    ExpertsUpWide = "experts_up_wide" in "experts_up_wide",
    ExpertsDownThin = "experts_down_thin" in "experts_down_thin",
    ExpertsDownWide = "experts_down_wide" in "experts_down_wide",
    ExpertsDown = "experts_down" in "experts_down",
    Combine = "combine" in "experts_down",
    ExpertsPack = "experts_pack" in "experts_pack",
    GatherRows = "gather_rows" in "gather_rows",
    Sample = "sample" in "sample",
    SyntheticBf16 = "synthetic_bf16" in "synthetic",
    SyntheticBytes = "synthetic_bytes" in "synthetic",
    SyntheticScales = "synthetic_scales" in "synthetic",
}
