//! PyTorch's file of a state dict: a zip archive since version 1.6, a stream of pickles before.

use super::pickle::{self, TensorAt, Value};
use super::{Float, Weights, archive};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// Pickles of the older form before the state dict: magic number, protocol, byte order.
const LEGACY_PREFACE: usize = 3;

/// Raw bytes of storages by their key.
type Storages<'a> = HashMap<String, &'a [u8]>;

pub(super) fn of_archive(bytes: &[u8]) -> Result<BTreeMap<String, Weights>, String> {
    let (mut pickled, mut storages) = (None, Storages::new());
    for (name, content) in archive::entries(bytes)? {
        if name.ends_with("/data.pkl") {
            pickled = Some(content);
        } else if let Some((_, key)) = name.split_once("/data/") {
            storages.insert(key.to_owned(), content);
        }
    }
    let (state, _) = pickle::read(pickled.ok_or("there is no data.pkl in it")?)?;
    tensors(&state, &storages, bytes.len())
}

pub(super) fn of_stream(bytes: &[u8]) -> Result<BTreeMap<String, Weights>, String> {
    let mut rest = bytes;
    let mut next = || -> Result<Value, String> {
        let (value, length) = pickle::read(rest)?;
        rest = &rest[length..];
        Ok(value)
    };
    for _ in 0..LEGACY_PREFACE {
        next()?;
    }
    let (state, keys) = (next()?, next()?);
    let (mut found, mut storages) = (HashMap::new(), Storages::new());
    collect(&state, "", &mut found);
    let width: HashMap<&str, usize> = found.values().map(|t| (&*t.storage.key, width(&t.storage.class).unwrap_or(8))).collect();
    let Value::List(keys) = keys else { return Err("the list of storages is missing".into()) };
    for key in keys {
        let Value::Text(key) = key else { return Err("a storage has no name".into()) };
        let count = rest.get(..8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes).ok_or("it ends early")?;
        let length =
            usize::try_from(count).ok().and_then(|c| c.checked_mul(*width.get(&*key)?)).ok_or("a storage without a tensor")?;
        let end = length.checked_add(8).filter(|end| *end <= rest.len()).ok_or("it ends early")?;
        storages.insert(key.to_string(), &rest[8..end]);
        rest = &rest[end..];
    }
    tensors(&state, &storages, bytes.len())
}

/// Bytes of a number of a storage's class.
fn width(class: &str) -> Option<usize> {
    match class.strip_prefix("torch ")? {
        "DoubleStorage" | "LongStorage" => Some(8),
        "FloatStorage" | "IntStorage" => Some(4),
        "HalfStorage" | "BFloat16Storage" | "ShortStorage" => Some(2),
        "ByteStorage" | "CharStorage" | "BoolStorage" => Some(1),
        _ => None,
    }
}

/// The tensors of a dict and of those within it; what stands under `state_dict` counts as if it stood at the top.
fn collect(value: &Value, prefix: &str, into: &mut HashMap<String, Rc<TensorAt>>) {
    let Value::Dict(items) = value else { return };
    for (key, value) in items {
        let Value::Text(key) = key else { continue };
        match value {
            Value::Tensor(tensor) => drop(into.insert(format!("{prefix}{key}"), tensor.clone())),
            Value::Dict(_) if &**key == "state_dict" => collect(value, prefix, into),
            _ => {}
        }
    }
}

fn tensors(state: &Value, storages: &Storages, file_bytes: usize) -> Result<BTreeMap<String, Weights>, String> {
    let mut found = HashMap::new();
    collect(state, "", &mut found);
    if found.is_empty() {
        return Err("there is no state dict in it (a whole pickled model cannot be read: save model.state_dict())".into());
    }
    let mut read = BTreeMap::new();
    // Tensors may share a storage, and storages the archive's bytes; a few lines must not ask for them a thousand times.
    let mut left = file_bytes;
    for (name, at) in found {
        let bytes = storages.get(&*at.storage.key).ok_or_else(|| format!("{name} has no storage"))?;
        if let Some(values) = values(&at, bytes).map_err(|what| format!("{name}: {what}"))? {
            left = left.checked_sub(values.len()).ok_or("more numbers than the file has bytes")?;
            read.extend(Weights::new(at.size.clone(), values).map(|tensor| (name, tensor)));
        }
    }
    Ok(read)
}

/// The numbers of a tensor in row-major order; `None` for whole numbers.
fn values(at: &TensorAt, bytes: &[u8]) -> Result<Option<Vec<f32>>, String> {
    let float = match at.storage.class.strip_prefix("torch ") {
        Some("FloatStorage") => Float::F32,
        Some("DoubleStorage") => Float::F64,
        Some("BFloat16Storage") => Float::Bf16,
        Some("HalfStorage") => Float::F16,
        _ => return Ok(None),
    };
    let width = float.width();
    let held = bytes.len() / width;
    let product = at.size.iter().try_fold(1_usize, |all, n| all.checked_mul(*n));
    let count = product.filter(|n| *n <= held).ok_or("more numbers than its storage has")?;
    let last =
        at.size.iter().zip(&at.stride).try_fold(at.offset, |sum, (n, s)| sum.checked_add(n.saturating_sub(1).checked_mul(*s)?));
    if count > 0 && last.is_none_or(|last| last >= held) {
        return Err("numbers from outside its storage".into());
    }
    let mut place = vec![0; at.size.len()];
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let i = at.offset + place.iter().zip(&at.stride).map(|(p, s)| p * s).sum::<usize>();
        all.push(float.read(&bytes[i * width..(i + 1) * width]));
        for (p, n) in place.iter_mut().zip(&at.size).rev() {
            *p += 1;
            if *p < *n {
                break;
            }
            *p = 0;
        }
    }
    Ok(Some(all))
}

#[cfg(test)]
mod tests {
    use super::super::pickle::Storage;
    use super::*;

    fn at(class: &str, offset: usize, size: &[usize], stride: &[usize]) -> TensorAt {
        let storage = Rc::new(Storage { class: class.into(), key: "0".into() });
        TensorAt { storage, offset, size: size.to_vec(), stride: stride.to_vec() }
    }

    #[test]
    fn strides_are_followed_and_numbers_outside_the_storage_are_refused() {
        let bytes: Vec<u8> = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
        let read = |t: &TensorAt| values(t, &bytes);
        assert_eq!(read(&at("torch FloatStorage", 0, &[3, 2], &[1, 3])).unwrap().unwrap(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(read(&at("torch FloatStorage", 2, &[], &[])).unwrap().unwrap(), [2.0]);
        assert!(read(&at("torch LongStorage", 0, &[1], &[1])).unwrap().is_none());
        for (offset, size, stride) in
            [(1, [3, 2], [2, 1]), (0, [3, 2], [3, 1]), (usize::MAX, [1, 1], [1, 1]), (0, [usize::MAX, 2], [0, 0])]
        {
            assert!(read(&at("torch FloatStorage", offset, &size, &stride)).is_err(), "{offset} {size:?} {stride:?}");
        }
    }
}
