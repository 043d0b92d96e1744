//! What a column's values mean: the one place that turns parquet's physical, logical and (in old files) converted types
//! into something to read, or into the name of what is not read. Every command reads columns through it.
//!
//! Source: apache/parquet-format, LogicalTypes.md.

use std::fmt;

use parquet::{
    basic::{ConvertedType as Converted, LogicalType as Logical, TimeUnit, Type as Physical},
    schema::types::ColumnDescriptor,
};

use crate::decimal::MAX_SCALE;

/// How to read the values of a leaf column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ValueType {
    /// UTF-8 that is marked as text: STRING, ENUM, JSON.
    Text,
    /// Bytes without a mark. Old writers kept text so.
    Bytes,
    Bool,
    Integer {
        /// Bits that count of the INT32 or INT64.
        bits: u32,
        signed: bool,
    },
    Float,
    Double,
    /// IEEE 754 binary16, the low byte first.
    Half,
    /// The unscaled number, as an integer or as bytes in two's complement, the high byte first.
    Decimal {
        scale: usize,
    },
    /// Days since 1970-01-01.
    Date,
    /// Since midnight.
    Time {
        per_second: i64,
    },
    /// Since 1970-01-01 00:00, in UTC or of no time zone.
    Timestamp {
        per_second: i64,
        utc: bool,
    },
    /// The INT96 of Impala and old Spark: nanoseconds of the day, then the Julian day.
    Int96,
    Uuid,
}

impl fmt::Display for ValueType {
    /// What the format's own list of types calls it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Bool => "booleans",
            Self::Integer { bits, signed } => {
                let sign = if *signed { "" } else { "u" };
                return write!(f, "{sign}int{bits}");
            }
            Self::Float | Self::Double => "floats",
            Self::Half => "FLOAT16",
            Self::Decimal { scale } => return write!(f, "DECIMAL with {scale} decimals"),
            Self::Date => "DATE",
            Self::Time { .. } => "TIME",
            Self::Timestamp { .. } | Self::Int96 => "TIMESTAMP",
            Self::Uuid => "UUID",
        })
    }
}

/// The leaf's meaning, or what it is called if it is none that is read.
pub(crate) fn value_type(leaf: &ColumnDescriptor) -> Result<ValueType, String> {
    let physical = leaf.physical_type();
    let logical = match leaf.logical_type_ref() {
        Some(logical) => Some(logical.clone()),
        None => of_converted(leaf)?,
    };
    let Some(logical) = logical else {
        return Ok(match physical {
            Physical::BOOLEAN => ValueType::Bool,
            Physical::INT32 => integer(32, true),
            Physical::INT64 => integer(64, true),
            Physical::INT96 => ValueType::Int96,
            Physical::FLOAT => ValueType::Float,
            Physical::DOUBLE => ValueType::Double,
            Physical::BYTE_ARRAY => ValueType::Bytes,
            Physical::FIXED_LEN_BYTE_ARRAY => {
                return Err(format!("FIXED_LEN_BYTE_ARRAY({})", leaf.type_length()));
            }
        });
    };
    let bytes = matches!(
        physical,
        Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY
    );
    let number = matches!(physical, Physical::INT32 | Physical::INT64);
    let value_type = match &logical {
        Logical::String | Logical::Enum | Logical::Json if bytes => ValueType::Text,
        // A column of nothing but nulls, of any type.
        Logical::Unknown => match physical {
            Physical::BOOLEAN => ValueType::Bool,
            Physical::INT64 => integer(64, true),
            Physical::INT96 => ValueType::Int96,
            Physical::FLOAT => ValueType::Float,
            Physical::DOUBLE => ValueType::Double,
            Physical::INT32 => integer(32, true),
            Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY => ValueType::Bytes,
        },
        Logical::Integer(int) if number => match int.bit_width {
            8 | 16 | 32 | 64 => integer(int.bit_width.unsigned_abs().into(), int.is_signed),
            bits => return Err(format!("an integer of {bits} bits")),
        },
        Logical::Decimal(decimal) if bytes || number => match usize::try_from(decimal.scale) {
            Ok(scale) if scale <= MAX_SCALE => ValueType::Decimal { scale },
            _ => return Err(format!("DECIMAL with {} decimals", decimal.scale)),
        },
        Logical::Date if physical == Physical::INT32 => ValueType::Date,
        Logical::Time(time) if number => ValueType::Time {
            per_second: per_second(time.unit),
        },
        Logical::Timestamp(time) if physical == Physical::INT64 => ValueType::Timestamp {
            per_second: per_second(time.unit),
            utc: time.is_adjusted_to_u_t_c,
        },
        Logical::Uuid if physical == Physical::FIXED_LEN_BYTE_ARRAY && leaf.type_length() == 16 => {
            ValueType::Uuid
        }
        Logical::Float16
            if physical == Physical::FIXED_LEN_BYTE_ARRAY && leaf.type_length() == 2 =>
        {
            ValueType::Half
        }
        other => return Err(format!("{} ({physical})", name(other))),
    };
    Ok(value_type)
}

