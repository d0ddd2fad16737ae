//! `chexbox model export`: a model as a plain ONNX file, for another runtime or to look at.

use super::{Exit, Failure, Named, WrongCommandLine};
use crate::cli::print;
use chexbox::model::quantize::{Precision, Summary, resized};
use chexbox::model::{remove_quantization, sha256_hex};
use clap::ValueEnum;
use prost::Message;
use std::path::PathBuf;

const LONG: &str = "Writes a model as an ONNX file (operator set 13) with the input `image` [N, 1, S, S] and the outputs \
`logits` and `features`.\n\n\
int8 is the model as it is stored: standard QuantizeLinear and DequantizeLinear nodes around each convolution, which \
ONNX Runtime and OpenVINO turn into integer arithmetic. f32 is the same weights unpacked, and nothing rounded between the \
layers: for runtimes without integers, for converters, and to compare arithmetics. (These are the weights that were rounded \
once; the weights before rounding are with whoever trained the model.)\n\n\
The network has no fixed size: --size writes it for other images. What it learnt from had the size that `model show` prints; \
another one is for measuring times, not for reading films.\n\n\
导出为标准 ONNX 文件：int8 为原样（QDQ 形式），f32 为还原的浮点权重。--size 仅用于测速，不用于读片。";

/// Options of `model export`.
#[derive(clap::Args)]
#[command(long_about = LONG)]
pub struct ExportArgs {
    /// findings25, findings10, a folder with a bundle, or an ONNX file / 模型
    #[arg(value_name = "NAME|DIR|FILE")]
    model: String,
    /// File to write / 输出文件
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// Arithmetic of the file [default: as it is stored] / 精度
    #[arg(long, value_enum)]
    precision: Option<Wanted>,
    /// Side of the input, pixels [default: the model's own] / 输入边长
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u16).range(32..=2048))]
    size: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Wanted {
    F32,
    Int8,
}

/// Runs the verb.
///
/// # Errors
/// A sentence, if the model is not accepted, has no integers to export, or the file cannot be written.
pub fn run(args: &ExportArgs) -> Result<Exit, Failure> {
    let named = Named::of(&args.model)?;
    let mut model = named.proto()?;
    match args.precision {
        Some(Wanted::Int8) if Summary::of(&model)?.precision != Precision::Int8 => {
            let what = format!("{} is not quantized: make it so with chexbox model quantize --model FILE ...", args.model);
            return Err(WrongCommandLine(what).into());
        }
        Some(Wanted::F32) => {
            remove_quantization(&mut model).map_err(|e| format!("{}: {e}", args.model))?;
        }
        _ => {}
    }
    if let Some(size) = args.size {
        model = resized(&model, size.into()).map_err(|e| format!("{}: {e}", args.model))?;
    }
    let bytes = model.encode_to_vec();
    std::fs::write(&args.out, &bytes).map_err(|e| format!("{}: {e}", args.out.display()))?;
    print(format!("{}  {} bytes  sha256 {}\n", args.out.display(), bytes.len(), sha256_hex(&bytes)).as_bytes())?;
    Ok(Exit::Done)
}
