//! A DataFrame in a pickle: which block holds which column.

use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Fault, MAX_FILE, arrays,
    arrays::index_data,
    arrow, error,
    heap::{Heap, Node, Value},
    machine,
};
use crate::{Cell, Error, Result, text::text};

const MAX_COLUMNS: usize = 1 << 14;
const MAX_TOKENS: usize = 1 << 28;

/// A pickled frame in memory. Columns are decoded when they are asked for.
pub(crate) struct PickleFrame {
    path: PathBuf,
    heap: Heap,
    columns: Vec<String>,
    /// For each column the values of its block, and which of the block's columns it is.
    places: Vec<(Value, usize)>,
    rows: usize,
}

impl PickleFrame {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let mut data = Vec::new();
        let file = ossmark_files::open(path).map_err(io)?;
        file.take(MAX_FILE + 1).read_to_end(&mut data).map_err(io)?;
        Self::parse(path, data).map_err(|fault| bad(path, fault))
    }

    pub(super) fn parse(path: &Path, data: Vec<u8>) -> std::result::Result<Self, Fault> {
        let fault = |what| Fault { offset: None, what };
        if data.len() as u64 > MAX_FILE {
            return Err(fault(format!("more than {MAX_FILE} bytes of file")));
        }
        if !matches!(data[..], [0x80, ..]) {
            return Err(Fault {
                offset: Some(0),
                what: "no protocol number, expected 2 to 5".into(),
            });
        }
        let (heap, value) = machine::run(data)?;
        let (columns, places) = columns(&heap, value).map_err(fault)?;
        // Rows are counted by the columns; a frame of nothing but unknown types has none to offer.
        let rows = places
            .iter()
            .find_map(|(values, _)| arrays::len(&heap, *values))
            .unwrap_or(0);
        Ok(Self {
            path: path.to_owned(),
            heap,
            columns,
            places,
            rows,
        })
    }

    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn cells(&self, column: &str) -> Result<Vec<Cell>> {
        let expected = "text, a number or a boolean";
        let (values, place) = self.place(column)?;
        let cells = arrays::cells(&self.heap, values, place)
            .map_err(|trouble| self.column_error(column, trouble, expected))?;
        self.check_rows(column, cells.len())?;
        Ok(cells)
    }

    pub(crate) fn tokens(&self, column: &str) -> Result<Vec<Arc<[u32]>>> {
        let (values, place) = self.place(column)?;
        let trouble = |trouble| self.column_error(column, trouble, "a list of token ids");
        let mut left = MAX_TOKENS;
        let of_arrow = arrays::arrow_array(&self.heap, values)
            .and_then(|array| arrow::lists(&self.heap, array, &mut left));
        if let Some(lists) = of_arrow {
            let lists = lists.map_err(trouble)?;
            self.check_rows(column, lists.len())?;
            let prompt = |(row, list)| self.prompt(column, row, list);
            return lists.into_iter().enumerate().map(prompt).collect();
        }
        let line = arrays::objects(&self.heap, values, place).map_err(trouble)?;
        self.check_rows(column, line.len)?;
        let mut prompt = |row| {
            let list = arrays::list(&self.heap, &line, row, &mut left).map_err(trouble)?;
            self.prompt(column, row, list)
        };
        (0..line.len).map(&mut prompt).collect()
    }

    fn prompt(&self, column: &str, row: usize, list: Option<Vec<i64>>) -> Result<Arc<[u32]>> {
        let (path, column) = (self.path.clone(), column.to_owned());
        let Some(list) = list else {
            return Err(Error::NullPrompt { path, column, row });
        };
        if list.is_empty() {
            return Err(Error::EmptyPrompt { path, column, row });
        }
        let fits = |value: i64| (0..=i64::from(i32::MAX)).contains(&value);
        if let Some(position) = list.iter().position(|&value| !fits(value)) {
            let value = list[position];
            return Err(Error::BadToken {
                path,
                column,
                row,
                position,
                value: value.into(),
            });
        }
        Ok(list.into_iter().map(|value| value as u32).collect())
    }

    fn place(&self, column: &str) -> Result<(Value, usize)> {
        let mut named = (0..self.columns.len()).filter(|&c| self.columns[c] == column);
        match (named.next(), named.next()) {
            (Some(number), None) => Ok(self.places[number]),
            (Some(_), Some(_)) => Err(Error::ColumnType {
                path: self.path.clone(),
                column: column.into(),
                found: "there more than once".into(),
                expected: "one column of that name",
            }),
            (None, _) => Err(Error::NoColumn {
                path: self.path.clone(),
                wanted: format!("'{column}'"),
                columns: self.columns.join(", "),
            }),
        }
    }

    fn check_rows(&self, column: &str, found: usize) -> Result<()> {
        if found == self.rows {
            return Ok(());
        }
        let what = format!("column '{column}' has {found} rows, another {}", self.rows);
        Err(bad(&self.path, Fault { offset: None, what }))
    }

    fn column_error(&self, column: &str, error: error::Error, expected: &'static str) -> Error {
        let (path, name) = (self.path.clone(), column.to_owned());
        match error {
            error::Error::Shape(what) => {
                let what = format!("column '{column}': {what}");
                bad(&path, Fault { offset: None, what })
            }
            error::Error::Column(found) => Error::ColumnType {
                path,
                column: name,
                found,
                expected,
            },
            error::Error::Row(row, found) => Error::BadCell {
                path,
                column: name,
                row,
                found,
                expected,
            },
            error::Error::Large => Error::TooLarge {
                path,
                column: name,
                what: "bytes of text or tokens",
                limit: MAX_FILE,
            },
        }
    }
}

