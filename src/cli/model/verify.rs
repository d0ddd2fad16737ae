//! `chexbox model verify`: is a model what it was when it was made, and does it compute the same here?

use super::checks::{Check, checks};
use super::{Exit, Failure};
use crate::cli::print;
use crate::cli::read::{locale, parse_lang};
use chexbox::lang::Lang;

const LONG: &str = "Checks a model of this binary or a bundle (a folder with a manifest.toml), and says of each check what was \
found, and where one fails what to do: the manifest; size and SHA-256 of each file; shapes; the pair rule of the integers \
(see `model show --help`); the probe, a formula image whose logits must be those of the export; and that the program's own \
operators run it.\n\nThe exit code is 0 where every check passes and 3 where one fails.\n\n\
检查模型清单、摘要、形状、整数权重规则、自检图像结果与融合算子；全部通过返回 0，否则返回 3。";

/// Options of `model verify`.
#[derive(clap::Args)]
#[command(long_about = LONG)]
pub struct VerifyArgs {
    /// findings25, findings10, or a folder with a bundle / 模型
    #[arg(value_name = "NAME|DIR")]
    model: String,
    /// Write JSON / 输出 JSON
    #[arg(long)]
    json: bool,
    /// Language of texts: en or zh; after LC_ALL, LC_MESSAGES, LANG unless given / 语言
    #[arg(long, value_parser = parse_lang)]
    lang: Option<Lang>,
}

/// Runs the verb.
///
/// # Errors
/// A sentence, if there is no such model.
pub fn run(args: &VerifyArgs) -> Result<Exit, Failure> {
    let lang = args.lang.unwrap_or_else(locale);
    let checks = checks(&args.model)?;
    let passed = checks.iter().all(|c| c.ok);
    let text = if args.json {
        serde_json::to_string_pretty(&serde_json::json!({ "model": args.model, "passed": passed, "checks": checks }))? + "\n"
    } else {
        checks.iter().map(|c| line(c, lang)).collect::<String>() + &verdict(&args.model, passed, lang)
    };
    print(text.as_bytes())?;
    Ok(if passed { Exit::Done } else { Exit::CannotRun })
}

fn line(check: &Check, lang: Lang) -> String {
    let mark = if check.ok { lang.pick("ok    ", "通过  ") } else { lang.pick("FAILED", "未通过") };
    let mut text = format!("{mark}  {}: {}\n", lang.pick(check.what, check.what_zh), check.found);
    if let Some(fix) = check.fix {
        text += &format!("        {} {}\n", lang.pick("what to do:", "处理："), lang.pick(fix, check.fix_zh));
    }
    text
}

fn verdict(model: &str, passed: bool, lang: Lang) -> String {
    match (passed, lang) {
        (true, Lang::En) => format!("{model} is what it was when it was made\n"),
        (true, Lang::Zh) => format!("{model} 与制作时一致\n"),
        (false, Lang::En) => format!("{model} must not be used as it is\n"),
        (false, Lang::Zh) => format!("{model} 目前不可使用\n"),
    }
}
