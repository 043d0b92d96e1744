//! `events.jsonl`, line by line, whatever its size.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::event::Event;

/// Of one line: a prompt of 130,000 ids takes a megabyte.
const MOST_BYTES: u64 = 8 << 20;

/// Where a log cannot be read on.
#[derive(Debug)]
pub(crate) struct Damage {
    /// From 1.
    pub(crate) line: usize,
    pub(crate) why: String,
    /// The last line, without its end: whoever wrote it was ended meanwhile.
    pub(crate) is_cut: bool,
}

/// Hands every event to `each`, with its line, until it refuses one or a line is none.
pub(crate) fn read(
    file: &Path,
    mut each: impl FnMut(Event, &[u8]) -> Result<(), String>,
) -> Result<(), Damage> {
    let damage = |line, why: String| Damage {
        line,
        why,
        is_cut: false,
    };
    let opened = ossmark_files::open(file).map_err(|error| damage(0, error.to_string()))?;
    let mut reader = BufReader::with_capacity(1 << 20, opened);
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let mut one = (&mut reader).take(MOST_BYTES);
        let read = one.read_until(b'\n', &mut bytes);
        read.map_err(|error| damage(line, error.to_string()))?;
        if bytes.is_empty() {
            break;
        }
        let is_whole = bytes.last() == Some(&b'\n');
        if !is_whole && bytes.len() as u64 == MOST_BYTES {
            return Err(damage(line, format!("found more than {MOST_BYTES} bytes")));
        }
        match serde_json::from_slice(&bytes) {
            Ok(event) => each(event, &bytes).map_err(|why| damage(line, why))?,
            Err(error) => {
                return Err(Damage {
                    line,
                    why: format!("no event: {error}"),
                    is_cut: !is_whole,
                });
            }
        }
    }
    Ok(())
}
