//! `chexbox forward`: sends what the service has queued to the archives of the configuration.
//!
//! A process of its own beside `chexbox serve`, with the same state folder: it has the network and reads no film, the service
//! reads films and has no network. One thread an archive ([`worker`]), so that one which hangs or is away holds up no other.
//! Never: an object that leaves the outbox before its archive has confirmed it.

mod failures;
mod status;
mod worker;

use super::{Exit, Failure, WrongCommandLine, load, read, say};
use chexbox::appliance::config::{Keys, Settings};
use chexbox::appliance::destinations::{Destination, ForwardKeys, Protocol};
use chexbox::appliance::notify::{Notify, watchdog};
use chexbox::dicom_net::send::{Archive, Service};
use chexbox::lang::Lang;
use chexbox::limits::{DRAIN_MS_MAX, FORWARD_LOOK_MS, KEY_FILE_BYTES_MAX};
use chexbox::store::{Store, StoreError};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use worker::{Rounds, Shared, Worker};

/// How often the main thread looks around.
const LOOK: Duration = Duration::from_millis(200);

const EXAMPLES: &str = "Examples / 示例:
  chexbox forward                    send what /etc/chexbox/chexbox.toml says, until SIGTERM / 按配置持续发送
  chexbox forward --status           what waits, for whom, since when, and why / 查看待发送队列
  chexbox forward --once             try everything once, then end; exit code 1 where something still waits / 发送一轮后退出
  chexbox forward --state DIR --forward name=pacs,to=dicom://PACS@10.0.0.5:104,objects=sr+sc+gsps
  chexbox serve --check              check the configuration, destinations too / 检查配置

In chexbox.toml / 配置文件:
  [[forward]]
  name = \"pacs\"                                # in --status, /metrics and the audit / 名称
  to = \"dicom://PACS@10.0.0.5:104\"             # C-STORE; dicom+tls:// with ca / C-STORE
  objects = [\"sr\", \"sc\"]                       # sr, sc, gsps / 发送的对象
  [[forward]]
  name = \"cloud\"
  to = \"https://pacs.example/dicom-web\"        # STOW-RS; ca and authorization-file / STOW-RS
  ca = \"/etc/chexbox/pacs.pem\"

What an archive does not take is tried again for as long as its reading is kept, and nothing is dropped.
归档系统未接收的对象会一直重试，直到对应的读片记录被删除，不会丢弃。";

/// Options of `forward`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ForwardArgs {
    /// Configuration; /etc/chexbox/chexbox.toml where it is there / 配置文件
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the service's readings; /var/lib/chexbox unless given / 数据目录
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Archive instead of those of the file, repeatable; the keys of a table [[forward]] / 发送目标
    #[arg(long, value_name = "name=NAME,to=URL,objects=sr+sc,...")]
    forward: Option<Vec<ForwardKeys>>,
    /// Try everything that is due once, then end / 发送一轮后退出
    #[arg(long, conflicts_with = "status")]
    once: bool,
    /// Say what waits, and end / 查看队列
    #[arg(long)]
    status: bool,
    /// Language: en or zh / 语言
    #[arg(long, value_parser = read::parse_lang)]
    lang: Option<Lang>,
}

/// Runs the verb.
///
/// # Errors
/// A sentence that says what to change.
pub fn run(args: &ForwardArgs) -> Result<Exit, Failure> {
    let keys = Keys { state: args.state.clone(), forward: args.forward.clone(), ..Keys::default() };
    let settings = super::serve::settings(args.config.as_deref(), &keys)?;
    let lang = args.lang.unwrap_or_else(read::locale);
    if args.status {
        return status::run(&settings, lang);
    }
    if settings.forward.is_empty() {
        let what = lang.pick(
            "no archive is configured: add a table [[forward]] with name and to (chexbox forward --help shows one)",
            "未配置发送目标：请添加 [[forward]]，设置 name 和 to（示例见 chexbox forward --help）",
        );
        return Err(WrongCommandLine(what.to_owned()).into());
    }
    let archives = settings.forward.iter().map(archive).collect::<Result<Vec<_>, _>>()?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let notify = Notify::from_env()?;
    for (to, _) in settings.forward.iter().zip(&archives) {
        say(&format!("chexbox: forwarding to {} at {}", to.name, to.place()));
    }
    // The service may start later than this process, and may have to migrate the store first.
    notify.ready();
    let Some(store) = opened(&settings, &stop, &notify, args.once)? else { return Ok(Exit::Done) };
    let sends_alone = store.outbox_alone().map_err(|e| match e {
        StoreError::Busy => format!("{}: another chexbox forward sends from here: stop it first", settings.state.display()),
        other => other.to_string(),
    })?;
    warn_of_strangers(&store, &settings)?;
    let shared = Arc::new(Shared::new(store, stop));
    let rounds = if args.once { Rounds::Once } else { Rounds::Forever };
    let workers = settings.forward.iter().zip(archives).map(|(to, archive)| {
        let patience = to.connect + to.answer;
        Worker::start(to.name.clone(), archive, patience, rounds, Arc::clone(&shared))
    });
    let workers = workers.collect::<Result<Vec<_>, _>>()?;
    let ended = look_after(&shared, &workers, &notify);
    drop(sends_alone);
    ended?;
    let left = if args.once { shared.store.outbox_waiting()? } else { 0 };
    Ok(if left == 0 { Exit::Done } else { Exit::SomeRefused })
}

