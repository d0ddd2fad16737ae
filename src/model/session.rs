//! One model, loaded and ready: a prepared input goes in, logits and the last feature map come out.
//!
//! A session exists only after its probe passed: the model computes here, on this machine, what it
//! computed where it was made. A model that the binary carries must also run on our own operators:
//! a build that lost them would still answer, but no longer in the time, or with the arithmetic, it is sold with.

use super::bundle::{Bundle, Origin};
use super::head::Head;
use super::manifest::{InputSpec, Manifest};
use super::network::{Activations, Network, NetworkError};
use super::probe::{Probe, ProbeError};
use super::unpack::remove_quantization;
use super::{Arithmetic, Fusions};
use crate::input::{Plane, in_channels};
use prost::Message;
use tract_onnx::pb::ModelProto;

/// A loaded model.
pub struct Session {
    manifest: Manifest,
    input: InputSpec,
    network: Network,
    head: Head,
}

/// How a model is loaded where that is not as its bundle says: for measurements and exports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The arithmetic.
    pub precision: Precision,
    /// Side of the input, pixels, instead of the manifest's.
    pub size: Option<usize>,
}

/// The arithmetic a model is loaded for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// int8 where the file is quantized, f32 where it is not.
    #[default]
    AsStored,
    /// f32: weights are unpacked, and activations are not rounded.
    F32,
}

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file is not a model that can be loaded.
    #[error("model {model} cannot be loaded: {why}")]
    Load {
        /// Name in the manifest.
        model: String,
        /// What the loader said.
        why: String,
    },
    /// Its graph cannot be planned.
    #[error("model {model} cannot be loaded: {source}")]
    Network {
        /// Name in the manifest.
        model: String,
        /// Why.
        source: NetworkError,
    },
    /// A model that the binary carries does not run on the binary's own operators.
    #[error("model {model} of this binary is not run by its own operators: {why}; the binary is damaged or was built wrongly")]
    NotFused {
        /// Name in the manifest.
        model: String,
        /// What the graph has instead.
        why: String,
    },
    /// The model does not compute here what it computed where it was made.
    #[error("model {model} failed its probe: {source}")]
    Probe {
        /// Name in the manifest.
        model: String,
        /// Why.
        source: ProbeError,
    },
    /// The network failed on an input.
    #[error("model {model} failed on this film: {why}")]
    Run {
        /// Name in the manifest.
        model: String,
        /// What the engine said.
        why: String,
    },
}

impl Session {
    /// Loads a bundle, and runs its probe.
    ///
    /// # Errors
    /// [`ModelError`] that says which model and why.
    pub fn load(bundle: &Bundle) -> Result<Self, ModelError> {
        Self::load_with(bundle, Options::default())
    }

    /// Loads a bundle in another arithmetic or for another size of input. The probe holds for what the manifest says, so
    /// that it is run only where the options change nothing.
    ///
    /// # Errors
    /// As [`Session::load`].
    pub fn load_with(bundle: &Bundle, options: Options) -> Result<Self, ModelError> {
        let manifest = bundle.manifest().clone();
        let model = manifest.name.clone();
        let fail = |why: String| ModelError::Load { model: model.clone(), why };
        let mut proto = ModelProto::decode(bundle.onnx()).map_err(|e| fail(e.to_string()))?;
        let (findings, channels) = (manifest.findings.len(), manifest.output.feature_channels);
        let head = Head::of_shape(&proto, findings, channels).map_err(fail)?;
        let unusable = |source| ModelError::Network { model: model.clone(), source };
        if options.precision == Precision::F32 {
            remove_quantization(&mut proto).map_err(|e| unusable(e.into()))?;
        }
        let rounded = proto.graph.iter().flat_map(|g| &g.node).any(|n| n.op_type == "QuantizeLinear");
        let input = InputSpec { size: options.size.unwrap_or(manifest.input.size), ..manifest.input };
        let network = Network::of(proto, input.size).map_err(unusable)?;
        match (network.fusions(), bundle.origin()) {
            (Ok(fusions), _) => log::info!("model {model}: {}, dense layers {:?}", network.engine(), fusions.layers),
            (Err(why), Origin::Folder) => log::warn!("model {model} runs on tract alone, several times slower: {why}"),
            (Err(why), Origin::Binary) => return Err(ModelError::NotFused { model, why: why.to_owned() }),
        }
        let session = Self { manifest, input, network, head };
        if options.precision == Precision::AsStored && input.size == session.manifest.input.size {
            // Rounded activations differ by a step here and there between engines: on tract alone as on our operators.
            let arithmetic = if rounded { Arithmetic::Int8 } else { Arithmetic::F32 };
            session.prove(bundle.probe(), arithmetic).map_err(|source| ModelError::Probe { model, source })?;
        }
        Ok(session)
    }

