//! DenseNet-BC (Huang et al., CVPR 2017) with one input channel, any input size and any number of
//! findings; the parameters carry torchvision's names.
//!
//! The head is ReLU -> global average pool -> linear, so that with the last feature map A (after the
//! final norm and ReLU) the logit of finding c is b_c + mean over positions of sum_k W[c,k] A_k:
//! Grad-CAM needs no gradient.
//!
//! All parameters lie in one flat tensor, the running statistics in another; the named tensors are
//! views. One optimiser step, one average, one snapshot is then one operation on one tensor.

use super::TrainError;
pub use crate::model::densenet_file::EPSILON;

use super::architecture::{Architecture, Role, Slot};
use super::optimiser::Kinds;
use super::random::Random;
use std::collections::HashMap;
use tch::{Device, Kind, Tensor};

/// Momentum of the running statistics, torchvision's.
const MOMENTUM: f64 = 0.1;
/// How batch normalisation behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Statistics of the batch; the running ones are updated.
    Train,
    /// Running statistics.
    Eval,
    /// Running statistics, which become those of this batch, while factors and summands change so that the outputs stay.
    Settle,
}

/// What convolutions compute in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 32 bit.
    F32,
    /// bfloat16; weights stay 32 bit and are rounded on the way.
    Bf16,
}

/// What the network says about a batch.
pub struct Output {
    /// [N, findings].
    pub logits: Tensor,
    /// [N, channels, side, side], after the final norm and ReLU.
    pub features: Tensor,
}

/// The network.
pub struct DenseNet {
    /// Its shape.
    pub architecture: Architecture,
    /// All learnt numbers, flat.
    pub params: Tensor,
    /// All running statistics, flat.
    pub buffers: Tensor,
    /// Learnt tensors by position in `params`, for gradients.
    learnt: Vec<Tensor>,
    views: HashMap<String, Tensor>,
}

impl DenseNet {
    /// A network with random weights of this seed.
    pub fn random(architecture: Architecture, device: Device, seed: u64) -> Self {
        let (mut params, mut buffers) = (Vec::new(), Vec::new());
        for (i, slot) in architecture.slots().iter().enumerate() {
            let n = [slot.elements()];
            let start = match slot.role {
                Role::Weight { deviation } => {
                    let mut random = Random::of(&[seed, i as u64]);
                    Tensor::from_slice(&random.normal(slot.elements() as usize, deviation as f32))
                }
                Role::Scale | Role::Variance => Tensor::ones(n, (Kind::Float, Device::Cpu)),
                Role::Shift | Role::Mean => Tensor::zeros(n, (Kind::Float, Device::Cpu)),
            };
            if slot.learnt() { params.push(start) } else { buffers.push(start) }
        }
        Self::of(architecture, Tensor::cat(&params, 0).to_device(device), Tensor::cat(&buffers, 0).to_device(device))
    }

    /// A network over these flat tensors (of [`Architecture::slots`]' order; shared, not copied).
    pub fn of(architecture: Architecture, params: Tensor, buffers: Tensor) -> Self {
        let mut views = HashMap::new();
        let mut learnt = Vec::new();
        let (mut at_param, mut at_buffer) = (0, 0);
        for slot in architecture.slots() {
            let (flat, at) = if slot.learnt() { (&params, &mut at_param) } else { (&buffers, &mut at_buffer) };
            let view = flat.narrow(0, *at, slot.elements()).view(slot.shape.as_slice()).detach();
            *at += slot.elements();
            if slot.learnt() {
                let view = view.set_requires_grad(true);
                learnt.push(view.shallow_clone());
                views.insert(slot.name, view);
            } else {
                views.insert(slot.name, view);
            }
        }
        Self { architecture, params, buffers, learnt, views }
    }

