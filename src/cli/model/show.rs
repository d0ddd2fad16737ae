//! `chexbox model show`: what a model file or a bundle holds.

use super::{Exit, Failure, Named};
use crate::cli::print;
use crate::cli::read::{locale, parse_lang};
use chexbox::lang::Lang;
use chexbox::model::quantize::{Precision, Summary};
use chexbox::model::{Declared, Manifest, declared, sha256_hex};

const LONG: &str = "Shows what a model of this binary, a bundle (a folder with a manifest.toml) or any ONNX file holds: inputs and \
outputs, the network's shape, how many numbers in which precision, the steps that activations are rounded to, whether the \
integers keep the pair rule, and of a bundle the findings with their operating points.\n\n\
The pair rule: two neighbouring weights of one sign add up to at most 128, so that processors that add two products in 16 bits \
compute the same as all others. `model quantize` keeps it.\n\n显示模型文件或模型包的内容；--json 供程序使用。";

/// Options of `model show`.
#[derive(clap::Args)]
#[command(long_about = LONG)]
pub struct ShowArgs {
    /// findings25, findings10, a folder with a bundle, or an ONNX file / 模型
    #[arg(value_name = "NAME|DIR|FILE")]
    model: String,
    /// Write JSON / 输出 JSON
    #[arg(long)]
    json: bool,
    /// Language of texts: en or zh; after LC_ALL, LC_MESSAGES, LANG unless given / 语言
    #[arg(long, value_parser = parse_lang)]
    lang: Option<Lang>,
}

#[derive(serde::Serialize)]
struct Shown<'a> {
    model: &'a str,
    bytes: usize,
    sha256: String,
    inputs: Vec<Value>,
    outputs: Vec<Value>,
    network: Summary,
    manifest: Option<&'a Manifest>,
}

#[derive(serde::Serialize)]
struct Value {
    name: String,
    /// -1 where the file leaves it open.
    shape: Vec<i64>,
}

/// Runs the verb.
///
/// # Errors
/// A sentence, if there is no such model or it is not an ONNX file.
pub fn run(args: &ShowArgs) -> Result<Exit, Failure> {
    let named = Named::of(&args.model)?;
    let (inputs, outputs) = declared(&named.onnx).map_err(|e| format!("{}: {e}", args.model))?;
    let values = |list: Vec<Declared>| list.into_iter().map(|d| Value { name: d.name, shape: d.dims }).collect();
    let shown = Shown {
        model: &args.model,
        bytes: named.onnx.len(),
        sha256: sha256_hex(&named.onnx),
        inputs: values(inputs),
        outputs: values(outputs),
        network: Summary::of(&named.proto()?).map_err(|e| format!("{}: {e}", args.model))?,
        manifest: named.manifest.as_ref(),
    };
    let text =
        if args.json { serde_json::to_string_pretty(&shown)? + "\n" } else { describe(&shown, args.lang.unwrap_or_else(locale)) };
    print(text.as_bytes())?;
    Ok(Exit::Done)
}

fn describe(shown: &Shown, lang: Lang) -> String {
    let mut lines = vec![match shown.manifest {
        Some(m) => format!("{} {}  {}", m.name, m.version, lang.pick(&m.title_en, &m.title_zh)),
        None => shown.model.to_owned(),
    }];
    let mut row = |en: &str, zh: &str, text: String| {
        // A Chinese character is two columns wide.
        let label = lang.pick(en, zh);
        let width = unicode_width::UnicodeWidthStr::width(label);
        lines.push(format!("  {label}{}{text}", " ".repeat(16_usize.saturating_sub(width))));
    };
    let n = &shown.network;
    row("file", "文件", format!("{} {}, sha256 {}", shown.bytes, lang.pick("bytes", "字节"), shown.sha256));
    row("written by", "生成程序", format!("{}, ONNX {} {}", n.producer, lang.pick("operators", "算子集"), n.opset));
    for (en, zh, values) in [("input", "输入", &shown.inputs), ("output", "输出", &shown.outputs)] {
        values.iter().for_each(|v| row(en, zh, format!("{} {}", v.name, shape(&v.shape))));
    }
    row("network", "网络", network(n, lang));
    row("numbers", "参数", format!("{} int8, {} f32", n.numbers_int8, n.numbers_f32));
    row("precision", "精度", precision(n.precision, lang).to_owned());
    if let Some((low, middle, high)) = steps(n) {
        let text = format!("{low:.5} - {high:.5}, {} {middle:.5}", lang.pick("median", "中位数"));
        row("input steps", "激活步长", text);
        let kept = lang.pick("kept by all quantized convolutions", "所有量化卷积均满足").to_owned();
        row("pair rule", "相邻权重规则", n.breach().map_or(kept, |b| format!("{}: {b}", lang.pick("BROKEN", "不满足"))));
    }
    if let Some(m) = shown.manifest {
        row("films", "胸片预处理", lang.pick(&preprocessing_en(m), &preprocessing_zh(m)).to_owned());
        row("intended use", "适用年龄", format!("≥ {} {}", m.intended_use.minimum_age_years, lang.pick("years", "岁")));
        lines.extend(findings(m, lang));
    }
    lines.join("\n") + "\n"
}

