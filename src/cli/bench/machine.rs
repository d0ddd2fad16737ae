//! What the system says of this process and this machine; nothing that it does not say is guessed.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;

/// Cores that this process may use, by its affinity and quota.
pub(super) fn cores() -> usize {
    available_parallelism().map_or(1, NonZeroUsize::get)
}

/// The most memory that this process had resident so far, MB of 10^6 bytes; `None` where the system does not say.
pub(super) fn rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    peak_kib(&status).map(|kib| kib as f64 * 1_024.0 / 1e6)
}

/// The field VmHWM of proc(5), KiB.
fn peak_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The processor, as the system names it.
pub(super) fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_from_the_field_of_that_name() {
        assert_eq!(peak_kib("Name:\tx\nVmPeak:\t  99 kB\nVmHWM:\t   12345 kB\nVmRSS:\t 7 kB\n"), Some(12_345));
        assert_eq!(peak_kib("VmRSS:\t 7 kB\n"), None);
    }
}
