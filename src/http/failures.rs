//! Sign-ins that failed, counted by peer: whoever fails too often waits.
//!
//! In: an address and a time in milliseconds of any steady clock. Out: whether it is blocked. Never: more memory than for
//! `FAILURE_PEERS_MAX` addresses. An IPv6 address counts as its /64, which is what one customer is given.

use crate::limits::{FAILURE_PEERS_MAX, FAILURE_WINDOW_MS, FAILURES_PER_WINDOW};
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

/// What one more failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// One of a few: record it.
    Counted,
    /// The last that is allowed: record it, and that the peer is blocked now.
    NowBlocked,
    /// The peer is blocked already, or there are too many peers to count: nothing is recorded, or an attacker could fill
    /// the disk with records.
    Beyond,
}

/// Failures of the last minute.
#[derive(Debug, Default)]
pub struct Failures {
    peers: Mutex<HashMap<IpAddr, VecDeque<i64>>>,
}

impl Failures {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// For how many seconds this peer is not asked; none where it may try.
    pub fn blocked_s(&self, peer: IpAddr, now_ms: i64) -> Option<u64> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let times = peers.get_mut(&counted_as(peer))?;
        forget(times, now_ms);
        let first = times.front().filter(|_| times.len() >= FAILURES_PER_WINDOW)?;
        let left_ms = first.saturating_add(FAILURE_WINDOW_MS).saturating_sub(now_ms).clamp(1, FAILURE_WINDOW_MS);
        Some(left_ms.unsigned_abs().div_ceil(1_000))
    }

    /// One more failure of this peer.
    pub fn failed(&self, peer: IpAddr, now_ms: i64) -> Failed {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = counted_as(peer);
        if peers.len() >= FAILURE_PEERS_MAX && !peers.contains_key(&peer) {
            peers.retain(|_, times| {
                forget(times, now_ms);
                !times.is_empty()
            });
            if peers.len() >= FAILURE_PEERS_MAX {
                return Failed::Beyond;
            }
        }
        let times = peers.entry(peer).or_default();
        forget(times, now_ms);
        if times.len() >= FAILURES_PER_WINDOW {
            return Failed::Beyond;
        }
        times.push_back(now_ms);
        if times.len() == FAILURES_PER_WINDOW { Failed::NowBlocked } else { Failed::Counted }
    }
}

/// Drops what is older than the window.
fn forget(times: &mut VecDeque<i64>, now_ms: i64) {
    times.retain(|at| now_ms.saturating_sub(*at) < FAILURE_WINDOW_MS);
}

/// The address that failures of this one are counted under.
fn counted_as(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_tenth_failure_within_a_minute_blocks_until_the_first_is_a_minute_old() {
        let failures = Failures::new();
        let here = peer("192.0.2.1");
        for i in 0..9 {
            assert_eq!(failures.failed(here, i * 1_000), Failed::Counted);
            assert_eq!(failures.blocked_s(here, i * 1_000), None);
        }
        assert_eq!(failures.failed(here, 9_000), Failed::NowBlocked);
        assert_eq!(failures.failed(here, 9_000), Failed::Beyond);
        assert_eq!(failures.blocked_s(here, 9_000), Some(51));
        assert_eq!(failures.blocked_s(here, 59_999), Some(1));
        assert_eq!(failures.blocked_s(here, 60_000), None);
        assert_eq!(failures.failed(here, 60_000), Failed::NowBlocked);
        assert_eq!(failures.blocked_s(peer("192.0.2.2"), 9_000), None);
    }

    #[test]
    fn addresses_of_one_customer_count_together() {
        let failures = Failures::new();
        for i in 0..10 {
            failures.failed(peer(&format!("2001:db8:1:2::{i}")), 0);
        }
        assert!(failures.blocked_s(peer("2001:db8:1:2:ffff::1"), 0).is_some());
        assert!(failures.blocked_s(peer("2001:db8:1:3::1"), 0).is_none());
        for _ in 0..10 {
            failures.failed(peer("::ffff:192.0.2.7"), 0);
        }
        assert!(failures.blocked_s(peer("192.0.2.7"), 0).is_some());
    }

    #[test]
    fn any_number_of_peers_takes_bounded_memory_and_old_ones_make_room() {
        let failures = Failures::new();
        let nth = |n: usize| IpAddr::from(std::net::Ipv4Addr::from(u32::try_from(n).unwrap()));
        for n in 0..FAILURE_PEERS_MAX {
            assert_eq!(failures.failed(nth(n), 0), Failed::Counted);
        }
        assert_eq!(failures.failed(nth(FAILURE_PEERS_MAX), 1), Failed::Beyond);
        assert_eq!(failures.blocked_s(nth(FAILURE_PEERS_MAX), 1), None);
        assert_eq!(failures.failed(nth(FAILURE_PEERS_MAX), FAILURE_WINDOW_MS), Failed::Counted);
        assert_eq!(failures.peers.lock().unwrap().len(), 1);
    }
}
