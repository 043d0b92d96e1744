//! The arrays that a frame's columns are made of: NumPy's and pandas' own; pyarrow's are read by [`arrow`].

use super::{
    arrow,
    cells::Cells,
    error::{Error, Result, shape},
    heap::{Heap, Value},
    numpy::{Kind, Line},
};
use crate::Cell;

fn cell(heap: &Heap, line: &Line<'_>, row: usize) -> Result<Cell> {
    let big = || Error::Row(row, "an integer above 9223372036854775807".into());
    match line.object(row) {
        Some(value) => scalar(heap, value).map_err(|found| Error::Row(row, found)),
        None => line.number(row).ok_or_else(big),
    }
}

/// Whatever `pandas.isna` is true for, but for NaN, which is a float.
fn is_missing(heap: &Heap, value: Value) -> bool {
    let pandas = |(module, name): (&str, &str)| {
        module.split('.').next() == Some("pandas") && ["NA", "NaT", "C_NA"].contains(&name)
    };
    matches!(value, Value::None)
        || heap.global(value).is_some_and(pandas)
        || heap
            .call(value)
            .is_some_and(|call| call.is("pandas", "_nat_unpickle"))
}

/// One Python object as a cell; otherwise what it is.
fn scalar(heap: &Heap, value: Value) -> Result<Cell, String> {
    Ok(match value {
        Value::Bool(value) => Cell::Bool(value),
        Value::Int(value) => Cell::Int(value),
        Value::Float(value) => Cell::float(value),
        Value::Text(_) => Cell::Text(heap.text(value).unwrap_or_default().into()),
        _ if is_missing(heap, value) => Cell::Null,
        _ => match heap.call(value) {
            Some(call) if call.is("numpy", "scalar") => {
                let line = match *call.args {
                    [dtype, data] => Line::single(heap, dtype, data),
                    _ => None,
                };
                let number = line.and_then(|line| line.number(0));
                number.ok_or_else(|| heap.describe(value))?
            }
            _ => return Err(heap.describe(value)),
        },
    })
}

/// A column's cells as `DataFrame.iloc` gives them after the reference's scorer has loaded the frame.
pub(super) fn cells(heap: &Heap, values: Value, place: usize) -> Result<Vec<Cell>> {
    let mut out = Cells::default();
    if let Some((codes, categories)) = categories(heap, values)? {
        let categories = uncategorised(heap, categories, 0)?;
        for row in 0..codes.len {
            out.push(match codes.number(row) {
                Some(Cell::Int(-1)) => Cell::Null,
                Some(Cell::Int(code)) => usize::try_from(code)
                    .ok()
                    .and_then(|code| categories.get(code).cloned())
                    .ok_or_else(|| {
                        Error::Shape(format!("category {code} of {}", categories.len()))
                    })?,
                _ => return shape("categories without codes"),
            })?;
        }
        return Ok(out.cells);
    }
    uncategorised(heap, values, place)
}

/// The rows of a column, if its type is known, without reading them.
pub(super) fn len(heap: &Heap, values: Value) -> Option<usize> {
    if let Ok(Some((codes, _))) = categories(heap, values) {
        return Some(codes.len);
    }
    if let Some(line) = Line::of(heap, values, 0) {
        return line.ok().map(|line| line.len);
    }
    if let Some(len) = arrow_array(heap, values).and_then(|array| arrow::len(heap, array)) {
        return Some(len);
    }
    uncategorised(heap, values, 0).ok().map(|cells| cells.len())
}

/// What a pandas array over pyarrow keeps.
pub(super) fn arrow_array(heap: &Heap, values: Value) -> Option<Value> {
    let state = heap.call(values)?.state;
    let array = heap.get(state, "_pa_array").or(heap.get(state, "_data"))?;
    heap.call(array)?
        .module
        .starts_with("pyarrow")
        .then_some(array)
}

/// No categories in here, so that categories of categories cannot recurse.
pub(super) fn uncategorised(heap: &Heap, values: Value, place: usize) -> Result<Vec<Cell>> {
    let mut out = Cells::default();
    if let Some(line) = Line::of(heap, values, place) {
        let line = line?;
        for row in 0..line.len {
            out.push(cell(heap, &line, row)?)?;
        }
        if line.kind == Kind::Object {
            floats_if_numbers(heap, &line, &mut out.cells);
        }
        return Ok(out.cells);
    }
    let Some(call) = heap.call(values) else {
        return Err(Error::Column(heap.describe(values)));
    };
    let state = |key| heap.get(call.state, key);
    if let (Some(data), Some(mask)) = (state("_data"), state("_mask")) {
        let (Some(data), Some(mask)) = (Line::of(heap, data, 0), Line::of(heap, mask, 0)) else {
            return shape("a masked array without its NumPy arrays");
        };
        let (data, mask) = (data?, mask?);
        if data.len != mask.len {
            return shape("a masked array whose mask is of another length");
        }
        for row in 0..data.len {
            out.push(match mask.number(row) {
                Some(Cell::Bool(false)) => cell(heap, &data, row)?,
                _ => Cell::Null,
            })?;
        }
        return Ok(out.cells);
    }
    if let Some(array) = arrow_array(heap, values) {
        arrow::cells(heap, array, &mut out)?;
        return Ok(out.cells);
    }
    match backed(heap, values).and_then(|(_, data)| Line::of(heap, data, 0)) {
        Some(line) => {
            let line = line?;
            // Other classes keep numbers there that mean something else: times, periods.
            if line.kind != Kind::Object {
                return Err(Error::Column(heap.describe(values)));
            }
            for row in 0..line.len {
                out.push(cell(heap, &line, row)?)?;
            }
            Ok(out.cells)
        }
        None => Err(Error::Column(heap.describe(values))),
    }
}

