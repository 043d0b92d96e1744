//! Private tests: base64 around zlib around a pickle of one text string, as LiveCodeBench's `code_generation_lite` ships them.
//!
//! Owns reading exactly that and nothing else: a general unpickler would run code that the file names. Opcodes other than
//! those that a pickled string can consist of are errors. Pure functions; any thread.
//!
//! `crates/dataset` reads pickles too, data frames of protocols 2 to 5 into a heap of inert nodes. What both do is to take a
//! counted text: some 30 lines, with other errors. Run on that heap, this file would accept whatever objects come before its
//! string, and it would still need protocol 0's texts of its own.

use std::io::Read;

/// Far above the largest published problem; a small file must not be able to fill the memory.
const MAX_INFLATED: u64 = 1 << 30;

/// The text inside `private_test_cases`, or what is wrong with it.
pub(super) fn private_text(encoded: &str) -> Result<String, String> {
    let compressed = base64(encoded.as_bytes())?;
    let pickled = inflate(&compressed, MAX_INFLATED)?;
    text(&pickled)
}

/// As Python's `b64decode` without validation: characters outside the alphabet are skipped, and a complete padding ends it.
fn base64(input: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(input.len() / 4 * 3);
    let (mut bits, mut quad, mut pads) = (0u32, 0u32, 0u32);
    for &byte in input {
        if byte == b'=' {
            if quad >= 2 {
                pads += 1;
                if quad + pads >= 4 {
                    return Ok(out);
                }
            }
            continue;
        }
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        pads = 0;
        bits = bits << 6 | u32::from(value);
        if quad > 0 {
            out.push((bits >> (6 - 2 * quad)) as u8);
        }
        quad = (quad + 1) % 4;
    }
    match quad {
        0 => Ok(out),
        _ => Err("base64 ends within a group of four characters".into()),
    }
}

fn inflate(compressed: &[u8], limit: u64) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    flate2::read::ZlibDecoder::new(compressed)
        .take(limit + 1)
        .read_to_end(&mut out)
        .map_err(|e| format!("no zlib stream: {e}"))?;
    if out.len() as u64 > limit {
        return Err(format!("inflates to more than {limit} bytes"));
    }
    Ok(out)
}

/// The one string of a pickle of protocol 0 to 5.
pub(super) fn text(pickle: &[u8]) -> Result<String, String> {
    let mut rest = pickle;
    let mut found: Option<String> = None;
    loop {
        let at = pickle.len() - rest.len();
        let opcode = take(&mut rest, 1)?[0];
        let string = match opcode {
            0x80 => skip(&mut rest, 1)?,            // PROTO
            0x95 => skip(&mut rest, 8)?,            // FRAME
            b'p' => line(&mut rest).map(|_| None)?, // PUT
            b'q' => skip(&mut rest, 1)?,            // BINPUT
            b'r' => skip(&mut rest, 4)?,            // LONG_BINPUT
            0x94 => None,                           // MEMOIZE
            b'V' => Some(raw_unicode_escape(line(&mut rest)?)?),
            0x8c => Some(counted(&mut rest, 1)?), // SHORT_BINUNICODE
            b'X' => Some(counted(&mut rest, 4)?), // BINUNICODE
            0x8d => Some(counted(&mut rest, 8)?), // BINUNICODE8
            b'.' => return found.ok_or_else(|| "the pickle holds no string".into()),
            other => {
                return Err(format!(
                    "pickle opcode {other:#04x} at byte {at}: only a pickled string is read, nothing is executed"
                ));
            }
        };
        if string.is_some() && found.is_some() {
            return Err(format!(
                "a second object at byte {at} of the pickle, expected one string"
            ));
        }
        found = string.or(found);
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], String> {
    let (head, tail) = rest
        .split_at_checked(count)
        .ok_or_else(|| format!("the pickle ends {} bytes early", count - rest.len()))?;
    *rest = tail;
    Ok(head)
}

fn skip(rest: &mut &[u8], count: usize) -> Result<Option<String>, String> {
    take(rest, count).map(|_| None)
}

fn line<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], String> {
    let end = rest.iter().position(|&b| b == b'\n');
    let line = take(rest, end.ok_or("a line of the pickle has no end")?)?;
    *rest = &rest[1..];
    Ok(line)
}

