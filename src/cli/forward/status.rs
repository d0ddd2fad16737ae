//! `chexbox forward --status`: what waits, for whom, since when, and why.

use super::failures::words;
use crate::cli::output::print;
use crate::cli::{Exit, Failure};
use chexbox::appliance::config::Settings;
use chexbox::lang::Lang;
use chexbox::limits::REFUSED_LISTED_MAX;
use chexbox::store::{Line, Store};
use jiff::Timestamp;

/// Prints the outbox.
///
/// # Errors
/// A sentence, where the store cannot be read.
pub fn run(settings: &Settings, lang: Lang) -> Result<Exit, Failure> {
    let store = Store::open_beside(&settings.state).map_err(|e| format!("{}: {e}", settings.state.display()))?;
    let lines = store.outbox_lines()?;
    let mut text = String::new();
    for to in &settings.forward {
        let kinds: Vec<&str> = to.objects.iter().map(|kind| kind.as_str()).collect();
        text += &format!("{}  {}  {}\n", to.name, to.place(), kinds.join(", "));
        text += &match lines.iter().find(|line| line.destination == to.name) {
            Some(line) => waiting(line, lang),
            None => format!("  {}\n", lang.pick("nothing waits", "无待发送对象")),
        };
    }
    for line in lines.iter().filter(|line| settings.forward.iter().all(|to| to.name != line.destination)) {
        let why = lang.pick(
            "not in the configuration any more: give it a table [[forward]] again",
            "配置中已无此目标：请重新添加 [[forward]]",
        );
        text += &format!("{}  {why}\n{}", line.destination, waiting(line, lang));
    }
    if text.is_empty() {
        text = format!("{}\n", lang.pick("no archive is configured, and nothing waits", "未配置发送目标，也无待发送对象"));
    }
    for refused in store.outbox_refused(REFUSED_LISTED_MAX)? {
        let (kind, reading, to, n) = (&refused.kind, &refused.reading, &refused.destination, refused.attempts);
        let (next, why) = (time(refused.due_ms), words(&refused.why, lang));
        text += &match lang {
            Lang::En => format!("refused by {to}: {kind} of reading {reading}, {n} attempts, again after {next}: {why}\n"),
            Lang::Zh => format!("{to} 拒收：读片 {reading} 的 {kind}，已尝试 {n} 次，{next} 后重试：{why}\n"),
        };
    }
    print(text.as_bytes())?;
    Ok(Exit::Done)
}

fn waiting(line: &Line, lang: Lang) -> String {
    let (n, refused, oldest) = (line.waiting, line.refused, time(line.oldest_ms));
    let mut text = match lang {
        Lang::En => format!("  {n} wait, {refused} of them refused; the oldest of a reading of {oldest}\n"),
        Lang::Zh => format!("  待发送 {n} 个，其中被拒收 {refused} 个；最早的读片时间 {oldest}\n"),
    };
    if let Some((at, why)) = &line.failure {
        text += &format!("  {} {}: {}\n", lang.pick("last failure", "最近一次失败"), time(*at), words(why, lang));
    }
    text
}

fn time(ms: i64) -> String {
    // To the second: nobody waits for milliseconds here.
    Timestamp::from_second(ms.div_euclid(1_000)).map_or_else(|_| ms.to_string(), |t| t.to_string())
}
