//! A page reader that believes no count and no size. It stands between the file and the parquet crate's decoders, which
//! allocate and loop by what pages say: a few hundred bytes can claim billions of values or gigabytes.
//!
//! Memory: one dictionary and one data page, decompressed, each at most [`allowance`] of its bytes in the file.

use std::{fs::File, os::unix::fs::FileExt, sync::Arc};

use bytes::Bytes;
use parquet::{
    basic::{Compression, Encoding, Type as Physical},
    column::page::{Page, PageMetadata, PageReader},
    errors::{ParquetError, Result},
    file::metadata::ColumnChunkMetaData,
};

use crate::{
    codec,
    header::{HeaderError, Kind, PageHeader},
};

/// What some bytes of a file may become: 64 MiB, or 128 times as much as they are. Text, tokens and numbers come nowhere
/// near the latter, except for values that repeat, which pages of usual size (1 MiB) keep below the former.
pub(crate) fn allowance(bytes: u64) -> u64 {
    bytes.saturating_mul(128).max(64 << 20)
}

/// Values of a byte array column decoded at a time.
pub(crate) const BYTE_ARRAYS_AT_A_TIME: usize = 16;
/// With DELTA_BYTE_ARRAY each value may be nearly as long as its page, so that as many as are decoded at a time count.
const MAX_DELTA_PAGE: usize = (2 << 30) / BYTE_ARRAYS_AT_A_TIME;

/// A refusal of ours, recognised again behind the parquet crate's error type.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// More values than the reader's limit.
    #[error("more values than accepted")]
    Values,
    /// A page that would take too much memory.
    #[error("a page of {compressed} bytes claims to hold {claimed}")]
    Page { compressed: usize, claimed: usize },
    /// Something that the format knows and this program does not.
    #[error("{0}")]
    Unsupported(String),
    /// The operating system refused.
    #[error("{0}")]
    Io(std::io::Error),
}

fn external(refusal: Refusal) -> ParquetError {
    ParquetError::External(Box::new(refusal))
}

fn corrupt(what: impl Into<String>) -> ParquetError {
    ParquetError::General(what.into())
}

/// The pages of a column chunk, until their counts exceed a limit or contradict their own size.
pub(crate) struct Pages {
    file: Arc<File>,
    codec: Compression,
    /// The fewest bytes that a dictionary's entry takes.
    entry: usize,
    at: u64,
    end: u64,
    /// Values that may still come.
    left: u64,
    /// The header of the page at `at`, once it has been read, with its length.
    next: Option<(PageHeader, usize)>,
}

impl Pages {
    /// The pages of a chunk, of at most `limit` values.
    pub(crate) fn new(file: Arc<File>, chunk: &ColumnChunkMetaData, limit: u64) -> Result<Self> {
        if let Some(name) = codec::unknown(chunk.compression()) {
            let what = format!(
                "is compressed with {name}, expected one of {}",
                codec::KNOWN
            );
            return Err(external(Refusal::Unsupported(what)));
        }
        let (at, end) = extent(&file, chunk)?;
        let descriptor = chunk.column_descr();
        Ok(Self {
            file,
            codec: chunk.compression(),
            entry: match descriptor.physical_type() {
                Physical::BOOLEAN => 1,
                Physical::INT32 | Physical::FLOAT | Physical::BYTE_ARRAY => 4,
                Physical::INT64 | Physical::DOUBLE => 8,
                Physical::INT96 => 12,
                Physical::FIXED_LEN_BYTE_ARRAY => {
                    usize::try_from(descriptor.type_length()).map_or(1, |n| n.max(1))
                }
            },
            at,
            end,
            left: limit,
            next: None,
        })
    }

    fn read(&self, at: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.file
            .read_exact_at(&mut bytes, at)
            .map_err(|e| external(Refusal::Io(e)))?;
        Ok(bytes)
    }

    /// Reads the next header that is of any interest; None at the end of the chunk.
    fn header(&mut self) -> Result<Option<&(PageHeader, usize)>> {
        while self.next.is_none() {
            let left = self.end - self.at;
            if left == 0 {
                return Ok(None);
            }
            // Statistics in a header hold values of any length.
            let mut window = 1 << 10;
            let (header, length) = loop {
                let length = usize::try_from(left).map_or(window, |left| window.min(left));
                match PageHeader::read(&self.read(self.at, length)?) {
                    Ok(found) => break found,
                    Err(HeaderError::Short) if (length as u64) < left => window *= 16,
                    Err(HeaderError::Short) => {
                        return Err(corrupt("its last page header is cut off"));
                    }
                    Err(HeaderError::Wrong(what)) => return Err(corrupt(what)),
                }
            };
            let body = header.compressed as u64;
            if body > left - length as u64 {
                return Err(corrupt(format!(
                    "a page of {body} bytes where {} are left",
                    left - length as u64
                )));
            }
            match header.kind {
                Kind::Other => self.at += length as u64 + body,
                _ => self.next = Some((header, length)),
            }
        }
        Ok(self.next.as_ref())
    }

