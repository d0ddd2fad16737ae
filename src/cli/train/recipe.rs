//! How a run learns: each option is a flag, and a key of the recipe file under the same name with underscores. A flag goes
//! before the file, the file before the default.

use chexbox::labels::UncertainPolicies;
use chexbox::train::architecture::Architecture;
use chexbox::train::augment::Flip;
use chexbox::train::densenet::Precision;
use chexbox::train::films::Smaller;
use chexbox::train::objective::Imbalance;
use chexbox::train::optimiser::{Habits, Rule};
use chexbox::train::origin::Origin;
use chexbox::train::schedule::Options;
use chexbox::train::selection::Selection;
use clap::{Args, ValueEnum};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::Device;

/// Side that films are reduced to before anything else, pixels: that of the public pool.
const DETAIL: usize = 128;
/// Budget where neither epochs nor minutes are given.
const EPOCHS: usize = 20;

/// Defines the recipe once: the flags, the keys of the file, and which goes before which.
macro_rules! recipe {
    ($($(#[$doc:meta])* $name:ident: $kind:ty,)*) => {
        /// How a run learns; what is absent is left to the default.
        #[derive(Clone, Debug, Default, Args, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Recipe {
            $($(#[$doc])* #[arg(long)] pub $name: Option<$kind>,)*
            /// What an uncertain label (-1) counts as: ignore, zeros or ones, for all findings or as FINDING=ones for one;
            /// may be repeated [default: ignore]
            #[arg(long, value_name = "POLICY")]
            #[serde(default)]
            pub uncertain: Vec<String>,
            /// How much a label counts by where it is from (its COLUMN@source), as in ct=2; may be repeated [default: 1]
            #[arg(long, value_name = "SOURCE=WEIGHT")]
            #[serde(default)]
            pub source_weight: Vec<String>,
            /// Further label files with their images; in the recipe file alone.
            #[arg(skip)]
            #[serde(default)]
            pub source: Vec<Source>,
        }

        impl Recipe {
            /// This recipe, and where it says nothing what `file` says.
            pub fn or(self, file: Self) -> Self {
                let list = |own: Vec<String>, other| if own.is_empty() { other } else { own };
                Self {
                    $($name: self.$name.or(file.$name),)*
                    uncertain: list(self.uncertain, file.uncertain),
                    source_weight: list(self.source_weight, file.source_weight),
                    source: file.source,
                }
            }
        }
    };
}

recipe! {
    /// Budget in epochs [default: 20 where --minutes is not given]
    epochs: usize,
    /// Budget in minutes of wall time, interruptions not counted; the schedule ends with it
    minutes: f64,
    /// Side of the network's input, pixels [default: 128]
    size: usize,
    /// Side in the first phase, pixels [default: 64]
    first_size: usize,
    /// Share of the budget that the first phase takes [default: 0.5]
    first_share: f64,
    /// Side that every film is reduced to before anything else, pixels; a film must have as many [default: 128]
    detail: usize,
    /// Films of a batch, all devices together [default: 32]
    batch: usize,
    /// Parts that a batch is computed in one after another, to save memory [default: 1]
    accumulate: usize,
    /// How gradients move the weights [default: adamw]
    optimiser: Moving,
    /// Share of the last movement that goes on, of sgd [default: 0.9]
    momentum: f64,
    /// Plain momentum instead of Nesterov's, of sgd [default: false]
    #[arg(num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    plain_momentum: bool,
    /// Peak learning rate [default: 0.001]
    rate: f64,
    /// Decoupled weight decay [default: 0.05]
    weight_decay: f64,
    /// Share of the budget in which the learning rate rises; then it falls as a cosine [default: 0.03]
    warm_up: f64,
    /// Learning rate at the end, as a share of its peak [default: 0.01]
    rate_end: f64,
    /// Share of the learning rate that the trunk moves by, 0 to 1; small where --init gives a trunk that is to be kept (the
    /// statistics of its norms follow the films all the same) [default: 1]
    trunk_rate: f64,
    /// Steps that the averaged weights, which are evaluated and exported, look back on [default: 250]
    average_steps: f64,
    /// What is done about rare findings [default: weighted]
    imbalance: Rare,
    /// Greatest factor on the loss of positives (weighted) or on how often a film is seen (sampled) [default: 5]
    imbalance_most: f32,
    /// Exponent of the focal loss [default: 2]
    focal_gamma: f64,
    /// End after so many epochs at the final size without a better mean AUC on val; 0: never [default: 0]
    patience: usize,
    /// What convolutions compute in; bf16 pays on CUDA and on processors that have it (AMX, avx512_bf16: try a minute of each), elsewhere
    /// it is slower [default: f32]
    precision: In,
    /// Mirror every second film; only where no label depends on the side of the body [default: false]
    #[arg(num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    flip: bool,
    /// Threads that make batches ahead [default: 1]
    loaders: usize,
    /// Seed of everything random [default: 1]
    seed: u64,
    /// A teacher's probabilities: a CSV with the column file and one for each finding (id, variable or public label), and any
    /// number of columns feature_... of its features, squeezed into 0 to 1, which become auxiliary heads
    soft_labels: PathBuf,
    /// Share of the loss that the soft labels have, where a film has some; the rest is that of its own labels [default: 0.7]
    soft_share: f32,
    /// What a film without a finding counts of the others, 0 to 1; where most films are normal, less lets a head learn more of what
    /// tells its finding from others, and less of what tells it from none. Soft labels must then have a column No_Finding [default: 1]
    normal_weight: f32,
    /// Factor on the loss of the auxiliary heads (sex, view, age, public labels that are no finding of the set, a teacher's
    /// features), which are cut off at export; 0: no such heads [default: 0.3]
    auxiliary_weight: f64,
    /// Leave out films of patients known to be younger, years; 0: none [default: 16]
    minimum_age: f64,
    /// Films stored smaller than --detail [default: leave-out]
    smaller_films: Small,
    /// Share of the sharp films that is blurred like the smaller ones, with --smaller-films blur [default: 0.3]
    blur_share: f32,
}

/// A label file with its images, beside the config's own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    name: String,
    labels: PathBuf,
    images: PathBuf,
    /// Factor on the loss of its films.
    #[serde(default = "one")]
    loss_weight: f32,
    /// How often a film of it is seen in an epoch.
    #[serde(default = "one")]
    sampling: f32,
}

fn one() -> f32 {
    1.0
}

/// How gradients move the weights.
#[derive(Clone, Copy, Debug, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moving {
    /// AdamW
    Adamw,
    /// Stochastic gradient descent with momentum
    Sgd,
}

/// What is done about rare findings.
#[derive(Clone, Copy, Debug, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rare {
    /// Nothing
    Plain,
    /// The loss of positives counts by the square root of negatives / positives
    Weighted,
    /// Focal loss
    Focal,
    /// Films with a rare finding are seen more often
    Sampled,
}

