//! `chexbox serve`: the service. Brings configuration, models, store, gate and answers together, and ends them in order.

mod admission;
mod check;
mod desk;
mod identities;
mod intake;
mod listen;
mod measures;
mod objects;
mod previews;
mod queue;
mod rounds;
mod shelf;

use super::{Exit, Failure, WrongCommandLine, load, read};
pub(super) use admission::now_ms;
use admission::{Admission, KnownToStore};
use chexbox::appliance::config::{self, Keys, Proxy, Settings};
use chexbox::appliance::notify::Notify;
use chexbox::http::backend::Backend;
use chexbox::http::failures::Failures;
use chexbox::http::gate::{Gate, GateConfig, GateLimits};
use chexbox::http::route::{Context, Peers};
use chexbox::http::token::Tokens;
use chexbox::limits::{ANSWERS_BESIDE, CONFIG_BYTES_MAX, DRAIN_MS_MAX};
use chexbox::model::Bundle;
use chexbox::model::kernels::Pool;
use chexbox::reading::Reader;
use chexbox::report::record::PROGRAM;
use chexbox::store::{self, Actor, Digest, Event, HeadCheck, Images, Kind, Store};
use desk::FrontDesk;
use identities::Identities;
use objects::Objects;
use queue::Queue;
use rounds::Wake;
use shelf::Shelf;
use std::fs::DirBuilder;
use std::num::NonZeroUsize;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time for the last answers after the gate has closed, milliseconds.
const LAST_ANSWERS_MS: u64 = 500;

const EXAMPLES: &str = "Examples / 示例:
  chexbox serve                                     on this machine alone: http://127.0.0.1:8080 / 仅本机
  chexbox serve --check                             check /etc/chexbox/chexbox.toml, then end / 检查配置
  chexbox serve --listen 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem --public-key chexbox.pub
  chexbox serve --dicom 0.0.0.0:11112 --dicom-peer ROOM1@10.0.0.7   films by C-STORE too / 同时接收 DICOM
  curl --data-binary @film.dcm http://127.0.0.1:8080/v1/readings
  chexbox probe http://127.0.0.1:8080               does it read as it should? / 自检

Every flag is also a key of the configuration file, with the same name: listen = [\"127.0.0.1:8080\"], queue = 16.
SIGHUP reads certificate and key again; SIGTERM answers what has begun and ends.
每个参数都可写入配置文件。SIGHUP 重新读取证书；SIGTERM 处理完当前请求后退出。";

/// Options of `serve`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ServeArgs {
    /// Configuration; /etc/chexbox/chexbox.toml where it is there / 配置文件
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the configuration, models, keys and certificates, say what holds, and end / 只检查配置
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    keys: Keys,
}

/// Runs the verb.
///
/// # Errors
/// A sentence that says what to change.
pub fn run(args: &ServeArgs) -> Result<Exit, Failure> {
    let settings = settings(args.config.as_deref(), &args.keys)?;
    if args.check {
        return check::run(&settings);
    }
    let wakes = rounds::signals()?;
    let notify = Arc::new(Notify::from_env()?);
    notify.status("loading models");
    let workers = workers(&settings);
    let readers = readers(&settings, workers)?;
    let identities = Identities::of(&settings)?;
    let store = opened(&settings)?;
    identities.may_use(&store)?;
    let sockets = listen::sockets(&settings)?;
    let (backend, socket) = listen::backend(&settings.state)?;
    let shelf = Shelf::new(Arc::clone(&store), images(&settings), identities, &readers)?;
    let admission = Admission { tokens: tokens(&settings, &store)?, failures: Failures::new() };
    let desk = Arc::new(FrontDesk {
        queue: Queue::start(readers, Objects::of(&settings), workers, settings.queue)?,
        shelf,
        previews: previews::Previews::default(),
        admission,
        gate: Mutex::default(),
        scp: Mutex::default(),
        turned_away: AtomicU64::new(0),
    });
    let context = Arc::new(Context::new(desk.clone(), settings.body_bytes, peers(&settings)));
    let answers = workers + settings.queue + ANSWERS_BESIDE;
    let backend = Backend::start(backend.into(), &context, answers)?;
    let gate = Gate::start(GateConfig { listeners: sockets.clients, backend: socket, limits: gate_limits(&settings, answers) })?;
    say_addresses(&settings, &gate);
    *desk.gate.lock().unwrap_or_else(PoisonError::into_inner) = Some(gate);
    *desk.scp.lock().unwrap_or_else(PoisonError::into_inner) = intake::start(&settings, sockets.modalities, &desk)?;
    notify.ready();
    notify.status("reading films");
    rounds::start(&desk, &notify, &wakes)?;
    let why = serve_until_the_end(&desk, &wakes);
    notify.stopping();
    drop(context);
    let scp = desk.scp.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(scp) = scp {
        scp.drain(Duration::from_millis(LAST_ANSWERS_MS));
    }
    end(desk, backend);
    match why {
        Wake::StoreFailed => Err("the disk did not confirm a write; starting again opens what is on it".into()),
        Wake::GateEnded => Err("the gate has ended; the log says why".into()),
        Wake::Stop | Wake::Reload => Ok(Exit::Done),
    }
}