fn preprocessing_en(m: &Manifest) -> String {
    let i = &m.input;
    format!("reduced to {0} x {0} px, network input {1} x {1}, (grey - {2}) / {3}", i.detail, i.size, i.mean, i.std)
}

fn preprocessing_zh(m: &Manifest) -> String {
    let i = &m.input;
    format!("缩至 {0} x {0} 像素，网络输入 {1} x {1}，(灰度 - {2}) / {3}", i.detail, i.size, i.mean, i.std)
}

fn network(n: &Summary, lang: Lang) -> String {
    match (&n.densenet, &n.not_a_densenet) {
        (Some(d), _) => {
            let name = match d.blocks.as_slice() {
                [6, 12, 24, 16] => "DenseNet121",
                [6, 12, 32, 32] => "DenseNet169",
                [6, 12, 48, 32] => "DenseNet201",
                _ => "DenseNet",
            };
            let blocks: Vec<String> = d.blocks.iter().map(ToString::to_string).collect();
            let blocks = blocks.join(" + ");
            let (growth, features, logits) = (d.growth, d.feature_channels, d.logits);
            match lang {
                Lang::En => {
                    format!("{name}: {blocks} dense layers, growth {growth}, {features} feature channels, {logits} logits")
                }
                Lang::Zh => format!("{name}：{blocks} 个稠密层，增长率 {growth}，{features} 个特征通道，{logits} 个输出"),
            }
        }
        (None, why) => {
            let operators: Vec<String> = n.operators.iter().map(|(op, n)| format!("{n} {op}")).collect();
            format!("{}; {}", operators.join(", "), why.as_deref().unwrap_or_default())
        }
    }
}

fn precision(precision: Precision, lang: Lang) -> &'static str {
    match (precision, lang) {
        (Precision::F32, _) => "f32",
        (Precision::Int8Weights, Lang::En) => "weights int8, arithmetic f32",
        (Precision::Int8Weights, Lang::Zh) => "权重 int8，运算 f32",
        (Precision::Int8, Lang::En) => {
            "int8 convolutions (u8 x s8, one step an input, one scale an output channel); first convolution and head f32"
        }
        (Precision::Int8, Lang::Zh) => "int8 卷积（u8 x s8，每个输入一个步长，每个输出通道一个比例）；首层卷积和分类层 f32",
    }
}

/// Smallest, middle and largest step of the quantized inputs.
fn steps(n: &Summary) -> Option<(f32, f32, f32)> {
    let mut steps: Vec<f32> = n.quantized.iter().map(|c| c.input_step).collect();
    steps.sort_by(f32::total_cmp);
    Some((*steps.first()?, *steps.get(steps.len() / 2)?, *steps.last()?))
}

fn findings(m: &Manifest, lang: Lang) -> Vec<String> {
    let row = |f: &chexbox::model::FindingSpec| match f.operating {
        Some(o) => format!(
            "    {:<34} {:<8} {} {:.3}  ({} {:.3}, {} {:.3})",
            f.id,
            f.variable,
            lang.pick("operating point", "阈值"),
            o.threshold,
            lang.pick("slope", "斜率"),
            o.slope,
            lang.pick("intercept", "截距"),
            o.intercept
        ),
        None => format!("    {:<34} {:<8} {}", f.id, f.variable, lang.pick("not trained", "未训练")),
    };
    std::iter::once(format!("  {}", lang.pick("findings", "征象"))).chain(m.findings.iter().map(row)).collect()
}

fn shape(dims: &[i64]) -> String {
    let dims: Vec<String> = dims.iter().map(|d| if *d < 0 { "N".to_owned() } else { d.to_string() }).collect();
    format!("[{}]", dims.join(", "))
}
