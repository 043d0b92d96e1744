//! The pickle machine. Owns the opcodes; knows nothing of pandas. Every byte of the file makes at most one value, every
//! length is checked against what is left of the file, and the machine only ever loops.

use std::collections::HashMap;

use super::{
    Fault, MAX_OBJECTS, MAX_VALUES,
    heap::{Heap, Node, Value},
};

type Step<T> = Result<T, String>;

/// Runs a pickle to its end: what was built, and its last value.
pub(super) fn run(data: Vec<u8>) -> Result<(Heap, Value), Fault> {
    let heap = Heap {
        data,
        ..Heap::default()
    };
    let mut machine = Machine {
        heap,
        at: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        left: MAX_VALUES,
    };
    loop {
        let offset = machine.at;
        match machine.step() {
            Ok(None) => {}
            Ok(Some(value)) => return Ok((machine.heap, value)),
            Err(what) => {
                let offset = Some(offset);
                return Err(Fault { offset, what });
            }
        }
    }
}

struct Machine {
    heap: Heap,
    at: usize,
    stack: Vec<Value>,
    /// Where in the stack the open MARKs are.
    marks: Vec<usize>,
    memo: HashMap<usize, Value>,
    /// How many more values may be made.
    left: usize,
}

impl Machine {
    fn step(&mut self) -> Step<Option<Value>> {
        let [opcode] = self.array()?;
        match opcode {
            0x80 => {
                let [protocol] = self.array()?;
                if !(2..=5).contains(&protocol) {
                    return Err(format!("protocol {protocol}, expected 2 to 5"));
                }
            }
            // FRAME only helps whoever reads the file in pieces.
            0x95 => {
                self.array::<8>()?;
            }
            b'.' => return self.pop().map(Some),
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'K' => {
                let [byte] = self.array()?;
                self.push(Value::Int(byte.into()))?;
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()))?;
            }
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()))?;
            }
            0x8a => self.long::<1>()?,
            0x8b => self.long::<4>()?,
            b'G' => {
                let value = f64::from_be_bytes(self.array()?);
                self.push(Value::Float(value))?;
            }
            0x8c => self.text::<1>()?,
            b'X' => self.text::<4>()?,
            0x8d => self.text::<8>()?,
            b'C' => self.bytes::<1>()?,
            b'B' => self.bytes::<4>()?,
            0x8e | 0x96 => self.bytes::<8>()?,
            b'(' => {
                self.charge(1)?;
                self.marks.push(self.stack.len());
            }
            b'0' => {
                if self.stack.len() == self.floor() {
                    self.above_mark()?;
                } else {
                    self.pop()?;
                }
            }
            b'1' => {
                self.above_mark()?;
            }
            b'2' => self.push(self.top()?)?,
            b')' => self.make(Node::Tuple(Vec::new()))?,
            b']' => self.make(Node::List(Vec::new()))?,
            b'}' => self.make(Node::Dict(Vec::new()))?,
            0x8f => self.make(Node::Set)?,
            b't' => {
                let items = self.above_mark()?;
                self.make(Node::Tuple(items))?;
            }
            b'l' => {
                let items = self.above_mark()?;
                self.make(Node::List(items))?;
            }
            b'd' => {
                let pairs = pairs(&self.above_mark()?)?;
                self.make(Node::Dict(pairs))?;
            }
            0x91 => {
                self.above_mark()?;
                self.make(Node::Set)?;
            }
            0x85..=0x87 => {
                let mut items = Vec::with_capacity(3);
                for _ in 0..opcode - 0x84 {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.make(Node::Tuple(items))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            b'e' => {
                let items = self.above_mark()?;
                self.append(&items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(&[key, value])?;
            }
            b'u' => {
                let items = self.above_mark()?;
                self.set_items(&items)?;
            }
            // ADDITEMS: no set is of use to anyone here, so its items are let go.
            0x90 => {
                self.above_mark()?;
                self.top()?;
            }
            b'q' => {
                let [index] = self.array()?;
                self.put(index.into())?;
            }
            b'r' => {
                let index = u32::from_le_bytes(self.array()?);
                self.put(index as usize)?;
            }
            0x94 => self.put(self.memo.len())?,
            b'h' => {
                let [index] = self.array()?;
                self.get(index.into())?;
            }
            b'j' => {
                let index = u32::from_le_bytes(self.array()?);
                self.get(index as usize)?;
            }
            b'c' => {
                let module = self.line()?;
                let name = self.line()?;
                self.make(Node::Global { module, name })?;
            }
            0x93 => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => {
                    self.make(Node::Global { module, name })?;
                }
                (name, module) => {
                    let (module, name) = (self.heap.describe(module), self.heap.describe(name));
                    return Err(format!(
                        "a global named by {module} and {name}, expected texts"
                    ));
                }
            },
            // REDUCE and NEWOBJ: Python would call here.
            b'R' | 0x81 => {
                let args = self.pop()?;
                let callee = self.pop()?;
                self.call(callee, args)?;
            }
            // NEWOBJ_EX; no class that is known here takes named arguments.
            0x92 => {
                self.pop()?;
                let args = self.pop()?;
                let callee = self.pop()?;
                self.call(callee, args)?;
            }
            // BUILD: Python would set attributes or call __setstate__ here.
            b'b' => {
                let new = self.pop()?;
                let object = self.top()?;
                match self.node_mut(object) {
                    Some(Node::Call { state, .. }) => *state = new,
                    _ => return Err(self.type_mismatch("a state", object, "an object")),
                }
            }
            0x97 | 0x98 => {
                return Err("a buffer that is kept outside of the pickle, where nothing is".into());
            }
            0x82..=0x84 => {
                return Err(
                    "an entry of Python's extension registry, which only its writer has".into(),
                );
            }
            b'P' | b'Q' => return Err("a persistent id, which only its writer understands".into()),
            b'F' | b'I' | b'L' | b'S' | b'T' | b'U' | b'V' | b'p' | b'g' | b'i' | b'o' => {
                return Err(format!(
                    "opcode '{}' of protocols 0 and 1, expected 2 to 5",
                    char::from(opcode)
                ));
            }
            other => return Err(format!("opcode 0x{other:02x}, which no protocol has")),
        }
        Ok(None)
    }

    fn charge(&mut self, values: usize) -> Step<()> {
        let left = self.left.checked_sub(values);
        self.left =
            left.ok_or_else(|| format!("more than {MAX_VALUES} values, far beyond any data set"))?;
        Ok(())
    }

    fn take(&mut self, length: u64) -> Step<std::ops::Range<usize>> {
        let left = self.heap.data.len() - self.at;
        let taken = usize::try_from(length).ok().filter(|&n| n <= left);
        let taken = taken.ok_or_else(|| {
            format!("truncated: {length} bytes expected here, {left} are left in the file")
        })?;
        self.at += taken;
        Ok(self.at - taken..self.at)
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let range = self.take(N as u64)?;
        let mut array = [0; N];
        array.copy_from_slice(&self.heap.data[range]);
        Ok(array)
    }

    /// An unsigned little-endian length of N bytes, and as many bytes as it says.
    fn counted<const N: usize>(&mut self) -> Step<std::ops::Range<usize>> {
        let mut length = [0; 8];
        length[..N].copy_from_slice(&self.array::<N>()?);
        self.take(u64::from_le_bytes(length))
    }

    fn span(&mut self, range: std::ops::Range<usize>) -> Step<u32> {
        let number = room(self.heap.spans.len())?;
        self.heap.spans.push(range);
        Ok(number)
    }

    fn text_span(&mut self, range: std::ops::Range<usize>) -> Step<u32> {
        match std::str::from_utf8(&self.heap.data[range.clone()]) {
            Ok(_) => self.span(range),
            Err(_) => Err("text that is not UTF-8".into()),
        }
    }

    fn text<const N: usize>(&mut self) -> Step<()> {
        let range = self.counted::<N>()?;
        let number = self.text_span(range)?;
        self.push(Value::Text(number))
    }

    fn bytes<const N: usize>(&mut self) -> Step<()> {
        let range = self.counted::<N>()?;
        let number = self.span(range)?;
        self.push(Value::Bytes(number))
    }

    fn line(&mut self) -> Step<u32> {
        let rest = &self.heap.data[self.at..];
        let end = rest.iter().position(|&byte| byte == b'\n');
        let end = end.ok_or("truncated: a name without an end")?;
        let range = self.at..self.at + end;
        self.at += end + 1;
        self.text_span(range)
    }

    /// A little-endian two's complement integer of any length.
    fn long<const N: usize>(&mut self) -> Step<()> {
        let range = self.counted::<N>()?;
        let bytes = &self.heap.data[range];
        let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
        let fill = if negative { 0xff } else { 0 };
        let mut low = [fill; 8];
        let within = bytes.len().min(8);
        low[..within].copy_from_slice(&bytes[..within]);
        let value = i64::from_le_bytes(low);
        if bytes[within..].iter().all(|&b| b == fill) && (value < 0) == negative {
            return self.push(Value::Int(value));
        }
        self.make(Node::BigInt)
    }

    fn push(&mut self, value: Value) -> Step<()> {
        self.charge(1)?;
        self.stack.push(value);
        Ok(())
    }

    fn make(&mut self, node: Node) -> Step<()> {
        let number = room(self.heap.nodes.len())?;
        self.push(Value::Node(number))?;
        self.heap.nodes.push(node);
        Ok(())
    }

    fn call(&mut self, callee: Value, args: Value) -> Step<()> {
        self.make(Node::Call {
            callee,
            args,
            state: Value::None,
        })
    }

    /// Nothing below the last MARK can be taken by anything but the opcode that closes it.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Step<Value> {
        match self.stack.last() {
            Some(value) if self.stack.len() > self.floor() => Ok(*value),
            _ => Err("an opcode that takes more than is on the stack".into()),
        }
    }

    fn pop(&mut self) -> Step<Value> {
        let value = self.top()?;
        self.stack.pop();
        Ok(value)
    }

    fn above_mark(&mut self) -> Step<Vec<Value>> {
        let mark = self.marks.pop().ok_or("an opcode that lacks its MARK")?;
        Ok(self.stack.split_off(mark))
    }

    fn node_mut(&mut self, value: Value) -> Option<&mut Node> {
        match value {
            Value::Node(number) => self.heap.nodes.get_mut(number as usize),
            _ => None,
        }
    }

    fn append(&mut self, new: &[Value]) -> Step<()> {
        let list = self.top()?;
        match self.node_mut(list) {
            Some(Node::List(items)) => items.extend_from_slice(new),
            // Objects that are filled like lists are none of those that are read.
            Some(Node::Call { .. }) => {}
            _ => return Err(self.type_mismatch("items", list, "a list")),
        }
        Ok(())
    }

    fn set_items(&mut self, new: &[Value]) -> Step<()> {
        let new = pairs(new)?;
        let dict = self.top()?;
        match self.node_mut(dict) {
            Some(Node::Dict(items)) => items.extend(new),
            Some(Node::Call { .. }) => {}
            _ => return Err(self.type_mismatch("keys", dict, "a dictionary")),
        }
        Ok(())
    }

    fn type_mismatch(&self, what: &str, found: Value, expected: &str) -> String {
        let found = self.heap.describe(found);
        format!("{what} for {found}, expected {expected}")
    }

    fn put(&mut self, index: usize) -> Step<()> {
        room(self.memo.len())?;
        let value = self.top()?;
        self.memo.insert(index, value);
        Ok(())
    }

    fn get(&mut self, index: usize) -> Step<()> {
        let value = self.memo.get(&index).copied();
        self.push(value.ok_or_else(|| format!("entry {index} of the memo, which is empty"))?)
    }
}

/// The number of the next of something that there are `length` of.
fn room(length: usize) -> Step<u32> {
    let number = u32::try_from(length).ok().filter(|&n| n < MAX_OBJECTS);
    number.ok_or_else(|| format!("more than {MAX_OBJECTS} objects, far beyond any data set"))
}

fn pairs(items: &[Value]) -> Step<Vec<(Value, Value)>> {
    let (pairs, rest) = items.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("a key without a value".into());
    }
    Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
}
