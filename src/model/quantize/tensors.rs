//! A model file back to the tensors that a training can go on from, under torchvision's names.
//!
//! In: an ONNX file of a DenseNet, in f32 or 8-bit integers, norms folded into convolutions or not. Out: weights in f32, those
//! of integers as the numbers they stand for, and every norm as a factor and a summand over a mean of 0 and a variance of 1:
//! what the statistics were cannot be told from a folded norm, so whoever trains on must count them anew.

use super::chain::{Affine, Chain, Conv, Weights as Numbers};
use super::{QuantizeError, recognise};
use crate::model::densenet_file::EPSILON;
use crate::model::unpack::remove_quantization;
use crate::model::weights::{Tensors, Weights};
use tract_onnx::pb::ModelProto;

/// The tensors of a DenseNet.
///
/// # Errors
/// [`QuantizeError`] that names what of the file is no DenseNet, or a convolution with a summand where torchvision has none.
pub fn tensors(model: &ModelProto) -> Result<Tensors, QuantizeError> {
    let mut model = model.clone();
    remove_quantization(&mut model)?;
    let Chain { stem, blocks, norm, head, head_bias } = recognise::recognise(&model)?;
    let mut named = Named::default();
    named.conv_and_norm("features.conv0", "features.norm0", &stem)?;
    for (b, block) in (1..).zip(&blocks) {
        for (l, layer) in (1..).zip(&block.layers) {
            let at = format!("features.denseblock{b}.denselayer{l}");
            named.norm(&format!("{at}.norm1"), &layer.norm)?;
            named.conv_and_norm(&format!("{at}.conv1"), &format!("{at}.norm2"), &layer.bottleneck)?;
            named.conv(&format!("{at}.conv2"), &layer.growth)?;
        }
        if let Some(transition) = &block.transition {
            let at = format!("features.transition{b}");
            named.norm(&format!("{at}.norm"), &transition.norm)?;
            named.conv(&format!("{at}.conv"), &transition.conv)?;
        }
    }
    named.norm(&format!("features.norm{}", blocks.len() + 1), &norm)?;
    let logits = head_bias.len();
    named.add("classifier.weight", &[logits, norm.scale.len()], head)?;
    named.add("classifier.bias", &[logits], head_bias)?;
    Ok(named.0)
}

#[derive(Default)]
struct Named(Tensors);

impl Named {
    fn add(&mut self, name: &str, shape: &[usize], values: Vec<f32>) -> Result<(), QuantizeError> {
        let found = format!("{} numbers", values.len());
        let fits = Weights::new(shape.to_vec(), values);
        let tensor =
            fits.ok_or_else(|| QuantizeError::NotADenseNet { at: name.into(), found, expected: format!("shape {shape:?}") })?;
        self.0.insert(name.into(), tensor);
        Ok(())
    }

    fn weights(&mut self, name: &str, conv: &Conv) -> Result<(), QuantizeError> {
        let shape = [conv.outputs, conv.inputs, conv.side, conv.side];
        let values = match &conv.weights {
            Numbers::F32(values) => values.clone(),
            // Quantization was taken out of the file before it was looked at.
            Numbers::Int8 { .. } => vec![],
        };
        self.add(&format!("{name}.weight"), &shape, values)
    }

    /// A convolution with nothing folded into it.
    fn conv(&mut self, name: &str, conv: &Conv) -> Result<(), QuantizeError> {
        if let Some(summand) = conv.bias.iter().find(|b| **b != 0.0) {
            let (at, found) = (name.to_owned(), format!("a summand of {summand}"));
            return Err(QuantizeError::NotADenseNet { at, found, expected: "none".into() });
        }
        self.weights(name, conv)
    }

    /// A convolution and the norm that is folded into it.
    fn conv_and_norm(&mut self, conv: &str, norm: &str, folded: &Conv) -> Result<(), QuantizeError> {
        self.weights(conv, folded)?;
        self.norm(norm, &Affine { scale: vec![1.0; folded.outputs], shift: folded.bias.clone() })
    }

    fn norm(&mut self, name: &str, norm: &Affine) -> Result<(), QuantizeError> {
        let channels = norm.scale.len();
        self.add(&format!("{name}.weight"), &[channels], norm.scale.clone())?;
        self.add(&format!("{name}.bias"), &[channels], norm.shift.clone())?;
        self.add(&format!("{name}.running_mean"), &[channels], vec![0.0; channels])?;
        self.add(&format!("{name}.running_var"), &[channels], vec![(1.0 - EPSILON) as f32; channels])
    }
}
