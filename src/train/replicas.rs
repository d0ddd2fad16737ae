//! One process, one replica of the network a device: each computes its part of a batch, their gradients are added, and all
//! take the same step. They normalise by the statistics of the whole batch, so several devices give the losses that one
//! device gives with the same batch, up to rounding.
//!
//! In: batches as numbers. Out: the gradient of the batch's mean loss and that loss. Never: replicas that differ.

use super::TrainError;
use super::batches::Batch;
use super::densenet::{DenseNet, Mode};
use super::objective::summed;
use super::schedule::Options;
use tch::{Device, Kind, Tensor};

/// The network on every device.
pub(super) struct Replicas {
    nets: Vec<DenseNet>,
}

/// What the loss of one head is multiplied by: the number of labels that count, over the whole batch.
struct Shares {
    findings: f64,
    auxiliary: f64,
}

impl Replicas {
    /// `first`, and a copy of it on every further device.
    pub fn new(first: DenseNet, devices: &[Device]) -> Self {
        let copy = |device: &Device| {
            let there = |t: &Tensor| t.copy().to_device(*device);
            DenseNet::of(first.architecture.clone(), there(&first.params), there(&first.buffers))
        };
        let others: Vec<DenseNet> = devices.iter().skip(1).map(copy).collect();
        Self { nets: [first].into_iter().chain(others).collect() }
    }

    /// The network of the first device, which holds what is saved and evaluated.
    pub fn first(&self) -> &DenseNet {
        &self.nets[0]
    }

    /// Gives every replica the numbers of the first.
    pub fn agree(&self) {
        tch::no_grad(|| {
            for other in &self.nets[1..] {
                other.params.shallow_clone().copy_(&self.nets[0].params);
                other.buffers.shallow_clone().copy_(&self.nets[0].buffers);
            }
        });
    }

    /// The gradient of the batch's loss, auxiliary heads included, and the loss of the findings alone.
    ///
    /// # Errors
    /// [`TrainError::Torch`] where libtorch fails.
    pub fn gradient(&mut self, batch: &Batch, positives: &Tensor, options: &Options) -> Result<(Tensor, f64), TrainError> {
        let (findings, heads) = (options.architecture.findings as usize, self.first().architecture.findings as usize);
        let counted = |from: usize, to: usize| batch.weights.chunks_exact(heads).flat_map(|row| &row[from..to]).sum::<f32>();
        let shares = Shares {
            findings: 1.0 / f64::from(counted(0, findings).max(1.0)),
            auxiliary: options.auxiliary_weight / f64::from(counted(findings, heads).max(1.0)),
        };
        let parts = options.accumulate.clamp(1, (batch.films / 2).max(1));
        let mut value = 0.0;
        for part in 0..parts {
            let films = part * batch.films / parts..(part + 1) * batch.films / parts;
            value += self.part(batch, films, positives, &shares, options)?;
        }
        let first = self.nets[0].params.device();
        let mut gradient = self.nets[0].take_gradient();
        for other in &mut self.nets[1..] {
            gradient += other.take_gradient().to_device(first);
        }
        Ok((gradient, value))
    }

