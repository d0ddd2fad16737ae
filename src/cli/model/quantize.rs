//! `chexbox model quantize`: a DenseNet in f32 and films to calibrate with become a file of 8-bit integers.

use super::compared::Compared;
use super::{Exit, Failure, WrongCommandLine, load, read_onnx};
use crate::cli::files;
use crate::cli::output::say;
use crate::cli::print;
use chexbox::input::{self, Plane};
use chexbox::limits::{CALIBRATION_FILMS_MAX, FILE_BYTES, INPUT_SIDE_MAX};
use chexbox::model::quantize::{Calibration, quantize};
use chexbox::model::{InputSpec, declared, sha256_hex};
use chexbox::reading;
use indicatif::{ProgressBar, ProgressStyle};
use prost::Message;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use tract_onnx::pb::ModelProto;

const LONG: &str = "Turns a DenseNet (121, 169, 201 or another depth) from f32 into 8-bit integers: a quarter of the size, and several times \
faster on a CPU. In: an ONNX file in f32, recognised by its structure, as `train export`, torch.onnx or others write it. Out: a \
standard ONNX file (operator set 13, QuantizeLinear and DequantizeLinear) that ONNX Runtime and OpenVINO run too.\n\n\
The films are run through the network to see how large each layer's values get; 100 to 500 ordinary films of the kind that is \
to be read are enough, and they should not be those that the model is judged by. Their labels are not needed. The same films \
give the same file.\n\n\
Films are prepared as those of --like are. At the end f32 and int8 are compared on some of the films: heat maps must correlate \
at 0.99, and 99 % of the calls must stay the same (at the operating points of --like, where it has as many findings), or no file \
is written. How much AUC changes must be judged on labelled films (`train export` does both).\n\n\
将 f32 DenseNet 量化为 int8：需 100-500 张普通胸片用于校准（无需标签，且不应是评估用的胸片）；若热图相关性低于 0.99 或判定一致率低于 99 %，则不写出文件。";

/// Films on which f32 and int8 are compared at the end.
const COMPARED: usize = 64;

/// Options of `model quantize`.
#[derive(clap::Args)]
#[command(long_about = LONG)]
pub struct QuantizeArgs {
    /// ONNX file of a DenseNet in f32 / f32 模型
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Films, or folders with films, to calibrate with; repeatable / 校准胸片
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    calibration: Vec<PathBuf>,
    /// Prepare films as this model's are: findings25, findings10, or a folder with a bundle / 预处理方式
    #[arg(long, value_name = "NAME|DIR", default_value = "findings25")]
    like: String,
    /// Take at most so many of the films, evenly spread over the list / 最多使用胸片数
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=CALIBRATION_FILMS_MAX))]
    films: u16,
    /// File to write / 输出文件
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Threads [default: all cores] / 线程数
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

/// Runs the verb.
///
/// # Errors
/// A sentence, if the model is no DenseNet in f32, no film can be read, or the file cannot be written.
pub fn run(args: &QuantizeArgs) -> Result<Exit, Failure> {
    let named = |e: &dyn std::fmt::Display| format!("{}: {e}", args.model.display());
    let bytes = read_onnx(&args.model)?;
    let size = side(&bytes).map_err(|e| named(&e))?;
    let like = load::one(&args.like)?.manifest().clone();
    let spec = InputSpec { size, ..like.input };
    let model = ModelProto::decode(bytes.as_slice()).map_err(|e| named(&e))?;
    drop(bytes);
    let films = prepared(args, &spec)?;

    let bar = bar("quantize", 1);
    let seen = |done: usize, of: usize| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
    };
    let film = |i: usize| input::normalise(input::enlarge(&films[i], size), &spec);
    let threads = args.threads.or_else(|| available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let calibration = Calibration { size, films: films.len(), film: &film, threads, seen: &seen };
    let quantized = quantize(&model, &calibration).map_err(|e| named(&e))?;
    bar.finish_and_clear();
    let content = quantized.encode_to_vec();
    let compared = Compared::of(model, quantized, size, &like, films.len().min(COMPARED), &film)?;
    let missed = compared.missed();
    if !missed.is_empty() {
        let missed = missed.join("; ");
        return Err(format!(
            "not written, since 8-bit integers change this model too much: {missed} ({}). Calibrate with more films, of the kind \
             that is to be read",
            compared.line()
        )
        .into());
    }
    std::fs::write(&args.out, &content).map_err(|e| format!("{}: {e}", args.out.display()))?;
    let text = format!(
        "{}  {} bytes  sha256 {}\ncalibrated on {} films; {}\n",
        args.out.display(),
        content.len(),
        sha256_hex(&content),
        films.len(),
        compared.line()
    );
    print(text.as_bytes())?;
    Ok(Exit::Done)
}

/// Side of the image that the file declares.
fn side(onnx: &[u8]) -> Result<usize, String> {
    let (inputs, _) = declared(onnx)?;
    let side = inputs.first().and_then(|i| i.dims.get(2..4)).filter(|d| d[0] == d[1]).and_then(|d| usize::try_from(d[0]).ok());
    side.filter(|s| (32..=INPUT_SIDE_MAX).contains(s))
        .ok_or_else(|| format!("its input has no square image of 32 to {INPUT_SIDE_MAX} px: export it for one size"))
}

/// The films that can be read, reduced to the detail the network sees.
fn prepared(args: &QuantizeArgs, spec: &InputSpec) -> Result<Vec<Plane>, Failure> {
    let files = files::list(&args.calibration)?.files;
    if files.is_empty() {
        return Err(WrongCommandLine("--calibration: the folders named hold no files".into()).into());
    }
    let wanted = usize::from(args.films).min(files.len());
    let bar = bar("films", wanted as u64);
    let (mut films, mut refused) = (Vec::with_capacity(wanted), Vec::new());
    for i in 0..wanted {
        let file = &files[i * files.len() / wanted];
        match plane(file, spec) {
            Ok(plane) => films.push(plane),
            Err(why) => refused.push(format!("{}: {why}", file.display())),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    for line in refused.iter().take(5) {
        say(line);
    }
    if !refused.is_empty() {
        say(&format!("{} of {wanted} films were refused and not used", refused.len()));
    }
    if films.is_empty() {
        return Err("no film of --calibration can be read: chexbox read says why of each".into());
    }
    Ok(films)
}

fn plane(file: &Path, spec: &InputSpec) -> Result<Plane, String> {
    let bytes = load::read_bounded(file, FILE_BYTES).map_err(|e| e.to_string())?;
    let film = reading::admit(&bytes).map_err(|refusal| refusal.to_string())?;
    Ok(input::reduce(&film.grey, spec.detail, spec.fit))
}

fn bar(what: &str, length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length);
    let style = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} {eta_precise}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(what.to_owned());
    bar
}