/// What convolutions compute in.
#[derive(Clone, Copy, Debug, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum In {
    /// 32 bit
    F32,
    /// bfloat16, weights and sums in 32 bit
    Bf16,
}

/// Films stored smaller than the side that all are reduced to.
#[derive(Clone, Copy, Debug, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Small {
    /// Not learnt from: enlarged, they would be less sharp, and sharpness would tell where a film came from
    LeaveOut,
    /// Learnt from; as many sharp films as --blur-share says are blurred the same way
    Blur,
}

impl Recipe {
    /// The recipe of the file at `path`.
    ///
    /// # Errors
    /// A sentence that names the file and the key.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        toml::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// Where the recipe of the config at `config` stands: `path_configs_X.json` -> `recipe_X.toml`.
    pub fn beside(config: &Path) -> PathBuf {
        let stem = config.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        config.with_file_name(format!("recipe_{}.toml", stem.strip_prefix("path_configs_").unwrap_or(&stem)))
    }

    /// What a run with this recipe does.
    ///
    /// # Errors
    /// A sentence for the first value that is not allowed.
    pub fn options(&self, findings: usize, devices: Vec<Device>, init: Option<PathBuf>) -> Result<Options, String> {
        self.check()?;
        let default = Options::of(Architecture::densenet121(findings));
        let most = self.imbalance_most.unwrap_or(5.0);
        let nesterov = !self.plain_momentum.unwrap_or(false);
        Ok(Options {
            epochs: self.epochs.or(self.minutes.is_none().then_some(EPOCHS)),
            minutes: self.minutes,
            size: self.size.unwrap_or(default.size),
            first_size: self.first_size.unwrap_or(default.first_size),
            first_share: self.first_share.unwrap_or(default.first_share),
            batch: self.batch.unwrap_or(default.batch),
            accumulate: self.accumulate.unwrap_or(default.accumulate),
            rate: self.rate.unwrap_or(default.rate),
            habits: Habits {
                rule: match self.optimiser {
                    Some(Moving::Sgd) => Rule::Sgd { momentum: self.momentum.unwrap_or(0.9), nesterov },
                    _ => Rule::AdamW,
                },
                weight_decay: self.weight_decay.unwrap_or(default.habits.weight_decay),
                average_steps: self.average_steps.unwrap_or(default.habits.average_steps),
                trunk_rate: self.trunk_rate.unwrap_or(default.habits.trunk_rate),
            },
            warm_up: self.warm_up.unwrap_or(default.warm_up),
            rate_end: self.rate_end.unwrap_or(default.rate_end),
            imbalance: match self.imbalance.unwrap_or(Rare::Weighted) {
                Rare::Plain => Imbalance::Plain,
                Rare::Weighted => Imbalance::Weighted { most },
                Rare::Focal => Imbalance::Focal { gamma: self.focal_gamma.unwrap_or(2.0) },
                Rare::Sampled => Imbalance::Sampled { most },
            },
            patience: self.patience.unwrap_or(default.patience),
            precision: match self.precision {
                Some(In::Bf16) => Precision::Bf16,
                _ => Precision::F32,
            },
            flip: if self.flip.unwrap_or(false) { Flip::Half } else { Flip::Never },
            loaders: self.loaders.unwrap_or(default.loaders),
            seed: self.seed.unwrap_or(default.seed),
            auxiliary_weight: self.auxiliary_weight.unwrap_or(default.auxiliary_weight),
            architecture: default.architecture.clone(),
            devices,
            init,
        })
    }

