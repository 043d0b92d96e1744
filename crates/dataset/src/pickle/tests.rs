//! Pickles that mean harm, and bytes that mean nothing.

use std::path::Path;

use proptest::{collection::vec, prelude::*};

use super::{Fault, PickleFrame};

fn parse(data: &[u8]) -> Result<PickleFrame, Fault> {
    PickleFrame::parse(Path::new("x.pkl"), data.to_vec())
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(name),
    )
    .unwrap()
}

/// Everything that a user could ask of it.
fn read_all(data: &[u8]) -> Option<Fault> {
    match parse(data) {
        Err(fault) => Some(fault),
        Ok(frame) => {
            for column in frame.columns() {
                let _ = (frame.cells(column), frame.tokens(column));
            }
            None
        }
    }
}

fn text(text: &str) -> Vec<u8> {
    [&[0x8c, text.len() as u8], text.as_bytes()].concat()
}

fn global(module: &str, name: &str) -> Vec<u8> {
    [text(module), text(name), vec![0x93]].concat()
}

/// An array of objects: `items` makes the list of them.
fn objects(rows: u8, items: &[u8]) -> Vec<u8> {
    [
        global("numpy.core.multiarray", "_reconstruct"),
        b")R(K\x01K\x01K".to_vec(),
        vec![rows, 0x86],
        global("numpy", "dtype"),
        text("O8"),
        b"\x85R(K\x03".to_vec(),
        text("|"),
        b"tb\x89".to_vec(),
        items.to_vec(),
        b"tb".to_vec(),
    ]
    .concat()
}

/// A frame of one column, '0', of the given values.
fn frame(values: &[u8]) -> Vec<u8> {
    [
        b"\x80\x04".to_vec(),
        global("pandas", "DataFrame"),
        b")\x81}".to_vec(),
        text("_mgr"),
        global("pandas.core.internals.managers", "BlockManager"),
        b"((".to_vec(),
        global("pandas._libs.internals", "_unpickle_block"),
        b"(".to_vec(),
        values.to_vec(),
        global("builtins", "slice"),
        b"K\x00K\x01K\x01\x87RK\x02tRt](".to_vec(),
        global("pandas.core.indexes.base", "_new_Index"),
        global("pandas", "RangeIndex"),
        b"}(".to_vec(),
        text("start"),
        b"K\x00".to_vec(),
        text("stop"),
        b"K\x01".to_vec(),
        text("step"),
        b"K\x01u\x86Re".to_vec(),
        b"tRsb.".to_vec(),
    ]
    .concat()
}

fn cells_error(values: &[u8]) -> String {
    let frame = parse(&frame(values)).unwrap();
    frame.cells("0").unwrap_err().to_string()
}

#[test]
fn the_frame_of_these_tests_is_read() {
    let frame = parse(&frame(&objects(2, b"](K\x07Ne"))).unwrap();
    let cells = frame.cells("0").unwrap();
    assert_eq!(cells, [crate::Cell::Float(7.0), crate::Cell::Null]);
}

#[test]
fn code_is_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("ran");
    let touch = format!("touch {}", mark.display());
    let system = [global("os", "system"), text(&touch), b"\x85R".to_vec()].concat();
    let old = format!("\x02cos\nsystem\nX{}", "");
    let mut old = [&[0x80], old.as_bytes()].concat();
    old.extend((touch.len() as u32).to_le_bytes());
    old.extend([touch.as_bytes(), b"\x85R."].concat());
    let fault = parse(&old).err().unwrap();
    assert_eq!(
        fault.what,
        "a call of os.system, expected a pandas DataFrame"
    );

    // In a cell, as a block, as an object's state, as a class that would be made.
    let cell = [b"](".to_vec(), system.clone(), b"e".to_vec()].concat();
    let message = cells_error(&objects(1, &cell));
    assert!(
        message.contains("row 0: column '0' holds a call of os.system"),
        "{message}"
    );
    let message = cells_error(&system);
    assert!(
        message.contains("column '0' is a call of os.system"),
        "{message}"
    );
    let built = [objects(1, b"](Ne"), system.clone(), b"b".to_vec()].concat();
    assert!(cells_error(&built).contains("without its five parts"));
    let class = [
        global("subprocess", "Popen"),
        text(&touch),
        b"\x85\x81".to_vec(),
    ]
    .concat();
    assert!(cells_error(&class).contains("subprocess.Popen"));
    assert!(!mark.exists());
}

