//! Every physical type with every logical and converted type that it may have, as every writer setting stores it: read by
//! its meaning or refused by its name, as text and as pandas' cells alike, and no column spoils another.

use std::{fs::File, path::Path, sync::Arc};

use ossmark_dataset::{Cell, Table};
use parquet::{
    basic::{Compression, Encoding, Repetition, Type as Physical},
    data_type::{
        BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray,
        FixedLenByteArrayType, FloatType, Int32Type, Int64Type, Int96, Int96Type,
    },
    file::{
        properties::{EnabledStatistics, WriterProperties, WriterVersion},
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::Type,
};
use tempfile::tempdir;

use cases::{Case, Values, cases};

mod cases;

impl Case {
    fn put(
        &self,
        group: &mut SerializedRowGroupWriter<'_, File>,
        rows: &[Option<usize>],
        optional: bool,
    ) {
        match &self.values {
            Values::Bool(v) => put::<BoolType>(group, v, rows, optional),
            Values::I32(v) => put::<Int32Type>(group, v, rows, optional),
            Values::I64(v) => put::<Int64Type>(group, v, rows, optional),
            Values::F32(v) => put::<FloatType>(group, v, rows, optional),
            Values::F64(v) => put::<DoubleType>(group, v, rows, optional),
            Values::I96(v) => {
                put::<Int96Type>(group, &v.map(|w| Int96::from(w.to_vec())), rows, optional)
            }
            Values::Bytes(v) => put::<ByteArrayType>(
                group,
                &v.map(|b| ByteArray::from(b.to_vec())),
                rows,
                optional,
            ),
            Values::Fixed(v) => {
                let values = v.map(|b| FixedLenByteArray::from(b.to_vec()));
                put::<FixedLenByteArrayType>(group, &values, rows, optional);
            }
        }
    }
}

fn put<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[T::T; 2],
    rows: &[Option<usize>],
    optional: bool,
) {
    let present: Vec<T::T> = rows
        .iter()
        .flatten()
        .map(|at| values[*at].clone())
        .collect();
    let levels: Vec<i16> = rows.iter().map(|at| i16::from(at.is_some())).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<T>()
        .write_batch(&present, optional.then_some(&levels[..]), None)
        .unwrap();
    column.close().unwrap();
}

/// How values are laid out in pages.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Dictionary,
    /// What the writer takes without one: PLAIN in version 1, deltas in version 2.
    Usual,
    /// The encoding that remains: split bytes, or lengths apart.
    Other,
}

#[derive(Clone, Copy, Debug)]
struct Setting {
    layout: Layout,
    version: WriterVersion,
    compression: Compression,
    statistics: EnabledStatistics,
    repetition: Repetition,
    /// Row groups, each of two values, with or without nulls between them.
    groups: usize,
    nulls: bool,
}

fn settings() -> Vec<Setting> {
    let compressions = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::BROTLI(Default::default()),
        Compression::ZSTD(Default::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
    ];
    let mut settings = Vec::new();
    for (number, compression) in compressions.into_iter().enumerate() {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            for layout in [Layout::Dictionary, Layout::Usual, Layout::Other] {
                for (repetition, nulls) in [
                    (Repetition::REQUIRED, false),
                    (Repetition::OPTIONAL, false),
                    (Repetition::OPTIONAL, true),
                ] {
                    for groups in [1, 3] {
                        settings.push(Setting {
                            layout,
                            version,
                            compression,
                            statistics: [
                                EnabledStatistics::None,
                                EnabledStatistics::Chunk,
                                EnabledStatistics::Page,
                            ][(number + groups) % 3],
                            repetition,
                            groups,
                            nulls,
                        });
                    }
                }
            }
        }
    }
    settings
}

fn write(path: &Path, cases: &[Case], setting: Setting) -> Vec<Option<usize>> {
    let fields = cases
        .iter()
        .enumerate()
        .map(|(number, case)| Arc::new(case.column(&format!("c{number}"), setting.repetition)));
    let schema = Type::group_type_builder("schema")
        .with_fields(fields.collect())
        .build()
        .unwrap();
    let mut properties = WriterProperties::builder()
        .set_compression(setting.compression)
        .set_writer_version(setting.version)
        .set_statistics_enabled(setting.statistics)
        .set_dictionary_enabled(matches!(setting.layout, Layout::Dictionary));
    if let Layout::Other = setting.layout {
        for (number, case) in cases.iter().enumerate() {
            let encoding = match case.physical().0 {
                Physical::BYTE_ARRAY => Encoding::DELTA_LENGTH_BYTE_ARRAY,
                Physical::BOOLEAN => Encoding::RLE,
                Physical::INT96 => Encoding::PLAIN,
                _ => Encoding::BYTE_STREAM_SPLIT,
            };
            properties = properties.set_column_encoding(format!("c{number}").into(), encoding);
        }
    }
    let mut writer = SerializedFileWriter::new(
        File::create(path).unwrap(),
        Arc::new(schema),
        Arc::new(properties.build()),
    )
    .unwrap();
    let rows = match setting.nulls {
        true => vec![None, Some(0), None, Some(1)],
        false => vec![Some(0), Some(1)],
    };
    for _ in 0..setting.groups {
        let mut group = writer.next_row_group().unwrap();
        for case in cases {
            case.put(
                &mut group,
                &rows,
                setting.repetition == Repetition::OPTIONAL,
            );
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
    rows.repeat(setting.groups)
}

/// Integers with gaps are floats in pandas.
fn with_gaps(cell: &Cell, gaps: bool) -> Cell {
    match cell {
        Cell::Int(value) if gaps => Cell::Float(*value as f64),
        Cell::Unsigned(value) if gaps => Cell::Float(*value as f64),
        other => other.clone(),
    }
}

#[test]
fn every_type_by_every_setting() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("data.parquet");
    let cases = cases();
    assert!(cases.len() > 60, "{}", cases.len());
    for setting in settings() {
        let rows = write(&path, &cases, setting);
        let table = Table::open(&path).unwrap();
        assert_eq!(table.rows(), rows.len());
        for (number, case) in cases.iter().enumerate() {
            let column = format!("c{number}");
            let what = format!(
                "{column} {:?} {setting:?}",
                case.column("c", setting.repetition)
            );
            assert_eq!(table.is_text(&column), case.expected.is_ok(), "{what}");
            match &case.expected {
                Ok(expected) => {
                    let cells = rows.iter().map(|at| {
                        at.map_or(Cell::Null, |at| with_gaps(&expected[at].0, setting.nulls))
                    });
                    let texts = rows.iter().map(|at| at.map(|at| expected[at].1.to_owned()));
                    assert_eq!(
                        table.cells(&column).unwrap(),
                        cells.collect::<Vec<_>>(),
                        "{what}"
                    );
                    assert_eq!(
                        table.text(&column).unwrap(),
                        texts.collect::<Vec<_>>(),
                        "{what}"
                    );
                }
                Err(name) => {
                    let cells = table.cells(&column).map(drop);
                    for error in [cells.unwrap_err(), table.text(&column).unwrap_err()] {
                        let text = error.to_string();
                        assert!(
                            text.contains(&column) && text.contains(name),
                            "{what}: {text}"
                        );
                    }
                }
            }
        }
    }
}
