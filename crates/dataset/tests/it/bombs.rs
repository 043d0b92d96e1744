//! A few kilobytes that claim, or really are, gigabytes: refused before memory is taken, and shown in a few words.

use std::path::Path;

use ossmark_dataset::{Error, Table};
use parquet::{
    basic::Compression,
    data_type::{ByteArray, ByteArrayType},
    file::{
        properties::{WriterProperties, WriterVersion},
        writer::SerializedFileWriter,
    },
    schema::parser::parse_message_type,
};
use tempfile::tempdir;

const MIB: usize = 1 << 20;

/// A column `x` of `rows` times the same text.
fn write(path: &Path, text: Vec<u8>, rows: usize, compression: Compression, dictionary: bool) {
    let schema = parse_message_type("message m { required binary x (STRING); }").unwrap();
    let properties = WriterProperties::builder()
        .set_compression(compression)
        // Without a dictionary, this version's texts are written as what they share with the text before.
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_dictionary_enabled(dictionary)
        .set_dictionary_page_size_limit(64 * MIB)
        .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None)
        .build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema.into(), properties.into()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let values = vec![ByteArray::from(text); rows];
    column
        .typed::<ByteArrayType>()
        .write_batch(&values, None, None)
        .unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

fn compressions() -> [Compression; 4] {
    [
        Compression::ZSTD(Default::default()),
        Compression::BROTLI(Default::default()),
        Compression::GZIP(Default::default()),
        Compression::LZ4_RAW,
    ]
}

#[test]
fn a_value_that_grows_beyond_measure() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("data.parquet");
    for compression in compressions() {
        write(&path, vec![b'a'; 65 * MIB], 1, compression, false);
        let table = Table::open(&path).unwrap();
        for error in [
            table.text("x").unwrap_err(),
            table.cells("x").map(drop).unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(
                matches!(error, Error::PageTooLarge { .. }),
                "{compression}: {text}"
            );
            assert!(text.contains("column 'x'") && text.len() < 500, "{text}");
        }
    }
}

/// A value that is as long in the file: no page grows, and it is refused by its own length.
#[test]
fn a_value_longer_than_any() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("data.parquet");
    write(
        &path,
        vec![b'a'; 257 * MIB],
        1,
        Compression::UNCOMPRESSED,
        true,
    );
    let read = Table::open(&path).unwrap().text("x");
    // Not shown, should it be there.
    let error = read.map(drop).unwrap_err();
    let text = error.to_string();
    let refused = matches!(error, Error::TooLarge { what, limit, .. } if what.contains("one value") && limit == 256 << 20);
    assert!(refused && text.len() < 500, "{text:.500}");
}

#[test]
fn large_values_that_are_there_are_read() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("data.parquet");
    for compression in compressions() {
        write(&path, vec![b'a'; 60 * MIB], 1, compression, false);
        let texts = Table::open(&path).unwrap().text("x").unwrap();
        assert_eq!(texts[0].as_ref().unwrap().len(), 60 * MIB);
    }
    // More than is ever accepted of what compresses well.
    write(
        &path,
        vec![b'a'; 80 * MIB],
        1,
        Compression::UNCOMPRESSED,
        false,
    );
    let texts = Table::open(&path).unwrap().text("x").unwrap();
    assert_eq!(texts[0].as_ref().unwrap().len(), 80 * MIB);
}

/// One text, named by many rows: in a dictionary, or as "the same as before".
#[test]
fn a_text_of_many_rows() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("data.parquet");
    for dictionary in [true, false] {
        write(&path, vec![b'a'; MIB], 4000, compressions()[0], dictionary);
        assert!(path.metadata().unwrap().len() < MIB as u64);
        let error = Table::open(&path).unwrap().text("x").unwrap_err();
        let limit = 256 << 20;
        let refused = matches!(error, Error::TooLarge { limit: at, .. } if at == limit);
        assert!(refused, "{dictionary}: {error}");
    }
}
