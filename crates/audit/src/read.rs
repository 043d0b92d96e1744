//! Reading what a stranger wrote: bounded, and never what is not a regular file.

use std::io::Read;
use std::path::Path;

use ossmark_logs::detail_log::DetailLog;

/// A broken run logs two lines a sample; LoadGen's own are 40 to 70 kB.
const MAX_LOG: u64 = 16 << 20;
/// Scorers' texts are a few kB; some have every line of a progress bar.
const MAX_TEXT: u64 = 16 << 20;

/// LoadGen's detail log, where there is a readable one.
pub(crate) fn log(path: &Path) -> Option<DetailLog> {
    let size = std::fs::metadata(path).ok()?.len();
    (size <= MAX_LOG).then(|| DetailLog::read(path).ok())?
}

/// A text, its bytes that are no UTF-8 replaced.
pub(crate) fn text(path: &Path) -> Option<String> {
    let bytes = bytes(path, MAX_TEXT)?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// A file of at most so many bytes.
pub(crate) fn bytes(path: &Path, most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = ossmark_files::open(path).ok()?;
    file.take(most + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= most).then_some(bytes)
}

/// How many lists and objects JSON may begin.
const MAX_PARTS: usize = 100_000;

/// JSON of at most 4 MiB; null where there is none.
pub(crate) fn json(path: &Path) -> serde_json::Value {
    let text = bytes(path, 4 << 20).filter(|text| {
        let parts = text.iter().filter(|b| matches!(b, b'[' | b'{'));
        parts.count() <= MAX_PARTS
    });
    let value = text.and_then(|text| serde_json::from_slice(&text).ok());
    value.unwrap_or_default()
}
