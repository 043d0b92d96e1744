//! The note in which arrow's writers keep their own types beside parquet's: the key `ARROW:schema`, an IPC message in
//! base64. Readers (pyarrow, polars) go through it column by column, so that a file with other columns needs another note.

use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};
use arrow_schema::{DataType, Schema};
use base64::{Engine, prelude::BASE64_STANDARD};

/// The note's key.
pub const ARROW_KEY: &str = "ARROW:schema";

/// Reads a note.
///
/// # Errors
/// Why it is none, or says something that arrow's library does not know.
pub(crate) fn decode(note: &str) -> Result<Schema, String> {
    let bytes = BASE64_STANDARD.decode(note).map_err(|e| e.to_string())?;
    arrow_ipc::convert::try_schema_from_ipc_buffer(&bytes).map_err(|e| e.to_string())
}

/// What the format's own list of types would call these values, if they are times of any kind.
pub(crate) fn time(of: &DataType) -> Option<&'static str> {
    Some(match value_type(of) {
        DataType::Duration(_) => "DURATION",
        DataType::Timestamp(..) => "TIMESTAMP",
        DataType::Time32(_) | DataType::Time64(_) => "TIME",
        DataType::Date32 | DataType::Date64 => "DATE",
        DataType::Interval(_) => "INTERVAL",
        _ => return None,
    })
}

/// What the values are, in whatever lists and dictionaries they lie.
fn value_type(of: &DataType) -> &DataType {
    match of {
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => value_type(field.data_type()),
        DataType::Dictionary(_, values) => value_type(values),
        DataType::RunEndEncoded(_, values) => value_type(values.data_type()),
        plain => plain,
    }
}

/// Writes a note, as `arrow`'s writers do.
pub fn encode_arrow(schema: &Schema) -> String {
    let message = IpcDataGenerator::default()
        .schema_to_bytes_with_dictionary_tracker(
            schema,
            &mut DictionaryTracker::new(true),
            &IpcWriteOptions::default(),
        )
        .ipc_message;
    let length = (message.len() as u32).to_le_bytes();
    BASE64_STANDARD.encode([&[0xff; 4][..], &length, &message].concat())
}
