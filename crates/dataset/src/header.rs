//! A parquet page's header, read before anything is allocated or decompressed by what it says.
//!
//! Source: apache/parquet-format, parquet.thrift, `PageHeader`; apache/thrift, thrift-compact-protocol.md.

use parquet::basic::Encoding;

/// Sizes and counts are the file's word until a page has been decompressed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PageHeader {
    pub(crate) kind: Kind,
    /// Bytes in the file, after the header.
    pub(crate) compressed: usize,
    /// Bytes once decompressed, the levels of a [`Kind::DataV2`] included.
    pub(crate) uncompressed: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Dictionary {
        values: u32,
        encoding: Encoding,
        sorted: bool,
    },
    Data {
        values: u32,
        encoding: Encoding,
        definitions: Encoding,
        repetitions: Encoding,
    },
    /// Levels lie before the values and are never compressed.
    DataV2 {
        values: u32,
        nulls: u32,
        rows: u32,
        encoding: Encoding,
        definition_bytes: u32,
        repetition_bytes: u32,
        compressed: bool,
    },
    /// An index, or something of a later version of the format: passed over.
    Other,
}

/// Why there is no header.
#[derive(Debug, PartialEq)]
pub(crate) enum HeaderError {
    /// It goes on beyond the bytes that were given.
    Short,
    /// It is no page header.
    Wrong(String),
}

type Result<T> = std::result::Result<T, HeaderError>;

impl PageHeader {
    /// The header at the beginning of `bytes`, and its length.
    pub(crate) fn read(bytes: &[u8]) -> Result<(Self, usize)> {
        let mut input = Compact { bytes, at: 0 };
        let top = input.numbers()?;
        let size = |id, name| -> Result<usize> {
            top.required(id, name)?
                .try_into()
                .map_err(|_| wrong(format!("{name} is negative")))
        };
        let header = Self {
            kind: match top.required(1, "type")? {
                0 => input.nested(5, |n| {
                    Ok(Kind::Data {
                        values: n.count(1, "num_values")?,
                        encoding: n.encoding(2)?,
                        definitions: n.encoding(3)?,
                        repetitions: n.encoding(4)?,
                    })
                })?,
                2 => input.nested(7, |n| {
                    Ok(Kind::Dictionary {
                        values: n.count(1, "num_values")?,
                        encoding: n.encoding(2)?,
                        sorted: n.get(3) == Some(1),
                    })
                })?,
                3 => input.nested(8, |n| {
                    Ok(Kind::DataV2 {
                        values: n.count(1, "num_values")?,
                        nulls: n.count(2, "num_nulls")?,
                        rows: n.count(3, "num_rows")?,
                        encoding: n.encoding(4)?,
                        definition_bytes: n.count(5, "definition_levels_byte_length")?,
                        repetition_bytes: n.count(6, "repetition_levels_byte_length")?,
                        // Absent means compressed.
                        compressed: n.get(7) != Some(0),
                    })
                })?,
                _ => Kind::Other,
            },
            uncompressed: size(2, "uncompressed_page_size")?,
            compressed: size(3, "compressed_page_size")?,
        };
        Ok((header, top.end))
    }
}

fn wrong(what: impl Into<String>) -> HeaderError {
    HeaderError::Wrong(what.into())
}

/// The numbers and booleans of a struct by their field's number; everything else is only passed over.
struct Numbers {
    fields: Vec<(i16, i64)>,
    /// Where structs inside begin, by their field's number.
    structs: Vec<(i16, usize)>,
    /// The byte after the struct.
    end: usize,
}

impl Numbers {
    fn get(&self, id: i16) -> Option<i64> {
        let found = self.fields.iter().find(|(field, _)| *field == id);
        found.map(|(_, value)| *value)
    }

    fn required(&self, id: i16, name: &str) -> Result<i64> {
        self.get(id)
            .ok_or_else(|| wrong(format!("a page header lacks {name}")))
    }

    fn count(&self, id: i16, name: &str) -> Result<u32> {
        let found = self.required(id, name)?;
        u32::try_from(found).map_err(|_| wrong(format!("a page header's {name} is {found}")))
    }

    fn encoding(&self, id: i16) -> Result<Encoding> {
        let found = self.required(id, "encoding")?;
        let known = Encoding::VARIANTS.iter().find(|e| **e as i64 == found);
        known
            .copied()
            .ok_or_else(|| wrong(format!("Unexpected Encoding {found}")))
    }
}

struct Compact<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Deeper than any struct of the format.
const MAX_DEPTH: u32 = 8;