    /// Refuses a page by its header.
    fn check(&mut self, header: &PageHeader) -> Result<()> {
        let (compressed, claimed) = (header.compressed, header.uncompressed);
        let too_large = Refusal::Page {
            compressed,
            claimed,
        };
        if claimed as u64 > allowance(compressed as u64) {
            return Err(external(too_large));
        }
        match header.kind {
            Kind::Dictionary { values, .. } => {
                let held = match self.codec {
                    Compression::UNCOMPRESSED => compressed,
                    _ => claimed,
                };
                match values as usize > held / self.entry {
                    true => Err(corrupt(format!(
                        "a dictionary of {held} bytes claims {values} entries"
                    ))),
                    false => Ok(()),
                }
            }
            Kind::Data {
                values, encoding, ..
            }
            | Kind::DataV2 {
                values, encoding, ..
            } => {
                if encoding == Encoding::DELTA_BYTE_ARRAY && claimed > MAX_DELTA_PAGE {
                    return Err(external(too_large));
                }
                match self.left.checked_sub(values.into()) {
                    Some(left) => self.left = left,
                    None => return Err(external(Refusal::Values)),
                }
                Ok(())
            }
            Kind::Other => Ok(()),
        }
    }

    /// The page's bytes as the decoders want them; `plain` of them, the levels, are not compressed.
    fn body(&self, header: &PageHeader, at: u64, plain: usize, packed: bool) -> Result<Bytes> {
        let bytes = self.read(at, header.compressed)?;
        if !packed || self.codec == Compression::UNCOMPRESSED {
            return Ok(bytes.into());
        }
        let sizes = bytes.split_at_checked(plain);
        let (Some((levels, values)), Some(size)) = (sizes, header.uncompressed.checked_sub(plain))
        else {
            return Err(corrupt("a page's levels are longer than the page"));
        };
        // A page of nothing but nulls has no values, compressed or not.
        if size == 0 {
            return Ok(levels.to_vec().into());
        }
        let unpacked = codec::decompress(self.codec, values, size)
            .map_err(|e| corrupt(format!("{}: {e}", self.codec)))?;
        match levels {
            [] => Ok(unpacked.into()),
            _ => Ok([levels, &unpacked].concat().into()),
        }
    }
}

/// Where a chunk's pages begin and end in its file. Some writers note a dictionary at 0 when there is none.
pub(crate) fn extent(file: &File, chunk: &ColumnChunkMetaData) -> Result<(u64, u64)> {
    if chunk.file_path().is_some() {
        let what = "lies in another file, expected one file with all columns";
        return Err(external(Refusal::Unsupported(what.into())));
    }
    let first = chunk.data_page_offset();
    let begin = match chunk.dictionary_page_offset() {
        Some(at) if at > 0 && at < first => at,
        _ => first,
    };
    let begin = u64::try_from(begin);
    let length = u64::try_from(chunk.compressed_size());
    let (Ok(begin), Ok(length)) = (begin, length) else {
        return Err(corrupt("its pages begin or end before the file"));
    };
    let bytes = file.metadata().map_err(|e| external(Refusal::Io(e)))?.len();
    match begin.checked_add(length) {
        Some(end) if end <= bytes => Ok((begin, end)),
        _ => Err(corrupt(format!(
            "its {length} bytes from byte {begin} end beyond the file's {bytes}"
        ))),
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        if self.header()?.is_none() {
            return Ok(None);
        }
        let Some((header, length)) = self.next.take() else {
            return Ok(None);
        };
        self.check(&header)?;
        let at = self.at + length as u64;
        self.at = at + header.compressed as u64;
        Ok(Some(match header.kind {
            Kind::Dictionary {
                values,
                encoding,
                sorted,
            } => Page::DictionaryPage {
                buf: self.body(&header, at, 0, true)?,
                num_values: values,
                encoding,
                is_sorted: sorted,
            },
            Kind::Data {
                values,
                encoding,
                definitions,
                repetitions,
            } => Page::DataPage {
                buf: self.body(&header, at, 0, true)?,
                num_values: values,
                encoding,
                def_level_encoding: definitions,
                rep_level_encoding: repetitions,
                statistics: None,
            },
            Kind::DataV2 {
                values,
                nulls,
                rows,
                encoding,
                definition_bytes,
                repetition_bytes,
                compressed,
            } => {
                let levels = definition_bytes as usize + repetition_bytes as usize;
                Page::DataPageV2 {
                    buf: self.body(&header, at, levels, compressed)?,
                    num_values: values,
                    encoding,
                    num_nulls: nulls,
                    num_rows: rows,
                    def_levels_byte_len: definition_bytes,
                    rep_levels_byte_len: repetition_bytes,
                    is_compressed: compressed,
                    statistics: None,
                }
            }
            Kind::Other => return Err(corrupt("a page of no known kind")),
        }))
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        let found = self.header()?.map(|(header, _)| match header.kind {
            Kind::DataV2 { values, rows, .. } => PageMetadata {
                num_rows: Some(rows as usize),
                num_levels: Some(values as usize),
                is_dict: false,
            },
            Kind::Data { values, .. } => PageMetadata {
                num_rows: None,
                num_levels: Some(values as usize),
                is_dict: false,
            },
            Kind::Dictionary { .. } | Kind::Other => PageMetadata {
                num_rows: None,
                num_levels: None,
                is_dict: true,
            },
        });
        Ok(found)
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.header()?;
        if let Some((header, length)) = self.next.take() {
            self.at += length as u64 + header.compressed as u64;
        }
        Ok(())
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
