//! `chexbox probe URL`: the field engineer's integration test. Sends the drawn test film to a running service and compares
//! its answer with what this binary itself reads on the same film.
//!
//! In: an address. Out: a line for each thing that was tried, in plain words, with what to do where it failed.

mod client;

use super::output::print;
use super::{Exit, Failure, WrongCommandLine, load, read};
use chexbox::lang::Lang;
use chexbox::limits::KEY_FILE_BYTES_MAX;
use chexbox::model::kernels::Pool;
use chexbox::model::{Bundle, Session};
use chexbox::radiograph::drawn::DrawnFilm;
use chexbox::reading::{self, HeatMaps, Reader};
use chexbox::report::kept::KeptReading;
pub(super) use client::trusting;
use client::{Client, Reply};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Instant;

/// Largest difference of a probability between two machines: the arithmetic is the same, only rounding in f32 may differ.
const TOLERANCE: f64 = 1e-3;

/// Options of `probe`.
#[derive(clap::Args)]
pub struct ProbeArgs {
    /// Address of the service, for example http://127.0.0.1:8080 / 服务地址
    url: String,
    /// File with a token, where the service needs one / 令牌文件
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificate to trust, for example the one that chexbox tls self-signed made / 信任的证书
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Model to ask for; the service's first unless given / 模型
    #[arg(long)]
    model: Option<String>,
    /// Language: en or zh / 语言
    #[arg(long, value_parser = read::parse_lang)]
    lang: Option<Lang>,
}

/// What was tried and came out.
struct Report {
    lang: Lang,
    lines: Vec<String>,
    failed: bool,
}

impl Report {
    fn good(&mut self, en: &str, zh: &str) {
        self.lines.push(format!("ok    {}", self.lang.pick(en, zh)));
    }

    fn bad(&mut self, en: &str, zh: &str) {
        self.lines.push(format!("{}  {}", self.lang.pick("FAIL", "失败"), self.lang.pick(en, zh)));
        self.failed = true;
    }
}

/// Runs the verb.
///
/// # Errors
/// A command line that cannot be meant. A service that does not answer as it should is no error: it has its lines.
pub fn run(args: &ProbeArgs) -> Result<Exit, Failure> {
    let token = args.token_file.as_ref().map(|path| {
        let bytes = load::read_bounded(path, KEY_FILE_BYTES_MAX).map_err(|e| format!("{}: {e}", path.display()))?;
        String::from_utf8(bytes).map(|t| t.trim().to_owned()).map_err(|e| format!("{}: {e}", path.display()))
    });
    let client = Client::new(&args.url, token.transpose()?, args.ca.as_deref()).map_err(WrongCommandLine)?;
    let mut report = Report { lang: args.lang.unwrap_or_else(read::locale), lines: Vec::new(), failed: false };
    probe(&client, args.model.as_deref(), &mut report);
    let (en, zh) = match report.failed {
        false => ("The service reads as it should.", "服务工作正常。"),
        true => ("The service does not read as it should; see the lines above.", "服务工作异常，见上文。"),
    };
    report.lines.push(report.lang.pick(en, zh).to_owned());
    print((report.lines.join("\n") + "\n").as_bytes())?;
    Ok(if report.failed { Exit::CannotRun } else { Exit::Done })
}

/// Each step stands on the one before; the first that fails ends the probe.
fn probe(client: &Client, model: Option<&str>, report: &mut Report) {
    let Some(_) = reply(client, "GET", "/healthz", None, report) else { return };
    report.good("the service answers", "服务有响应");
    let Some(ready) = reply(client, "GET", "/readyz", None, report) else { return };
    if ready.status != 200 {
        return refused(&ready, "it is not ready to read", "服务未就绪", report);
    }
    report.good("it is ready: its models passed their probes, its store is open", "服务就绪：模型自检通过，数据库可用");
    let film = DrawnFilm { width: 1024, height: 1024, seed: 1 }.png();
    let target = format!("/v1/readings?name=chexbox-probe.png{}", model.map_or(String::new(), |m| format!("&model={m}")));
    let start = Instant::now();
    let Some(answer) = reply(client, "POST", &target, Some(&film), report) else { return };
    let took = start.elapsed().as_millis();
    if !matches!(answer.status, 200 | 201) {
        return refused(&answer, "it did not read the test film", "未能读取测试片", report);
    }
    let Ok(answer) = serde_json::from_slice::<Value>(&answer.body) else {
        return report.bad("its answer is not JSON: is this address chexbox?", "响应不是 JSON：该地址是 chexbox 吗？");
    };
    report
        .good(&format!("it read the drawn test film; the answer came after {took} ms"), &format!("测试片已读，用时 {took} 毫秒"));
    compare(&answer, &film, report);
}

