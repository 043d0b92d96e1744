//! pyarrow's arrays, as pandas pickles columns of pyarrow's types: strings, numbers, booleans, dictionaries of those, and lists
//! of whole numbers. Every claim (length, offset, type) is checked against the buffers that are there.
//!
//! Source: Apache Arrow, "Columnar format", physical memory layout.

use std::{borrow::Cow, ops::Range};

use super::{
    cells::Cells,
    error::{Error, Result},
    heap::{Heap, Value},
};
use crate::Cell;

/// A type of fixed width, or a text with offsets of `Text` bytes.
#[derive(Clone, Copy)]
enum Plain {
    Null,
    Bool,
    Signed(usize),
    Unsigned(usize),
    Float(usize),
    Text(usize),
}

enum Kind {
    Plain(Plain),
    /// Numbers of the texts or numbers of another array.
    Dictionary(Plain),
    /// With offsets of so many bytes.
    List(usize),
}

/// One array of a column.
struct Array<'a> {
    heap: &'a Heap,
    kind: Kind,
    rows: Range<usize>,
    valid: Option<Cow<'a, [u8]>>,
    buffers: Vec<Cow<'a, [u8]>>,
    children: &'a [Value],
    dictionary: Value,
}

fn wrong() -> Error {
    Error::Shape("a pyarrow array whose buffers do not fit its length".into())
}

/// The cells of a column that pandas keeps in `value`: one array, or a chunked one.
pub(super) fn cells(heap: &Heap, value: Value, out: &mut Cells) -> Result<()> {
    // Every chunk may name one large dictionary.
    let mut left = super::MAX_OBJECTS as usize;
    for array in arrays(heap, value)? {
        let dictionary = match array.kind {
            Kind::Plain(_) => None,
            Kind::Dictionary(_) => Some(array.values(&mut left)?),
            Kind::List(_) => return Err(Error::Column("lists".into())),
        };
        for row in array.rows.clone() {
            let cell = array.cell(row, out.len())?;
            out.push(match (&dictionary, cell) {
                (None, cell) => cell,
                (Some(_), Cell::Null) => Cell::Null,
                (Some(values), Cell::Int(number)) => usize::try_from(number)
                    .ok()
                    .and_then(|number| values.get(number).cloned())
                    .ok_or_else(wrong)?,
                (Some(_), _) => return Err(wrong()),
            })?;
        }
    }
    Ok(())
}

/// The rows of a column, without reading them.
pub(super) fn len(heap: &Heap, value: Value) -> Option<usize> {
    let arrays = arrays(heap, value).ok()?;
    Some(arrays.iter().map(|array| array.rows.len()).sum())
}

/// A column of lists of whole numbers, None for a missing list; `left` is how many numbers may still come. None where the
/// column is no such column.
pub(super) fn lists(
    heap: &Heap,
    value: Value,
    left: &mut usize,
) -> Option<Result<Vec<Option<Vec<i64>>>>> {
    let arrays = match arrays(heap, value) {
        Ok(arrays) => arrays,
        Err(trouble) => return Some(Err(trouble)),
    };
    let is_list = |array: &Array<'_>| matches!(array.kind, Kind::List(_));
    if !arrays.iter().all(is_list) {
        return None;
    }
    let mut out = Vec::new();
    let read = arrays
        .iter()
        .try_for_each(|array| array.lists(&mut out, left));
    Some(read.map(|()| out))
}

fn arrays(heap: &Heap, value: Value) -> Result<Vec<Array<'_>>> {
    let chunks = match heap.call(value) {
        Some(call) if call.is("pyarrow", "chunked_array") => {
            let chunks = call.args.first().and_then(|chunks| heap.items(*chunks));
            chunks.ok_or_else(wrong)?.to_vec()
        }
        _ => vec![value],
    };
    let array = |chunk| {
        let call = heap
            .call(chunk)
            .filter(|c| c.is("pyarrow", "_restore_array"));
        let parts = call.and_then(|call| call.args.first().copied());
        Array::of(
            heap,
            parts.ok_or_else(|| Error::Column(heap.describe(chunk)))?,
        )
    };
    let (mut arrays, mut bytes) = (Vec::new(), 0);
    for chunk in chunks {
        let array = array(chunk)?;
        // One array in the file may be named by millions of chunks, and protocol 2 has buffers to be copied out.
        bytes += array
            .buffers
            .iter()
            .map(|b| b.len() as u64 + 1)
            .sum::<u64>();
        if bytes > super::MAX_FILE {
            return Err(Error::Large);
        }
        arrays.push(array);
    }
    Ok(arrays)
}

