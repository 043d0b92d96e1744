//! The columns of the matrix: their types, two values of each, and what is read of them.

use ossmark_dataset::{Cell, Decimal};
use parquet::{
    basic::{
        ConvertedType as Converted, LogicalType as Logical, Repetition, TimeUnit, Type as Physical,
    },
    schema::types::Type,
};

/// Two values of a column.
pub(super) enum Values {
    Bool([bool; 2]),
    I32([i32; 2]),
    I64([i64; 2]),
    I96([[u32; 3]; 2]),
    F32([f32; 2]),
    F64([f64; 2]),
    Bytes([&'static [u8]; 2]),
    Fixed([&'static [u8]; 2]),
}

pub(super) enum Mark {
    None,
    Logical(Logical),
    /// With a scale and a precision for DECIMAL.
    Converted(Converted, i32, i32),
}

pub(super) struct Case {
    pub(super) mark: Mark,
    pub(super) values: Values,
    /// What is read, with its text, or the name of what is refused.
    pub(super) expected: Result<[(Cell, &'static str); 2], &'static str>,
}

fn read(mark: Mark, values: Values, expected: [(Cell, &'static str); 2]) -> Case {
    let expected = Ok(expected);
    Case {
        mark,
        values,
        expected,
    }
}

fn refused(mark: Mark, values: Values, name: &'static str) -> Case {
    let expected = Err(name);
    Case {
        mark,
        values,
        expected,
    }
}

fn int(a: i64, b: i64, texts: [&'static str; 2]) -> [(Cell, &'static str); 2] {
    [(Cell::Int(a), texts[0]), (Cell::Int(b), texts[1])]
}

fn text(a: &'static str, b: &'static str) -> [(Cell, &'static str); 2] {
    [a, b].map(|text| (Cell::Text(text.into()), text))
}

fn decimal(scale: usize, numbers: [(i64, &'static str); 2]) -> [(Cell, &'static str); 2] {
    numbers.map(|(unscaled, text)| (Cell::Decimal(Decimal::new(&unscaled.into(), scale)), text))
}

fn logical(logical: Logical) -> Mark {
    Mark::Logical(logical)
}

fn converted(converted: Converted) -> Mark {
    Mark::Converted(converted, 0, 0)
}

const UUIDS: [&[u8]; 2] = [&[0xff; 16], b"0123456789abcdef"];
const INTERVALS: [&[u8]; 2] = [b"\x01\0\0\0\x02\0\0\0\x03\0\0\0", &[0; 12]];
const DAY: i64 = 86_400_000;

pub(super) fn cases() -> Vec<Case> {
    use Values::{Bool, Bytes, F32, F64, Fixed, I32, I64, I96};
    let mut cases = vec![
        read(
            Mark::None,
            Bool([true, false]),
            [(Cell::Bool(true), "True"), (Cell::Bool(false), "False")],
        ),
        read(
            Mark::None,
            I32([-7, i32::MAX]),
            int(-7, 2147483647, ["-7", "2147483647"]),
        ),
        read(
            Mark::None,
            I64([i64::MIN, 9]),
            int(i64::MIN, 9, ["-9223372036854775808", "9"]),
        ),
        read(
            Mark::None,
            F32([0.1, -12.0]),
            [(Cell::Float(0.1), "0.1"), (Cell::Float(-12.0), "-12.0")],
        ),
        read(
            Mark::None,
            F64([0.1, 1e6]),
            [(Cell::Float(0.1), "0.1"), (Cell::Float(1e6), "1000000.0")],
        ),
        read(
            Mark::None,
            I96([[0, 0, 2_440_588], [1000, 0, 2_461_374]]),
            text("1970-01-01 00:00:00", "2026-11-29 00:00:00.000001"),
        ),
        refused(
            Mark::None,
            Fixed([b"abcd", b"efgh"]),
            "FIXED_LEN_BYTE_ARRAY(4)",
        ),
        // Half-precision: 0.1 and 65504.
        read(
            logical(Logical::Float16),
            Fixed([b"\x66\x2e", b"\xff\x7b"]),
            [(Cell::Float(0.1), "0.1"), (Cell::Float(65500.0), "65500.0")],
        ),
        read(
            logical(Logical::Uuid),
            Fixed(UUIDS),
            text(
                "ffffffff-ffff-ffff-ffff-ffffffffffff",
                "30313233-3435-3637-3839-616263646566",
            ),
        ),
        refused(converted(Converted::INTERVAL), Fixed(INTERVALS), "INTERVAL"),
        refused(
            logical(Logical::Bson),
            Bytes([b"\x05\0\0\0\0", b"x"]),
            "BSON",
        ),
        refused(
            converted(Converted::BSON),
            Bytes([b"\x05\0\0\0\0", b"x"]),
            "BSON",
        ),
        refused(
            logical(Logical::geometry(None)),
            Bytes([b"\x01", b"x"]),
            "GEOMETRY",
        ),
        refused(
            logical(Logical::geography(None, None)),
            Bytes([b"\x01", b"x"]),
            "GEOGRAPHY",
        ),
    ];
    for mark in [Logical::String, Logical::Json, Logical::Enum] {
        cases.push(read(
            logical(mark),
            Bytes(["größe".as_bytes(), b""]),
            text("größe", ""),
        ));
    }
    for mark in [Converted::UTF8, Converted::JSON, Converted::ENUM] {
        cases.push(read(
            converted(mark),
            Bytes(["größe".as_bytes(), b""]),
            text("größe", ""),
        ));
    }
    let integers = [
        (8, Converted::INT_8, Converted::UINT_8),
        (16, Converted::INT_16, Converted::UINT_16),
        (32, Converted::INT_32, Converted::UINT_32),
    ];
    for (bits, signed, unsigned) in integers {
        for mark in [logical(Logical::integer(bits, true)), converted(signed)] {
            cases.push(read(mark, I32([-1, 100]), int(-1, 100, ["-1", "100"])));
        }
        for mark in [logical(Logical::integer(bits, false)), converted(unsigned)] {
            cases.push(read(mark, I32([1, 200]), int(1, 200, ["1", "200"])));
        }
    }
    for mark in [
        logical(Logical::integer(32, false)),
        converted(Converted::UINT_32),
    ] {
        cases.push(read(
            mark,
            I32([-1, i32::MIN]),
            int(4294967295, 2147483648, ["4294967295", "2147483648"]),
        ));
    }
    for mark in [
        logical(Logical::integer(64, true)),
        converted(Converted::INT_64),
    ] {
        cases.push(read(mark, I64([-1, 5]), int(-1, 5, ["-1", "5"])));
    }
    for mark in [
        logical(Logical::integer(64, false)),
        converted(Converted::UINT_64),
    ] {
        let most = (Cell::Unsigned(u64::MAX), "18446744073709551615");
        cases.push(read(mark, I64([-1, 5]), [most, (Cell::Int(5), "5")]));
    }
    let numbers = || decimal(2, [(4200, "42.00"), (-4250, "-42.50")]);
    let decimals = || {
        [
            logical(Logical::decimal(2, 9)),
            Mark::Converted(Converted::DECIMAL, 2, 9),
        ]
    };
    for mark in decimals() {
        cases.push(read(mark, I32([4200, -4250]), numbers()));
    }
    for mark in decimals() {
        cases.push(read(mark, I64([4200, -4250]), numbers()));
    }
    for mark in decimals() {
        cases.push(read(
            mark,
            Bytes([b"\x10\x68", b"\xff\xff\xef\x66"]),
            numbers(),
        ));
    }
    for mark in decimals() {
        cases.push(read(
            mark,
            Fixed([b"\0\0\0\x10\x68", b"\xff\xff\xff\xef\x66"]),
            numbers(),
        ));
    }
    cases.push(read(
        logical(Logical::decimal(1, 9)),
        I32([420, 5]),
        decimal(1, [(420, "42.0"), (5, "0.5")]),
    ));
    cases.push(read(
        logical(Logical::decimal(0, 9)),
        I32([420, 5]),
        decimal(0, [(420, "420"), (5, "5")]),
    ));
    // As wide as arrow's decimal256.
    let wide: [&'static [u8]; 2] = [&[0xff; 32], &[0; 32]];
    cases.push(read(
        logical(Logical::decimal(8, 76)),
        Fixed(wide),
        decimal(8, [(-1, "-0.00000001"), (0, "0.00000000")]),
    ));
    for mark in [logical(Logical::Date), converted(Converted::DATE)] {
        cases.push(read(
            mark,
            I32([-1, 20_786]),
            text("1969-12-31", "2026-11-29"),
        ));
    }
    let times = || text("01:02:03", "23:59:59.999000");
    for mark in [
        logical(Logical::time(false, TimeUnit::MILLIS)),
        logical(Logical::time(true, TimeUnit::MILLIS)),
        converted(Converted::TIME_MILLIS),
    ] {
        cases.push(read(mark, I32([3_723_000, 86_399_999]), times()));
    }
    for mark in [
        logical(Logical::time(false, TimeUnit::MICROS)),
        converted(Converted::TIME_MICROS),
    ] {
        cases.push(read(mark, I64([3_723_000_000, 86_399_999_000]), times()));
    }
    cases.push(read(
        logical(Logical::time(false, TimeUnit::NANOS)),
        I64([3_723_000_000_000, 86_399_999_000_001]),
        text("01:02:03", "23:59:59.999000001"),
    ));
    let units = [
        (TimeUnit::MILLIS, 1),
        (TimeUnit::MICROS, 1000),
        (TimeUnit::NANOS, 1_000_000),
    ];
    for (unit, factor) in units {
        let values = || I64([-DAY * factor, (20_786 * DAY + 1500) * factor]);
        cases.push(read(
            logical(Logical::timestamp(false, unit)),
            values(),
            text("1969-12-31 00:00:00", "2026-11-29 00:00:01.500000"),
        ));
        cases.push(read(
            logical(Logical::timestamp(true, unit)),
            values(),
            text(
                "1969-12-31 00:00:00+00:00",
                "2026-11-29 00:00:01.500000+00:00",
            ),
        ));
    }
    for (mark, factor) in [
        (Converted::TIMESTAMP_MILLIS, 1),
        (Converted::TIMESTAMP_MICROS, 1000),
    ] {
        cases.push(read(
            converted(mark),
            I64([0, DAY * factor]),
            text("1970-01-01 00:00:00+00:00", "1970-01-02 00:00:00+00:00"),
        ));
    }
    cases
}

impl Case {
    pub(super) fn physical(&self) -> (Physical, i32) {
        match &self.values {
            Values::Bool(_) => (Physical::BOOLEAN, 0),
            Values::I32(_) => (Physical::INT32, 0),
            Values::I64(_) => (Physical::INT64, 0),
            Values::I96(_) => (Physical::INT96, 0),
            Values::F32(_) => (Physical::FLOAT, 0),
            Values::F64(_) => (Physical::DOUBLE, 0),
            Values::Bytes(_) => (Physical::BYTE_ARRAY, 0),
            Values::Fixed(values) => (Physical::FIXED_LEN_BYTE_ARRAY, values[0].len() as i32),
        }
    }

    pub(super) fn column(&self, name: &str, repetition: Repetition) -> Type {
        let (physical, length) = self.physical();
        let builder = Type::primitive_type_builder(name, physical)
            .with_repetition(repetition)
            .with_length(length);
        match &self.mark {
            Mark::None => builder,
            Mark::Logical(logical) => {
                let builder = builder.with_logical_type(Some(logical.clone()));
                match logical {
                    Logical::Decimal(d) => builder.with_scale(d.scale).with_precision(d.precision),
                    _ => builder,
                }
            }
            Mark::Converted(converted, scale, precision) => builder
                .with_converted_type(*converted)
                .with_scale(*scale)
                .with_precision(*precision),
        }
        .build()
        .unwrap()
    }
}
