//! Weights that other programs saved: `.safetensors`, and PyTorch's `.pth` as a zip archive or as the older stream of
//! pickles. Read without Python, and without running anything that a pickle asks for.
//!
//! In: the bytes of a file. Out: named tensors, f32, under torchvision's present names. Never: a number from outside its storage,
//! an allocation by a size that was only claimed; whole numbers are left out.

mod archive;
mod pickle;
mod safetensors;
mod torch_file;

use crate::limits::STAGES_BYTES_MAX;
use std::collections::BTreeMap;

/// Prefixes of networks that stood inside another: DataParallel's, and those of wrappers in wide use.
const PREFIXES: [&str; 4] = ["module.", "model.", "densenet121.", "densenet."];

/// A tensor in row-major order; as many values as its shape says.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Weights {
    /// A tensor; `None` where `values` are not as many as `shape` says.
    pub fn new(shape: Vec<usize>, values: Vec<f32>) -> Option<Self> {
        let count = shape.iter().try_fold(1_usize, |all, n| all.checked_mul(*n))?;
        (count == values.len()).then_some(Self { shape, values })
    }

    /// Lengths of its axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its numbers, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

/// Tensors by torchvision's names.
pub type Tensors = BTreeMap<String, Weights>;

/// The stages of training that a safetensors file tells of itself, for the model card: `stages` of its metadata, a line each. Other
/// files tell none.
///
/// # Errors
/// A sentence that says what of it cannot be read.
pub fn stages(bytes: &[u8]) -> Result<Vec<String>, String> {
    if !is_safetensors(bytes) {
        return Ok(vec![]);
    }
    let said = safetensors::said(bytes, "stages").map_err(|e| format!("is no safetensors file: {e}"))?;
    if said.len() > STAGES_BYTES_MAX {
        return Err(format!("tells its stages in {} bytes, allowed are {STAGES_BYTES_MAX}", said.len()));
    }
    Ok(said.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn is_safetensors(bytes: &[u8]) -> bool {
    !bytes.starts_with(archive::SIGNATURE) && bytes.get(8) == Some(&b'{')
}

/// The tensors of a file, told apart by its first bytes.
///
/// # Errors
/// A sentence that says what of it cannot be read.
pub fn read(bytes: &[u8]) -> Result<Tensors, String> {
    let found = if bytes.starts_with(archive::SIGNATURE) {
        torch_file::of_archive(bytes).map_err(|e| format!("is no PyTorch file of weights: {e}"))?
    } else if is_safetensors(bytes) {
        safetensors::read(bytes).map_err(|e| format!("is no safetensors file: {e}"))?
    } else {
        torch_file::of_stream(bytes).map_err(|e| format!("is no PyTorch file of weights: {e}"))?
    };
    let mut tensors = Tensors::new();
    for (name, tensor) in found {
        let name = named(&name);
        if tensors.insert(name.clone(), tensor).is_some() {
            return Err(format!("has {name} twice, under old and new names"));
        }
    }
    Ok(tensors)
}

/// torchvision's present name of a tensor: without the prefixes of what stood around it, `norm.1` of its first files as `norm1`,
/// and a classifier that was wrapped with a layer without weights (`classifier.0`) as `classifier`.
fn named(name: &str) -> String {
    let mut name = name;
    while let Some(rest) = PREFIXES.iter().find_map(|p| name.strip_prefix(p)) {
        name = rest;
    }
    if let Some(leaf) = name.strip_prefix("classifier.0.") {
        return format!("classifier.{leaf}");
    }
    if !name.contains("denselayer") {
        return name.to_owned();
    }
    ["norm", "conv"].iter().fold(name.to_owned(), |name, part| {
        [1, 2].iter().fold(name, |name, n| name.replace(&format!(".{part}.{n}."), &format!(".{part}{n}.")))
    })
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

/// How a floating-point number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Float {
    F16,
    Bf16,
    F32,
    F64,
}

impl Float {
    /// Bytes of a number.
    fn width(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// The number that `bytes` are, little-endian, [`Float::width`] of them; 0 where there are fewer.
    fn read(self, bytes: &[u8]) -> f32 {
        match (self, bytes) {
            (Self::F16, &[a, b, ..]) => half(u16::from_le_bytes([a, b])),
            (Self::Bf16, &[a, b, ..]) => f32::from_le_bytes([0, 0, a, b]),
            (Self::F32, &[a, b, c, d, ..]) => f32::from_le_bytes([a, b, c, d]),
            (Self::F64, &[a, b, c, d, e, f, g, h, ..]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32,
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_age_are_known() {
        for (old, new) in [
            ("module.features.conv0.weight", "features.conv0.weight"),
            ("features.denseblock1.denselayer2.norm.1.weight", "features.denseblock1.denselayer2.norm1.weight"),
            ("module.features.denseblock4.denselayer16.conv.2.weight", "features.denseblock4.denselayer16.conv2.weight"),
            ("module.densenet121.classifier.0.bias", "classifier.bias"),
            ("features.transition1.norm.running_var", "features.transition1.norm.running_var"),
        ] {
            assert_eq!(named(old), new);
        }
    }

    #[test]
    fn a_safetensors_file_tells_its_stages_in_lines() {
        let file = |header: &str| [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
        let told = |text: &str| stages(&file(&format!(r#"{{"__metadata__":{{"stages":{text}}}}}"#)));
        assert_eq!(told(r#"" one\n\n two \n""#).unwrap(), ["one", "two"]);
        assert!(stages(&file("{}")).unwrap().is_empty() && stages(b"").unwrap().is_empty());
        assert!(stages(&[archive::SIGNATURE, b"    {"].concat()).unwrap().is_empty(), "a PyTorch file tells none");
        assert_eq!(told("1").unwrap_err(), "is no safetensors file: __metadata__.stages is no text");
        let most = "x".repeat(STAGES_BYTES_MAX);
        assert_eq!(told(&format!("\"{most}\"")).unwrap().len(), 1);
        assert!(told(&format!("\"{most}x\"")).unwrap_err().contains("8193 bytes, allowed are 8192"));
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
        for (bytes, what) in [
            (&b"PK\x03\x04nothing"[..], "is no PyTorch file of weights"),
            (b"nothing", "is no PyTorch file of weights"),
            (b"", "is no PyTorch file of weights"),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff{}", "is no safetensors file"),
        ] {
            assert!(read(bytes).unwrap_err().contains(what), "{bytes:?}");
        }
    }
}
