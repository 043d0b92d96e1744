//! Writes small parquet files with the schemas and level encodings that readers meet, chosen by the caller.

use std::{fs::File, path::Path, sync::Arc};

use parquet::{
    basic::Compression,
    data_type::{
        ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray, FixedLenByteArrayType,
        Int32Type, Int64Type,
    },
    file::{
        metadata::KeyValue,
        properties::{WriterProperties, WriterVersion},
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::parser::parse_message_type,
};

/// The values of one leaf column of one row group, with their levels where the schema has any.
pub(crate) enum Leaf {
    I32(Vec<i32>, Vec<i16>, Vec<i16>),
    I64(Vec<i64>, Vec<i16>, Vec<i16>),
    F64(Vec<f64>, Vec<i16>),
    Bytes(Vec<Vec<u8>>, Vec<i16>),
    Fixed(Vec<Vec<u8>>, Vec<i16>),
}

/// The levels of full lists in pandas' schema: three definition levels, no nulls.
pub(crate) fn three_level(rows: &[Vec<i32>]) -> Leaf {
    lists(rows, 3)
}

/// The levels of full lists when the deepest definition level is `value`.
pub(crate) fn lists(rows: &[Vec<i32>], value: i16) -> Leaf {
    let (mut defs, mut reps) = (Vec::new(), Vec::new());
    for row in rows {
        let levels = row.len().max(1);
        defs.extend(vec![if row.is_empty() { value - 2 } else { value }; levels]);
        reps.extend((0..levels).map(|i| i16::from(i > 0)));
    }
    Leaf::I32(rows.concat(), defs, reps)
}

/// Text without nulls in an optional column.
pub(crate) fn text(rows: &[&str]) -> Leaf {
    Leaf::Bytes(
        rows.iter().map(|t| t.as_bytes().to_vec()).collect(),
        vec![1; rows.len()],
    )
}

/// How the file is written; none of it may change what is read.
#[derive(Clone, Copy)]
pub(crate) struct Encoding {
    pub(crate) compression: Compression,
    pub(crate) version: WriterVersion,
    pub(crate) dictionary: bool,
    pub(crate) page_rows: usize,
}

pub(crate) const PLAIN: Encoding = Encoding {
    compression: Compression::UNCOMPRESSED,
    version: WriterVersion::PARQUET_1_0,
    dictionary: false,
    page_rows: 20_000,
};

/// Writes `groups`, each a list of leaves in the schema's order.
pub(crate) fn write(path: &Path, fields: &str, groups: &[Vec<Leaf>], encoding: Encoding) {
    write_noted(path, fields, groups, encoding, Vec::new());
}

/// The same with notes in the footer.
pub(crate) fn write_noted(
    path: &Path,
    fields: &str,
    groups: &[Vec<Leaf>],
    encoding: Encoding,
    notes: Vec<KeyValue>,
) {
    let schema = Arc::new(parse_message_type(&format!("message schema {{ {fields} }}")).unwrap());
    let properties = WriterProperties::builder()
        .set_compression(encoding.compression)
        .set_writer_version(encoding.version)
        .set_dictionary_enabled(encoding.dictionary)
        .set_data_page_row_count_limit(encoding.page_rows)
        .set_write_batch_size(encoding.page_rows.min(1024));
    let mut writer = SerializedFileWriter::new(
        File::create(path).unwrap(),
        schema,
        Arc::new(properties.build()),
    )
    .unwrap();
    for leaves in groups {
        let mut group = writer.next_row_group().unwrap();
        for leaf in leaves {
            match leaf {
                Leaf::I32(v, d, r) => put::<Int32Type>(&mut group, v, d, r),
                Leaf::I64(v, d, r) => put::<Int64Type>(&mut group, v, d, r),
                Leaf::F64(v, d) => put::<DoubleType>(&mut group, v, d, &[]),
                Leaf::Bytes(v, d) => {
                    let values: Vec<ByteArray> = v.iter().map(|b| b.clone().into()).collect();
                    put::<ByteArrayType>(&mut group, &values, d, &[]);
                }
                Leaf::Fixed(v, d) => {
                    let values: Vec<FixedLenByteArray> =
                        v.iter().map(|b| b.clone().into()).collect();
                    put::<FixedLenByteArrayType>(&mut group, &values, d, &[]);
                }
            }
        }
        group.close().unwrap();
    }
    for note in notes {
        writer.append_key_value_metadata(note);
    }
    writer.close().unwrap();
}

fn put<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[T::T],
    defs: &[i16],
    reps: &[i16],
) {
    let levels = |levels| {
        if <[i16]>::is_empty(levels) {
            None
        } else {
            Some(levels)
        }
    };
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<T>()
        .write_batch(values, levels(defs), levels(reps))
        .unwrap();
    column.close().unwrap();
}

pub(crate) const PANDAS: &str =
    "optional group input_tokens (LIST) { repeated group list { optional int32 element; } }";
