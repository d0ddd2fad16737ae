//! `chexbox serve`: the service. Brings configuration, models, store, gate and answers together, and ends them in order.

mod desk;
mod previews;
mod queue;

use super::{Exit, Failure, WrongCommandLine, load, read};
use chexbox::appliance::config::{self, Keys, Settings};
use chexbox::appliance::notify::Notify;
use chexbox::http::backend::Backend;
use chexbox::http::route::Context;
use chexbox::model::kernels::Pool;
use chexbox::model::Bundle;
use chexbox::limits::{ANSWERS_BESIDE, CONFIG_BYTES_MAX, DRAIN_MS_MAX};
use desk::FrontDesk;
use queue::Queue;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Options of `serve`.
#[derive(clap::Args)]
pub struct ServeArgs {
    /// Configuration; /etc/chexbox/chexbox.toml where it is there / 配置文件
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the configuration, models and files, say what holds, and end / 只检查配置
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
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let notify = Notify::from_env()?;
    let workers = settings.workers.or_else(|| std::thread::available_parallelism().ok().map(NonZeroUsize::get)).unwrap_or(1);
    let bundles = bundles(&settings)?;
    let pool = Pool::new(1);
    let readers = read::readers_of(bundles, &settings.threshold, &settings.thresholds, workers, &pool)?;
    let desk = Arc::new(FrontDesk {
        queue: Queue::start(readers, workers, settings.queue)?,
        previews: previews::Previews::default(),
        shelf: std::sync::Mutex::default(),
    });
    let context = Arc::new(Context::new(desk.clone(), settings.body_bytes));
    let at = settings.listen.first().copied().unwrap_or_else(|| config::LISTEN.parse().expect("an address"));
    let listener = TcpListener::bind(at)?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    let backend = Backend::start(listener.into(), &context, workers + settings.queue + ANSWERS_BESIDE)?;
    notify.ready();
    for signal in signals.forever() {
        if signal != SIGHUP {
            break;
        }
    }
    notify.stopping();
    desk.queue.stop();
    backend.stop(Duration::from_millis(DRAIN_MS_MAX));
    Ok(Exit::Done)
}

/// The file's keys under those of the command line, checked.
fn settings(file: Option<&Path>, flags: &Keys) -> Result<Settings, Failure> {
    let path = file.unwrap_or(Path::new(config::FILE));
    let at = |e: &dyn std::fmt::Display| WrongCommandLine(format!("{}: {e}", path.display()));
    let keys = match load::read_bounded(path, CONFIG_BYTES_MAX) {
        Ok(text) => Keys::parse(&String::from_utf8(text).map_err(|e| at(&e))?).map_err(|e| at(&e))?,
        Err(e) if file.is_none() && e.kind() == std::io::ErrorKind::NotFound => Keys::default(),
        Err(e) => return Err(at(&e).into()),
    };
    flags.clone().over(keys).settings().map_err(|e| WrongCommandLine(e.to_string()).into())
}

/// The models of the configuration, in its order; those of the binary where it names none.
fn bundles(settings: &Settings) -> Result<Vec<Bundle>, Failure> {
    if settings.models.is_empty() {
        return load::bundles("all");
    }
    settings.models.iter().map(|name| load::one(name)).collect()
}
