//! The part of Python's pickle format that a PyTorch state dict uses, and nothing of it that runs code.
//!
//! In: bytes. Out: [`Value`], in which a tensor is the description of one. Classes and calls other than those of a state
//! dict become [`Value::Opaque`]. Never: a call, an allocation by a size that was only claimed, a value that is copied
//! again and again (memoised containers other than tuples are opaque).
//!
//! The opcodes follow CPython's `pickletools`.

use std::collections::HashMap;
use std::rc::Rc;

/// Most values on the stack or in the memo; a state dict of DenseNet201 needs 20,000.
const VALUES_MAX: usize = 1_000_000;

/// What a pickle says.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// None, a float, or what is of no use here.
    Opaque,
    /// A whole number or a bool.
    Int(i64),
    /// A text.
    Text(Rc<str>),
    /// A tuple.
    Tuple(Rc<[Value]>),
    /// A list.
    List(Vec<Value>),
    /// A dict, ordered.
    Dict(Vec<(Value, Value)>),
    /// A class or function, `module name`.
    Global(Rc<str>),
    /// Where a tensor's numbers lie.
    Storage(Rc<Storage>),
    /// A tensor.
    Tensor(Rc<TensorAt>),
}

/// A block of numbers outside the pickle.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    /// `torch FloatStorage`.
    pub class: Rc<str>,
    /// Its name in the file.
    pub key: Rc<str>,
}

/// A tensor as a view of a storage.
#[derive(Clone, Debug)]
pub(super) struct TensorAt {
    pub storage: Rc<Storage>,
    pub offset: usize,
    pub size: Vec<usize>,
    pub stride: Vec<usize>,
}

/// Reads one pickle from the start of `bytes`; the value and how many bytes it took.
pub(super) fn read(bytes: &[u8]) -> Result<(Value, usize), String> {
    let mut machine = Machine { bytes, at: 0, stack: vec![], marks: vec![], memo: HashMap::new() };
    loop {
        if let Some(value) = machine.step()? {
            return Ok((value, machine.at));
        }
        if machine.stack.len() > VALUES_MAX || machine.memo.len() > VALUES_MAX {
            return Err(format!("the pickle has more than {VALUES_MAX} values"));
        }
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<usize, Value>,
}

impl<'a> Machine<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.bytes.len()).ok_or("the pickle ends early")?;
        let part = &self.bytes[self.at..end];
        self.at = end;
        Ok(part)
    }

    /// A little-endian number of `n` bytes, at most 8.
    fn number(&mut self, n: usize) -> Result<usize, String> {
        let sum = self.take(n)?.iter().rev().fold(0_u64, |sum, b| sum << 8 | u64::from(*b));
        usize::try_from(sum).map_err(|e| e.to_string())
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let length = self.bytes[self.at..].iter().position(|b| *b == b'\n').ok_or("the pickle ends early")?;
        let line = self.take(length)?;
        self.take(1)?;
        std::str::from_utf8(line).map_err(|e| e.to_string())
    }

    fn text(&mut self, digits: usize) -> Result<Value, String> {
        let length = self.number(digits)?;
        Ok(Value::Text(String::from_utf8_lossy(self.take(length)?).into()))
    }

    fn pop(&mut self) -> Result<Value, String> {
        self.stack.pop().ok_or_else(|| "the pickle's stack is empty".into())
    }

    fn since_mark(&mut self) -> Result<Vec<Value>, String> {
        let mark = self.marks.pop().filter(|m| *m <= self.stack.len()).ok_or("the pickle has no mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn keep(&mut self, at: usize) -> Result<(), String> {
        let value = match self.stack.last().ok_or("the pickle's stack is empty")? {
            Value::List(_) | Value::Dict(_) => Value::Opaque,
            small => small.clone(),
        };
        self.memo.insert(at, value);
        Ok(())
    }

    fn tuple(&mut self, n: usize) -> Result<Value, String> {
        let from = self.stack.len().checked_sub(n).ok_or("the pickle's stack is empty")?;
        Ok(Value::Tuple(self.stack.split_off(from).into()))
    }

    fn set(&mut self, items: Vec<Value>) {
        if let Some(Value::Dict(dict)) = self.stack.last_mut() {
            let mut items = items.into_iter();
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                dict.push((key, value));
            }
        }
    }

    fn append(&mut self, items: Vec<Value>) {
        if let Some(Value::List(list)) = self.stack.last_mut() {
            list.extend(items);
        }
    }

    /// One opcode; the value where it was the last.
    fn step(&mut self) -> Result<Option<Value>, String> {
        let code = self.take(1)?[0];
        let value = match code {
            b'.' => return self.pop().map(Some),
            0x80 => return self.take(1).map(|_| None),
            0x95 => return self.take(8).map(|_| None),
            b'(' => {
                self.marks.push(self.stack.len());
                return Ok(None);
            }
            b'0' => return self.pop().map(|_| None),
            b'q' => return self.number(1).and_then(|at| self.keep(at)).map(|()| None),
            b'r' => return self.number(4).and_then(|at| self.keep(at)).map(|()| None),
            0x94 => return self.keep(self.memo.len()).map(|()| None),
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(vec![key, value]);
                return Ok(None);
            }
            b'u' => return self.since_mark().map(|items| self.set(items)).map(|()| None),
            b'a' => return self.pop().map(|item| self.append(vec![item])).map(|()| None),
            b'e' => return self.since_mark().map(|items| self.append(items)).map(|()| None),
            // BUILD gives an object its attributes; a state dict's are its versions.
            b'b' => return self.pop().map(|_| None),
            b'h' | b'j' => {
                let at = self.number(if code == b'h' { 1 } else { 4 })?;
                self.memo.get(&at).cloned().ok_or("the pickle names a value it does not have")?
            }
            b'}' => Value::Dict(vec![]),
            b']' => Value::List(vec![]),
            b')' => Value::Tuple(Rc::new([])),
            b't' => Value::Tuple(self.since_mark()?.into()),
            0x85..=0x87 => self.tuple(usize::from(code) - 0x84)?,
            b'X' | b'T' => self.text(4)?,
            0x8c | b'U' => self.text(1)?,
            b'K' => Value::Int(self.number(1)? as i64),
            b'M' => Value::Int(self.number(2)? as i64),
            b'J' => Value::Int(i64::from(self.number(4)? as u32 as i32)),
            0x8a => self.long()?,
            b'G' => self.take(8).map(|_| Value::Opaque)?,
            b'N' => Value::Opaque,
            0x88 => Value::Int(1),
            0x89 => Value::Int(0),
            b'c' => Value::Global(format!("{} {}", self.line()?, self.line()?).into()),
            0x93 => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => Value::Global(format!("{module} {name}").into()),
                _ => return Err("the pickle names a class by something that is no text".into()),
            },
            b'Q' => persistent(&self.pop()?),
            b'R' | 0x81 => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                called(&callee, &arguments)
            }
            other => return Err(format!("opcode {other:#04x} is none that a state dict uses")),
        };
        self.stack.push(value);
        Ok(None)
    }

    fn long(&mut self) -> Result<Value, String> {
        let length = self.number(1)?;
        let bytes = self.take(length)?;
        let negative = bytes.last().is_some_and(|b| *b >= 0x80);
        if bytes.len() > 8 {
            return Ok(Value::Opaque);
        }
        let start: i64 = if negative { -1 } else { 0 };
        Ok(Value::Int(bytes.iter().rev().fold(start, |sum, b| sum << 8 | i64::from(*b))))
    }
}

