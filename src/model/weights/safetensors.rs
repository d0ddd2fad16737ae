//! The safetensors format: a length, a JSON header of that length, and the tensors' bytes one after the other.

use super::{Float, Weights};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What the header says of a tensor.
#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// Entry of the header that describes no tensor.
const METADATA: &str = "__metadata__";

type Header = BTreeMap<String, serde_json::Value>;

/// The header, and the bytes behind it.
fn split(bytes: &[u8]) -> Result<(Header, &[u8]), String> {
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or("it ends early")?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok().filter(|n| *n <= rest.len()).ok_or("its header ends early")?;
    let (header, data) = rest.split_at(length);
    Ok((serde_json::from_slice(header).map_err(|e| e.to_string())?, data))
}

/// What the file's metadata says under this name, empty where nothing.
pub(super) fn said(bytes: &[u8], name: &str) -> Result<String, String> {
    let (header, _) = split(bytes)?;
    match header.get(METADATA).and_then(|metadata| metadata.get(name)) {
        None => Ok(String::new()),
        Some(serde_json::Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(format!("{METADATA}.{name} is no text")),
    }
}

/// The tensors of floating-point numbers.
pub(super) fn read(bytes: &[u8]) -> Result<BTreeMap<String, Weights>, String> {
    let (header, data) = split(bytes)?;
    let mut tensors = BTreeMap::new();
    // Tensors do not share bytes, so that all of them together are no more than the file has.
    let mut left = data.len();
    for (name, entry) in header.into_iter().filter(|(name, _)| name != METADATA) {
        let at = |what: &str| format!("{name}: {what}");
        let entry: Entry = serde_json::from_value(entry).map_err(|e| at(&e.to_string()))?;
        let float = match entry.dtype.as_str() {
            "F16" => Float::F16,
            "BF16" => Float::Bf16,
            "F32" => Float::F32,
            "F64" => Float::F64,
            _ => continue,
        };
        let [from, to] = entry.data_offsets;
        let stored = data.get(from..to).ok_or_else(|| at("numbers from outside the file"))?;
        left = left.checked_sub(stored.len()).ok_or_else(|| at("bytes that another tensor has"))?;
        if stored.len() % float.width() != 0 {
            return Err(at("a number is cut off"));
        }
        let values = stored.chunks_exact(float.width()).map(|b| float.read(b)).collect();
        let tensor = Weights::new(entry.shape, values).ok_or_else(|| at("more or fewer numbers than its shape says"))?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    #[test]
    fn tensors_are_read_in_every_width_and_whole_numbers_left_out() {
        let header = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
            "b":{"dtype":"BF16","shape":[],"data_offsets":[8,10]},"n":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#;
        let data = [&1.5_f32.to_le_bytes()[..], &(-2.0_f32).to_le_bytes(), &[0x80, 0x3f]].concat();
        let tensors = read(&file(header, &data)).unwrap();
        assert_eq!(tensors.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((tensors["a"].shape(), tensors["a"].values()), (&[2][..], &[1.5, -2.0][..]));
        assert_eq!(tensors["b"].values(), [1.0]);
        assert_eq!(said(&file(header, &data), "format").as_deref(), Ok("pt"));
        assert_eq!(said(&file(header, &data), "stages").as_deref(), Ok(""));
        assert_eq!(said(&file("{}", b""), "format").as_deref(), Ok(""));
        assert_eq!(said(&file(r#"{"__metadata__":{"n":1}}"#, b""), "n").unwrap_err(), "__metadata__.n is no text");
    }

    #[test]
    fn what_the_header_claims_is_checked() {
        for (entry, what) in [
            (r#"{"dtype":"F32","shape":[3],"data_offsets":[0,8]}"#, "than its shape says"),
            (r#"{"dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,8]}"#, "than its shape says"),
            (r#"{"dtype":"F32","shape":[2],"data_offsets":[4,12]}"#, "outside the file"),
            (r#"{"dtype":"F32","shape":[2],"data_offsets":[8,0]}"#, "outside the file"),
            (r#"{"dtype":"F32","shape":[1],"data_offsets":[0,5]}"#, "cut off"),
            (r#"{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}"#, "w: "),
        ] {
            let error = read(&file(&format!("{{\"w\":{entry}}}"), &[0; 8])).unwrap_err();
            assert!(error.contains(what), "{entry}: {error}");
        }
        let twice =
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        assert!(read(&file(twice, &[0; 8])).unwrap_err().contains("another tensor has"));
        assert!(read(b"short").is_err() && read(&file("{", b"")).is_err());
    }
}
