//! Parquet's definition levels for a list column, worked out from the schema so that three-level lists (what pandas
//! writes), legacy two-level lists and bare repeated fields need no special cases.
//!
//! Source: apache/parquet-format, LogicalTypes.md, "Lists" and its backward-compatibility rules.

use parquet::{
    basic::{ConvertedType, LogicalType, Repetition},
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
    /// None when the top-level column `root`, whose only leaf is `leaf`, is not a list of plain values: a structure of one
    /// list, a list of structures of one field and a set (a map without values) have one leaf as well.
    pub(crate) fn of(root: &Type, leaf: &ColumnDescriptor) -> Option<Self> {
        if root.is_group() && !is_list(root) {
            return None;
        }
        let mut node = root;
        let mut level = 0;
        let mut element = None;
        for (depth, part) in leaf.path().parts().iter().enumerate() {
            if depth > 0 {
                node = node
                    .get_fields()
                    .iter()
                    .find(|field| field.name() == part)?;
            }
            match node.get_basic_info().repetition() {
                Repetition::REQUIRED => {}
                Repetition::OPTIONAL => level += 1,
                Repetition::REPEATED => {
                    level += 1;
                    if element.replace(level).is_some()
                        || (node.is_group() && is_struct(root, node))
                    {
                        return None;
                    }
                }
            }
        }
        (leaf.path().parts().len() <= 3).then_some(Self {
            element: element?,
            value: level,
        })
    }
}

pub(crate) fn is_list(group: &Type) -> bool {
    let info = group.get_basic_info();
    info.logical_type_ref() == Some(&LogicalType::List)
        || info.converted_type() == ConvertedType::LIST
}

/// Two names by which old writers say that the repeated group is the element itself and not a level around it.
fn is_struct(root: &Type, repeated: &Type) -> bool {
    repeated.name() == "array" || repeated.name() == format!("{}_tuple", root.name())
}
