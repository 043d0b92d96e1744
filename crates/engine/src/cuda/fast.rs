//! The kernels made for speed, for each of which another can stand in, and sets of them.

use std::fmt;
use std::str::FromStr;

use super::kernels::Kernel;

/// A kernel made for speed. Those of the experts' two products go together, for both work on one schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FastKernel {
    /// `linear_mma`
    LinearMma,
    /// `linear_wgmma`
    LinearWgmma,
    /// `rope_kv`
    RopeKv,
    /// `router`
    Router,
    /// `attention_prefill`
    AttentionPrefill,
    /// `attention_decode`
    AttentionDecode,
    /// `moe_gate_up_mma` and `moe_down_mma`
    MoeMma,
    /// `moe_gate_up_wgmma` and `moe_down_wgmma`
    MoeWgmma,
    /// `draft_argmax`
    DraftArgmax,
    /// `draft_argmax_wgmma`
    DraftArgmaxWgmma,
}

/// Each with its files in `kernels/` and its kernels. Where one operation may have had two of them, the one that is left out at
/// the least cost comes first.
static FAST: [(FastKernel, &[&str], &[Kernel]); 10] = [
    (FastKernel::LinearMma, &["linear_mma"], &[Kernel::LinearMma]),
    (
        FastKernel::LinearWgmma,
        &["linear_wgmma"],
        &[Kernel::LinearWgmma],
    ),
    (FastKernel::RopeKv, &["rope_kv"], &[Kernel::RopeKv]),
    (FastKernel::Router, &["router"], &[Kernel::Router]),
    (
        FastKernel::AttentionPrefill,
        &["attention_prefill"],
        &[Kernel::AttentionPrefill, Kernel::AttentionPrefillFp8],
    ),
    (
        FastKernel::AttentionDecode,
        &["attention_decode"],
        &[
            Kernel::AttentionDecode,
            Kernel::AttentionDecodeFp8,
            Kernel::AttentionCombine,
        ],
    ),
    (
        FastKernel::MoeMma,
        &["moe_gate_up_mma", "moe_down_mma"],
        &[Kernel::MoeGateUpMma, Kernel::MoeDownMma],
    ),
    (
        FastKernel::MoeWgmma,
        &["moe_gate_up_wgmma", "moe_down_wgmma"],
        &[Kernel::MoeGateUpWgmma, Kernel::MoeDownWgmma],
    ),
    (
        FastKernel::DraftArgmax,
        &["draft_argmax"],
        &[Kernel::DraftArgmax],
    ),
    (
        FastKernel::DraftArgmaxWgmma,
        &["draft_argmax_wgmma"],
        &[Kernel::DraftArgmaxWgmma],
    ),
];

impl FastKernel {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        FAST.iter().map(|(kernel, ..)| *kernel)
    }

    /// Its files in `kernels/`, without `.cu`; each is a name for it.
    #[must_use]
    pub fn files(self) -> &'static [&'static str] {
        FAST[self as usize].1
    }

    fn bit(self) -> u32 {
        1 << (self as u32)
    }
}

impl fmt::Display for FastKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.files().join(" and "))
    }
}

impl FromStr for FastKernel {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::all().find(|kernel| kernel.files().contains(&name));
        found.ok_or_else(|| {
            let names: Vec<_> = Self::all().flat_map(Self::files).copied().collect();
            format!("expected one of {}", names.join(", "))
        })
    }
}

/// Some of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelSet(u32);

impl KernelSet {
    /// These and one more.
    #[must_use]
    pub fn with(self, kernel: FastKernel) -> Self {
        Self(self.0 | kernel.bit())
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn contains(self, kernel: FastKernel) -> bool {
        self.0 & kernel.bit() != 0
    }

    /// How many.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// None.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each, in the order of [`FastKernel`].
    pub fn iter(self) -> impl Iterator<Item = FastKernel> {
        FastKernel::all().filter(move |kernel| self.contains(*kernel))
    }

    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    pub(crate) fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Those whose kernels have a bit in `launched`, by their place in [`Kernel`].
    pub(crate) fn of_launched(launched: u64) -> Self {
        let of = |kernels: &[Kernel]| kernels.iter().any(|k| (launched >> (*k as u32)) & 1 == 1);
        let launched = FAST.iter().filter(|(_, _, kernels)| of(kernels));
        launched.map(|(kernel, ..)| *kernel).collect()
    }
}

impl FromIterator<FastKernel> for KernelSet {
    fn from_iter<I: IntoIterator<Item = FastKernel>>(kernels: I) -> Self {
        kernels.into_iter().fold(Self::default(), Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_by_each_of_its_names() {
        for (place, (kernel, files, kernels)) in FAST.iter().enumerate() {
            assert_eq!(*kernel as usize, place);
            for file in *files {
                assert_eq!(file.parse::<FastKernel>(), Ok(*kernel));
            }
            for launched in *kernels {
                let found = KernelSet::of_launched(1 << (*launched as u32));
                assert_eq!(found, KernelSet::default().with(*kernel));
            }
        }
        let error = "embed".parse::<FastKernel>().unwrap_err();
        assert!(error.contains("linear_mma, linear_wgmma"), "{error}");
    }

    #[test]
    fn sets_hold_what_was_put_in() {
        let set: KernelSet = [FastKernel::Router, FastKernel::MoeMma]
            .into_iter()
            .collect();
        assert!(set.contains(FastKernel::Router) && !set.contains(FastKernel::RopeKv));
        assert_eq!((set.len(), set.is_empty()), (2, false));
        let names: Vec<_> = set.iter().map(|k| k.to_string()).collect();
        assert_eq!(names, ["router", "moe_gate_up_mma and moe_down_mma"]);
        assert_eq!(KernelSet::from_bits(set.bits()), set);
    }
}