/// `('storage', class, key, location, length)`.
fn persistent(value: &Value) -> Value {
    match value {
        Value::Tuple(parts) => match &parts[..] {
            [Value::Text(kind), Value::Global(class), Value::Text(key), ..] if &**kind == "storage" => {
                Value::Storage(Rc::new(Storage { class: class.clone(), key: key.clone() }))
            }
            _ => Value::Opaque,
        },
        _ => Value::Opaque,
    }
}

fn sizes(value: &Value) -> Option<Vec<usize>> {
    let Value::Tuple(parts) = value else { return None };
    parts.iter().map(|p| if let Value::Int(n) = p { usize::try_from(*n).ok() } else { None }).collect()
}

/// What the few known calls give.
fn called(callee: &Value, arguments: &Value) -> Value {
    let (Value::Global(name), Value::Tuple(arguments)) = (callee, arguments) else { return Value::Opaque };
    match (&**name, &arguments[..]) {
        ("collections OrderedDict", []) => Value::Dict(vec![]),
        ("torch._utils _rebuild_parameter", [tensor, ..]) => tensor.clone(),
        (
            "torch._utils _rebuild_tensor" | "torch._utils _rebuild_tensor_v2",
            [Value::Storage(storage), Value::Int(offset), size, stride, ..],
        ) => match (usize::try_from(*offset), sizes(size), sizes(stride)) {
            (Ok(offset), Some(size), Some(stride)) if size.len() == stride.len() => {
                Value::Tensor(Rc::new(TensorAt { storage: storage.clone(), offset, size, stride }))
            }
            _ => Value::Opaque,
        },
        _ => Value::Opaque,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_of_something_else_is_opaque_and_a_truncated_pickle_is_a_sentence() {
        let attack = b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.";
        let (value, length) = read(attack).unwrap();
        assert!(matches!(value, Value::Opaque) && length == attack.len());
        for end in 0..attack.len() - 1 {
            assert!(read(&attack[..end]).is_err(), "{end}");
        }
        assert!(read(b"\x80\x02X\xff\xff\xff\xff.").unwrap_err().contains("ends early"));
        assert!(read(b"\x80\x02h\x07.").is_err() && read(b"t.").is_err() && read(b"\x87.").is_err() && read(b"!").is_err());
    }

    #[test]
    fn numbers_of_every_width_are_read() {
        for (bytes, want) in [
            (&b"K\xff."[..], 255),
            (b"M\x01\x02.", 513),
            (b"J\xff\xff\xff\xff.", -1),
            (b"\x8a\x01\xfe.", -2),
            (b"\x8a\x02\xff\x7f.", 32_767),
        ] {
            assert!(matches!(read(bytes).unwrap().0, Value::Int(n) if n == want), "{bytes:?}");
        }
    }
}
