//! A record's bytes: head, payload, and what a payload says. Pure.

use std::io::Read;
use std::time::Duration;

use crate::outcome::{Answer, End, Ended, Failure, Outcome, Times};

/// Length and sum before each payload.
pub(super) const HEAD: usize = 8;
/// No payload is longer: 16 million tokens, far more than any context.
const MAX_PAYLOAD: u32 = 64 << 20;

pub(super) fn head_of(payload: &[u8]) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    head[4..].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    head
}

pub(super) fn record_of(payload: &[u8]) -> Vec<u8> {
    let mut record = head_of(payload).to_vec();
    record.extend_from_slice(payload);
    record
}

pub(super) enum RecordRead {
    Record,
    /// The end of the file cuts it off.
    Torn,
    Damaged,
}

/// Reads a record of a file of which `left` bytes are left.
pub(super) fn next_record(
    reader: &mut impl Read,
    left: u64,
    payload: &mut Vec<u8>,
) -> std::io::Result<RecordRead> {
    if left < HEAD as u64 {
        return Ok(RecordRead::Torn);
    }
    let mut head = [0; HEAD];
    reader.read_exact(&mut head)?;
    let [a, b, c, d, s @ ..] = head;
    let (bytes, sum) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes(s));
    let body = left - HEAD as u64;
    if head == [0; HEAD] {
        payload.clear();
        reader.take(body).read_to_end(payload)?;
        return Ok(match payload.iter().all(|b| *b == 0) {
            true => RecordRead::Torn,
            false => RecordRead::Damaged,
        });
    }
    if u64::from(bytes) > body && bytes <= MAX_PAYLOAD {
        return Ok(RecordRead::Torn);
    }
    if bytes > MAX_PAYLOAD || bytes == 0 {
        return Ok(RecordRead::Damaged);
    }
    payload.resize(bytes as usize, 0);
    reader.read_exact(payload)?;
    Ok(match crc32fast::hash(payload) == sum {
        true => RecordRead::Record,
        false if u64::from(bytes) == body => RecordRead::Torn,
        false => RecordRead::Damaged,
    })
}

/// Outcomes as ossmark 0.1 wrote them: after the kind row, pass, microseconds, then tokens or a message.
const OLD_STOPPED: u8 = 0;
const OLD_CUT: u8 = 1;
const OLD_FAILED: u8 = 2;
const OLD_FIXED: usize = 1 + 4 + 4 + 8;
/// When the journal was begun: nanoseconds since 1970 of the system's clock.
const BEGUN: u8 = 3;
/// Outcomes: after the kind row, pass, engine, the three times ([`NEVER`] where there was no first token), then tokens or a
/// message.
const STOPPED: u8 = 4;
const CUT: u8 = 5;
const FAILED: u8 = 6;
const GIVEN_UP: u8 = 7;
const FIXED: usize = 1 + 4 + 4 + 2 + 3 * 8;
const NEVER: i64 = i64::MIN;

/// Bytes of a record that says when the journal was begun; no outcome has so few.
pub(super) const BEGUN_BYTES: usize = HEAD + 1 + 8;
const _: () = assert!(BEGUN_BYTES < HEAD + OLD_FIXED);
/// The longest beginning of a payload that [`ended`] needs.
pub(super) const ENDED_BYTES: usize = FIXED;

/// What a payload says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Payload {
    Begun { unix_ns: u64 },
    Outcome(Outcome),
}

pub(super) fn begun(unix_ns: u64) -> Vec<u8> {
    let mut payload = vec![BEGUN];
    payload.extend(unix_ns.to_le_bytes());
    record_of(&payload)
}

