//! Answers that are made to be hard to read or to compare: the judge has a test's time for each, and the answer is wrong.

use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use ossmark_score::lcb::Settings;

use crate::{hostile::attack_with, support::settings};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        Trial::test("judge_ended_by_an_answer_is_replaced", ended),
        Trial::test("judge_reads_no_more_than_its_limit", too_long),
    ];
    trials.extend(STALLS.iter().map(|&(name, body)| {
        Trial::test(format!("judge_is_not_held_by_{name}"), move || stalls(body))
    }));
    trials
}

/// Expressions for the body of a forged answer, each of which takes many minutes.
const STALLS: &[(&str, &str)] = &[
    (
        "colliding_integers",
        r#"b'["d",[' + b','.join(b'[["i","%x"],0]' % (((1 << 61) - 1) * k) for k in range(1, 400000)) + b']]'"#,
    ),
    (
        "colliding_fractions",
        r#"b'["d",[' + b','.join(b'[["F","%x","1"],0]' % (((1 << 61) - 1) * k) for k in range(1, 400000)) + b']]'"#,
    ),
    (
        "a_fraction_to_be_cancelled",
        r#"b'["F","' + b'7f3' * 8000000 + b'","' + b'3d1' * 8000000 + b'"]'"#,
    ),
];

/// The body reaches the judge as it stands, whatever the harness around the program would have sent.
fn forge(body: &str) -> String {
    format!(
        "import os, struct, time\ndef frame(b): return struct.pack('<I', len(b)) + b\nbody = {body}\ndata = frame(b'L') + frame(b'V' + \
         body)\nfor fd in range(3, 12):\n    try:\n        rest = memoryview(data)\n        while rest: rest = rest[os.write(fd, \
         rest):]\n    except OSError: pass\nwhile True:\n    try: time.sleep(1)\n    except Exception: pass\ndef f(x): return 1\n"
    )
}

fn stalls(body: &str) -> Result<(), Failed> {
    let limit = Settings {
        timeout_s: 10,
        ..settings()
    };
    let start = Instant::now();
    let verdict = attack_with(&limit, &[("calls", &forge(body))]).remove(0);
    assert!(
        !verdict.passed && verdict.error_code == Some(-2),
        "{verdict:?}"
    );
    // Some ten seconds; what is held in the old way is held for five minutes.
    assert!(
        start.elapsed() < Duration::from_secs(150),
        "{:?}",
        start.elapsed()
    );
    Ok(())
}

/// More than a judge's memory, deeper than its stack: it may end, and the next program finds another.
fn ended() -> Result<(), Failed> {
    let bodies = [
        r#"b'["l",[' * 3000000"#,
        r"b'[' * 30000000",
        r#"b'["n","<f8",[99999999999],"00"]'"#,
        r#"b'["n","<U999999999",null,"00"]'"#,
        r#"b'["n","|O",null,"0000000000000000"]'"#,
        r#"b'["n","|O",[1],"4141414141414141"]'"#,
        r#"b'["l",[' + b','.join([b'["t",[]]'] * 6000000) + b']]'"#,
        r#"b'["c","0x1p9999","1"]'"#,
        r#"b'["D","sNaN"]'"#,
        r#"b'["F","1","0"]'"#,
        r#"b'["d",[[["l",[]],1]]]'"#,
        r#"b'\xff\xfe'"#,
    ];
    let codes: Vec<_> = bodies.iter().map(|b| forge(b)).collect();
    let codes: Vec<_> = codes.iter().map(|c| ("calls", c.as_str())).collect();
    let settings = Settings {
        timeout_s: 20,
        ..settings()
    };
    for (body, verdict) in bodies.iter().zip(attack_with(&settings, &codes)) {
        let judged = matches!(verdict.error_code, Some(-2 | -4));
        assert!(!verdict.passed && judged, "{body}: {verdict:?}");
    }
    Ok(())
}

fn too_long() -> Result<(), Failed> {
    let settings = Settings {
        timeout_s: 20,
        ..settings()
    };
    let code = forge("b'[' + b' ' * (80 << 20) + b']'");
    let verdict = attack_with(&settings, &[("calls", &code)]).remove(0);
    let message = verdict.message.clone().unwrap_or_default();
    assert!(message.contains("more than"), "{verdict:?}");
    assert_eq!(verdict.error_code, Some(-2), "{verdict:?}");
    Ok(())
}
