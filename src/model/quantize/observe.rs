//! The calibration films through the network in f32, counting what flows into each convolution.

use super::chain::Chain;
use super::plan::{Output, Plan};
use super::statistics::{Statistics, Tops};
use super::{Calibration, QuantizeError, write};
use crate::input::Plane;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Statistics of every convolution that [`Chain::each_site`] visits: one pass over the films for the largest values, one for
/// the histograms up to them.
///
/// # Errors
/// [`QuantizeError`] where there is no film or the network cannot be run.
pub fn observe(chain: &Chain, calibration: &Calibration) -> Result<Vec<Statistics>, QuantizeError> {
    if calibration.films == 0 {
        return Err(QuantizeError::NoFilms);
    }
    let written = write::write(chain, calibration.size);
    let plan = Plan::new(&written.model, &written.sites, chain.image_channels(), calibration.size)?;
    let shapes: Vec<Vec<usize>> = inputs_of(&plan, &(calibration.film)(0))?.into_iter().map(|(dims, _)| dims).collect();
    let channels = |dims: &Vec<usize>| dims.first().copied().unwrap_or(0);
    let tops: Vec<_> = shapes.iter().map(|dims| Mutex::new(Tops::new(channels(dims)))).collect();
    pass(&plan, calibration, 0, &|site, map| see(tops.get(site), |tops| tops.see(map)))?;
    let seen: Vec<_> = tops.into_iter().map(|tops| Mutex::new(Statistics::new(opened(tops)))).collect();
    pass(&plan, calibration, 1, &|site, map| see(seen.get(site), |seen| seen.see(map)))?;
    let mut seen: Vec<Statistics> = seen.into_iter().map(opened).collect();
    seen.iter_mut().for_each(Statistics::close);
    Ok(seen)
}

/// Shows every film's maps to `see`, by position of the convolution they flow into.
fn pass(plan: &Plan, films: &Calibration, pass: usize, see: &(dyn Fn(usize, &[f32]) + Sync)) -> Result<(), QuantizeError> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || -> Result<(), QuantizeError> {
        loop {
            let film = next.fetch_add(1, Ordering::Relaxed);
            if film >= films.films {
                return Ok(());
            }
            inputs_of(plan, &(films.film)(film))?.iter().enumerate().for_each(|(site, (_, map))| see(site, map));
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            (films.seen)(pass * films.films + done, 2 * films.films);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..films.threads.clamp(1, films.films)).map(|_| scope.spawn(work)).collect();
        let ends = workers.into_iter().map(|w| w.join().unwrap_or_else(|_| Err(QuantizeError::Engine("a thread ended".into()))));
        ends.collect::<Result<(), _>>()
    })
}

/// What flows into the convolutions: the outputs behind logits and features.
fn inputs_of(plan: &Plan, film: &Plane) -> Result<Vec<Output>, QuantizeError> {
    Ok(plan.run(film)?.into_iter().skip(2).collect())
}

fn see<T>(counts: Option<&Mutex<T>>, add: impl FnOnce(&mut T)) {
    if let Some(counts) = counts {
        add(&mut counts.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn opened<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}