pub(super) fn encode(outcome: &Outcome, payload: &mut Vec<u8>) {
    let kind = match (&outcome.result, outcome.times.is_some()) {
        (Ok(answer), true) if answer.cut => CUT,
        (Ok(_), true) => STOPPED,
        (Err(failure), true) if failure.given_up => GIVEN_UP,
        (Err(_), true) => FAILED,
        (Ok(answer), false) if answer.cut => OLD_CUT,
        (Ok(_), false) => OLD_STOPPED,
        (Err(_), false) => OLD_FAILED,
    };
    payload.push(kind);
    payload.extend(outcome.row.to_le_bytes());
    payload.extend(outcome.pass.to_le_bytes());
    match (&outcome.times, &outcome.result) {
        (Some(times), _) => {
            payload.extend(times.engine.to_le_bytes());
            payload.extend(times.issued_ns.to_le_bytes());
            payload.extend(times.first_token_ns.unwrap_or(NEVER).to_le_bytes());
            payload.extend(times.ended_ns.to_le_bytes());
        }
        (None, Ok(answer)) => payload.extend((answer.took.as_micros() as u64).to_le_bytes()),
        (None, Err(_)) => payload.extend(0u64.to_le_bytes()),
    }
    match &outcome.result {
        Ok(answer) => payload.extend(answer.tokens.iter().flat_map(|t| t.to_le_bytes())),
        Err(failure) => payload.extend_from_slice(failure.message.as_bytes()),
    }
}

pub(super) fn decode(payload: &[u8]) -> Result<Payload, String> {
    if let [BEGUN, rest @ ..] = payload {
        let unix_ns = rest.try_into().map_err(|_| "is no time")?;
        let unix_ns = u64::from_le_bytes(unix_ns);
        return Ok(Payload::Begun { unix_ns });
    }
    let ended = ended(payload, payload.len())?;
    let rest = match ended.times {
        Some(_) => &payload[FIXED..],
        None => &payload[OLD_FIXED..],
    };
    let result = match ended.end {
        End::Stop | End::Length => Ok(Answer {
            tokens: rest
                .as_chunks::<4>()
                .0
                .iter()
                .map(|t| u32::from_le_bytes(*t))
                .collect(),
            cut: ended.end == End::Length,
            took: took(payload, ended.times.as_ref())?,
        }),
        End::Failed | End::GivenUp => Err(Failure {
            message: String::from_utf8_lossy(rest).into_owned(),
            given_up: ended.end == End::GivenUp,
        }),
    };
    Ok(Payload::Outcome(Outcome {
        row: ended.row,
        pass: ended.pass,
        times: ended.times,
        result,
    }))
}

fn took(payload: &[u8], times: Option<&Times>) -> Result<Duration, String> {
    Ok(match times {
        Some(times) => {
            let ns = times.ended_ns.saturating_sub(times.issued_ns);
            Duration::from_nanos(u64::try_from(ns).unwrap_or(0))
        }
        None => {
            let mut left = payload.get(OLD_FIXED - 8..).unwrap_or_default();
            Duration::from_micros(u64::from_le_bytes(take(&mut left)?))
        }
    })
}

/// What an outcome says besides its tokens or message, of the beginning of a payload of so many bytes.
pub(super) fn ended(payload: &[u8], bytes: usize) -> Result<Ended, String> {
    let left = &mut &*payload;
    let [kind] = take(left)?;
    let (row, pass) = (take(left)?, take(left)?);
    let (times, fixed) = match kind {
        OLD_STOPPED | OLD_CUT | OLD_FAILED => {
            let _: [u8; 8] = take(left)?;
            (None, OLD_FIXED)
        }
        STOPPED | CUT | FAILED | GIVEN_UP => {
            let engine = u16::from_le_bytes(take(left)?);
            let [issued_ns, first, ended_ns] =
                [take(left)?, take(left)?, take(left)?].map(i64::from_le_bytes);
            let times = Times {
                issued_ns,
                first_token_ns: (first != NEVER).then_some(first),
                ended_ns,
                engine,
            };
            (Some(times), FIXED)
        }
        kind => return Err(format!("is of kind {kind}")),
    };
    let end = match kind {
        OLD_STOPPED | STOPPED => End::Stop,
        OLD_CUT | CUT => End::Length,
        GIVEN_UP => End::GivenUp,
        _ => End::Failed,
    };
    let rest = bytes - fixed;
    let tokens = match end {
        End::Stop | End::Length if rest.is_multiple_of(4) => (rest / 4) as u32,
        End::Stop | End::Length => return Err("holds half a token".into()),
        End::Failed | End::GivenUp => 0,
    };
    Ok(Ended {
        row: u32::from_le_bytes(row),
        pass: u32::from_le_bytes(pass),
        times,
        end,
        tokens,
    })
}

fn take<const BYTES: usize>(left: &mut &[u8]) -> Result<[u8; BYTES], String> {
    let (taken, rest) = left.split_first_chunk().ok_or("is too short")?;
    *left = rest;
    Ok(*taken)
}
