//! Shape of a DenseNet-BC (Huang et al., CVPR 2017) and the list of its tensors, with torchvision's names.

/// Shape of the network.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Architecture {
    /// Channels a layer adds.
    pub growth: i64,
    /// Layers of each block.
    pub blocks: Vec<usize>,
    /// Channels after the first convolution.
    pub stem: i64,
    /// A layer's 1 x 1 convolution gives this many times `growth` channels.
    pub bottleneck: i64,
    /// Logits.
    pub findings: i64,
}

impl Architecture {
    /// DenseNet121.
    pub fn densenet121(findings: usize) -> Self {
        Self { growth: 32, blocks: vec![6, 12, 24, 16], stem: 64, bottleneck: 4, findings: findings as i64 }
    }

    /// A network of the same structure that computes in milliseconds, for tests.
    pub fn tiny(findings: usize) -> Self {
        Self { growth: 4, blocks: vec![2, 2], stem: 8, bottleneck: 2, findings: findings as i64 }
    }

    /// Channels entering block `b`, counted from 0; for the number of blocks, those of the last feature map.
    pub fn channels_into(&self, b: usize) -> i64 {
        (0..b).fold(self.stem, |c, i| {
            let out = c + self.growth * self.blocks[i] as i64;
            if i + 1 < self.blocks.len() { out / 2 } else { out }
        })
    }

    /// Channels of the last feature map.
    pub fn feature_channels(&self) -> i64 {
        self.channels_into(self.blocks.len())
    }

    /// Side of the last feature map of an input of side `size`.
    pub fn feature_side(&self, size: usize) -> usize {
        let stem = size.div_ceil(2).div_ceil(2);
        (1..self.blocks.len()).fold(stem, |s, _| s / 2)
    }

    /// Every tensor of the network, in forward order.
    pub fn slots(&self) -> Vec<Slot> {
        let mut list = Slots::default();
        list.conv("features.conv0", self.stem, 1, 7);
        list.norm("features.norm0", self.stem);
        for (b, &layers) in self.blocks.iter().enumerate() {
            let mut channels = self.channels_into(b);
            let wide = self.bottleneck * self.growth;
            for l in 0..layers {
                let at = format!("features.denseblock{}.denselayer{}", b + 1, l + 1);
                list.norm(&format!("{at}.norm1"), channels);
                list.conv(&format!("{at}.conv1"), wide, channels, 1);
                list.norm(&format!("{at}.norm2"), wide);
                list.conv(&format!("{at}.conv2"), self.growth, wide, 3);
                channels += self.growth;
            }
            if b + 1 < self.blocks.len() {
                let at = format!("features.transition{}", b + 1);
                list.norm(&format!("{at}.norm"), channels);
                list.conv(&format!("{at}.conv"), channels / 2, channels, 1);
            }
        }
        let channels = self.feature_channels();
        list.norm(&format!("features.norm{}", self.blocks.len() + 1), channels);
        list.add("classifier.weight", &[self.findings, channels], Role::Weight { deviation: 0.0 });
        list.add("classifier.bias", &[self.findings], Role::Shift);
        list.0
    }
}

/// What a tensor is for: how it starts, and whether it decays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    /// Starts normal with this deviation (0: as zeros); decays.
    Weight {
        /// Standard deviation at the start.
        deviation: f64,
    },
    /// Starts at one.
    Scale,
    /// Starts at zero.
    Shift,
    /// Running mean: starts at zero, is not learnt.
    Mean,
    /// Running variance: starts at one, is not learnt.
    Variance,
}

/// One named tensor.
#[derive(Clone, Debug)]
pub struct Slot {
    /// torchvision's name.
    pub name: String,
    /// Shape.
    pub shape: Vec<i64>,
    /// Purpose.
    pub role: Role,
}

impl Slot {
    /// Number of elements.
    pub fn elements(&self) -> i64 {
        self.shape.iter().product()
    }

    /// Whether the optimiser moves it.
    pub fn learnt(&self) -> bool {
        !matches!(self.role, Role::Mean | Role::Variance)
    }
}

#[derive(Default)]
struct Slots(Vec<Slot>);

impl Slots {
    fn add(&mut self, name: &str, shape: &[i64], role: Role) {
        self.0.push(Slot { name: name.to_owned(), shape: shape.to_vec(), role });
    }

    /// He et al. 2015: deviation sqrt(2 / fan-in).
    fn conv(&mut self, name: &str, out: i64, channels: i64, side: i64) {
        let deviation = (2.0 / (channels * side * side) as f64).sqrt();
        self.add(&format!("{name}.weight"), &[out, channels, side, side], Role::Weight { deviation });
    }

    fn norm(&mut self, name: &str, channels: i64) {
        for (leaf, role) in
            [("weight", Role::Scale), ("bias", Role::Shift), ("running_mean", Role::Mean), ("running_var", Role::Variance)]
        {
            self.add(&format!("{name}.{leaf}"), &[channels], role);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn densenet121_has_the_published_number_of_parameters() {
        // torchvision's densenet121 has 7,978,856 with three input channels and 1,000 classes.
        let learnt: i64 = Architecture::densenet121(1000).slots().iter().filter(|s| s.learnt()).map(Slot::elements).sum();
        assert_eq!(learnt + 2 * 64 * 49, 7_978_856);
        assert_eq!(Architecture::densenet121(25).feature_channels(), 1024);
    }

    #[test]
    fn the_feature_map_is_a_thirty_second_of_the_input() {
        for (size, side) in [(64, 2), (128, 4), (224, 7), (512, 16)] {
            assert_eq!(Architecture::densenet121(1).feature_side(size), side);
        }
    }
}
