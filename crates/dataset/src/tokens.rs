//! The token column: lists of int32 or int64 into one shared slice a row. Uses the column decoders directly, because the
//! row interface boxes every value: the performance file has 6396 rows of up to 15,330 tokens.

use std::sync::Arc;

use parquet::{
    basic::Type as Physical,
    data_type::{DataType, Int32Type, Int64Type},
};

use crate::{
    Error, Result,
    levels::ListLevels,
    table::Table,
    value_type::{ValueType, value_type},
};

/// 1 GiB of tokens. The largest benchmark file has at most 6396 x 15,330 = 98 million (facts: MLCommons' and NVIDIA's READMEs).
const MAX_TOKENS: u64 = 1 << 28;
/// Rows decoded at a time: few, so that the scratch for levels and values stays at some megabytes with long prompts.
const ROWS_AT_A_TIME: usize = 64;
const EXPECTED: &str = "a list of int32 or int64";

pub(crate) fn read(table: &Table, column: &str) -> Result<Vec<Arc<[u32]>>> {
    let (number, leaf, levels) = table.list_leaf(column, EXPECTED)?;
    let refuse = |found| table.column_type(column, format!("a list of {found}"), EXPECTED);
    let value_type = value_type(leaf).map_err(refuse)?;
    let ValueType::Integer { bits, signed } = value_type else {
        return Err(refuse(format!("{value_type} ({})", leaf.physical_type())));
    };
    if let Some(arrow) = table.arrow_only(column) {
        return Err(refuse(arrow));
    }
    let widen = Widen {
        unused: 64 - bits,
        signed,
    };
    match leaf.physical_type() {
        Physical::INT32 => decode::<Int32Type>(table, column, number, levels, widen),
        _ => decode::<Int64Type>(table, column, number, levels, widen),
    }
}

/// An integer of the column's type as one that holds them all: bits above its width mean nothing.
#[derive(Clone, Copy)]
struct Widen {
    unused: u32,
    signed: bool,
}

impl Widen {
    fn of(self, value: i64) -> i128 {
        match self.signed {
            true => (value << self.unused >> self.unused).into(),
            false => (value.cast_unsigned() << self.unused >> self.unused).into(),
        }
    }
}

fn decode<T>(
    table: &Table,
    column: &str,
    number: usize,
    levels: ListLevels,
    widen: Widen,
) -> Result<Vec<Arc<[u32]>>>
where
    T: DataType<T: Copy + Into<i64>>,
{
    let mut prompts = Vec::new();
    let (mut defs, mut reps, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for group in table.readers::<T>(column, number, MAX_TOKENS) {
        let (mut reader, group) = group?;
        let before = prompts.len();
        loop {
            defs.clear();
            reps.clear();
            values.clear();
            let (rows, ..) = reader
                .read_records(
                    ROWS_AT_A_TIME,
                    Some(&mut defs),
                    Some(&mut reps),
                    &mut values,
                )
                .map_err(|e| table.decoding(column, &e, "tokens", MAX_TOKENS))?;
            if rows == 0 {
                break;
            }
            let batch = Batch {
                table,
                column,
                levels,
                widen,
                defs: &defs,
                reps: &reps,
                values: &values,
            };
            batch.append(&mut prompts)?;
        }
        table.check_group(column, group, prompts.len() - before)?;
    }
    Ok(prompts)
}

/// Whole rows as the decoder returns them: a repetition level of 0 begins a row.
struct Batch<'a, V> {
    table: &'a Table,
    column: &'a str,
    levels: ListLevels,
    widen: Widen,
    defs: &'a [i16],
    reps: &'a [i16],
    values: &'a [V],
}

impl<V: Copy + Into<i64>> Batch<'_, V> {
    fn append(&self, prompts: &mut Vec<Arc<[u32]>>) -> Result<()> {
        let mut values = self.values;
        let mut start = 0;
        while start < self.reps.len() {
            let more = self.reps[start + 1..]
                .iter()
                .take_while(|&&r| r > 0)
                .count();
            let defs = self.defs.get(start..=start + more).unwrap_or_default();
            let row = prompts.len();
            if let Some(position) = defs.iter().position(|&d| d != self.levels.value) {
                return Err(self.hole(row, position, defs[position]));
            }
            let (these, rest) = values.split_at_checked(defs.len()).ok_or_else(|| {
                self.table
                    .corrupt(&format!("column '{}': row {row} lacks values", self.column))
            })?;
            prompts.push(self.ids(row, these)?);
            values = rest;
            start += more + 1;
        }
        Ok(())
    }

    fn ids(&self, row: usize, values: &[V]) -> Result<Arc<[u32]>> {
        // One pass that only accumulates vectorises; the position of a bad token is looked for when there is one.
        let bad = |v: V| !(0..=i128::from(i32::MAX)).contains(&self.widen.of(v.into()));
        let plain = |v: V| (0..=i64::from(i32::MAX)).contains(&v.into());
        let sure = self.widen.unused == 32 || self.widen.unused == 0;
        let suspicious = !sure || values.iter().fold(false, |any, &v| any | !plain(v));
        if suspicious && let Some(position) = values.iter().position(|&v| bad(v)) {
            let (path, column) = (self.table.path().to_owned(), self.column.to_owned());
            return Err(Error::BadToken {
                path,
                column,
                row,
                position,
                value: self.widen.of(values[position].into()),
            });
        }
        Ok(values
            .iter()
            .map(|&v| self.widen.of(v.into()) as u32)
            .collect())
    }

    fn hole(&self, row: usize, position: usize, def: i16) -> Error {
        let (path, column) = (self.table.path().to_owned(), self.column.to_owned());
        if def >= self.levels.element {
            Error::NullToken {
                path,
                column,
                row,
                position,
            }
        } else if def == self.levels.element - 1 {
            Error::EmptyPrompt { path, column, row }
        } else {
            Error::NullPrompt { path, column, row }
        }
    }
}
