//! The data set's columns, passed on without being decoded: their chunks are copied byte by byte, with their types and the
//! notes of those who wrote them. So every type and codec is passed on, those that nobody here can read as well.

use std::sync::Arc;

use arrow_schema::{FieldRef, Schema};
use ossmark_dataset::{ARROW_KEY, Table, encode_arrow};
use ossmark_files::Brief;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, KeyValue};
use parquet::schema::types::{Type, TypePtr};

use super::schema;
use crate::{Error, Result};

/// What is passed on of a data set.
pub(super) struct CopiedColumns {
    root: String,
    fields: Vec<TypePtr>,
    /// The numbers of the leaves below `fields`.
    pub(super) leaves: Vec<usize>,
    /// The file's notes.
    pub(super) notes: Vec<KeyValue>,
    /// What is not, a sentence each.
    pub(super) left_out: Vec<String>,
}

impl CopiedColumns {
    /// All columns but those whose names the answers of `passes` passes take.
    pub(super) fn of(table: &Table, passes: u32) -> Self {
        let taken: Vec<String> = (0..passes).flat_map(schema::names).collect();
        let footer = table.metadata().file_metadata();
        let schema = footer.schema_descr();
        let fields = schema.root_schema().get_fields();
        let stays = |at: &usize| !taken.iter().any(|name| name == fields[*at].name());
        let (kept, replaced): (Vec<usize>, Vec<usize>) = (0..fields.len()).partition(stays);
        let mut left_out: Vec<String> = replaced
            .iter()
            .map(|at| {
                let name = Brief(fields[*at].name()).to_string();
                format!("column '{name}' of the data set is left out: these answers have its name")
            })
            .collect();
        let notes = footer.key_value_metadata().into_iter().flatten().cloned();
        let (arrow, mut notes): (Vec<KeyValue>, Vec<KeyValue>) =
            notes.partition(|note| note.key == ARROW_KEY);
        if !arrow.is_empty() {
            match arrow_note(table, &kept, passes) {
                Ok(note) => notes.push(KeyValue::new(ARROW_KEY.into(), note)),
                Err(why) => left_out.push(format!(
                    "the data set's note of arrow's types is left out, its columns have parquet's types: {}",
                    Brief(&why)
                )),
            }
        }
        Self {
            root: schema.root_schema().name().to_owned(),
            fields: kept.iter().map(|at| fields[*at].clone()).collect(),
            leaves: (0..schema.num_columns())
                .filter(|leaf| kept.contains(&schema.get_column_root_idx(*leaf)))
                .collect(),
            notes,
            left_out,
        }
    }

    /// The output's schema: these columns, then those of the passes.
    pub(super) fn schema(&self, passes: u32) -> std::result::Result<TypePtr, ParquetError> {
        let mut fields = self.fields.clone();
        for pass in 0..passes {
            fields.extend(schema::parquet(pass)?.map(Arc::new));
        }
        let root = Type::group_type_builder(&self.root).with_fields(fields);
        Ok(Arc::new(root.build()?))
    }
}

/// The data set's note of arrow's types, for the output's columns.
fn arrow_note(table: &Table, kept: &[usize], passes: u32) -> std::result::Result<String, String> {
    let schema = table.arrow_schema().unwrap_or(Err("it is empty"))?;
    let names = schema.fields().iter().map(|field| field.name());
    if !names.eq(table.columns()) {
        return Err("it names other columns".into());
    }
    let mut fields: Vec<FieldRef> = kept.iter().map(|at| schema.fields()[*at].clone()).collect();
    for pass in 0..passes {
        fields.extend(schema::arrow(pass).map(Arc::new));
    }
    let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
    Ok(encode_arrow(&schema))
}

/// What the writer has to know to copy a chunk of `rows` rows. Statistics and indexes stay behind: they only save work, and
/// some writers' are wrong, which readers tell by the writer's name.
pub(super) fn copy(
    table: &Table,
    chunk: &ColumnChunkMetaData,
    rows: i64,
) -> Result<ColumnCloseResult> {
    let (start, end) = table.extent(chunk)?;
    let first = chunk.data_page_offset();
    let dictionary = i64::try_from(start).ok().filter(|start| *start < first);
    let metadata = ColumnChunkMetaData::builder(chunk.column_descr_ptr())
        .set_compression_codec(chunk.compression_codec())
        .set_encodings_mask(*chunk.encodings_mask())
        .set_num_values(chunk.num_values())
        .set_total_compressed_size(chunk.compressed_size())
        .set_total_uncompressed_size(chunk.uncompressed_size())
        .set_data_page_offset(first)
        .set_dictionary_page_offset(dictionary)
        .build()
        .map_err(|e| Error::Output {
            path: table.path().to_owned(),
            what: e.to_string(),
        })?;
    Ok(ColumnCloseResult {
        bytes_written: end - start,
        rows_written: rows.unsigned_abs(),
        metadata,
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    })
}
