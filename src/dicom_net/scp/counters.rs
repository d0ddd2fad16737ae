//! What a provider counts: associations and films, and why they were not taken. No title and no address is in it.

use super::IntakeFault;
use super::command::Status;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why an association was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    /// A version of the protocol that is not ours.
    Protocol,
    /// An application context that is not DICOM's.
    ApplicationContext,
    /// It called another title than ours.
    CalledTitle,
    /// It is not configured.
    CallingTitle,
    /// As many as may were open.
    TooMany,
}

impl Rejection {
    const ALL: [Self; 5] = [Self::Protocol, Self::ApplicationContext, Self::CalledTitle, Self::CallingTitle, Self::TooMany];

    fn name(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::ApplicationContext => "application_context",
            Self::CalledTitle => "called_title",
            Self::CallingTitle => "calling_title",
            Self::TooMany => "too_many",
        }
    }
}

/// Why a film was not stored.
const FAILURES: [(Status, &str); 5] = [
    (Status::Fault(IntakeFault::OutOfResources), "out_of_resources"),
    (Status::Fault(IntakeFault::NotUnderstood), "not_understood"),
    (Status::Fault(IntakeFault::Failed), "failed"),
    (Status::SopClassDoesNotMatch, "sop_class_does_not_match"),
    (Status::InvalidInstance, "invalid_instance"),
];

/// What happened so far.
#[derive(Debug, Default)]
pub(super) struct Counters {
    accepted: AtomicU64,
    aborted: AtomicU64,
    stored: AtomicU64,
    rejected: [AtomicU64; Rejection::ALL.len()],
    failed: [AtomicU64; FAILURES.len()],
}

/// What a provider counted, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Associations, and connections that ask for one, that are open.
    pub open: u64,
    /// Associations that were accepted.
    pub accepted: u64,
    /// Associations that were rejected, or connections that were dropped for their number, by reason.
    pub rejected: Vec<(&'static str, u64)>,
    /// Associations that ended for a fault of the peer or a deadline.
    pub aborted: u64,
    /// Films that the intake took.
    pub stored: u64,
    /// Films that were answered with a failure, by reason.
    pub failed: Vec<(&'static str, u64)>,
    /// Bytes of data sets that are being received.
    pub held_bytes: u64,
}

fn value(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn one_more(counter: Option<&AtomicU64>) {
    if let Some(counter) = counter {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counters {
    pub(super) fn accepted(&self) {
        one_more(Some(&self.accepted));
    }

    pub(super) fn aborted(&self) {
        one_more(Some(&self.aborted));
    }

    pub(super) fn rejected(&self, why: Rejection) {
        one_more(Rejection::ALL.iter().position(|r| *r == why).and_then(|at| self.rejected.get(at)));
    }

    /// A film that was answered with this status.
    pub(super) fn answered(&self, status: Status) {
        match FAILURES.iter().position(|(failure, _)| *failure == status) {
            Some(at) => one_more(self.failed.get(at)),
            None => one_more((status == Status::Success).then_some(&self.stored)),
        }
    }

    pub(super) fn counts(&self, open: usize, held_bytes: u64) -> Counts {
        Counts {
            open: u64::try_from(open).unwrap_or(u64::MAX),
            accepted: value(&self.accepted),
            rejected: Rejection::ALL.iter().zip(&self.rejected).map(|(why, n)| (why.name(), value(n))).collect(),
            aborted: value(&self.aborted),
            stored: value(&self.stored),
            failed: FAILURES.iter().zip(&self.failed).map(|((_, why), n)| (*why, value(n))).collect(),
            held_bytes,
        }
    }
}

impl Counts {
    /// Associations that were rejected, whatever the reason.
    pub fn rejected(&self) -> u64 {
        self.rejected.iter().map(|(_, n)| n).sum()
    }

    /// Films that were answered with a failure, whatever the reason.
    pub fn failed(&self) -> u64 {
        self.failed.iter().map(|(_, n)| n).sum()
    }
}
