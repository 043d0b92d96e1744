//! What people write in descriptions, as numbers and names that can be compared. Pure.

use serde_json::Value;

/// What people write where they have nothing to say.
const NOTHING: [&str; 8] = ["", "-", "n/a", "na", "any", "tbd", "unknown", "..."];

/// A value as a text; none where it says nothing.
pub(super) fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    let says_nothing = NOTHING.contains(&text.to_lowercase().as_str());
    (!says_nothing).then_some(text)
}

/// The first number in a text: 64 of `64 cores`.
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

/// Every clock in a text, in MHz: 2000 and 4000 of `2.0 GHz (base); 4.0 GHz (max turbo)`.
pub(super) fn megahertz(text: &str) -> Vec<f64> {
    let text = text.to_lowercase();
    let clocks = text.match_indices("hz").filter_map(|(at, _)| {
        let (number, unit) = text.get(..at)?.split_at_checked(at.checked_sub(1)?)?;
        let times = match unit {
            "g" => 1000.0,
            "m" => 1.0,
            _ => return None,
        };
        let number = number.trim_end();
        let start = number.rfind(|c: char| !(c.is_ascii_digit() || c == '.'));
        let number = number.get(start.map_or(0, |start| start + 1)..)?;
        // A character before it may be longer than a byte.
        Some(number.trim_matches('.').parse::<f64>().ok()? * times)
    });
    clocks.collect()
}

/// How many cards a text lists: 5 of `4x ConnectX-7, 1x Intel I210`, 3 of `3 cards`; none where it says that otherwise.
pub(super) fn cards(text: &str) -> Option<f64> {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let times = words.iter().filter_map(|word| {
        let number = word.trim_start_matches('(').strip_suffix('x')?;
        number.parse::<u32>().ok().map(f64::from)
    });
    let all: f64 = times.sum();
    if all > 0.0 {
        // Cards of each of several nodes are not those of one.
        return (!text.to_lowercase().contains("node")).then_some(all);
    }
    words.first()?.parse::<u32>().ok().map(f64::from)
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
        assert_eq!(first_number("64 cores"), Some(64.0));
        assert_eq!(first_number("none"), None);
        assert_eq!(capacity("1.5 TB"), Some(1.5e12));
        assert_eq!(capacity("141GB"), Some(1.41e11));
        assert_eq!(capacity("2 GiB"), Some(2_147_483_648.0));
        assert_eq!(capacity("2"), None);
    }

    #[test]
    fn texts_that_say_nothing_are_none() {
        for nothing in ["", " ", "N/A", "any", "TBD", "-"] {
            assert_eq!(text(&Value::from(nothing)), None, "{nothing}");
        }
        assert_eq!(text(&Value::from("none")).as_deref(), Some("none"));
        assert_eq!(text(&Value::from(2)).as_deref(), Some("2"));
    }

    /// As descriptions of v6.0 have them.
    #[test]
    fn clocks_are_all_read() {
        for (text, clocks) in [
            ("1.98 GHz", vec![1980.0]),
            ("1980MHz", vec![1980.0]),
            ("9", vec![]),
            ("Base frequency varies by SKU", vec![]),
            ("2.0 GHz (base); 4.0 GHz (max turbo)", vec![2000.0, 4000.0]),
            ("Base ~2.0 GHz, boost up to ~3.8 GHz", vec![2000.0, 3800.0]),
            (
                "1965 MHz (max graphics/SM), 3996 MHz (max mem)",
                vec![1965.0, 3996.0],
            ),
            ("Hz\u{df}hz MHz 1.2.3 GHz", vec![]),
        ] {
            assert_eq!(megahertz(text), clocks, "{text}");
        }
    }

    #[test]
    fn cards_are_counted() {
        for (text, count) in [
            ("1", Some(1.0)),
            ("3", Some(3.0)),
            ("10x 400Gbe Infiniband", Some(10.0)),
            (
                "8x ConnectX-7 400G (MT4129), 4x ConnectX-7 100G, 9x ConnectX-6 Dx",
                Some(21.0),
            ),
            ("2x 200 Gbit", Some(2.0)),
            (
                "14 Ethernet controllers total (8x AMD Pensando DSC)",
                Some(8.0),
            ),
            ("for each 4-GPU node: 4x BlueField-3, 1x Intel I210", None),
            ("2-port 100G Ethernet", None),
            ("", None),
        ] {
            assert_eq!(cards(text), count, "{text}");
        }
    }
}
