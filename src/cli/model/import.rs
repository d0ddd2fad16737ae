//! `chexbox model import`: a DenseNet that another project trained becomes a bundle.

use super::{Exit, Failure, WrongCommandLine, load};
use crate::cli::evaluate::text;
use crate::cli::output::say;
use crate::cli::{files, print};
use chexbox::labels::LabelSet;
use chexbox::limits::{MANIFEST_BYTES_MAX, WEIGHTS_BYTES_MAX};
use chexbox::model::import::{Imported, Request, Scale, import};
use chexbox::model::{Bundle, Colour, Fit, MANIFEST_FILE, Point, Session, weights};
use clap::ValueEnum;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

const LONG: &str = "Turns a DenseNet (121, 169, 201 or another depth) that another project trained into a folder that --model takes. \
In: its weights as torchvision names them (features.conv0.weight ... classifier.bias; prefixes such as module. are taken off), saved with \
torch.save(model.state_dict()) or as .safetensors; and a label set, one entry a logit in the network's order (configs/labels_*.toml are \
examples). A pickled model is not read: its pickle would run code.\n\n\
--from says how that project prepared its films. torchxrayvision: the square in the middle, greys from -1024 to 1024, 224 px. torchvision: \
the whole film stretched, three channels with ImageNet's means and deviations, 224 px. --size, --range, --channels and --fit say otherwise.\n\n\
Resampling is this program's own: exact area means downwards, where torchvision interpolates (with antialiasing) and torchxrayvision blurs \
and samples. Films that already have the network's size give the same logits to 1e-4; others differ as the two filters do.\n\n\
Probabilities are the sigmoid of the logits and are not calibrated. Operating points come from torchxrayvision's tensor op_threshs, where a \
head without one counts as untrained. Without that tensor nobody has chosen any: chexbox read makes no calls with the model until \
chexbox evaluate --model DIR --labels CSV --images FILMS --choose best-f1 --into DIR has chosen them on labelled films.\n\n\
Judge the model on films of yours before you use it: chexbox evaluate.\n\n\
导入其他项目训练的 DenseNet 权重为模型包。未校准；无阈值时须先用 chexbox evaluate --choose 选定阈值，否则不作判定。";

const EXAMPLES: &str = "Examples / 示例:
  chexbox model import --weights xrv.pt --from torchxrayvision --labels configs/labels_torchxrayvision.toml --out xrv/
  chexbox model import --weights model.pth --from torchvision --labels ours.toml --out ours/
  chexbox model import --weights w.safetensors --labels ours.toml --range 0 1 --size 320 --fit stretch --out ours/
  chexbox evaluate --model ours/ --labels val.csv --images films/ --choose best-f1 --into ours/   then / 然后选定阈值";

/// ImageNet's, in red, green and blue: torchvision's own transforms.
const IMAGENET: Colour = Colour { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

/// Options of `model import`.
#[derive(clap::Args)]
#[command(long_about = LONG, after_help = EXAMPLES)]
pub struct ImportArgs {
    /// Weights: .pth or .pt of a state dict, or .safetensors / 权重文件
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Label set, one finding a logit, in the network's order / 标签集
    #[arg(long, value_name = "TOML")]
    labels: PathBuf,
    /// Folder of the bundle; made where it is not there / 输出文件夹
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How the films were prepared / 预处理方式
    #[arg(long, value_enum, required_unless_present_any = ["range", "channels"])]
    from: Option<Project>,
    /// Side of the network's input, pixels [default: 224] / 输入边长
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u16).range(32..=2048))]
    size: Option<u16>,
    /// What black and white become / 灰度范围
    #[arg(long, num_args = 2, value_names = ["BLACK", "WHITE"], allow_negative_numbers = true, conflicts_with = "channels")]
    range: Vec<f32>,
    /// Means and deviations of three channels: M M M S S S / 三通道均值与标准差
    #[arg(long, num_args = 6, value_names = ["M", "M", "M", "S", "S", "S"], allow_negative_numbers = true)]
    channels: Vec<f32>,
    /// Which part of a film becomes the square / 裁剪方式
    #[arg(long, value_enum)]
    fit: Option<FitName>,
    /// Version that the manifest carries / 版本
    #[arg(long, default_value = "1.0.0", value_name = "VERSION")]
    model_version: String,
    /// Youngest patient that the model is meant for, years / 最小年龄
    #[arg(long, default_value_t = 16, value_name = "YEARS", value_parser = clap::value_parser!(u32).range(0..=120))]
    minimum_age: u32,
}

