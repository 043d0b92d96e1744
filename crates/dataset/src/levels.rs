//! Parquet's definition levels for a list column, worked out from the schema so that three-level lists (what pandas
//! writes), legacy two-level lists and bare repeated fields need no special cases.
//!
//! Source: apache/parquet-format, LogicalTypes.md, "Lists" and its backward-compatibility rules.

use parquet::{
    basic::Repetition,
    schema::types::{ColumnDescriptor, Type},
};

/// What the definition levels of a list of plain values mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ListLevels {
    /// The level at which there is an element, null or not. One less is an empty list, anything below a null list.
    pub(crate) element: i16,
    /// The level at which there is a value.
    pub(crate) value: i16,
}

impl ListLevels {
    /// None when the column is not a list of depth one.
    pub(crate) fn of(root: &Type, column: &ColumnDescriptor) -> Option<Self> {
        let mut node = root;
        let mut level = 0;
        let mut element = None;
        for part in column.path().parts() {
            node = node
                .get_fields()
                .iter()
                .find(|field| field.name() == part)?;
            match node.get_basic_info().repetition() {
                Repetition::REQUIRED => {}
                Repetition::OPTIONAL => level += 1,
                Repetition::REPEATED => {
                    level += 1;
                    if element.replace(level).is_some() {
                        return None;
                    }
                }
            }
        }
        // Three levels at most: a longer path is a list of structs, whose field may share its name with no token list.
        (column.path().parts().len() <= 3).then_some(Self {
            element: element?,
            value: level,
        })
    }
}