/// Does what signals and the rounds ask for, until one of them ends the service.
fn serve_until_the_end(desk: &FrontDesk, wakes: &rounds::Wakes) -> Wake {
    loop {
        match wakes.next() {
            Wake::Reload => reload(desk),
            end => return end,
        }
    }
}

fn reload(desk: &FrontDesk) {
    let outcome = match desk.gate.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Gate::reload_tls) {
        Some(Err(e)) => {
            log::error!("the certificate was not read again, the old one stays in use: {e}");
            "failed"
        }
        _ => {
            super::say("chexbox: certificate and key were read again");
            "done"
        }
    };
    let event = Event::new(Kind::TlsReloaded).with("outcome", outcome);
    if let Err(e) = desk.shelf.store.audit(&event, &Actor::daemon(now_ms())) {
        log::error!("the audit did not take a record: {e}");
    }
}

/// Ends in order: no new readings, no new connections, the last answers, then the record that it ended.
fn end(desk: Arc<FrontDesk>, backend: Backend) {
    desk.queue.stop();
    let gate = desk.gate.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(gate) = gate {
        gate.drain(Duration::from_millis(DRAIN_MS_MAX));
    }
    backend.stop(Duration::from_millis(LAST_ANSWERS_MS));
    if !desk.queue.ended(Duration::from_millis(LAST_ANSWERS_MS)) {
        log::warn!("a film was still being read at the end; it was not answered");
    }
    desk::note_turned_away(&desk);
    if let Err(e) = desk.shelf.store.audit(&Event::new(Kind::Stopped), &Actor::daemon(now_ms())) {
        log::error!("the audit did not take the record of the end: {e}");
    }
    // The store is closed when nobody holds the desk any more; a round that is under way lets go of it soon.
    let end = Instant::now() + Duration::from_millis(LAST_ANSWERS_MS);
    while Arc::strong_count(&desk) > 1 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The file's keys under those of the command line, checked.
///
/// # Errors
/// A sentence that names the file, the key and what is allowed.
pub(super) fn settings(file: Option<&Path>, flags: &Keys) -> Result<Settings, Failure> {
    let path = file.unwrap_or(Path::new(config::FILE));
    let at = |e: &dyn std::fmt::Display| WrongCommandLine(format!("{}: {e}", path.display()));
    let keys = match load::read_bounded(path, CONFIG_BYTES_MAX) {
        Ok(text) => Keys::parse(&String::from_utf8(text).map_err(|e| at(&e))?).map_err(|e| at(&e))?,
        Err(e) if file.is_none() && e.kind() == std::io::ErrorKind::NotFound => Keys::default(),
        Err(e) => return Err(at(&e).into()),
    };
    flags.clone().over(keys).settings().map_err(|e| WrongCommandLine(e.to_string()).into())
}

/// Behind a proxy of the site's own, it alone connects, and says for whom.
fn peers(settings: &Settings) -> Peers {
    match settings.proxy {
        Proxy::None => Peers::Connected,
        Proxy::AddsTls => Peers::Forwarded,
    }
}

fn workers(settings: &Settings) -> usize {
    settings.workers.or_else(|| std::thread::available_parallelism().ok().map(NonZeroUsize::get)).unwrap_or(1)
}

/// The models of the configuration, in its order; those of the binary where it names none. Each has passed its probe.
fn readers(settings: &Settings, threads: usize) -> Result<Vec<Reader>, Failure> {
    let bundles: Vec<Bundle> = match settings.models.as_slice() {
        [] => {
            let mut all = load::bundles("all")?;
            // The one that `read` uses unless told otherwise comes first here too.
            all.sort_by_key(|b| b.manifest().name != read::DEFAULT_MODEL);
            all
        }
        names => names.iter().map(|name| load::one(name)).collect::<Result<_, _>>()?,
    };
    read::readers_of(bundles, &settings.threshold, &settings.thresholds, threads, &Pool::new(1))
}

fn images(settings: &Settings) -> Images {
    if settings.keep_images { Images::Keep } else { Images::Drop }
}

/// The store, with the records of this start.
fn opened(settings: &Settings) -> Result<Arc<Store>, Failure> {
    let default = store::Settings::default();
    let of_store = store::Settings {
        keep_days: settings.retain_days,
        keep_audit_days: settings.retain_audit_days,
        disk_percent: settings.retain_disk_percent.unwrap_or(default.disk_percent),
        images: images(settings),
    };
    let at = |e: &dyn std::fmt::Display| format!("{}: {e}", settings.state.display());
    DirBuilder::new().recursive(true).mode(0o700).create(&settings.state).map_err(|e| at(&e))?;
    let (store, opened) = Store::open(&settings.state, &of_store).map_err(|e| at(&e))?;
    if let Some((from, to)) = opened.migrated {
        super::say(&format!("chexbox: the store was brought from schema {from} to {to}"));
    }
    if let HeadCheck::Broken(how) = &opened.head {
        super::say(&format!(
            "chexbox: WARNING: the audit is not as it was left: {how}; chexbox audit verify says more / 警告：审计记录与上次结束时不一致"
        ));
    }
    let by = Actor::daemon(now_ms());
    let configuration = Digest::of(format!("{settings:?}").as_bytes()).to_string();
    let known = |kind: Kind| store.audit_records(Some(kind.as_str()), None, 1);
    let last = known(Kind::ConfigurationChanged).map_err(|e| at(&e))?.pop();
    if last.is_none_or(|record| !record.detail.contains(&configuration)) {
        let changed = Event::new(Kind::ConfigurationChanged).with("sha256", &configuration);
        store.audit(&changed, &by).map_err(|e| at(&e))?;
    }
    store.audit(&opened.started(PROGRAM), &by).map_err(|e| at(&e))?;
    Ok(Arc::new(store))
}

/// What verifies tokens, where keys are configured.
fn tokens(settings: &Settings, store: &Arc<Store>) -> Result<Option<Tokens>, Failure> {
    if settings.public_keys.is_empty() {
        return Ok(None);
    }
    let keys = check::public_keys(settings)?;
    let fingerprint = check::fingerprint(settings)?;
    let known = Box::new(KnownToStore(Arc::clone(store)));
    Ok(Some(Tokens::new(keys, fingerprint.as_str(), known)))
}

fn gate_limits(settings: &Settings, answers: usize) -> GateLimits {
    GateLimits {
        connections: settings.connections,
        connections_per_peer: settings.connections_per_peer,
        exchanges: answers,
        body_bytes: settings.body_bytes,
        ..GateLimits::default()
    }
}

/// Says where it listens, and aloud where that is without TLS.
fn say_addresses(settings: &Settings, gate: &Gate) {
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    for address in gate.addresses() {
        super::say(&format!("chexbox: listening on {scheme}://{address}"));
        if settings.tls.is_none() && !address.ip().to_canonical().is_loopback() {
            super::say(
                "chexbox: WARNING: without TLS beyond this machine (plain-http-behind-proxy): only the proxy may reach this \
                 address, or films and tokens can be read on the way / 警告：未加密，仅应由反向代理访问",
            );
        }
    }
}
