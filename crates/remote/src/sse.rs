//! Server-sent events from bytes in any pieces. Owns: lines, fields, and the limit on what one event may hold. Does not own:
//! what the data means. Pure; the thread that reads the socket runs it.
//!
//! Source: WHATWG HTML, 9.2.6 "Interpreting an event stream". Fields other than `data` and `event` are passed over: a client
//! that never reconnects has no use for `id` and `retry`.

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The `event` field; empty when there was none, which the standard calls "message".
    pub kind: &'a [u8],
    /// The `data` fields, joined by line feeds.
    pub data: &'a [u8],
}

/// An event, or a line, is longer than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than {limit} bytes")]
pub struct TooLong {
    /// The decoder's limit.
    pub limit: usize,
}

/// Decodes a stream as it comes. What follows the last blank line is no event yet, and is forgotten at the stream's end.
#[derive(Debug)]
pub struct Decoder {
    /// The begun line.
    line: Vec<u8>,
    /// The begun event, each line of data ended by a line feed.
    data: Vec<u8>,
    kind: Vec<u8>,
    /// The last byte was a carriage return: a line feed that follows belongs to it.
    after_return: bool,
    at_start: bool,
    limit: usize,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Decoder {
    /// `limit` is the most bytes that an event with its begun line may have.
    pub fn new(limit: usize) -> Self {
        Self {
            line: Vec::new(),
            data: Vec::new(),
            kind: Vec::new(),
            after_return: false,
            at_start: true,
            limit,
        }
    }

    /// Takes the next bytes and hands over every event that they complete.
    ///
    /// # Errors
    /// `TooLong`; the stream cannot be decoded any further.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        mut on_event: impl FnMut(Event<'_>),
    ) -> Result<(), TooLong> {
        if self.after_return && !bytes.is_empty() {
            self.after_return = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = memchr::memchr2(b'\r', b'\n', bytes) {
            self.check(end)?;
            if self.line.is_empty() {
                self.take_line(&bytes[..end], &mut on_event);
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(&bytes[..end]);
                self.take_line(&line, &mut on_event);
                line.clear();
                self.line = line;
            }
            let by_return = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            if by_return {
                self.after_return = bytes.is_empty();
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            }
        }
        self.check(bytes.len())?;
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn check(&self, more: usize) -> Result<(), TooLong> {
        if self.line.len() + more + self.data.len() + self.kind.len() > self.limit {
            return Err(TooLong { limit: self.limit });
        }
        Ok(())
    }

    fn take_line(&mut self, mut line: &[u8], on_event: &mut impl FnMut(Event<'_>)) {
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            if let Some(data) = self.data.strip_suffix(b"\n") {
                on_event(Event {
                    kind: &self.kind,
                    data,
                });
            }
            self.data.clear();
            self.kind.clear();
            return;
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"event" => {
                self.kind.clear();
                self.kind.extend_from_slice(value);
            }
            // Comments begin with a colon: their field has no name.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(pieces: &[&[u8]]) -> Vec<(String, String)> {
        let mut decoder = Decoder::new(1000);
        let mut found = Vec::new();
        for piece in pieces {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            decoder
                .feed(piece, |e| found.push((text(e.kind), text(e.data))))
                .unwrap();
        }
        found
    }

    #[test]
    fn the_three_line_ends_comments_and_fields() {
        for end in ["\n", "\r", "\r\n"] {
            let stream = [
                "\u{feff}: hello",
                "",
                "data:a",
                "data: b",
                "id: 7",
                "",
                "event: error",
                "data",
                "",
                "data: never ended",
            ]
            .join(end);
            assert_eq!(
                events(&[stream.as_bytes()]),
                [
                    (String::new(), "a\nb".to_owned()),
                    ("error".to_owned(), String::new())
                ],
                "{end:?}"
            );
        }
    }

    #[test]
    fn a_line_end_may_be_cut_in_two() {
        let expected = [(String::new(), "a\nb".to_owned())];
        assert_eq!(
            events(&[b"data: a\r", b"", b"\ndata: b\r", b"\n\r", b"\n"]),
            expected
        );
        assert_eq!(
            events(&[b"data: a\r", b"data: b\r", b"\r", b"\n"]),
            expected
        );
    }

    #[test]
    fn nothing_grows_beyond_the_limit() {
        for stream in [
            "data: 0123456789".repeat(4),
            "data: 01\n".repeat(40),
            ":".repeat(64),
        ] {
            let mut decoder = Decoder::new(32);
            let fed = decoder.feed(stream.as_bytes(), |_| panic!("no event was ended"));
            assert_eq!(fed, Err(TooLong { limit: 32 }), "{stream}");
        }
        let mut decoder = Decoder::new(32);
        let stream = "data: 01\n\n".repeat(40);
        let mut n = 0;
        decoder.feed(stream.as_bytes(), |_| n += 1).unwrap();
        assert_eq!(n, 40);
    }
}