    /// The same network with the first `findings` of its logits; numbers are copied.
    pub fn cut(&self, findings: i64) -> Self {
        let (heads, channels, trunk) = (self.architecture.findings, self.architecture.feature_channels(), self.trunk());
        let parts =
            [self.params.narrow(0, 0, trunk + findings * channels), self.params.narrow(0, trunk + heads * channels, findings)];
        let architecture = Architecture { findings, ..self.architecture.clone() };
        Self::of(architecture, Tensor::cat(&parts, 0), self.buffers.copy())
    }

    /// Length of the flat parameters and statistics of an architecture.
    pub fn lengths(architecture: &Architecture) -> (i64, i64) {
        let sum = |learnt| architecture.slots().iter().filter(|s| s.learnt() == learnt).map(Slot::elements).sum();
        (sum(true), sum(false))
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// [`TrainError::Run`] if there is none.
    pub fn get(&self, name: &str) -> Result<&Tensor, TrainError> {
        self.views.get(name).ok_or_else(|| TrainError::Run(format!("the network has no tensor {name}")))
    }

    /// How many of the parameters are the trunk's; they come first, the classifier's behind them.
    pub fn trunk(&self) -> i64 {
        let (heads, channels) = (self.architecture.findings, self.architecture.feature_channels());
        self.params.size().iter().sum::<i64>() - heads * (channels + 1)
    }

    /// What an optimiser must know of the parameters.
    pub fn kinds(&self) -> Kinds {
        let parts: Vec<Tensor> = self
            .architecture
            .slots()
            .iter()
            .filter(|s| s.learnt())
            .map(|s| {
                let decays = f64::from(u8::from(matches!(s.role, Role::Weight { .. })));
                Tensor::full([s.elements()], decays, (Kind::Float, self.params.device()))
            })
            .collect();
        Kinds { decays: Tensor::cat(&parts, 0), trunk: self.trunk() }
    }

    /// The gradient of every parameter, flat; those of the batch are cleared.
    pub fn take_gradient(&mut self) -> Tensor {
        let parts: Vec<Tensor> = self
            .learnt
            .iter()
            .map(|p| {
                let gradient = p.grad();
                if gradient.defined() { gradient.flatten(0, -1) } else { Tensor::zeros_like(p).detach().flatten(0, -1) }
            })
            .collect();
        let flat = Tensor::cat(&parts, 0);
        for p in &mut self.learnt {
            p.zero_grad();
        }
        flat
    }

    /// The forward pass. `images` [N, 1, S, S].
    ///
    /// # Errors
    /// [`TrainError::Torch`] where shapes do not fit.
    pub fn forward(&self, images: &Tensor, mode: Mode, precision: Precision) -> Result<Output, TrainError> {
        let mut outputs = Self::forward_together(&[self], &[images.shallow_clone()], mode, precision)?;
        outputs.pop().ok_or_else(|| TrainError::Run("no network ran".into()))
    }

    /// The forward pass of replicas in step, each with its part of a batch; in training they normalise by the statistics of
    /// the whole batch, so that they compute what one network would. The running statistics of the first are updated.
    ///
    /// # Errors
    /// [`TrainError::Torch`] where shapes do not fit.
    pub fn forward_together(
        nets: &[&Self],
        images: &[Tensor],
        mode: Mode,
        precision: Precision,
    ) -> Result<Vec<Output>, TrainError> {
        let Some(first) = nets.first() else { return Ok(vec![]) };
        let pass = Pass { nets, mode, precision };
        let blocks = first.architecture.blocks.len();
        let kind = match precision {
            Precision::F32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
        };
        let mut x: Vec<Tensor> = images.iter().map(|i| i.to_kind(kind)).collect();
        x = pass.conv(&x, "features.conv0", 2, 3)?.iter().map(channels_last).collect();
        x = each(&pass.norm_relu(&x, "features.norm0")?, |x| x.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false))?;
        for (b, &layers) in first.architecture.blocks.iter().enumerate() {
            for l in 0..layers {
                let at = format!("features.denseblock{}.denselayer{}", b + 1, l + 1);
                let y = pass.conv(&pass.norm_relu(&x, &format!("{at}.norm1"))?, &format!("{at}.conv1"), 1, 0)?;
                let y = pass.conv(&pass.norm_relu(&y, &format!("{at}.norm2"))?, &format!("{at}.conv2"), 1, 1)?;
                x = x.iter().zip(&y).map(|(x, y)| Tensor::f_cat(&[x, y], 1)).collect::<Result<_, _>>()?;
            }
            if b + 1 < blocks {
                let at = format!("features.transition{}", b + 1);
                let y = pass.conv(&pass.norm_relu(&x, &format!("{at}.norm"))?, &format!("{at}.conv"), 1, 0)?;
                x = each(&y, |y| y.f_avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None::<i64>))?;
            }
        }
        let x = pass.norm_relu(&x, &format!("features.norm{}", blocks + 1))?;
        let head = |(features, net): (Tensor, &&Self)| {
            let features = features.to_kind(Kind::Float);
            let pooled = features.f_mean_dim([2_i64, 3].as_slice(), false, Kind::Float)?;
            let logits = pooled.f_linear(net.get("classifier.weight")?, Some(net.get("classifier.bias")?))?;
            Ok(Output { logits, features })
        };
        x.into_iter().zip(nets).map(head).collect()
    }
}

