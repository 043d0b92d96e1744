//! What people write in descriptions, as numbers and names that can be compared. Pure.

use serde_json::Value;

/// A value as a text; none where it is empty.
pub(super) fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    (!text.is_empty()).then_some(text)
}

/// The first number in a text: 2 of `2x 100GbE`.
pub(super) fn first_number(text: &str) -> Option<f64> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let mut parts = text[start..].split(|c: char| !(c.is_ascii_digit() || c == '.'));
    parts.next()?.trim_end_matches('.').parse().ok()
}

/// Bytes of `2 TB`, `141GB`, `1.5 TiB`.
pub(super) fn capacity(text: &str) -> Option<f64> {
    let number = first_number(text)?;
    let text = text.to_lowercase();
    let units = [
        ("tib", 1_099_511_627_776.0),
        ("gib", 1_073_741_824.0),
        ("mib", 1_048_576.0),
        ("tb", 1e12),
        ("gb", 1e9),
        ("mb", 1e6),
    ];
    let unit = units.iter().find(|(unit, _)| text.contains(unit));
    unit.map(|(_, bytes)| number * bytes)
}

/// MHz of `1980 MHz`, `1.98GHz`.
pub(super) fn megahertz(text: &str) -> Option<f64> {
    let number = first_number(text)?;
    match text.to_lowercase() {
        text if text.contains("ghz") => Some(number * 1000.0),
        text if text.contains("mhz") => Some(number),
        _ => None,
    }
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// Beside the number of a model: capacities, kinds of memory and of slots, counts.
fn is_model(word: &str) -> bool {
    let ends = [
        "gb", "tb", "gib", "ghz", "mhz", "core", "w", "th", "nd", "rd",
    ];
    let begins = ["hbm", "gddr", "ddr", "pcie", "gen", "sxm"];
    word.len() >= 3
        && word.bytes().any(|b| b.is_ascii_digit())
        && !ends.iter().any(|end| word.ends_with(end))
        && !begins.iter().any(|begin| word.starts_with(begin))
}

/// Whether two names are of one product: their model numbers are, or where there are none all words of one are in the other.
pub(super) fn same_model(stated: &str, found: &str) -> bool {
    let (stated, found) = (words(stated), words(found));
    let numbers = |words: &[String]| -> Vec<String> {
        words
            .iter()
            .filter(|word| is_model(word))
            .cloned()
            .collect()
    };
    let (a, b) = (numbers(&stated), numbers(&found));
    if !a.is_empty() && !b.is_empty() {
        return a.iter().any(|word| b.contains(word));
    }
    let within =
        |a: &[String], b: &[String]| !a.is_empty() && a.iter().all(|word| b.contains(word));
    within(&stated, &found) || within(&found, &stated)
}

/// Whether two names are of one distribution, as far as both give its version.
pub(super) fn same_system(stated: &str, found: &str) -> bool {
    let (a, b) = (words(stated), words(found));
    let name = |words: &[String]| {
        words
            .iter()
            .find(|w| w.bytes().all(|b| b.is_ascii_alphabetic()))
            .cloned()
    };
    let version = |words: &[String]| -> Vec<String> {
        let numbers = words
            .iter()
            .skip_while(|w| !w.bytes().all(|b| b.is_ascii_digit()));
        let numbers = numbers.take_while(|w| w.bytes().all(|b| b.is_ascii_digit()));
        numbers.cloned().collect()
    };
    let names = name(&a)
        .zip(name(&b))
        .is_some_and(|(a, b)| a == b || b == "rhel" && a == "red");
    names && version(&a).iter().zip(&version(&b)).all(|(a, b)| a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_product_are_the_same() {
        for (stated, found, same) in [
            ("AMD EPYC 9554", "AMD EPYC 9554 64-Core Processor", true),
            ("AMD EPYC 9554", "AMD EPYC 9654 96-Core Processor", false),
            (
                "Intel(R) Xeon(R) Platinum 8570",
                "INTEL(R) XEON(R) PLATINUM 8570",
                true,
            ),
            (
                "Intel Xeon Processor (SapphireRapids)",
                "Intel Xeon Processor (SapphireRapids)",
                true,
            ),
            ("NVIDIA H200-SXM-141GB", "NVIDIA H200", true),
            ("NVIDIA H100-SXM-80GB", "NVIDIA H100 80GB HBM3", true),
            ("NVIDIA H200", "NVIDIA H100 80GB HBM3", false),
            ("", "NVIDIA H200", false),
        ] {
            assert_eq!(same_model(stated, found), same, "{stated} / {found}");
        }
    }

    #[test]
    fn systems_are_the_same_as_far_as_their_versions_go() {
        for (stated, found, same) in [
            ("Ubuntu 24.04", "Ubuntu 24.04.2 LTS", true),
            ("Ubuntu 24.04.2", "Ubuntu 24.04.3 LTS", false),
            ("Ubuntu 22.04", "Ubuntu 24.04.2 LTS", false),
            ("Debian 12", "Ubuntu 24.04", false),
            ("Ubuntu", "Ubuntu 24.04", true),
        ] {
            assert_eq!(same_system(stated, found), same, "{stated} / {found}");
        }
    }

    #[test]
    fn numbers_have_units() {
        assert_eq!(first_number("2x 100GbE"), Some(2.0));
        assert_eq!(first_number("none"), None);
        assert_eq!(capacity("1.5 TB"), Some(1.5e12));
        assert_eq!(capacity("141GB"), Some(1.41e11));
        assert_eq!(capacity("2 GiB"), Some(2_147_483_648.0));
        assert_eq!(capacity("2"), None);
        assert_eq!(
            (megahertz("1.98 GHz"), megahertz("1980MHz"), megahertz("9")),
            (Some(1980.0), Some(1980.0), None)
        );
    }
}
