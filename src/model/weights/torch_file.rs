//! Weights that other programs saved: `.safetensors`, and PyTorch's `.pth` as a zip archive or as the older stream of
//! pickles. Read without Python, and without running anything that a pickle asks for.
//!
//! In: a file. Out: named tensors, f32. Never: a number from outside its storage; whole numbers are left out.

use super::TrainError;
use super::pickle::{self, TensorAt, Value};
use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::path::Path;
use tch::{Kind, Tensor};

/// First bytes of a zip archive.
const ZIP: &[u8] = b"PK\x03\x04";
/// Pickles of the older form before the state dict: magic number, protocol, byte order.
const LEGACY_PREFACE: usize = 3;

/// The tensors of a file.
///
/// # Errors
/// [`TrainError`] that says what of it cannot be read.
pub fn read(path: &Path) -> Result<HashMap<String, Tensor>, TrainError> {
    if path.extension().is_some_and(|e| e == "safetensors") {
        let all = Tensor::read_safetensors(path)?;
        return Ok(all.into_iter().map(|(name, tensor)| (name, tensor.to_kind(Kind::Float))).collect());
    }
    let size = std::fs::metadata(path).map_err(|e| TrainError::file(path, e))?.len();
    if size > crate::limits::WEIGHTS_BYTES_MAX {
        return Err(TrainError::content(path, format!("{size} bytes, allowed are {}", crate::limits::WEIGHTS_BYTES_MAX)));
    }
    let bytes = std::fs::read(path).map_err(|e| TrainError::file(path, e))?;
    let read = if bytes.starts_with(ZIP) { of_archive(&bytes) } else { of_stream(&bytes) };
    read.map_err(|what| TrainError::content(path, format!("is no PyTorch file of weights: {what}")))
}

/// Raw bytes of storages by their key.
type Storages = HashMap<String, Vec<u8>>;

fn of_archive(bytes: &[u8]) -> Result<HashMap<String, Tensor>, String> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| e.to_string())?;
    let (mut pickled, mut storages) = (None, Storages::new());
    for i in 0..archive.len() {
        let mut file = archive.by_index(i).map_err(|e| e.to_string())?;
        let name = file.name().to_owned();
        // PyTorch stores without compression, so a part is never longer than the file.
        let mut content = Vec::new();
        file.by_ref().take(bytes.len() as u64).read_to_end(&mut content).map_err(|e| e.to_string())?;
        if name.ends_with("/data.pkl") {
            pickled = Some(content);
        } else if let Some((_, key)) = name.split_once("/data/") {
            storages.insert(key.to_owned(), content);
        }
    }
    let (state, _) = pickle::read(&pickled.ok_or("there is no data.pkl in it")?)?;
    tensors(&state, &storages)
}

fn of_stream(bytes: &[u8]) -> Result<HashMap<String, Tensor>, String> {
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
        storages.insert(key.to_string(), rest[8..end].to_vec());
        rest = &rest[end..];
    }
    tensors(&state, &storages)
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
fn collect(value: &Value, prefix: &str, into: &mut HashMap<String, std::rc::Rc<TensorAt>>) {
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

fn tensors(state: &Value, storages: &Storages) -> Result<HashMap<String, Tensor>, String> {
    let mut found = HashMap::new();
    collect(state, "", &mut found);
    if found.is_empty() {
        return Err("there is no state dict in it (a whole pickled model cannot be read: save model.state_dict())".into());
    }
    let mut read = HashMap::new();
    for (name, at) in found {
        let bytes = storages.get(&*at.storage.key).ok_or_else(|| format!("{name} has no storage"))?;
        if let Some(values) = values(&at, bytes).map_err(|what| format!("{name}: {what}"))? {
            let shape: Vec<i64> = at.size.iter().map(|n| *n as i64).collect();
            read.insert(name, Tensor::from_slice(&values).view(shape.as_slice()));
        }
    }
    Ok(read)
}

/// The numbers of a tensor in row-major order; `None` for whole numbers.
fn values(at: &TensorAt, bytes: &[u8]) -> Result<Option<Vec<f32>>, String> {
    let number: fn(&[u8]) -> f32 = match at.storage.class.strip_prefix("torch ") {
        Some("FloatStorage") => |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
        Some("DoubleStorage") => |b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32,
        Some("BFloat16Storage") => |b| f32::from_le_bytes([0, 0, b[0], b[1]]),
        Some("HalfStorage") => |b| half(u16::from_le_bytes([b[0], b[1]])),
        _ => return Ok(None),
    };
    let width = width(&at.storage.class).unwrap_or(4);
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
        all.push(number(&bytes[i * width..(i + 1) * width]));
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

/// IEEE 754 binary16.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff) / 1024.0);
    match exponent {
        0 => sign * fraction * 2_f32.powi(-14),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        e => sign * (1.0 + fraction) * 2_f32.powi(e - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::pickle::Storage;

    fn at(class: &str, offset: usize, size: &[usize], stride: &[usize]) -> TensorAt {
        let storage = std::rc::Rc::new(Storage { class: class.into(), key: "0".into() });
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

    #[test]
    fn half_precision_is_that_of_the_standard() {
        for (bits, want) in [(0x3c00, 1.0), (0xc000, -2.0), (0x3555, 0.333_251_95), (0x0001, 5.960_464_5e-8), (0x7bff, 65_504.0)]
        {
            assert_eq!(half(bits), want);
        }
        assert!(half(0x7e00).is_nan() && half(0xfc00) == f32::NEG_INFINITY);
    }

    #[test]
    fn hostile_bytes_are_refused_with_a_sentence() {
        let folder = std::env::temp_dir().join(format!("chexbox-weights-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in [("a.pth", &b"PK\x03\x04nothing"[..]), ("b.pth", b"nothing"), ("c.pth", b"")] {
            let path = folder.join(name);
            std::fs::write(&path, bytes).unwrap();
            assert!(read(&path).unwrap_err().to_string().contains("is no PyTorch file of weights"));
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