impl<'a> Array<'a> {
    /// Of the parts that pyarrow restores an array from: type, length, number of nulls, offset, buffers, children, dictionary.
    fn of(heap: &'a Heap, parts: Value) -> Result<Self> {
        let Some(
            &[
                kind,
                Value::Int(len),
                _,
                Value::Int(offset),
                buffers,
                ref rest @ ..,
            ],
        ) = heap.items(parts)
        else {
            return Err(Error::Column(heap.describe(parts)));
        };
        let kind = kind_of(heap, kind)?;
        let offset = usize::try_from(offset).map_err(|_| wrong())?;
        let len = usize::try_from(len).map_err(|_| wrong())?;
        let rows = offset..offset.checked_add(len).ok_or_else(wrong)?;
        let buffer = |value: &Value| match heap.call(*value) {
            Some(call) if call.is("pyarrow", "py_buffer") => heap.bytes(*call.args.first()?),
            _ => None,
        };
        let Some([valid, others @ ..]) = heap.items(buffers) else {
            return Err(wrong());
        };
        let this = Self {
            heap,
            kind,
            valid: match valid {
                Value::None => None,
                valid => Some(buffer(valid).ok_or_else(wrong)?),
            },
            // What an array without bytes has none of.
            buffers: others
                .iter()
                .map(|b| buffer(b).unwrap_or_default())
                .collect(),
            children: rest
                .first()
                .and_then(|children| heap.items(*children))
                .unwrap_or_default(),
            dictionary: rest.get(1).copied().unwrap_or(Value::None),
            rows,
        };
        // Each row has bits or bytes of its own, but for those of the type null.
        let bits = match this.kind {
            Kind::Plain(Plain::Null) => 0,
            Kind::Plain(Plain::Bool) => 1,
            Kind::Plain(plain) | Kind::Dictionary(plain) => 8 * width(plain),
            Kind::List(width) => 8 * width,
        };
        let there = this.buffers.first().map_or(0, |buffer| buffer.len());
        if this
            .rows
            .end
            .checked_mul(bits)
            .is_none_or(|bits| bits > 8 * there)
            && len > 0
        {
            return Err(wrong());
        }
        if bits == 0 && len > super::MAX_OBJECTS as usize {
            return Err(Error::Large);
        }
        Ok(this)
    }

    /// The values that a dictionary's numbers stand for.
    fn values(&self, left: &mut usize) -> Result<Vec<Cell>> {
        let values = Self::of(self.heap, self.dictionary)?;
        *left = left.checked_sub(values.rows.len()).ok_or(Error::Large)?;
        // No dictionary of dictionaries, so that nothing recurses.
        let Kind::Plain(_) = values.kind else {
            return Err(Error::Column("a dictionary of nested values".into()));
        };
        let mut out = Cells::default();
        for row in values.rows.clone() {
            out.push(values.cell(row, row)?)?;
        }
        Ok(out.cells)
    }

    /// `place` is for messages.
    fn cell(&self, row: usize, place: usize) -> Result<Cell> {
        let plain = match self.kind {
            Kind::Plain(plain) | Kind::Dictionary(plain) => plain,
            Kind::List(_) => return Err(wrong()),
        };
        if self.is_missing(row)? {
            return Ok(Cell::Null);
        }
        Ok(match plain {
            Plain::Null => Cell::Null,
            Plain::Bool => {
                let byte = self.buffers[0].get(row / 8).ok_or_else(wrong)?;
                Cell::Bool(byte >> (row % 8) & 1 == 1)
            }
            Plain::Signed(width) => {
                let shift = 64 - 8 * width as u32;
                Cell::Int((self.word(0, row, width)? << shift).cast_signed() >> shift)
            }
            Plain::Unsigned(width) => {
                Cell::Int(i64::try_from(self.word(0, row, width)?).map_err(|_| {
                    Error::Row(place, "an integer above 9223372036854775807".into())
                })?)
            }
            // pyarrow gives Python the float64 that is the float32, with all its decimals.
            Plain::Float(4) => Cell::float(f64::from(f32::from_bits(self.word(0, row, 4)? as u32))),
            Plain::Float(_) => Cell::float(f64::from_bits(self.word(0, row, 8)?)),
            Plain::Text(width) => {
                let text = self.buffers.get(1).map(|b| &b[..]).unwrap_or_default();
                let piece = text.get(self.span(row, width)?).ok_or_else(wrong)?;
                let piece = std::str::from_utf8(piece)
                    .map_err(|_| Error::Row(place, "text that is not UTF-8".into()))?;
                Cell::Text(piece.into())
            }
        })
    }