pub(super) fn bad(path: &Path, fault: Fault) -> Error {
    Error::BadPickle {
        path: path.to_owned(),
        place: fault
            .offset
            .map_or(String::new(), |at| format!("byte {at}: ")),
        detail: fault.what,
    }
}

type Columns = (Vec<String>, Vec<(Value, usize)>);

fn columns(heap: &Heap, frame: Value) -> std::result::Result<Columns, String> {
    let what = || format!("{}, expected a pandas DataFrame", heap.describe(frame));
    let call = heap.call(frame).filter(|c| c.is("pandas", "DataFrame"));
    let state = call.ok_or_else(what)?.state;
    // pandas before 1.1 called it _data.
    let manager = heap.get(state, "_mgr").or(heap.get(state, "_data"));
    let manager = manager.and_then(|manager| heap.call(manager));
    let manager = manager.filter(|m| m.is("pandas", "BlockManager"));
    let manager = manager.ok_or("a DataFrame without a BlockManager")?;
    // pandas 1.3 and later give it its blocks and axes; before, they were a state marked with the version that began it.
    let (axes, blocks) = match (manager.args, heap.items(manager.state)) {
        (&[blocks, axes], _) => (Some(axes), Some(blocks)),
        (_, Some(&[.., state])) => {
            let state = heap
                .get(state, "0.14.1")
                .ok_or("a BlockManager of pandas before 0.14")?;
            (heap.get(state, "axes"), heap.get(state, "blocks"))
        }
        _ => (None, None),
    };
    let labels = axes.and_then(|axes| heap.items(axes)?.first().copied());
    let columns = names(heap, labels.ok_or("a BlockManager without axes")?)?;
    let blocks = blocks.and_then(|blocks| heap.items(blocks));
    let mut places = vec![None; columns.len()];
    for &block in blocks.ok_or("a BlockManager without blocks")? {
        let (values, numbers) = match heap.call(block) {
            Some(call) if call.is("pandas", "_unpickle_block") => match *call.args {
                [values, numbers, ..] => (Some(values), Some(numbers)),
                _ => (None, None),
            },
            _ => (heap.get(block, "values"), heap.get(block, "mgr_locs")),
        };
        let (Some(values), Some(numbers)) = (values, numbers) else {
            return Err(format!("{} where a block belongs", heap.describe(block)));
        };
        let numbers = placement(heap, numbers, columns.len());
        let numbers = numbers.ok_or("a block that does not say which columns it holds")?;
        for (place, number) in numbers.into_iter().enumerate() {
            match places.get_mut(number) {
                Some(slot @ None) => *slot = Some((values, place)),
                _ => return Err(format!("column {number} in two blocks or beyond the last")),
            }
        }
    }
    let places: Option<Vec<_>> = places.into_iter().collect();
    Ok((columns, places.ok_or("a column that is in no block")?))
}

/// Which columns a block holds: a slice or an array of their numbers.
fn placement(heap: &Heap, value: Value, columns: usize) -> Option<Vec<usize>> {
    if let Some(call) = heap.call(value).filter(|call| call.name == "slice") {
        let &[Value::Int(start), Value::Int(stop), step] = call.args else {
            return None;
        };
        let step = match step {
            Value::Int(step) => usize::try_from(step).ok().filter(|&step| step > 0)?,
            Value::None => 1,
            _ => return None,
        };
        let (start, stop) = (usize::try_from(start).ok()?, usize::try_from(stop).ok()?);
        // One column beyond the last is enough to be found out.
        return Some((start..stop).step_by(step).take(columns + 1).collect());
    }
    let cells = arrays::uncategorised(heap, value, 0).ok()?;
    let number = |cell: &Cell| match cell {
        Cell::Int(number) => usize::try_from(*number).ok(),
        _ => None,
    };
    cells.iter().map(number).collect()
}

fn names(heap: &Heap, index: Value) -> std::result::Result<Vec<String>, String> {
    let unknown = || format!("{} for the columns' names", heap.describe(index));
    let new = heap.call(index).filter(|c| c.is("pandas", "_new_Index"));
    let args = new.ok_or_else(unknown)?.args;
    let names = match (index_data(heap, index), args) {
        (Some(data), _) => arrays::uncategorised(heap, data, 0).map_err(|_| unknown())?,
        (None, &[_, state]) if matches!(heap.node(state), Some(Node::Dict(_))) => {
            let bound = |key| match heap.get(state, key) {
                Some(Value::Int(number)) => Some(number),
                _ => None,
            };
            let (Some(start), Some(stop), Some(1)) = (bound("start"), bound("stop"), bound("step"))
            else {
                return Err(unknown());
            };
            (start..stop).take(MAX_COLUMNS + 1).map(Cell::Int).collect()
        }
        _ => return Err(unknown()),
    };
    if names.len() > MAX_COLUMNS {
        return Err(format!("more than {MAX_COLUMNS} columns"));
    }
    let name = |cell| text(cell).unwrap_or_else(|| "None".into());
    Ok(names.into_iter().map(name).collect())
}
