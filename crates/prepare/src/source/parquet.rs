//! Parquet, as Hugging Face serves data sets.

use std::path::Path;

use ossmark_dataset::Tables;

use super::{Field, Record, columns, row};
use crate::{RecordPosition, Result};

pub(super) fn read(path: &Path, fields: &[Field<'_>]) -> Result<Vec<Record>> {
    let table = Tables::open(path)?;
    let places = columns(path, fields, table.columns())?;
    let mut read = Vec::with_capacity(fields.len());
    for place in places {
        let values = place
            .map(|at| table.text(&table.columns()[at]))
            .transpose()?;
        read.push(values.map(Vec::into_iter));
    }
    (0..table.rows())
        .map(|number| {
            let place = RecordPosition::Row(number);
            let values: Vec<Option<String>> = read
                .iter_mut()
                .map(|column| column.as_mut()?.next().flatten())
                .collect();
            let missing = fields
                .iter()
                .zip(&values)
                .find(|(field, value)| value.is_none() && !field.optional);
            match missing {
                Some((field, _)) => Err(row(
                    path,
                    place,
                    format!("{} is null, expected text", field.wanted()),
                )),
                None => Ok(Record { place, values }),
            }
        })
        .collect()
}