    fn prove(&self, probe: &[u8], arithmetic: Arithmetic) -> Result<(), ProbeError> {
        let probe = Probe::parse(probe)?;
        let found =
            self.run(&in_channels(Probe::input(self.input.size), &self.input)).map_err(|e| ProbeError::Run(e.to_string()))?;
        probe.check(&found.logits, arithmetic)
    }

    /// What the manifest says about the model.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// How a film becomes this session's input: the manifest's, but for a size that was asked for.
    pub fn input(&self) -> &InputSpec {
        &self.input
    }

    /// Rows and columns of the last feature map.
    pub fn feature_side(&self) -> usize {
        self.network.feature_shape()[1]
    }

    /// The classifier's weights of one finding, [channels]; empty for a finding the model lacks.
    pub fn head_weights(&self, finding: usize) -> &[f32] {
        self.head.row(finding)
    }

    /// What computes: for the log and the provenance of a record.
    pub fn engine(&self) -> &str {
        self.network.engine()
    }

    /// What was fused.
    ///
    /// # Errors
    /// Why the model runs on tract alone.
    pub fn fusions(&self) -> Result<&Fusions, &str> {
        self.network.fusions()
    }

    /// Runs the network on one prepared input [1, 1, S, S], on the threads of the pool installed here.
    ///
    /// # Errors
    /// [`ModelError::Run`] if the input has another size, the engine fails, or an output is not finite.
    pub fn run(&self, input: &Plane) -> Result<Activations, ModelError> {
        let fail = |why: String| ModelError::Run { model: self.manifest.name.clone(), why };
        let found = self.network.run(input).map_err(fail)?;
        let [channels, rows, columns] = self.network.feature_shape();
        let fits = found.logits.len() == self.manifest.findings.len()
            && found.features.len() == channels * rows * columns
            && rows == columns
            && channels == self.manifest.output.feature_channels
            && (self.input.size != self.manifest.input.size || rows == self.manifest.output.feature_side);
        if fits { Ok(found) } else { Err(fail(format!("{} logits and {} features", found.logits.len(), found.features.len()))) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sha256_hex;
    use super::*;
    use std::borrow::Cow;
    use tract_onnx::pb::NodeProto;

    /// An embedded bundle whose features pass through one more operator, which changes no number.
    fn unlike() -> Bundle {
        let name = Bundle::embedded_names().next().unwrap();
        let bundle = Bundle::embedded(name).unwrap().unwrap();
        let mut model = ModelProto::decode(bundle.onnx()).unwrap();
        let nodes = &mut model.graph.as_mut().unwrap().node;
        let at = nodes.iter().position(|n| n.op_type == "GlobalAveragePool").unwrap();
        nodes[at].input[0] = "again".to_owned();
        let (input, output) = (vec!["features".to_owned()], vec!["again".to_owned()]);
        nodes.insert(at, NodeProto { op_type: "Relu".into(), name: "second".into(), input, output, ..NodeProto::default() });
        let onnx = model.encode_to_vec();
        let mut manifest = bundle.manifest().clone();
        (manifest.file.bytes, manifest.file.sha256) = (onnx.len() as u64, sha256_hex(&onnx));
        let text = toml::to_string(&manifest).unwrap();
        let probe = bundle.probe().to_vec();
        Bundle::checked(&text, |file| Ok(Cow::Owned(if file == manifest.probe.name { probe.clone() } else { onnx.clone() })))
            .unwrap()
    }

    #[test]
    fn a_model_of_the_binary_that_is_not_fused_is_refused_and_one_of_the_users_is_not() {
        let error = Session::load(&unlike().into_embedded()).err().unwrap();
        assert!(matches!(error, ModelError::NotFused { .. }), "{error}");
        assert!(error.to_string().contains("node features.relu.low (Max): a batch normalization was expected"), "{error}");
        let session = Session::load(&unlike()).unwrap();
        assert!(session.fusions().is_err());
    }
}
