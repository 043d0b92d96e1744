//! MLCommons' default power figures, by names: Appendix D. The figures are in `mlperf_conf/endpoints.toml`, `[power]`.

use std::sync::LazyLock;

use regex::Regex;

use crate::rules::{rules, squashed};

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a fixed pattern, compiled by the tests")
}

/// Watts of a processor: by the words of its name, and its cores, which may be in the name too.
pub(super) fn cpu(model: Option<&str>, cores: Option<i128>) -> Option<f64> {
    static ARM: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"\b(?:grace|neoverse|arm|graviton|axion|ampere|altra|agi)\b"));
    static X86: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"\b(?:xeon|epyc|intel|amd|x86|x86_64)\b"));
    static CORES: LazyLock<Regex> = LazyLock::new(|| pattern(r"(\d+)[\s-]*core"));
    let model = ossmark_python::lower(model.filter(|model| !model.is_empty())?);
    let named = || crate::python::int_of_text(&CORES.captures(&model)?[1]);
    let cores = cores.or_else(named)?;
    let power = &rules().power;
    if ARM.is_match(&model) {
        (cores <= power.arm_cores.value).then_some(power.arm_w.value)
    } else if X86.is_match(&model) {
        let is_small = cores <= power.x86_cores.value;
        Some(if is_small {
            power.x86_small_w.value
        } else {
            power.x86_large_w.value
        })
    } else {
        None
    }
}

/// Watts of an accelerator.
pub(super) fn accelerator(model: Option<&str>) -> Option<f64> {
    let name = squashed(model?);
    let known = rules()
        .power
        .accelerators
        .value
        .iter()
        .find(|(part, _)| name.contains(part));
    known.map(|(_, watts)| *watts)
}

/// Watts of a switch with this cabling.
pub(super) fn switch(model: &str, cabling: &str) -> Option<f64> {
    let name = squashed(model);
    let known = rules()
        .power
        .switches
        .value
        .iter()
        .find(|switch| name.contains(&switch.name_has))?;
    match cabling {
        "passive" => Some(known.passive),
        _ => known.active_optical,
    }
}
