//! Who must give way when all places, or all memory, are taken.
//!
//! Not the one who came last, or 200 slow addresses would lock everyone out; but the one who has made least progress, once it
//! has had the time that an honest client needs.

use super::GateLimits;

/// Time in which an honest client sends a head even over a bad line while the machine is busy, milliseconds.
const GRACE_MS: u64 = 2_000;
/// Time in which it does on a quiet machine: counts only where nobody has had the longer one.
const SHORT_GRACE_MS: u64 = 250;

/// Graces in the order in which they are tried.
pub const GRACES_MS: [u64; 2] = [GRACE_MS, SHORT_GRACE_MS];

/// The lowest rate among those that have one; of equals the first.
pub fn slowest<T>(candidates: impl Iterator<Item = (T, Option<u64>)>) -> Option<T> {
    candidates.filter_map(|(who, rate)| Some((who, rate?))).min_by_key(|(_, rate)| *rate).map(|(who, _)| who)
}

/// File descriptors of one exchange: our end, and two of tiny_http's, which duplicates each socket.
const DESCRIPTORS_OF_AN_EXCHANGE: u64 = 3;
/// Below these a gate is of no use.
const CONNECTIONS_MIN: u64 = 8;
const EXCHANGES_MIN: u64 = 2;

/// File descriptors that `limits` need beside `left` for the rest of the program.
pub fn descriptors_needed(limits: &GateLimits, left: u64) -> u64 {
    left + limits.connections as u64 + DESCRIPTORS_OF_AN_EXCHANGE * limits.exchanges as u64
}

/// The connections and exchanges that `allowed` descriptors leave room for, or how many would be needed at least.
///
/// # Errors
/// The least that is needed.
pub fn within_descriptors(limits: &GateLimits, allowed: u64, left: u64) -> Result<GateLimits, u64> {
    let least = left + CONNECTIONS_MIN + DESCRIPTORS_OF_AN_EXCHANGE * EXCHANGES_MIN;
    if allowed < least {
        return Err(least);
    }
    let room = allowed - left;
    // An eighth of the descriptors in exchanges is three eighths of them all.
    let exchanges = usize::try_from((room / 8).max(EXCHANGES_MIN)).unwrap_or(usize::MAX).min(limits.exchanges);
    let rest = room - DESCRIPTORS_OF_AN_EXCHANGE * exchanges as u64;
    let connections = usize::try_from(rest).unwrap_or(usize::MAX).min(limits.connections);
    Ok(GateLimits { connections, exchanges, ..limits.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_gives_way_and_who_may_not_is_left_alone() {
        assert_eq!(slowest([("a", Some(5)), ("b", None), ("c", Some(3)), ("d", Some(3))].into_iter()), Some("c"));
        assert_eq!(slowest([("a", None::<u64>)].into_iter()), None);
    }

    #[test]
    fn few_descriptors_leave_few_places_and_too_few_none() {
        let limits = GateLimits::default();
        let few = within_descriptors(&limits, 64, 32).unwrap();
        assert_eq!((few.connections, few.exchanges), (20, 4));
        let all = within_descriptors(&limits, descriptors_needed(&limits, 32), 32).unwrap();
        assert_eq!((all.connections, all.exchanges), (limits.connections, limits.exchanges));
        assert_eq!(within_descriptors(&limits, 45, 32).unwrap_err(), 46);
        assert!(within_descriptors(&limits, 46, 32).is_ok());
    }
}
