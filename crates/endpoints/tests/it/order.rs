//! Sample order and regions, as the oracle has them.

use ossmark_endpoints::{Draws, Regions, SampleOrder};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::common::fixture;

fn oracle() -> Value {
    serde_json::from_slice(&std::fs::read(fixture("order.json")).unwrap()).unwrap()
}

#[test]
fn samples_come_in_the_clients_order_pass_by_pass() {
    let oracle = oracle();
    let cases = oracle["cases"].as_array().unwrap();
    assert!(
        cases
            .iter()
            .any(|case| case["seed"].as_u64() > Some(i64::MAX as u64))
    );
    for case in cases {
        let rows = case["n"].as_u64().unwrap() as u32;
        let seed = case["seed"].as_u64().unwrap();
        let drawn = case["with_replacement_first"].as_array().unwrap();
        let expected: Vec<u32> = Draws::new(seed, rows).take(drawn.len()).collect();
        assert_eq!(*drawn, expected, "{seed} of {rows}");
        let mut order = SampleOrder::new(seed, rows);
        for pass in case["passes"].as_array().unwrap() {
            let lines: String = order
                .next_pass()
                .iter()
                .map(|row| format!("{row}\n"))
                .collect();
            let hash: String = Sha256::digest(&lines)
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect();
            assert_eq!(
                pass["sha256_of_decimal_lines"], hash,
                "{} of {rows}",
                case["seed"]
            );
        }
    }
}

#[test]
fn regions_are_those_of_the_reference() {
    let oracle = oracle();
    let rows = oracle["regions"]["rows"].as_array().unwrap();
    assert!(rows.len() > 50);
    for row in rows {
        let n = |at: usize| i128::from(row[at].as_i64().unwrap());
        let regions = Regions::new(n(0), n(1), false).unwrap();
        let found = (
            regions.low_concurrency.last,
            regions.med_concurrency.last,
            regions.margin.last,
        );
        assert_eq!(found, (n(2), n(3), n(4)), "{row}");
    }
    assert!(Regions::new(32, 1, false).is_err() && Regions::new(64, 33, false).is_err());
    assert_eq!(Regions::new(64, 8, true).unwrap().ultra_low.last, 8);
}
