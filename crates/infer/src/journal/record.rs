//! A record's bytes: head, payload, and what a payload says. Pure.

use std::io::Read;
use std::time::Duration;

use crate::{Answer, Outcome};

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

const STOPPED: u8 = 0;
const CUT: u8 = 1;
const FAILED: u8 = 2;
/// Kind, row, pass, microseconds.
const FIXED: usize = 1 + 4 + 4 + 8;

pub(super) fn encode(outcome: &Outcome, payload: &mut Vec<u8>) {
    let (kind, took) = match &outcome.result {
        Ok(answer) if answer.cut => (CUT, answer.took),
        Ok(answer) => (STOPPED, answer.took),
        Err(_) => (FAILED, Duration::ZERO),
    };
    payload.push(kind);
    payload.extend_from_slice(&outcome.row.to_le_bytes());
    payload.extend_from_slice(&outcome.pass.to_le_bytes());
    payload.extend_from_slice(&(took.as_micros() as u64).to_le_bytes());
    match &outcome.result {
        Ok(answer) => payload.extend(answer.tokens.iter().flat_map(|t| t.to_le_bytes())),
        Err(message) => payload.extend_from_slice(message.as_bytes()),
    }
}

pub(super) fn decode(payload: &[u8]) -> std::result::Result<Outcome, String> {
    let Some((fixed, rest)) = payload.split_first_chunk::<FIXED>() else {
        return Err("is too short".into());
    };
    let [kind, a @ ..] = *fixed;
    let [r0, r1, r2, r3, p0, p1, p2, p3, took @ ..] = a;
    let result = match kind {
        STOPPED | CUT if rest.len() % 4 == 0 => Ok(Answer {
            tokens: rest
                .as_chunks::<4>()
                .0
                .iter()
                .map(|t| u32::from_le_bytes(*t))
                .collect(),
            cut: kind == CUT,
            took: Duration::from_micros(u64::from_le_bytes(took)),
        }),
        STOPPED | CUT => return Err("holds half a token".into()),
        FAILED => Err(String::from_utf8_lossy(rest).into_owned()),
        kind => return Err(format!("is of kind {kind}")),
    };
    Ok(Outcome {
        row: u32::from_le_bytes([r0, r1, r2, r3]),
        pass: u32::from_le_bytes([p0, p1, p2, p3]),
        result,
    })
}