/// The store, once the service has made it; none where the process is to end before.
fn opened(settings: &Settings, stop: &AtomicBool, notify: &Notify, once: bool) -> Result<Option<Store>, Failure> {
    let mut said = String::new();
    while !stop.load(Ordering::SeqCst) {
        match Store::open_beside(&settings.state) {
            Ok(store) => return Ok(Some(store)),
            Err(e @ (StoreError::Absent(_) | StoreError::TooOld { .. } | StoreError::Busy)) if !once => {
                let why = e.to_string();
                if why != said {
                    say(&format!("chexbox: waiting for the store: {why}"));
                    notify.status(&format!("waiting for the store: {why}"));
                    said = why;
                }
                notify.alive();
                std::thread::sleep(Duration::from_millis(FORWARD_LOOK_MS));
            }
            Err(e) => return Err(format!("{}: {e}", settings.state.display()).into()),
        }
    }
    Ok(None)
}

/// Says what waits for nobody: a name that was changed, or a table that was removed.
fn warn_of_strangers(store: &Store, settings: &Settings) -> Result<(), Failure> {
    for line in store.outbox_lines()? {
        if settings.forward.iter().all(|to| to.name != line.destination) {
            let (name, count) = (&line.destination, line.waiting);
            say(&format!(
                "chexbox: {count} object(s) wait for {name}, which is not configured any more: give it a table [[forward]] again / \
                 {count} 个对象等待发往 {name}，但配置中已无此目标"
            ));
        }
    }
    Ok(())
}

/// Feeds the watchdog while all workers are alive, until they have ended or must.
fn look_after(shared: &Shared, workers: &[Worker], notify: &Notify) -> Result<(), Failure> {
    let pause = watchdog().map(|patience| patience / 4);
    let mut fed: Option<Instant> = None;
    let mut told = None;
    while workers.iter().any(|w| !w.has_ended()) && !shared.stopping() {
        if shared.store.must_be_opened_anew() {
            return Err("the disk did not confirm a write; starting again opens what is on it".into());
        }
        if shared.outdated.load(Ordering::SeqCst) {
            return Err("a newer chexbox has migrated the store; start this process again".into());
        }
        if pause.is_some_and(|pause| fed.is_none_or(|at| at.elapsed() >= pause)) {
            fed = Some(Instant::now());
            match workers.iter().find(|w| !w.is_alive()) {
                None => notify.alive(),
                Some(worker) => log::error!("the worker of {} does not move", worker.name),
            }
            let waiting = shared.store.outbox_waiting().ok();
            if waiting != told {
                notify.status(&format!("{} object(s) wait", waiting.unwrap_or_default()));
                told = waiting;
            }
        }
        std::thread::sleep(LOOK);
    }
    notify.stopping();
    // An object that is under way may arrive; one that does not stays in the outbox.
    let end = Instant::now() + Duration::from_millis(DRAIN_MS_MAX);
    while workers.iter().any(|w| !w.has_ended()) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A destination with what its files hold.
fn archive(to: &Destination) -> Result<Archive, Failure> {
    let tls = to.ca.as_deref().map(super::probe::trusting).transpose();
    let tls = tls.map_err(|e| WrongCommandLine(format!("forward {}: ca: {e}", to.name)))?;
    let service = match &to.protocol {
        Protocol::CStore { called } => Service::CStore { called: called.clone(), calling: to.calling.clone() },
        Protocol::Stow { path } => {
            let authorization = to.authorization_file.as_deref().map(authorization).transpose();
            let authorization =
                authorization.map_err(|e| WrongCommandLine(format!("forward {}: authorization-file: {e}", to.name)))?;
            Service::Stow { path: path.clone(), authorization }
        }
    };
    Ok(Archive { host: to.host.clone(), port: to.port, tls, service, connect: to.connect, answer: to.answer })
}

/// The value of a field Authorization.
fn authorization(path: &Path) -> Result<String, String> {
    let at = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let bytes = load::read_bounded(path, KEY_FILE_BYTES_MAX).map_err(|e| at(&e))?;
    let text = String::from_utf8(bytes).map_err(|e| at(&e))?.trim().to_owned();
    if text.is_empty() || !text.bytes().all(|b| (0x20..0x7F).contains(&b)) {
        return Err(at(&"it must hold one line, for example: Basic dXNlcjpwYXNzd29yZA=="));
    }
    Ok(text)
}