#[test]
fn refusals_name_the_place_and_the_reason() {
    let long = |length: u64| [&[0x80, 4, 0x8d], &length.to_le_bytes()[..], b"x."].concat();
    let cases: Vec<(Vec<u8>, usize, &str)> = vec![
        (b"]".to_vec(), 0, "no protocol number"),
        (b"\x80\x06.".to_vec(), 0, "protocol 6, expected 2 to 5"),
        (b"\x80\x04.".to_vec(), 2, "more than is on the stack"),
        (b"\x80\x04(0.".to_vec(), 4, "more than is on the stack"),
        (b"\x80\x04N1.".to_vec(), 3, "lacks its MARK"),
        (b"\x80\x05\x97.".to_vec(), 2, "kept outside of the pickle"),
        (b"\x80\x05\x98.".to_vec(), 2, "kept outside of the pickle"),
        (b"\x80\x02\x82\x01.".to_vec(), 2, "extension registry"),
        (b"\x80\x02Pid\n.".to_vec(), 2, "persistent id"),
        (
            b"\x80\x02I1\n.".to_vec(),
            2,
            "opcode 'I' of protocols 0 and 1",
        ),
        (
            b"\x80\x02\xff.".to_vec(),
            2,
            "opcode 0xff, which no protocol has",
        ),
        (
            b"\x80\x04h\x07.".to_vec(),
            2,
            "entry 7 of the memo, which is empty",
        ),
        (b"\x80\x04Nb".to_vec(), 3, "more than is on the stack"),
        (b"\x80\x04NNb".to_vec(), 4, "a state for None"),
        (b"\x80\x04NNa".to_vec(), 4, "items for None"),
        (b"\x80\x04}(Nu".to_vec(), 5, "a key without a value"),
        (b"\x80\x04KaKb\x93".to_vec(), 6, "expected texts"),
        (b"\x80\x04X\x02\0\0\0\xff\xfe.".to_vec(), 2, "not UTF-8"),
        (
            long(u64::MAX),
            2,
            "18446744073709551615 bytes expected here, 2 are left",
        ),
        (
            long(1 << 40),
            2,
            "1099511627776 bytes expected here, 2 are left",
        ),
        (b"\x80\x04cos\nsystem".to_vec(), 2, "a name without an end"),
    ];
    for (data, at, part) in cases {
        let fault = parse(&data).err().unwrap();
        assert!(
            fault.offset == Some(at) && fault.what.contains(part),
            "{fault:?}"
        );
    }
    let message = super::frame::bad(Path::new("a.pkl"), parse(b"\x80\x02\xff").err().unwrap());
    let message = message.to_string();
    assert!(message.contains("byte 2: opcode 0xff") && message.contains("to_parquet('a.parquet')"));
}

/// Shared lists of shared lists, lists in themselves and lists a million deep cost what their bytes cost.
#[test]
fn laughs_loops_and_depth() {
    let mut laughs = b"\x80\x04]\x94".to_vec();
    for level in 0..100 {
        laughs.extend(b"](");
        laughs.extend([b'h', level].repeat(10));
        laughs.extend(b"e\x94");
    }
    laughs.push(b'.');
    let itself = b"\x80\x04]\x94h\x00a.".to_vec();
    let deep = [
        b"\x80\x04".to_vec(),
        b"]".repeat(1 << 20),
        b"a".repeat((1 << 20) - 1),
        b".".to_vec(),
    ];
    for data in [laughs, itself, deep.concat()] {
        assert_eq!(
            parse(&data).err().unwrap().what,
            "a list, expected a pandas DataFrame"
        );
    }
    // An index of categories whose categories are itself; an array that holds itself.
    let categories = [
        global("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"),
        b")R\x94(".to_vec(),
        global("pandas", "CategoricalDtype"),
        b")\x81}".to_vec(),
        text("categories"),
        global("pandas.core.indexes.base", "_new_Index"),
        b"N}".to_vec(),
        text("data"),
        b"h\x00s\x86Rsb".to_vec(),
        objects(1, b"](K\x00e"),
        b"tb".to_vec(),
    ];
    assert!(!cells_error(&categories.concat()).is_empty());
    let array = objects(1, b"]\x94h\x00a");
    assert!(cells_error(&array).contains("holds a list"));
    let frame = parse(&frame(&array)).unwrap();
    assert!(
        frame
            .tokens("0")
            .unwrap_err()
            .to_string()
            .contains("something else")
    );
}