fn each(x: &[Tensor], f: impl Fn(&Tensor) -> Result<Tensor, tch::TchError>) -> Result<Vec<Tensor>, TrainError> {
    Ok(x.iter().map(f).collect::<Result<_, _>>()?)
}

/// A forward pass; every step takes and gives a tensor for each replica.
struct Pass<'a> {
    nets: &'a [&'a DenseNet],
    mode: Mode,
    precision: Precision,
}

impl Pass<'_> {
    fn conv(&self, x: &[Tensor], name: &str, stride: i64, padding: i64) -> Result<Vec<Tensor>, TrainError> {
        let name = format!("{name}.weight");
        let one = |(x, net): (&Tensor, &&DenseNet)| {
            let weight = match self.precision {
                Precision::F32 => net.get(&name)?.shallow_clone(),
                Precision::Bf16 => net.get(&name)?.to_kind(Kind::BFloat16),
            };
            Ok(x.f_conv2d(&weight, None::<Tensor>, [stride, stride], [padding, padding], [1, 1], 1)?)
        };
        x.iter().zip(self.nets).map(one).collect()
    }

    fn norm_relu(&self, x: &[Tensor], name: &str) -> Result<Vec<Tensor>, TrainError> {
        let normalised = if self.nets.len() > 1 && self.mode == Mode::Train {
            self.norm_of_all(x, name)?
        } else {
            x.iter().zip(self.nets).map(|(x, net)| self.norm(x, net, name)).collect::<Result<_, _>>()?
        };
        // In place: the gradient of the norm needs its input, that of the ReLU its output.
        Ok(normalised.into_iter().map(|mut y: Tensor| y.f_relu_()).collect::<Result<_, _>>()?)
    }

    fn norm(&self, x: &Tensor, net: &DenseNet, name: &str) -> Result<Tensor, TrainError> {
        let of = |leaf: &str| net.get(&format!("{name}.{leaf}"));
        if self.mode == Mode::Settle {
            settle(x, [of("weight")?, of("bias")?, of("running_mean")?, of("running_var")?])?;
        }
        Ok(x.f_batch_norm(
            Some(of("weight")?),
            Some(of("bias")?),
            Some(of("running_mean")?),
            Some(of("running_var")?),
            self.mode == Mode::Train,
            MOMENTUM,
            EPSILON,
            false,
        )?)
    }

    /// Batch normalisation with the mean and the variance over all replicas; gradients flow through them to each.
    fn norm_of_all(&self, x: &[Tensor], name: &str) -> Result<Vec<Tensor>, TrainError> {
        let main = self.nets.first().map_or(Device::Cpu, |net| net.params.device());
        let channels = x.first().map_or(1, |x| x.size()[1]);
        let count: i64 = x.iter().map(|x| x.numel() as i64 / channels).sum();
        let axes = [0_i64, 2, 3];
        let mean_of = |parts: Vec<Tensor>| -> Result<Tensor, tch::TchError> {
            let parts: Vec<Tensor> = parts.iter().map(|p| p.to_device(main)).collect();
            Ok(Tensor::f_stack(&parts, 0)?.f_sum_dim_intlist([0_i64].as_slice(), false, Kind::Float)? / count as f64)
        };
        let sum = |x: &Tensor| x.f_sum_dim_intlist(axes.as_slice(), false, Kind::Float);
        let mean = mean_of(x.iter().map(sum).collect::<Result<_, _>>()?)?;
        let shape = [1, channels, 1, 1];
        let centred: Vec<Tensor> = each(x, |x| x.to_kind(Kind::Float).f_sub(&mean.to_device(x.device()).view(shape)))?;
        let variance = mean_of(centred.iter().map(|c| sum(&c.square())).collect::<Result<_, _>>()?)?;
        if let Some(net) = self.nets.first() {
            let (of_mean, of_variance) = (net.get(&format!("{name}.running_mean"))?, net.get(&format!("{name}.running_var"))?);
            tch::no_grad(|| {
                let unbiased = &variance * (count as f64 / (count - 1).max(1) as f64);
                let _ = of_mean.shallow_clone().lerp_(&mean, MOMENTUM);
                let _ = of_variance.shallow_clone().lerp_(&unbiased, MOMENTUM);
            });
        }
        let inverse = (variance + EPSILON).rsqrt();
        let one = |(c, net): (&Tensor, &&DenseNet)| {
            let of = |leaf: &str| net.get(&format!("{name}.{leaf}"));
            let scale = (inverse.to_device(c.device()) * of("weight")?).view(shape);
            Ok((c * scale + of("bias")?.view(shape)).to_kind(x.first().map_or(Kind::Float, Tensor::kind)))
        };
        centred.iter().zip(self.nets).map(one).collect()
    }
}