/// A string with its length before it: `width` bytes, little endian.
fn counted(rest: &mut &[u8], width: usize) -> Result<String, String> {
    let mut length = [0; 8];
    length[..width].copy_from_slice(take(rest, width)?);
    let length = usize::try_from(u64::from_le_bytes(length)).map_err(|e| e.to_string())?;
    if length > rest.len() {
        return Err(format!(
            "a string of {length} bytes in a pickle with {} left",
            rest.len()
        ));
    }
    let bytes = take(rest, length)?;
    String::from_utf8(bytes.to_vec()).map_err(|e| format!("a pickled string is not UTF-8: {e}"))
}

/// Python's codec of that name: Latin-1 with \uXXXX and \UXXXXXXXX; any other escaped character stays as it is.
fn raw_unicode_escape(bytes: &[u8]) -> Result<String, String> {
    let mut out = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            out.push(char::from(byte));
            continue;
        }
        let digits = match rest.first() {
            Some(b'u') => 4,
            Some(b'U') => 8,
            other => {
                out.push('\\');
                if let Some(&next) = other {
                    out.push(char::from(next));
                    rest = &rest[1..];
                }
                continue;
            }
        };
        let hex = rest
            .get(1..=digits)
            .ok_or("an escape in the pickle is cut off")?;
        let code = str::from_utf8(hex)
            .ok()
            .filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|h| u32::from_str_radix(h, 16).ok());
        out.push(
            code.and_then(char::from_u32)
                .ok_or("an escape in the pickle is no character")?,
        );
        rest = &rest[digits + 1..];
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `pickle.dumps('a\\b\nü€😀', protocol)` of CPython 3.11.
    #[test]
    fn protocols() {
        const WANT: &str = "a\\b\nü€😀";
        let utf8 = WANT.as_bytes();
        let build = |head: &[u8], tail: &[u8]| [head, utf8, tail].concat();
        let pickles = [
            b"Va\\u005cb\\u000a\xfc\\u20ac\\U0001f600\np0\n.".to_vec(),
            build(b"\x80\x02X\x0d\0\0\0", b"q\x00."),
            build(b"\x80\x03X\x0d\0\0\0", b"q\x00."),
            build(b"\x80\x04\x95\x11\0\0\0\0\0\0\0\x8c\x0d", b"\x94."),
            build(b"\x80\x05\x95\x11\0\0\0\0\0\0\0\x8c\x0d", b"\x94."),
            build(b"\x80\x04\x8d\x0d\0\0\0\0\0\0\0", b"r\0\0\0\0."),
        ];
        for pickle in pickles {
            assert_eq!(text(&pickle).unwrap(), WANT, "{pickle:?}");
        }
    }

    #[test]
    fn nothing_but_one_string() {
        // cos\nsystem\n(S'true'\ntR. : what a general unpickler would run.
        let error = text(b"cos\nsystem\n(S'true'\ntR.").unwrap_err();
        assert!(error.contains("0x63"), "{error}");
        for bad in [
            &b""[..],
            b".",
            b"X\xff\xff\xff\xffabc.",
            b"X\x01\0\0\0\xff.",
            b"Vabc",
            b"V\\u12\n.",
            b"V\\ud800\n.",
            b"\x8c\x01a\x8c\x01b.",
            b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffa.",
        ] {
            assert!(text(bad).is_err(), "{bad:?}");
        }
        assert_eq!(text(b"V\\\\u0041\n.").unwrap(), "\\\\u0041");
    }

    #[test]
    fn base64_as_python_reads_it() {
        assert_eq!(base64(b"aGVs\nbG8h").unwrap(), b"hello!");
        assert_eq!(base64(b"a-G_V~sbG8=").unwrap(), b"hello");
        assert_eq!(base64(b"aA==ignored").unwrap(), b"h");
        assert_eq!(base64(b"=aA=b=").unwrap(), [104, 6]);
        assert!(base64(b"aGVsb").is_err() && base64(b"aA=").is_err());
    }

    #[test]
    fn bombs_are_refused() {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, &vec![b'.'; 1 << 20]).unwrap();
        let bomb = encoder.finish().unwrap();
        assert!(inflate(&bomb, 1 << 19).unwrap_err().contains("more than"));
        assert_eq!(inflate(&bomb, 1 << 20).unwrap().len(), 1 << 20);
        assert!(inflate(&bomb[..bomb.len() / 2], 1 << 20).is_err());
    }
}