/// One list that many rows name counts once for each.
#[test]
fn shared_lists_are_counted() {
    let data = frame(&objects(3, b"](](K\x01K\x02e\x94h\x00h\x00e"));
    let (heap, _) = super::machine::run(data).unwrap();
    let array = (0..heap.nodes.len() as u32).map(super::heap::Value::Node);
    let line = array
        .filter_map(|node| super::arrays::objects(&heap, node, 0).ok())
        .next();
    let line = line.unwrap();
    let mut left = 5;
    let list = |row| super::arrays::list(&heap, &line, row, &mut left);
    let lists: Vec<_> = (0..3).map(list).collect();
    assert!(matches!(lists[..2], [Ok(Some(_)), Ok(Some(_))]));
    assert!(matches!(lists[2], Err(super::error::Error::Large)));
}

#[test]
fn cut_anywhere() {
    for version in ["1.5.3-p2", "3.1.1-p5"] {
        let data = fixture(&format!("types-{version}.pkl"));
        assert!(read_all(&data).is_none());
        for end in 0..data.len() {
            assert!(read_all(&data[..end]).is_some(), "{version} cut at {end}");
        }
    }
}

/// A byte that changes may change a value, but not break anything.
#[test]
fn any_byte_changed() {
    for version in ["1.5.3-p2", "2.3.3-p4", "3.1.1-p5"] {
        let data = fixture(&format!("types-{version}.pkl"));
        for at in 0..data.len() {
            for new in [0, b'(', 0xff] {
                let mut data = data.clone();
                data[at] = new;
                read_all(&data);
            }
        }
    }
}

fn opcodes() -> impl Strategy<Value = Vec<u8>> {
    let known = b"().012NKMJGXCBtldaesubqrhjcR]}.".to_vec();
    let opcode = prop_oneof![prop::sample::select(known), 0x80_u8..=0x98, any::<u8>()];
    vec(opcode, 0..200).prop_map(|ops| [&[0x80, 4], &ops[..]].concat())
}

/// Pieces of real pickles, cut out, repeated and exchanged.
fn mutations() -> impl Strategy<Value = Vec<u8>> {
    let file = prop::sample::select(vec!["1.5.3-p2", "2.0.3-p3", "2.3.3-p4", "3.1.1-p5"]);
    let edit = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        0..16_usize,
        0..5_u8,
        any::<u8>(),
    );
    (file, vec(edit, 1..6)).prop_map(|(file, edits)| {
        let mut data = fixture(&format!("types-{file}.pkl"));
        for (to, from, length, kind, byte) in edits {
            let (to, from) = (to.index(data.len()), from.index(data.len()));
            let piece = data[from..data.len().min(from + length)].to_vec();
            let end = data.len().min(to + length);
            match kind {
                0 => data[to] = byte,
                1 => drop(data.splice(to..end, piece)),
                2 => drop(data.splice(to..to, piece)),
                3 if end - to < data.len() => drop(data.drain(to..end)),
                _ => data[to] ^= 1 << (byte % 8),
            }
        }
        data
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes(data in vec(any::<u8>(), 0..400)) {
        read_all(&data);
    }

    #[test]
    fn arbitrary_opcodes(data in opcodes()) {
        read_all(&data);
    }

    #[test]
    fn mutated_frames(data in mutations()) {
        read_all(&data);
    }

    #[test]
    fn arbitrary_values_in_a_frame(values in vec(any::<u8>(), 0..100), rows in 0..4_u8) {
        read_all(&frame(&values));
        read_all(&frame(&objects(rows, &values)));
    }
}