/// The dtype and the NumPy array of those pandas arrays that are a NumPy array with another meaning.
fn backed(heap: &Heap, values: Value) -> Option<(Value, Value)> {
    let state = heap.call(values)?.state;
    if let Some(data) = heap.get(state, "_ndarray").or(heap.get(state, "_codes")) {
        return Some((heap.get(state, "_dtype").unwrap_or(Value::None), data));
    }
    match *heap.items(state)? {
        [a, b, ..] if Line::of(heap, a, 0).is_some() => Some((b, a)),
        [a, b, ..] => Some((a, b)),
        _ => None,
    }
}

fn categories(heap: &Heap, values: Value) -> Result<Option<(Line<'_>, Value)>> {
    let Some((dtype, codes)) = backed(heap, values) else {
        return Ok(None);
    };
    let state = heap.call(dtype).map(|call| call.state);
    let index = state.and_then(|state| heap.get(state, "categories"));
    let Some(data) = index.and_then(|index| index_data(heap, index)) else {
        return Ok(None);
    };
    match Line::of(heap, codes, 0) {
        Some(codes) => Ok(Some((codes?, data))),
        None => shape("categories without codes"),
    }
}

/// What the labels of an Index are kept in.
pub(super) fn index_data(heap: &Heap, index: Value) -> Option<Value> {
    let call = heap.call(index).filter(|c| c.is("pandas", "_new_Index"))?;
    heap.get(*call.args.get(1)?, "data")
}

/// The scorer passes object columns through `Series.apply`, which makes floats of a column of numbers with gaps or mixed
/// with floats, but leaves one with a boolean, a text or `pandas.NA` in it alone. Observed with pandas 1.5, 2.0, 2.3, 3.1.
fn floats_if_numbers(heap: &Heap, line: &Line<'_>, cells: &mut [Cell]) {
    let number = |row| match line.object(row) {
        Some(Value::None) => true,
        Some(value) => !is_missing(heap, value),
        None => false,
    };
    let numeric = |cell: &Cell| matches!(cell, Cell::Null | Cell::Int(_) | Cell::Float(_));
    let whole = |cell: &Cell| matches!(cell, Cell::Int(_));
    if cells.iter().all(numeric) && !cells.iter().all(whole) && (0..line.len).all(number) {
        for cell in cells {
            if let Cell::Int(value) = *cell {
                *cell = Cell::Float(value as f64);
            }
        }
    }
}

/// A column of objects; each of them may be a [`list`].
pub(super) fn objects(heap: &Heap, values: Value, place: usize) -> Result<Line<'_>> {
    let line = Line::of(heap, values, place)
        .unwrap_or_else(|| Err(Error::Column(heap.describe(values))))?;
    match line.kind {
        Kind::Object => Ok(line),
        _ => Err(Error::Column("a column of plain numbers".into())),
    }
}

/// One row's list of whole numbers: Python's list or NumPy's array; None for a missing one. `left` is how many numbers may
/// still come: a million rows may name one list.
pub(super) fn list(
    heap: &Heap,
    line: &Line<'_>,
    row: usize,
    left: &mut usize,
) -> Result<Option<Vec<i64>>> {
    let value = line.object(row).unwrap_or(Value::None);
    let mut charge = |items: usize| {
        *left = left.checked_sub(items).ok_or(Error::Large)?;
        Ok(())
    };
    let whole = |cell| match cell {
        Ok(Cell::Int(number)) => Ok(number),
        _ => Err(Error::Row(row, "a list with something else in it".into())),
    };
    if is_missing(heap, value) {
        return Ok(None);
    }
    if let Some(items) = heap.items(value) {
        charge(items.len())?;
        let items = items.iter().map(|&item| whole(scalar(heap, item)));
        return items.collect::<Result<_>>().map(Some);
    }
    let Some(array) = Line::of(heap, value, 0) else {
        return Err(Error::Row(row, heap.describe(value)));
    };
    let array = array?;
    charge(array.len)?;
    let items = (0..array.len).map(|item| whole(array.number(item).ok_or_else(String::new)));
    items.collect::<Result<_>>().map(Some)
}