    /// Which films and labels a run with this recipe learns from.
    ///
    /// # Errors
    /// A sentence for the first value that is not allowed.
    pub fn selection(&self, fold: Option<usize>) -> Result<Selection, String> {
        self.check()?;
        let plain = Selection::plain(self.detail.unwrap_or(DETAIL));
        let origin = |s: &Source| Origin {
            name: s.name.clone(),
            labels: s.labels.clone(),
            train_images: s.images.clone(),
            test_images: s.images.clone(),
            loss_weight: s.loss_weight,
            sampling: s.sampling,
        };
        Ok(Selection {
            minimum_age: self.minimum_age.unwrap_or(plain.minimum_age),
            smaller: match self.smaller_films {
                Some(Small::Blur) => Smaller::Blur { share: self.blur_share.unwrap_or(0.3) },
                _ => Smaller::LeaveOut,
            },
            auxiliary: self.auxiliary_weight.unwrap_or(0.3) > 0.0,
            soft: self.soft_labels.clone().map(|path| (path, self.soft_share.unwrap_or(0.7))),
            normal_weight: self.normal_weight.unwrap_or(plain.normal_weight),
            uncertain: UncertainPolicies::parse(&self.uncertain).map_err(|e| e.to_string())?,
            source_weights: self.source_weight.iter().map(|text| source_weight(text)).collect::<Result<BTreeMap<_, _>, _>>()?,
            further: self.source.iter().map(origin).collect(),
            fold,
            ..plain
        })
    }

    /// That every number is within its bounds.
    fn check(&self) -> Result<(), String> {
        let between = |name: &str, value: Option<f64>, low: f64, high: f64| match value {
            Some(v) if !(low..=high).contains(&v) => Err(format!("{name} is {v}, allowed are {low} to {high}")),
            _ => Ok(()),
        };
        let whole = |value: Option<usize>| value.map(|v| v as f64);
        let side = chexbox::limits::INPUT_SIDE_MAX as f64;
        between("size", whole(self.size), 32.0, side)?;
        between("first_size", whole(self.first_size), 32.0, side)?;
        between("detail", whole(self.detail), 32.0, side)?;
        between("batch", whole(self.batch), 2.0, 65_536.0)?;
        between("accumulate", whole(self.accumulate), 1.0, 1_024.0)?;
        between("loaders", whole(self.loaders), 1.0, 64.0)?;
        between("rate", self.rate, 0.0, 10.0)?;
        between("weight_decay", self.weight_decay, 0.0, 10.0)?;
        between("average_steps", self.average_steps, 1.0, 1e6)?;
        between("focal_gamma", self.focal_gamma, 0.0, 10.0)?;
        between("imbalance_most", self.imbalance_most.map(f64::from), 1.0, 1_000.0)?;
        between("auxiliary_weight", self.auxiliary_weight, 0.0, 100.0)?;
        let shares = [
            ("first_share", self.first_share),
            ("momentum", self.momentum),
            ("warm_up", self.warm_up),
            ("rate_end", self.rate_end),
            ("trunk_rate", self.trunk_rate),
            ("soft_share", self.soft_share.map(f64::from)),
            ("normal_weight", self.normal_weight.map(f64::from)),
            ("blur_share", self.blur_share.map(f64::from)),
        ];
        shares.into_iter().try_for_each(|(name, value)| between(name, value, 0.0, 1.0))?;
        for (i, source) in self.source.iter().enumerate() {
            let named = |s: &Source| s.name == source.name;
            if source.name.is_empty() || source.name.contains(':') || self.source.iter().position(named) != Some(i) {
                return Err(format!("source {i} is named {:?}, allowed is a name of its own without a colon", source.name));
            }
            between("loss_weight", Some(source.loss_weight.into()), 0.0, 1_000.0)?;
            between("sampling", Some(source.sampling.into()), 0.0, 100.0)?;
        }
        Ok(())
    }
}