impl Compact<'_> {
    fn numbers(&mut self) -> Result<Numbers> {
        let (mut fields, mut structs, mut id) = (Vec::new(), Vec::new(), 0i16);
        loop {
            let head = self.byte()?;
            if head == 0 {
                let end = self.at;
                return Ok(Numbers {
                    fields,
                    structs,
                    end,
                });
            }
            id = match head >> 4 {
                0 => i16::try_from(self.zigzag()?).map_err(|_| wrong("a field's number"))?,
                step => id
                    .checked_add(step.into())
                    .ok_or_else(|| wrong("a field's number"))?,
            };
            match head & 0xf {
                1 => fields.push((id, 1)),
                2 => fields.push((id, 0)),
                3 => fields.push((id, self.byte()?.cast_signed().into())),
                4..=6 => fields.push((id, self.zigzag()?)),
                kind => {
                    structs.push((id, self.at));
                    self.skip(kind, 0)?;
                }
            }
        }
    }

    /// The struct in field `id` of the struct that was read last from the beginning.
    fn nested(&mut self, id: i16, make: impl FnOnce(&Numbers) -> Result<Kind>) -> Result<Kind> {
        self.at = 0;
        let outer = self.numbers()?;
        let found = outer.structs.iter().find(|(field, _)| *field == id);
        let (_, at) = found.ok_or_else(|| wrong(format!("a page header lacks field {id}")))?;
        self.at = *at;
        make(&self.numbers()?)
    }

    fn skip(&mut self, kind: u8, depth: u32) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(wrong("a page header of many levels"));
        }
        match kind {
            // In a list or map a boolean is a byte.
            1..=3 => self.pass(1),
            4..=6 => self.varint().map(drop),
            7 => self.pass(8),
            8 => {
                let length = self.varint()?;
                self.pass(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = match head >> 4 {
                    15 => self.varint()?,
                    count => count.into(),
                };
                // Every element takes a byte or more, so that the end of the bytes ends this.
                (0..count).try_for_each(|_| self.skip(head & 0xf, depth + 1))
            }
            11 => {
                let count = self.varint()?;
                let kinds = if count == 0 { 0 } else { self.byte()? };
                (0..count).try_for_each(|_| {
                    self.skip(kinds >> 4, depth + 1)?;
                    self.skip(kinds & 0xf, depth + 1)
                })
            }
            12 => loop {
                let head = self.byte()?;
                if head == 0 {
                    return Ok(());
                }
                if head >> 4 == 0 {
                    self.zigzag()?;
                }
                if !matches!(head & 0xf, 1 | 2) {
                    self.skip(head & 0xf, depth + 1)?;
                }
            },
            13 => self.pass(16),
            kind => Err(wrong(format!("a field of type {kind} in a page header"))),
        }
    }

    fn pass(&mut self, length: impl TryInto<usize>) -> Result<()> {
        let length = length.try_into().map_err(|_| HeaderError::Short)?;
        let end = self.at.checked_add(length).ok_or(HeaderError::Short)?;
        if end > self.bytes.len() {
            return Err(HeaderError::Short);
        }
        self.at = end;
        Ok(())
    }

    fn byte(&mut self) -> Result<u8> {
        let byte = *self.bytes.get(self.at).ok_or(HeaderError::Short)?;
        self.at += 1;
        Ok(byte)
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(wrong("a number of more than 64 bits in a page header"))
    }

    fn zigzag(&mut self) -> Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// type 0, 70 bytes, 60 in the file, {9 values, PLAIN, RLE, RLE, statistics}.
    const DATA: [u8; 22] = [
        0x15, 0, 0x15, 140, 1, 0x15, 120, 0x2c, 0x15, 18, 0x15, 0, 0x15, 6, 0x15, 6, 0x1c, 0x18, 1,
        b'x', 0, 0,
    ];

    #[test]
    fn a_data_page() {
        let mut bytes = DATA.to_vec();
        bytes.extend([0, 77, 78]);
        let (header, length) = PageHeader::read(&bytes).unwrap();
        assert_eq!((header.uncompressed, header.compressed), (70, 60));
        assert_eq!(length, bytes.len() - 2);
        let (definitions, repetitions) = (Encoding::RLE, Encoding::RLE);
        let (values, encoding) = (9, Encoding::PLAIN);
        assert_eq!(
            header.kind,
            Kind::Data {
                values,
                encoding,
                definitions,
                repetitions
            }
        );
        for cut in 0..length {
            assert_eq!(
                PageHeader::read(&bytes[..cut]),
                Err(HeaderError::Short),
                "{cut}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_header_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..22usize, to in any::<u8>()) {
            let _ = PageHeader::read(&bytes);
            let mut changed = DATA.to_vec();
            changed[at] = to;
            changed.extend(bytes);
            let _ = PageHeader::read(&changed);
        }
    }
}