/// Compares the answer with what this binary reads.
fn compare(answer: &Value, film: &[u8], report: &mut Report) {
    let (name, sha256) = (answer["model"]["name"].as_str().unwrap_or(""), answer["model"]["sha256"].as_str().unwrap_or(""));
    let bundle = Bundle::embedded(name).and_then(Result::ok).filter(|b| b.manifest().file.sha256 == sha256);
    let Some(bundle) = bundle else {
        return report.good(
            &format!("its model {name} is not in this binary: the numbers cannot be compared"),
            &format!("本程序不含模型 {name}：无法比较数值"),
        );
    };
    let kept = match expected(&bundle, film) {
        Ok(kept) => kept,
        Err(e) => return report.bad(&format!("this machine cannot read the film: {e}"), &format!("本机无法读片：{e}")),
    };
    let given: Vec<(&str, Option<f64>)> = answer["findings"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|f| (f["id"].as_str().unwrap_or(""), f["probability"].as_f64()))
        .collect();
    let wanted: Vec<(&str, Option<f64>)> =
        kept.findings.iter().flatten().map(|f| (f.id.as_str(), f.assessed.map(|n| f64::from(n.probability)))).collect();
    let differs = wanted.iter().enumerate().find(|(i, (id, p))| {
        let Some((other, q)) = given.get(*i) else { return true };
        id != other || p.is_some() != q.is_some() || p.zip(*q).is_some_and(|(p, q)| (p - q).abs() > TOLERANCE)
    });
    match differs {
        None if given.len() == wanted.len() => report.good(
            &format!("its numbers are those of this binary ({} findings within {TOLERANCE})", wanted.len()),
            &format!("数值与本程序一致（{} 项，误差不超过 {TOLERANCE}）", wanted.len()),
        ),
        Some((i, (id, p))) => {
            let found = given.get(i);
            report.bad(
                &format!(
                    "finding {id}: expected {p:?}, the service says {found:?}; run chexbox model verify {name} on its machine"
                ),
                &format!("征象 {id}：应为 {p:?}，服务给出 {found:?}；请在服务器上运行 chexbox model verify {name}"),
            );
        }
        None => report.bad("it lists more findings than its model has", "征象数量与模型不符"),
    }
}

fn expected(bundle: &Bundle, film: &[u8]) -> Result<KeptReading, String> {
    Pool::new(1).install(|| {
        let session = Session::load(bundle).map_err(|e| e.to_string())?;
        let reader = Reader { session, thresholds: chexbox::findings::Thresholds::none() };
        let film = reading::admit(film).map_err(|r| r.to_string())?;
        let reading = reader.read(&film, HeatMaps::Skip).map_err(|r| r.to_string())?;
        Ok(KeptReading::of(bundle.manifest(), reader.session.engine(), &film.facts, &film.steps, &reading))
    })
}

fn reply(client: &Client, method: &str, target: &str, body: Option<&[u8]>, report: &mut Report) -> Option<Reply> {
    match client.ask(method, target, body) {
        Ok(reply) => Some(reply),
        Err(e) => {
            let (en, zh) = e.words();
            report.bad(&en, &zh);
            None
        }
    }
}

/// What a problem says, in plain words.
fn refused(reply: &Reply, en: &str, zh: &str, report: &mut Report) {
    let problem: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
    let text = |key: &str| problem[key].as_str().unwrap_or("").to_owned();
    let said = format!("{} {} {}", reply.status, text("detail"), text("remedy"));
    report.bad(&format!("{en}: {said}"), &format!("{zh}：{said}"));
}
