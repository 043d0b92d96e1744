//! A journal's bytes. Pure.
//!
//! A header (the magic, the version as u32, the CRC-32 of both as u32; the same in all versions), then frames: the payload's
//! length (u32), its CRC-32 (u32), the payload. A payload's first byte says what follows it. All numbers are little-endian.

use crate::row::{End, Row};

const MAGIC: [u8; 8] = *b"OSSMARKJ";
/// Bytes of the header.
pub(crate) const HEADER: usize = 16;
/// Bytes before a payload.
pub(crate) const HEAD: usize = 8;
/// Bytes of a row.
pub(crate) const ROW: usize = 56;
/// The longest payload that is read. The writer's are of 64 KiB and a row at most.
pub(crate) const MAX_PAYLOAD: usize = 1 << 20;

/// Rows in order of completion.
pub(crate) const ROWS: u8 = 1;
/// Rows lost so far, as u64.
const LOST: u8 = 2;
/// The end: rows and rows lost, as u64, then as text why it ended before the run did, if it did.
const ENDED: u8 = 3;

/// What a frame says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Rows(Vec<Row>),
    Lost(u64),
    Ended {
        rows: u64,
        lost: u64,
        reason: String,
    },
}

pub(crate) fn header(version: u32) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&version.to_le_bytes());
    let sum = crc32fast::hash(&bytes[..12]);
    bytes[12..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// The version that a header names; none if it is no header.
pub(crate) fn version(bytes: &[u8; HEADER]) -> Option<u32> {
    let [_, _, _, _, _, _, _, _, a, b, c, d, ..] = *bytes;
    let version = u32::from_le_bytes([a, b, c, d]);
    (*bytes == header(version)).then_some(version)
}

/// Writes the head of the payload that follows it in `frame`.
pub(crate) fn seal(frame: &mut [u8]) {
    let (head, payload) = frame.split_at_mut(HEAD);
    head[..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    head[4..].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
}

/// A payload's length and sum.
pub(crate) fn head(bytes: &[u8; HEAD]) -> (usize, u32) {
    let [a, b, c, d, sum @ ..] = *bytes;
    (
        u32::from_le_bytes([a, b, c, d]) as usize,
        u32::from_le_bytes(sum),
    )
}

pub(crate) fn lost(total: u64) -> Vec<u8> {
    frame(LOST, &[&total.to_le_bytes()])
}

pub(crate) fn ended(rows: u64, lost: u64, reason: &str) -> Vec<u8> {
    let numbers = [rows.to_le_bytes(), lost.to_le_bytes()].concat();
    frame(ENDED, &[&numbers, reason.as_bytes()])
}

fn frame(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut frame = vec![0; HEAD];
    frame.push(kind);
    frame.extend(parts.concat());
    seal(&mut frame);
    frame
}

/// Appends a row's bytes.
pub(crate) fn push(row: &Row, to: &mut Vec<u8>) {
    let times = [
        row.scheduled_ns,
        row.issued_ns,
        row.first_token_ns,
        row.completed_ns,
    ];
    let present = |at: usize| u64::from(times[at].is_some()) << (56 + at);
    let words = [
        row.request,
        u64::from(row.sample_index) | u64::from(row.prompt_tokens) << 32,
        u64::from(row.output_tokens)
            | u64::from(row.engine) << 32
            | u64::from(row.end as u8) << 48
            | present(0)
            | present(1)
            | present(2)
            | present(3),
        times[0].unwrap_or_default().cast_unsigned(),
        times[1].unwrap_or_default().cast_unsigned(),
        times[2].unwrap_or_default().cast_unsigned(),
        times[3].unwrap_or_default().cast_unsigned(),
    ];
    // In one piece: a writer that has to follow hundreds of thousands a second feels each part.
    let mut bytes = [0; ROW];
    for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
        *place = word.to_le_bytes();
    }
    to.extend_from_slice(&bytes);
}

/// What a payload says, or what is wrong with it.
pub(crate) fn decode(payload: &[u8]) -> Result<Frame, String> {
    let mut left = payload;
    let frame = match kind_of(&mut left) {
        Some(ROWS) => {
            let (rows, part) = left.as_chunks::<ROW>();
            left = part;
            Frame::Rows(rows.iter().map(row).collect::<Result<_, _>>()?)
        }
        Some(LOST) => Frame::Lost(u64::from_le_bytes(take(&mut left)?)),
        Some(ENDED) => Frame::Ended {
            rows: u64::from_le_bytes(take(&mut left)?),
            lost: u64::from_le_bytes(take(&mut left)?),
            reason: String::from_utf8(std::mem::take(&mut left).to_vec())
                .map_err(|_| "a reason that is not UTF-8")?,
        },
        kind => return Err(format!("a frame of kind {kind:?}")),
    };
    match left.is_empty() {
        true => Ok(frame),
        false => Err(format!("a frame with {} bytes too many", left.len())),
    }
}

fn kind_of(left: &mut &[u8]) -> Option<u8> {
    let (kind, rest) = left.split_first()?;
    *left = rest;
    Some(*kind)
}

fn take<const BYTES: usize>(left: &mut &[u8]) -> Result<[u8; BYTES], String> {
    let (taken, rest) = left
        .split_first_chunk()
        .ok_or("a frame that is too short")?;
    *left = rest;
    Ok(*taken)
}

fn row(bytes: &[u8; ROW]) -> Result<Row, String> {
    let left = &mut &bytes[..];
    let request = u64::from_le_bytes(take(left)?);
    let [sample_index, prompt_tokens, output_tokens] =
        [take(left)?, take(left)?, take(left)?].map(u32::from_le_bytes);
    let engine = u16::from_le_bytes(take(left)?);
    let [end, present] = take(left)?;
    let times = [take(left)?, take(left)?, take(left)?, take(left)?].map(i64::from_le_bytes);
    if present > 0b1111 {
        return Err(format!("a row with a fifth time ({present:#b})"));
    }
    let time = |at: usize| (present >> at & 1 == 1).then_some(times[at]);
    let end = End::ALL.get(usize::from(end));
    Ok(Row {
        request,
        sample_index,
        prompt_tokens,
        output_tokens,
        scheduled_ns: time(0),
        issued_ns: time(1),
        first_token_ns: time(2),
        completed_ns: time(3),
        end: *end.ok_or("a row without an end")?,
        engine,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_56_bytes_in_this_order() {
        let row = Row {
            request: 0x0807_0605_0403_0201,
            sample_index: 0x0c0b_0a09,
            prompt_tokens: 0x100f_0e0d,
            output_tokens: 0x1413_1211,
            engine: 0x1615,
            end: End::Failed,
            scheduled_ns: None,
            issued_ns: Some(-1),
            first_token_ns: None,
            completed_ns: Some(1),
        };
        let mut bytes = Vec::new();
        push(&row, &mut bytes);
        let mut expected: Vec<u8> = (1..=0x16).collect();
        expected.extend([2, 0b1010]);
        expected.extend([[0; 8], [255; 8], [0; 8], [1, 0, 0, 0, 0, 0, 0, 0]].concat());
        assert_eq!(bytes, expected);
        assert_eq!(
            decode(&[&[ROWS], &bytes[..]].concat()),
            Ok(Frame::Rows(vec![row]))
        );
        for (at, to) in [(22, 4), (23, 16)] {
            let mut wrong = bytes.clone();
            wrong[at] = to;
            decode(&[&[ROWS], &wrong[..]].concat()).unwrap_err();
        }
    }

    #[test]
    fn frames_say_what_they_are_and_nothing_more() {
        let payload = |frame: Vec<u8>| frame[HEAD..].to_vec();
        let end = Frame::Ended {
            rows: 3,
            lost: 4,
            reason: "no space".into(),
        };
        for (bytes, frame) in [
            (payload(lost(9)), Frame::Lost(9)),
            (payload(ended(3, 4, "no space")), end),
        ] {
            assert_eq!(decode(&bytes), Ok(frame));
            decode(&bytes[..8]).unwrap_err();
        }
        for wrong in [&[][..], &[0], &[9], &[ROWS, 1, 2], &[LOST; 10], &[ENDED, 1]] {
            decode(wrong).unwrap_err();
        }
        let mut text = payload(ended(0, 0, "x"));
        *text.last_mut().unwrap() = 0xff;
        decode(&text).unwrap_err();
    }

    #[test]
    fn a_header_names_its_version_or_is_none() {
        assert_eq!(version(&header(7)), Some(7));
        for at in 0..HEADER {
            let mut wrong = header(1);
            wrong[at] ^= 1;
            assert_eq!(version(&wrong), None, "{at}");
        }
    }
}
