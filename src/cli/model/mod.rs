//! `chexbox model ...`: look into models, check them, write them for other programs, quantize them.

mod checks;
mod compared;
mod export;
mod import;
mod quantize;
mod show;
mod verify;

use super::load;
use super::{Exit, Failure, WrongCommandLine};
use chexbox::limits::MODEL_BYTES_MAX;
use chexbox::model::Manifest;
use clap::{Args, Subcommand};
use prost::Message;
use std::path::Path;
use tract_onnx::pb::ModelProto;

const EXAMPLES: &str = "Examples / 示例:
  chexbox model show findings25                          what a model holds / 查看模型内容
  chexbox model show my.onnx --json                      the same of any ONNX file, for programs / 任意 ONNX 文件
  chexbox model verify findings25                        is it what it was when it was made? / 检查模型是否完好
  chexbox model verify my-bundle/                        the same of a folder with a manifest.toml
  chexbox model export findings25 m.onnx --size 320      for ONNX Runtime, OpenVINO, Netron / 导出
  chexbox model import --weights w.pth --from torchvision --labels set.toml --out my-bundle/
                                                         weights of another project / 导入其他项目的权重
  chexbox model quantize --model f32.onnx --calibration films/ --out int8.onnx
                                                         a quarter of the size, several times faster / 量化";

/// Options of `model`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct ModelArgs {
    #[command(subcommand)]
    verb: ModelVerb,
}

#[derive(Subcommand)]
enum ModelVerb {
    /// Show what a model holds: input, layers, precision, findings, operating points / 查看模型
    Show(show::ShowArgs),
    /// Check that a model is undamaged and computes here what it computed where it was made / 检查模型
    Verify(verify::VerifyArgs),
    /// Write a model as an ONNX file for other programs, in f32 or int8, for any input size / 导出 ONNX
    Export(export::ExportArgs),
    /// Turn a DenseNet that another project trained into a bundle / 导入其他项目的权重
    Import(import::ImportArgs),
    /// Turn a DenseNet in f32 into 8-bit integers, calibrated on films of yours / 量化
    Quantize(quantize::QuantizeArgs),
}

/// Runs the verb.
///
/// # Errors
/// A sentence that says what failed and what to do.
pub fn run(args: &ModelArgs) -> Result<Exit, Failure> {
    match &args.verb {
        ModelVerb::Show(args) => show::run(args),
        ModelVerb::Verify(args) => verify::run(args),
        ModelVerb::Export(args) => export::run(args),
        ModelVerb::Import(args) => import::run(args),
        ModelVerb::Quantize(args) => quantize::run(args),
    }
}

/// A model as the command line names it.
struct Named {
    /// How it was named.
    name: String,
    /// The ONNX file.
    onnx: Vec<u8>,
    /// Its manifest, where it comes with one.
    manifest: Option<Manifest>,
}

impl Named {
    /// The model behind a name of this binary, a folder with a bundle, or an ONNX file.
    fn of(name: &str) -> Result<Self, Failure> {
        let path = Path::new(name);
        if path.is_file() {
            return Ok(Self { name: name.to_owned(), onnx: read_onnx(path)?, manifest: None });
        }
        let bundle = load::one(name).map_err(|e| explained(e, name))?;
        Ok(Self { name: name.to_owned(), onnx: bundle.onnx().to_vec(), manifest: Some(bundle.manifest().clone()) })
    }

    fn proto(&self) -> Result<ModelProto, Failure> {
        ModelProto::decode(self.onnx.as_slice()).map_err(|e| format!("{} is not an ONNX file: {e}", self.name).into())
    }
}

/// An ONNX file may be named here too.
fn explained(error: Failure, name: &str) -> Failure {
    if error.is::<WrongCommandLine>() && !Path::new(name).is_dir() {
        return WrongCommandLine(format!("{error}, nor an ONNX file")).into();
    }
    error
}

fn read_onnx(path: &Path) -> Result<Vec<u8>, Failure> {
    load::read_bounded(path, MODEL_BYTES_MAX).map_err(|e| format!("{}: {e}", path.display()).into())
}