    fn lists(&self, out: &mut Vec<Option<Vec<i64>>>, left: &mut usize) -> Result<()> {
        let (Kind::List(width), &[child]) = (&self.kind, self.children) else {
            return Err(wrong());
        };
        let child = Self::of(self.heap, child)?;
        let Kind::Plain(Plain::Signed(_) | Plain::Unsigned(_)) = child.kind else {
            return Err(Error::Column(
                "lists of something else than whole numbers".into(),
            ));
        };
        for row in self.rows.clone() {
            if self.is_missing(row)? {
                out.push(None);
                continue;
            }
            let place = out.len();
            let span = self.span(row, *width)?;
            *left = left.checked_sub(span.len()).ok_or(Error::Large)?;
            if span.end > child.rows.len() {
                return Err(wrong());
            }
            let item = |item| match child.cell(child.rows.start + item, place)? {
                Cell::Int(number) => Ok(number),
                _ => Err(Error::Row(place, "a list with something else in it".into())),
            };
            out.push(Some(span.map(item).collect::<Result<_>>()?));
        }
        Ok(())
    }

    fn is_missing(&self, row: usize) -> Result<bool> {
        let Some(bits) = &self.valid else {
            return Ok(false);
        };
        let byte = bits.get(row / 8).ok_or_else(wrong)?;
        Ok(byte >> (row % 8) & 1 == 0)
    }

    /// A row's bytes or items, between its offset and the next.
    fn span(&self, row: usize, width: usize) -> Result<Range<usize>> {
        let at = |row| usize::try_from(self.word(0, row, width)?).map_err(|_| wrong());
        let span = at(row)?..at(row + 1)?;
        match span.start <= span.end {
            true => Ok(span),
            false => Err(wrong()),
        }
    }

    fn word(&self, buffer: usize, row: usize, width: usize) -> Result<u64> {
        let mut wide = [0; 8];
        let start = row.checked_mul(width).ok_or_else(wrong)?;
        let there = self
            .buffers
            .get(buffer)
            .and_then(|b| b.get(start..start + width));
        wide[..width].copy_from_slice(there.ok_or_else(wrong)?);
        Ok(u64::from_le_bytes(wide))
    }
}

fn width(plain: Plain) -> usize {
    match plain {
        Plain::Null | Plain::Bool => 0,
        Plain::Signed(width)
        | Plain::Unsigned(width)
        | Plain::Float(width)
        | Plain::Text(width) => width,
    }
}

fn kind_of(heap: &Heap, value: Value) -> Result<Kind> {
    let other = |what: String| Error::Column(format!("of pyarrow's type {what}"));
    let call = heap
        .call(value)
        .ok_or_else(|| other(heap.describe(value)))?;
    match (call.name, call.args) {
        ("type_for_alias", [alias]) => {
            let alias = heap.text(*alias).unwrap_or_default();
            plain(alias)
                .map(Kind::Plain)
                .ok_or_else(|| other(alias.escape_debug().take(40).collect()))
        }
        ("list_", [_]) => Ok(Kind::List(4)),
        ("large_list", [_]) => Ok(Kind::List(8)),
        ("dictionary", [numbers, ..]) => match kind_of_numbers(heap, *numbers) {
            Some(plain) => Ok(Kind::Dictionary(plain)),
            None => Err(other("dictionary, without numbers".into())),
        },
        _ => Err(other(call.name.escape_debug().take(40).collect())),
    }
}

fn kind_of_numbers(heap: &Heap, value: Value) -> Option<Plain> {
    let call = heap
        .call(value)
        .filter(|call| call.name == "type_for_alias")?;
    plain(heap.text(*call.args.first()?)?)
        .filter(|p| matches!(p, Plain::Signed(_) | Plain::Unsigned(_)))
}

/// pyarrow's own names.
fn plain(alias: &str) -> Option<Plain> {
    Some(match alias {
        "null" => Plain::Null,
        "bool" => Plain::Bool,
        "int8" => Plain::Signed(1),
        "int16" => Plain::Signed(2),
        "int32" => Plain::Signed(4),
        "int64" => Plain::Signed(8),
        "uint8" => Plain::Unsigned(1),
        "uint16" => Plain::Unsigned(2),
        "uint32" => Plain::Unsigned(4),
        "uint64" => Plain::Unsigned(8),
        "float" => Plain::Float(4),
        "double" => Plain::Float(8),
        "string" => Plain::Text(4),
        "large_string" => Plain::Text(8),
        _ => return None,
    })
}