fn source_weight(text: &str) -> Result<(String, f32), String> {
    let fault = || format!("{text:?} is not SOURCE=WEIGHT with a weight of 0 or more, for example ct=2");
    let (source, weight) = text.split_once('=').ok_or_else(fault)?;
    let weight = weight.parse().ok().filter(|w| (0.0..=1_000.0).contains(w)).ok_or_else(fault)?;
    Ok((source.to_owned(), weight))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        recipe: Recipe,
    }

    fn flags(line: &str) -> Recipe {
        Line::try_parse_from(["x"].into_iter().chain(line.split_whitespace())).unwrap().recipe
    }

    #[test]
    fn a_flag_goes_before_the_file_and_the_file_before_the_default() {
        let file: Recipe = toml::from_str(
            "rate = 0.5\nbatch = 8\noptimiser = 'sgd'\nuncertain = ['zeros']\n[[source]]\nname = 'b'\nlabels = 'l.csv'\nimages = 'i'\nsampling = 0.5\n",
        )
        .unwrap();
        let recipe = flags("--rate 0.25 --imbalance focal --source-weight ct=2").or(file);
        let options = recipe.options(3, vec![Device::Cpu], None).unwrap();
        assert_eq!((options.rate, options.batch, options.size), (0.25, 8, 128));
        assert_eq!(options.habits.rule, Rule::Sgd { momentum: 0.9, nesterov: true });
        assert_eq!(options.imbalance, Imbalance::Focal { gamma: 2.0 });
        assert_eq!((options.epochs, options.minutes), (Some(20), None));
        let selection = recipe.selection(None).unwrap();
        assert_eq!(selection.uncertain, UncertainPolicies::parse(&["zeros"]).unwrap());
        assert_eq!((selection.further[0].sampling, selection.further[0].loss_weight), (0.5, 1.0));
        assert_eq!(selection.source_weights["ct"], 2.0);
    }

    #[test]
    fn a_number_out_of_bounds_and_an_unknown_key_are_named() {
        for (line, what) in [
            ("--batch 1", "batch is 1, allowed are 2"),
            ("--soft-share 1.5", "soft_share is 1.5, allowed are 0 to 1"),
            ("--normal-weight 2", "normal_weight is 2, allowed are 0 to 1"),
            ("--rate NaN", "rate is NaN"),
            ("--source-weight ct", "SOURCE=WEIGHT"),
            ("--uncertain maybe", "allowed are ignore, zeros, ones"),
        ] {
            let recipe = flags(line);
            let error = recipe.selection(None).map(|_| ()).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
        assert!(toml::from_str::<Recipe>("learning_rate = 1").unwrap_err().to_string().contains("learning_rate"));
        let twice = "[[source]]\nname='a'\nlabels='l'\nimages='i'\n[[source]]\nname='a'\nlabels='m'\nimages='j'\n";
        assert!(toml::from_str::<Recipe>(twice).unwrap().selection(None).unwrap_err().contains("a name of its own"));
    }

    #[test]
    fn the_committed_recipes_are_allowed() {
        let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
        for name in ["25", "10", "chexpert"] {
            let config = configs.join(format!("path_configs_{name}.json"));
            let recipe = Recipe::read(&Recipe::beside(&config)).unwrap();
            recipe.selection(None).unwrap();
            recipe.options(3, vec![Device::Cpu], None).unwrap();
        }
    }
}