/// Gives a norm the statistics of `x`; weight and bias follow, so that it still computes what it did.
fn settle(x: &Tensor, [weight, bias, mean, variance]: [&Tensor; 4]) -> Result<(), TrainError> {
    let axes = [0_i64, 2, 3];
    let x = x.to_kind(Kind::Float);
    let (own_variance, own_mean) = x.f_var_mean_dim(axes.as_slice(), false, false)?;
    tch::no_grad(|| -> Result<(), TrainError> {
        let factor = weight / (variance + EPSILON).f_sqrt()?;
        let (new_weight, new_bias) = (&factor * (&own_variance + EPSILON).f_sqrt()?, bias + (&own_mean - mean) * &factor);
        for (of, new) in [(weight, new_weight), (bias, new_bias), (mean, own_mean), (variance, own_variance)] {
            of.shallow_clone().f_copy_(&new)?;
        }
        Ok(())
    })
}

/// The same tensor with its channels side by side in memory: the layout libtorch's convolutions are fastest in.
fn channels_last(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_cut_to_its_first_heads_gives_their_logits() {
        let net = DenseNet::random(Architecture::tiny(5), Device::Cpu, 3);
        let head = Tensor::arange(5 * (net.architecture.feature_channels() + 1), (Kind::Float, Device::Cpu)) / 100.0;
        let at = net.params.size()[0] - head.size()[0];
        tch::no_grad(|| net.params.narrow(0, at, head.size()[0]).copy_(&head));
        let images = Tensor::randn([2, 1, 32, 32], (Kind::Float, Device::Cpu));
        let whole = net.forward(&images, Mode::Eval, Precision::F32).unwrap().logits;
        let cut = net.cut(3).forward(&images, Mode::Eval, Precision::F32).unwrap().logits;
        let apart = (cut - whole.narrow(1, 0, 3)).abs().max().double_value(&[]);
        assert!(apart < 1e-5, "{apart}");
        assert_eq!(net.cut(5).params, net.params);
    }
}
