//! A bundle: a manifest, the model file and the probe file that belong together. The binary
//! carries some ([`Bundle::embedded`]); a folder of the same form gives others.

use super::declared::check_shapes;
use super::embedded;
use super::manifest::{FileSpec, Manifest, ManifestError};
use std::borrow::Cow;

/// Name of the manifest inside a bundle's folder.
pub const MANIFEST_FILE: &str = "manifest.toml";

/// A model whose files match its manifest.
#[derive(Clone, Debug)]
pub struct Bundle {
    manifest: Manifest,
    onnx: Cow<'static, [u8]>,
    probe: Cow<'static, [u8]>,
    origin: Origin,
}

/// Where a bundle comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The binary carries it.
    Binary,
    /// A folder of the user's.
    Folder,
}

/// Why a bundle is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The manifest, or a file's size or digest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The model's inputs or outputs.
    #[error("{file}: {why}")]
    Shape {
        /// Model file.
        file: String,
        /// What differs.
        why: String,
    },
    /// A file could not be had.
    #[error("{file}: {why}")]
    Missing {
        /// File name.
        file: String,
        /// What the source said.
        why: String,
    },
}

impl Bundle {
    /// Names of the models this binary carries, in alphabetical order.
    pub fn embedded_names() -> impl Iterator<Item = &'static str> {
        embedded::names()
    }

    /// The model of this name that the binary carries. `build.rs` has checked its files; they are
    /// checked again here, because a damaged flash card changes bytes too.
    ///
    /// # Errors
    /// [`BundleError`], if the binary is damaged.
    pub fn embedded(name: &str) -> Option<Result<Self, BundleError>> {
        let found = embedded::find(name)?;
        let bundle = Self::checked(found.manifest(), |file| found.file(file));
        Some(bundle.map(|bundle| Self { origin: Origin::Binary, ..bundle }))
    }

    /// A bundle from the text of its manifest and a way to get its files by name.
    ///
    /// # Errors
    /// [`BundleError`] that names the file and what differs from the manifest.
    pub fn checked(
        manifest: &str,
        mut file: impl FnMut(&str) -> Result<Cow<'static, [u8]>, String>,
    ) -> Result<Self, BundleError> {
        let manifest = Manifest::parse(manifest)?;
        let mut get = |spec: &FileSpec| {
            let content = file(&spec.name).map_err(|why| BundleError::Missing { file: spec.name.clone(), why })?;
            Manifest::check_file(spec, &content)?;
            Ok::<_, BundleError>(content)
        };
        let (onnx, probe) = (get(&manifest.file)?, get(&manifest.probe)?);
        let (input, output) = (&manifest.input, &manifest.output);
        let image = [input.channels(), input.size, input.size];
        check_shapes(&onnx, image, manifest.findings.len(), output.feature_channels, output.feature_side)
            .map_err(|why| BundleError::Shape { file: manifest.file.name.clone(), why })?;
        Ok(Self { manifest, onnx, probe, origin: Origin::Folder })
    }

    /// What the bundle says about its model.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where it comes from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The ONNX file.
    pub fn onnx(&self) -> &[u8] {
        &self.onnx
    }

    /// The probe file.
    pub fn probe(&self) -> &[u8] {
        &self.probe
    }
}

#[cfg(test)]
impl Bundle {
    /// The same as if the binary carried it.
    pub(super) fn into_embedded(self) -> Self {
        Self { origin: Origin::Binary, ..self }
    }
}
