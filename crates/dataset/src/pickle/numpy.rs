//! NumPy's arrays. Every claim (shape, dtype) is checked against the bytes that are there.

use std::borrow::Cow;

use super::{
    error::{Error, Result, shape},
    heap::{Heap, Value},
};
use crate::Cell;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Signed,
    Unsigned,
    Float,
    Bool,
    Object,
}

/// One column of a NumPy array: every `step`th element from `first` on.
pub(super) struct Line<'a> {
    pub(super) kind: Kind,
    size: usize,
    big_endian: bool,
    raw: Cow<'a, [u8]>,
    objects: &'a [Value],
    first: usize,
    step: usize,
    pub(super) len: usize,
}

impl<'a> Line<'a> {
    /// The `place`th row of a two-dimensional array, or all of a one-dimensional one; None if it is no NumPy array.
    pub(super) fn of(heap: &'a Heap, value: Value, place: usize) -> Option<Result<Self>> {
        let call = heap.call(value)?;
        let (dims, dtype, fortran, data) = if call.is("numpy", "_reconstruct") {
            match heap.items(call.state) {
                Some(&[_, dims, dtype, Value::Bool(fortran), data]) => (dims, dtype, fortran, data),
                _ => return Some(shape("a NumPy array without its five parts")),
            }
        } else if call.is("numpy", "_frombuffer") {
            match *call.args {
                [data, dtype, dims, order, ..] => match heap.text(order) {
                    Some(order @ ("C" | "F")) => (dims, dtype, order == "F", data),
                    _ => return Some(shape("a NumPy array whose order is neither C nor F")),
                },
                _ => return Some(shape("a NumPy buffer without its four parts")),
            }
        } else {
            return None;
        };
        Some(Self::checked(heap, dims, dtype, fortran, data, place))
    }

    fn checked(
        heap: &'a Heap,
        dims: Value,
        dtype: Value,
        fortran: bool,
        data: Value,
        place: usize,
    ) -> Result<Self> {
        let (kind, size, big_endian) = dtype_of(heap, dtype)?;
        let dims: Option<Vec<usize>> = heap.items(dims).and_then(|dims| {
            let size = |dim: &Value| match *dim {
                Value::Int(n) => usize::try_from(n).ok(),
                _ => None,
            };
            dims.iter().map(size).collect()
        });
        let (rows, len) = match dims.as_deref() {
            Some(&[len]) => (1, len),
            Some(&[rows, len]) => (rows, len),
            _ => return shape("a NumPy array of other than one or two dimensions"),
        };
        let (raw, objects) = match kind {
            Kind::Object => (Cow::default(), heap.items(data).unwrap_or_default()),
            _ => (heap.bytes(data).unwrap_or_default(), [].as_slice()),
        };
        let there = raw.len() / size + objects.len();
        if rows.checked_mul(len) != Some(there) || raw.len() % size != 0 {
            return shape(format!(
                "a NumPy array of {rows} x {len} elements that holds {there}"
            ));
        }
        if place >= rows {
            return shape(format!("column {place} of a block of {rows}"));
        }
        // NumPy pickles objects in C order whatever the array's order is.
        let (first, step) = match fortran && kind != Kind::Object {
            true => (place, rows),
            false => (place * len, 1),
        };
        Ok(Self {
            kind,
            size,
            big_endian,
            raw,
            objects,
            first,
            step,
            len,
        })
    }

    pub(super) fn object(&self, row: usize) -> Option<Value> {
        self.objects.get(self.first + row * self.step).copied()
    }

    /// A number or boolean; None for what is no number or beyond `i64`.
    pub(super) fn number(&self, row: usize) -> Option<Cell> {
        let start = (self.first + row * self.step) * self.size;
        let mut bytes = [0; 8];
        let bytes = &mut bytes[..self.size];
        bytes.copy_from_slice(self.raw.get(start..start + self.size)?);
        if self.big_endian {
            bytes.reverse();
        }
        let negative = self.kind == Kind::Signed && bytes[self.size - 1] >= 0x80;
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..self.size].copy_from_slice(bytes);
        let wide = u64::from_le_bytes(wide);
        Some(match self.kind {
            Kind::Signed => Cell::Int(wide.cast_signed()),
            Kind::Unsigned => Cell::Int(i64::try_from(wide).ok()?),
            Kind::Float if self.size == 4 => Cell::float32(f32::from_bits(wide as u32)),
            Kind::Float => Cell::float(f64::from_bits(wide)),
            Kind::Bool => Cell::Bool(wide != 0),
            Kind::Object => return None,
        })
    }

    /// The one value of a NumPy scalar.
    pub(super) fn single(heap: &'a Heap, dtype: Value, data: Value) -> Option<Self> {
        let (kind, size, big_endian) = dtype_of(heap, dtype).ok()?;
        Some(Self {
            kind,
            size,
            big_endian,
            raw: heap.bytes(data)?,
            objects: &[],
            first: 0,
            step: 1,
            len: 1,
        })
    }
}

fn dtype_of(heap: &Heap, value: Value) -> Result<(Kind, usize, bool)> {
    let call = heap.call(value).filter(|call| call.is("numpy", "dtype"));
    let code = call.and_then(|call| heap.text(*call.args.first()?));
    let (Some(call), Some(code)) = (call, code) else {
        return shape(format!(
            "{} where a NumPy dtype belongs",
            heap.describe(value)
        ));
    };
    let (kind, size) = match code {
        "i1" => (Kind::Signed, 1),
        "i2" => (Kind::Signed, 2),
        "i4" => (Kind::Signed, 4),
        "i8" => (Kind::Signed, 8),
        "u1" => (Kind::Unsigned, 1),
        "u2" => (Kind::Unsigned, 2),
        "u4" => (Kind::Unsigned, 4),
        "u8" => (Kind::Unsigned, 8),
        "f4" => (Kind::Float, 4),
        "f8" => (Kind::Float, 8),
        "b1" => (Kind::Bool, 1),
        "O8" | "O4" | "O" => (Kind::Object, 1),
        other => {
            let other: String = other.escape_debug().take(20).collect();
            return Err(Error::Column(format!("of NumPy's type {other}")));
        }
    };
    let order = heap.items(call.state).and_then(|state| state.get(1));
    let big_endian = order.and_then(|&order| heap.text(order)) == Some(">");
    Ok((kind, size, big_endian))
}