/// `--from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Project {
    /// The square in the middle, greys from -1024 to 1024
    Torchxrayvision,
    /// The whole film stretched, ImageNet's means and deviations
    Torchvision,
}

/// `--fit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FitName {
    /// The whole film
    Stretch,
    /// The largest square in its middle
    CentreCrop,
}

/// Side that both projects train with.
const SIZE: u16 = 224;

/// Runs the verb.
///
/// # Errors
/// A sentence that names the tensor, the finding or the file and what was needed.
pub fn run(args: &ImportArgs) -> Result<Exit, Failure> {
    let named = |path: &Path, e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let request = request(args)?;
    let set = LabelSet::parse(&text(&args.labels, MANIFEST_BYTES_MAX)?).map_err(|e| named(&args.labels, &e))?;
    let bytes = load::read_bounded(&args.weights, WEIGHTS_BYTES_MAX).map_err(|e| named(&args.weights, &e))?;
    let tensors = weights::read(&bytes).map_err(|e| format!("{} {e}", args.weights.display()))?;
    drop(bytes);
    let imported = import(&tensors, &set, &request).map_err(|e| named(&args.weights, &e))?;
    let manifest = toml::to_string(&imported.manifest)?;
    // Read back as `--model` reads it, probe and all, before a file is written.
    let content = |name: &str| if name == imported.manifest.probe.name { imported.probe.clone() } else { imported.onnx.clone() };
    let bundle = Bundle::checked(&manifest, |name| Ok(Cow::Owned(content(name))))?;
    let session = Session::load(&bundle)?;
    std::fs::create_dir_all(&args.out).map_err(|e| named(&args.out, &e))?;
    let parts = [(imported.manifest.file.name.as_str(), &imported.onnx[..]), (&imported.manifest.probe.name, &imported.probe)];
    for (name, content) in parts.into_iter().chain([(MANIFEST_FILE, manifest.as_bytes())]) {
        files::write_whole(&args.out.join(name), content)?;
    }
    print(summary(args, &imported, session.engine()).as_bytes())?;
    if imported.manifest.findings.iter().any(|f| f.operating.is_some_and(|o| o.point == Point::Open)) {
        say("its operating points are not chosen yet, and chexbox read makes no calls with it: chexbox evaluate --choose --into");
    }
    Ok(Exit::Done)
}

fn request(args: &ImportArgs) -> Result<Request, Failure> {
    let scale = match (&args.range[..], &args.channels[..], args.from) {
        (&[low, high], _, _) => Scale::Range(low, high),
        (_, &[a, b, c, x, y, z], _) => Scale::Channels(Colour { mean: [a, b, c], std: [x, y, z] }),
        (_, _, Some(Project::Torchxrayvision)) => Scale::Range(-1024.0, 1024.0),
        (_, _, Some(Project::Torchvision)) => Scale::Channels(IMAGENET),
        _ => return Err(WrongCommandLine("name --from, --range or --channels: how were the films prepared?".into()).into()),
    };
    let fit = match (args.fit, args.from) {
        (Some(FitName::CentreCrop), _) | (None, Some(Project::Torchxrayvision)) => Fit::CentreCrop,
        _ => Fit::Stretch,
    };
    let (version, size) = (args.model_version.clone(), args.size.unwrap_or(SIZE).into());
    Ok(Request { version, size, scale, fit, minimum_age_years: args.minimum_age })
}

fn summary(args: &ImportArgs, imported: &Imported, engine: &str) -> String {
    let manifest = &imported.manifest;
    let blocks: Vec<String> = imported.blocks.iter().map(ToString::to_string).collect();
    let trained = manifest.findings.iter().filter(|f| f.trained).count();
    let folded = match imported.folded_channels {
        1 => String::new(),
        n => format!(", {n} equal channels of the first convolution folded to one"),
    };
    format!(
        "{}  {} {}: DenseNet with {} dense layers, input {} px{folded}, {} findings, {trained} of them trained\nthe probe gives the same on both engines; it runs on {engine}\n",
        args.out.display(),
        manifest.name,
        manifest.version,
        blocks.join(" + "),
        manifest.input.size,
        manifest.findings.len()
    )
}