fn integer(bits: u32, signed: bool) -> ValueType {
    ValueType::Integer { bits, signed }
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::MILLIS => 1_000,
        TimeUnit::MICROS => 1_000_000,
        TimeUnit::NANOS => 1_000_000_000,
    }
}

/// What a converted type is called since there are logical types.
fn of_converted(leaf: &ColumnDescriptor) -> Result<Option<Logical>, String> {
    Ok(Some(match leaf.converted_type() {
        Converted::NONE => return Ok(None),
        Converted::UTF8 => Logical::String,
        Converted::ENUM => Logical::Enum,
        Converted::JSON => Logical::Json,
        Converted::BSON => Logical::Bson,
        Converted::DECIMAL => Logical::decimal(leaf.type_scale(), leaf.type_precision()),
        Converted::DATE => Logical::Date,
        Converted::TIME_MILLIS => Logical::time(true, TimeUnit::MILLIS),
        Converted::TIME_MICROS => Logical::time(true, TimeUnit::MICROS),
        Converted::TIMESTAMP_MILLIS => Logical::timestamp(true, TimeUnit::MILLIS),
        Converted::TIMESTAMP_MICROS => Logical::timestamp(true, TimeUnit::MICROS),
        Converted::INT_8 => Logical::integer(8, true),
        Converted::INT_16 => Logical::integer(16, true),
        Converted::INT_32 => Logical::integer(32, true),
        Converted::INT_64 => Logical::integer(64, true),
        Converted::UINT_8 => Logical::integer(8, false),
        Converted::UINT_16 => Logical::integer(16, false),
        Converted::UINT_32 => Logical::integer(32, false),
        Converted::UINT_64 => Logical::integer(64, false),
        other @ (Converted::INTERVAL
        | Converted::LIST
        | Converted::MAP
        | Converted::MAP_KEY_VALUE) => return Err(format!("{other} ({})", leaf.physical_type())),
    }))
}

/// The name that the format gives it.
pub(crate) fn name(logical: &Logical) -> String {
    match logical {
        Logical::String => "STRING",
        Logical::Map => "MAP",
        Logical::List => "LIST",
        Logical::Enum => "ENUM",
        Logical::Decimal(_) => "DECIMAL",
        Logical::Date => "DATE",
        Logical::Time(_) => "TIME",
        Logical::Timestamp(_) => "TIMESTAMP",
        Logical::Integer(_) => "INTEGER",
        Logical::Unknown => "UNKNOWN",
        Logical::Json => "JSON",
        Logical::Bson => "BSON",
        Logical::Uuid => "UUID",
        Logical::Float16 => "FLOAT16",
        Logical::Variant(_) => "VARIANT",
        Logical::Geometry(_) => "GEOMETRY",
        Logical::Geography(_) => "GEOGRAPHY",
        Logical::File => "FILE",
        Logical::_Unknown { field_id } => {
            return format!("a logical type that is not known here, number {field_id},");
        }
    }
    .into()
}
