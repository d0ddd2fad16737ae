//! A network as an ONNX file: see [`crate::model::densenet_file`].

use super::TrainError;
use super::densenet::DenseNet;
use crate::model::densenet_file;
use crate::model::weights::Weights;
use tch::Device;
use tract_onnx::pb::ModelProto;

/// The network for an input of side `size`, weights in f32.
///
/// # Errors
/// [`TrainError`] where a weight cannot be read.
pub fn write(net: &DenseNet, size: usize) -> Result<ModelProto, TrainError> {
    densenet_file::write(&net.architecture, size, &mut |name| {
        let tensor = net.get(name)?;
        let shape = tensor.size().iter().map(|n| *n as usize).collect();
        let values = Vec::<f32>::try_from(tensor.detach().to_device(Device::Cpu).flatten(0, -1))?;
        Weights::new(shape, values).ok_or_else(|| TrainError::Run(format!("{name} is not as large as its shape")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::architecture::Architecture;
    use crate::train::densenet::{Mode, Precision};
    use crate::train::probe;
    use crate::train::random::Random;
    use tch::Tensor;

    fn images(random: &mut Random, n: i64, size: i64) -> Tensor {
        Tensor::from_slice(&random.normal((n * size * size) as usize, 1.0)).view([n, 1, size, size])
    }

    /// A network whose statistics are not those of the start, so that every number takes part.
    fn lived(findings: usize, size: i64) -> DenseNet {
        let net = DenseNet::random(Architecture::tiny(findings), Device::Cpu, 5);
        let mut random = Random::of(&[1]);
        tch::no_grad(|| {
            for _ in 0..3 {
                net.forward(&images(&mut random, 8, size), Mode::Train, Precision::F32).unwrap();
            }
            let noise = Tensor::from_slice(&random.normal(net.params.numel(), 0.05));
            let _ = net.params.shallow_clone().g_add_(&noise);
        });
        net
    }

    #[test]
    fn tract_runs_the_file_and_agrees_with_libtorch() {
        for size in [32, 45, 64] {
            let net = lived(3, size as i64);
            let input = probe::input(size);
            let images = Tensor::from_slice(&input).view([1, 1, size as i64, size as i64]);
            let want = tch::no_grad(|| net.forward(&images, Mode::Eval, Precision::F32)).unwrap();
            let found = probe::run(&write(&net, size).unwrap(), size).unwrap();
            let logits = Vec::<f32>::try_from(want.logits.flatten(0, -1)).unwrap();
            assert_eq!(want.features.size()[2], net.architecture.feature_side(size) as i64);
            let features = Vec::<f32>::try_from(want.features.contiguous().flatten(0, -1)).unwrap();
            for (a, b) in [(&logits, &found.logits), (&features, &found.features)] {
                assert_eq!(a.len(), b.len());
                assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4), "size {size}");
            }
        }
    }

    #[test]
    fn closed_form_grad_cam_is_that_of_autograd() {
        // With L_c = b_c + (1 / Z) sum over positions of sum_k W[c,k] A_k, the gradient of L_c by A_k is W[c,k] / Z
        // everywhere; so are its means, and Grad-CAM is the closed form divided by Z, which no normalisation sees.
        let net = lived(3, 64);
        let images = images(&mut Random::of(&[2]), 1, 64);
        let out = net.forward(&images, Mode::Eval, Precision::F32).unwrap();
        let positions = (out.features.size()[2] * out.features.size()[3]) as f64;
        for c in 0..3 {
            let logit = out.logits.get(0).get(c);
            let gradient = Tensor::run_backward(&[logit], &[&out.features], true, false);
            let importance = gradient[0].mean_dim([2_i64, 3].as_slice(), true, tch::Kind::Float);
            let by_autograd = (importance * &out.features).sum_dim_intlist([1_i64].as_slice(), false, tch::Kind::Float);
            let weights = net.get("classifier.weight").unwrap().get(c).view([1, -1, 1, 1]);
            let closed = (weights * &out.features).sum_dim_intlist([1_i64].as_slice(), false, tch::Kind::Float);
            let top = closed.abs().max().double_value(&[]);
            let apart = (&closed.relu() - by_autograd.relu() * positions).abs().max().double_value(&[]);
            assert!(top > 0.0 && apart <= 1e-5 * top, "finding {c}: {apart} of {top}");
        }
    }
}