    /// Forward and backward of some films of a batch, split over the replicas; the loss of the findings.
    fn part(
        &self,
        batch: &Batch,
        films: std::ops::Range<usize>,
        positives: &Tensor,
        shares: &Shares,
        options: &Options,
    ) -> Result<f64, TrainError> {
        let (findings, heads) = (options.architecture.findings, self.first().architecture.findings);
        let replicas = self.nets.len().min(films.len());
        let nets: Vec<&DenseNet> = self.nets.iter().take(replicas).collect();
        let (side, start, count) = (batch.size, films.start, films.len());
        let split: Vec<_> = (0..replicas).map(|r| start + r * count / replicas..start + (r + 1) * count / replicas).collect();
        let tensor = |values: &[f32], each: usize, films: &std::ops::Range<usize>, device| {
            Tensor::from_slice(&values[films.start * each..films.end * each]).to_device(device)
        };
        let images: Vec<Tensor> = (split.iter().zip(&nets))
            .map(|(films, net)| {
                let shape = [films.len() as i64, 1, side as i64, side as i64];
                tensor(&batch.images, side * side, films, net.params.device()).view(shape)
            })
            .collect();
        let outputs = DenseNet::forward_together(&nets, &images, Mode::Train, options.precision)?;
        let main = nets[0].params.device();
        let (mut cost, mut of_findings) = (Tensor::zeros([], (Kind::Float, main)), Tensor::zeros([], (Kind::Float, main)));
        for ((output, films), net) in outputs.iter().zip(&split).zip(&nets) {
            let device = net.params.device();
            let shape = [films.len() as i64, heads];
            let (targets, known) = (
                tensor(&batch.targets, heads as usize, films, device).view(shape),
                tensor(&batch.weights, heads as usize, films, device).view(shape),
            );
            let of = |first, count, weights: &Tensor| {
                let part = |t: &Tensor| t.narrow(1, first, count);
                summed(&part(&output.logits), &part(&targets), &part(&known), weights, options.imbalance).to_device(main)
            };
            let own = of(0, findings, &positives.to_device(device)) * shares.findings;
            of_findings += own.detach();
            cost += own;
            if heads > findings {
                let plain = Tensor::ones([heads - findings], (Kind::Float, device));
                cost += of(findings, heads - findings, &plain) * shares.auxiliary;
            }
        }
        cost.f_backward()?;
        Ok(of_findings.double_value(&[]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::architecture::Architecture;
    use super::super::optimiser::{Habits, Optimiser, Rule};
    use super::super::random::Random;
    use super::*;

    /// Losses of a few steps, and the parameters after them.
    fn losses(devices: usize, accumulate: usize, rule: Rule, rate: f64) -> (Vec<f64>, Tensor, Tensor) {
        let habits = Habits { rule, ..Habits::default() };
        let options = Options { accumulate, habits, devices: vec![Device::Cpu; devices], ..Options::of(Architecture::tiny(2)) };
        // One auxiliary head beside the two findings.
        let mut replicas = Replicas::new(DenseNet::random(Architecture::tiny(3), Device::Cpu, 5), &options.devices);
        let net = replicas.first();
        let mut optimiser = Optimiser::new(&net.params, &net.buffers, net.kinds(), options.habits);
        let positives = Tensor::from_slice(&[2.0_f32, 1.0]);
        let mut found = vec![];
        for step in 0..12 {
            let mut random = Random::of(&[step]);
            let films = if step == 7 { 5 } else { 16 };
            let mut uniform = |n: usize| (0..n).map(|_| random.unit()).collect::<Vec<f32>>();
            let (images, targets, lots) = (uniform(films * 32 * 32), uniform(films * 3), uniform(films * 3));
            let weights = lots.iter().map(|l| f32::from(u8::from(*l > 0.3))).collect();
            let batch = Batch { size: 32, films, images, targets, weights };
            let (mut gradient, loss) = replicas.gradient(&batch, &positives, &options).unwrap();
            let (mut params, buffers) = (replicas.first().params.shallow_clone(), replicas.first().buffers.shallow_clone());
            tch::no_grad(|| optimiser.step(&mut params, &buffers, &mut gradient, rate));
            replicas.agree();
            found.push(loss);
        }
        (found, replicas.first().params.copy(), replicas.first().buffers.copy())
    }

    const SGD: Rule = Rule::Sgd { momentum: 0.9, nesterov: true };

    /// AdamW divides by the size of the gradient, so that it turns the rounding of a gradient that should be zero into a
    /// step; at a small rate that stays below the tolerance.
    #[test]
    fn two_and_three_replicas_give_the_losses_of_one() {
        tch::set_num_threads(1);
        for (rule, rate) in [(SGD, 0.05), (Rule::AdamW, 1e-3)] {
            let (one, params, buffers) = losses(1, 1, rule, rate);
            for devices in [2, 3] {
                let (several, other_params, other_buffers) = losses(devices, 1, rule, rate);
                for (a, b) in one.iter().zip(&several) {
                    assert!((a - b).abs() < 1e-4, "{rule:?}\n{one:?}\n{several:?}");
                }
                let apart = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
                let (of_params, of_buffers) = (apart(&params, &other_params), apart(&buffers, &other_buffers));
                println!("{rule:?}, {devices} replicas: weights {of_params:.1e}, statistics {of_buffers:.1e} apart");
                assert!(of_buffers < 1e-3 && of_params < 1e-2, "{of_params} {of_buffers}");
            }
        }
    }

    #[test]
    fn accumulated_parts_differ_from_the_whole_only_by_their_statistics() {
        tch::set_num_threads(1);
        let (whole, parts) = (losses(1, 1, SGD, 0.05).0, losses(1, 4, SGD, 0.05).0);
        assert!((whole[0] - parts[0]).abs() < 0.05 && whole != parts, "{whole:?}\n{parts:?}");
    }
}
