//! One connection's conversation, decided without a socket or a clock.
//!
//! In: bytes of the client, bytes of the router, ends, and the time. Out: bytes for either, whether more is wanted, and why
//! it ended. A request is handed on only when it is whole; requests that follow wait until the answer has been taken
//! (pipelining, RFC 9112, 9.3.2). The caller moves the bytes and keeps the memory's accounts.

use super::GateLimits;
use super::answer::{AnswerHead, Asked, Framing};
use super::blocks::Blocks;
use super::head::{Afterwards, Expectation, Head, Scheme};
use super::pace::Pace;
use super::refusal::Refusal;
use super::scan::{Scan, Seen};
use crate::limits::{ANSWER_BYTES_MAX, LINE_WAIT_MS, LINGER_MS};
use std::net::IpAddr;
use std::sync::Arc;

/// Why a connection ended without, or in the middle of, an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All that was asked for was answered, or the client went.
    Done,
    /// Nothing was asked for some time.
    Idle,
    /// The client took its answer too slowly.
    ReaderTooSlow,
    /// The router's answer was cut short, or too large.
    AnswerCut,
    /// Its place was needed, and it had made the least progress.
    TakenBack,
}

impl Ending {
    /// The counter's label; none for what is no loss.
    pub fn code(self) -> Option<&'static str> {
        match self {
            Self::Done | Self::Idle => None,
            Self::ReaderTooSlow => Some("reader_too_slow"),
            Self::AnswerCut => Some("answer_cut"),
            Self::TakenBack => Some("taken_back"),
        }
    }
}

/// What the conversation is about now.
#[derive(Debug)]
enum Phase {
    /// Between two requests.
    Idle,
    /// A head is coming.
    Head,
    /// So many bytes of a body are to come.
    Body(u64),
    /// A whole request waits for the router.
    Whole,
    /// The router's answer is coming; its framing once its head is through.
    Exchange(Option<Framing>),
    /// The answer is whole here, the client is taking it.
    Taking,
    /// The client is told the end; what it still sends is thrown away.
    Lingering,
    /// Nothing more.
    Over(Ending),
}

/// One connection's conversation.
pub struct Conversation {
    limits: Arc<GateLimits>,
    peer: IpAddr,
    scheme: Scheme,
    phase: Phase,
    pace: Pace,
    scan: Scan,
    input: Vec<u8>,
    request: Blocks,
    answer_head: Vec<u8>,
    out: Blocks,
    afterwards: Afterwards,
    asked: Asked,
    refusals: Vec<Refusal>,
}

impl Conversation {
    /// A conversation with a client that has just come.
    pub fn new(limits: Arc<GateLimits>, peer: IpAddr, scheme: Scheme, now_ms: u64) -> Self {
        Self {
            limits,
            peer,
            scheme,
            phase: Phase::Head,
            pace: Pace::begin(now_ms),
            scan: Scan::default(),
            input: Vec::new(),
            request: Blocks::default(),
            answer_head: Vec::new(),
            out: Blocks::default(),
            afterwards: Afterwards::KeepAlive,
            asked: Asked::Whole,
            refusals: Vec::new(),
        }
    }

    /// Whether bytes of the client are wanted now.
    pub fn wants_client(&self) -> bool {
        matches!(self.phase, Phase::Idle | Phase::Head | Phase::Body(_) | Phase::Lingering)
    }

    /// Takes bytes of the client.
    pub fn client_sent(&mut self, bytes: &[u8], now_ms: u64) {
        self.pace.moved(bytes.len());
        match self.phase {
            Phase::Idle | Phase::Head => {
                self.input.extend_from_slice(bytes);
                self.read_head(now_ms);
            }
            Phase::Body(left) => self.read_body(left, bytes, now_ms),
            _ => {}
        }
    }

    /// The client sends no more. A request that was begun is none; one that is whole is answered.
    pub fn client_ended(&mut self) {
        match self.phase {
            Phase::Idle | Phase::Head | Phase::Body(_) | Phase::Lingering => self.end(Ending::Done),
            _ => self.afterwards = Afterwards::Close,
        }
    }

    /// Bytes for the client; empty if there are none now.
    pub fn for_client(&self) -> &[u8] {
        self.out.front()
    }

    /// The client's side took `count` of them.
    pub fn client_took(&mut self, count: usize) {
        self.out.consume(count);
        if matches!(self.phase, Phase::Taking) {
            self.pace.moved(count);
        }
    }

    /// All bytes for the client have left.
    pub fn client_has_all(&mut self, now_ms: u64) {
        if !matches!(self.phase, Phase::Taking) || !self.out.is_empty() {
            return;
        }
        if self.afterwards == Afterwards::Close {
            return self.enter(Phase::Lingering, now_ms);
        }
        self.enter(Phase::Idle, now_ms);
        if !self.input.is_empty() {
            self.read_head(now_ms);
        }
    }

    /// Whether a whole request waits to be handed on.
    pub fn is_whole(&self) -> bool {
        matches!(self.phase, Phase::Whole)
    }

    /// The request is being handed on.
    pub fn exchange_begins(&mut self, now_ms: u64) {
        if self.is_whole() {
            self.enter(Phase::Exchange(None), now_ms);
        }
    }

    /// Whether the router's connection is still needed.
    pub fn is_exchanging(&self) -> bool {
        matches!(self.phase, Phase::Exchange(_))
    }

    /// Bytes for the router; empty if there are none.
    pub fn for_router(&self) -> &[u8] {
        self.request.front()
    }

    /// The router took `count` of them.
    pub fn router_took(&mut self, count: usize) {
        self.request.consume(count);
    }

    /// The router takes no more; it may have answered already.
    pub fn router_is_deaf(&mut self) {
        self.request.clear();
    }

    /// Takes bytes of the router.
    pub fn router_sent(&mut self, bytes: &[u8], now_ms: u64) {
        let Phase::Exchange(framing) = &mut self.phase else { return };
        if let Some(framing) = framing {
            let count = framing.pass(bytes);
            self.out.push(bytes.get(..count).unwrap_or_default());
            let over = framing.is_over();
            return self.after_answer_bytes(over, now_ms);
        }
        self.answer_head.extend_from_slice(bytes);
        match AnswerHead::parse(&self.answer_head, self.asked, self.afterwards) {
            Err(_) => self.refuse(Refusal::RouterFailed, now_ms),
            Ok(None) => {}
            Ok(Some(AnswerHead { length, text, framing })) => {
                self.out.push(&text);
                self.phase = Phase::Exchange(Some(framing));
                let body = self.answer_head.split_off(length);
                self.answer_head = Vec::new();
                self.router_sent(&body, now_ms);
            }
        }
    }

    fn after_answer_bytes(&mut self, over: bool, now_ms: u64) {
        if over {
            self.request.clear();
            self.enter(Phase::Taking, now_ms);
        } else if self.out.len() > ANSWER_BYTES_MAX {
            self.end(Ending::AnswerCut);
        }
    }

    /// The router sends no more.
    pub fn router_ended(&mut self, now_ms: u64) {
        let Phase::Exchange(framing) = &self.phase else { return };
        match framing {
            None => self.refuse(Refusal::RouterFailed, now_ms),
            Some(framing) => {
                let whole = framing.may_end();
                if whole { self.after_answer_bytes(true, now_ms) } else { self.end(Ending::AnswerCut) }
            }
        }
    }

    /// Answers with a refusal and ends; an answer that has begun is cut.
    pub fn refuse(&mut self, refusal: Refusal, now_ms: u64) {
        self.refusals.push(refusal);
        match self.phase {
            Phase::Exchange(Some(_)) | Phase::Taking | Phase::Lingering | Phase::Over(_) => self.end(Ending::AnswerCut),
            _ => {
                self.input = Vec::new();
                self.answer_head = Vec::new();
                self.request.clear();
                self.out.push(&refusal.answer());
                self.afterwards = Afterwards::Close;
                self.enter(Phase::Taking, now_ms);
            }
        }
    }

    /// The place or memory is needed for others: a body is refused with `refusal`, everything else just ends.
    pub fn give_way(&mut self, refusal: Refusal, now_ms: u64) {
        match self.phase {
            Phase::Body(_) => self.refuse(refusal, now_ms),
            _ => self.end(Ending::TakenBack),
        }
    }

    /// The gate takes no new requests: what has begun is finished, the rest ends.
    pub fn finish(&mut self) {
        self.afterwards = Afterwards::Close;
        if matches!(self.phase, Phase::Idle) || (matches!(self.phase, Phase::Head) && self.input.is_empty()) {
            self.end(Ending::Done);
        }
    }

    /// Ends at once.
    pub fn end(&mut self, ending: Ending) {
        if !matches!(self.phase, Phase::Over(_)) {
            self.phase = Phase::Over(ending);
        }
        self.request.clear();
        self.out.clear();
        self.input = Vec::new();
    }

    /// Keeps the deadlines.
    pub fn tick(&mut self, now_ms: u64) {
        let age = self.pace.age_ms(now_ms);
        let limits = Arc::clone(&self.limits);
        match self.phase {
            Phase::Idle if age >= limits.idle_ms => self.end(Ending::Idle),
            Phase::Head if age >= limits.head_ms => self.refuse(Refusal::HeadTooSlow, now_ms),
            Phase::Body(_) if age >= limits.body_ms || self.pace.is_too_slow(&limits, now_ms) => {
                self.refuse(Refusal::BodyTooSlow, now_ms);
            }
            Phase::Whole if age >= LINE_WAIT_MS => self.refuse(Refusal::RouterBusy, now_ms),
            Phase::Exchange(_) if age >= limits.answer_ms => self.refuse(Refusal::RouterTooSlow, now_ms),
            Phase::Taking if age >= limits.taking_ms || self.pace.is_too_slow(&limits, now_ms) => {
                self.end(Ending::ReaderTooSlow);
            }
            Phase::Lingering if age >= LINGER_MS => self.end(Ending::Done),
            _ => {}
        }
    }

    /// How fast the client moves its bytes, bytes a second, if its place may be taken back. What the router works on may not,
    /// and neither may what has come less than `grace_ms` ago.
    pub fn rate(&self, grace_ms: u64, now_ms: u64) -> Option<u64> {
        match self.phase {
            Phase::Idle | Phase::Lingering => Some(0),
            Phase::Head | Phase::Body(_) | Phase::Taking if self.pace.age_ms(now_ms) >= grace_ms => Some(self.pace.rate(now_ms)),
            _ => None,
        }
    }

    /// Memory held for the bodies of request and answer and for a head that is not whole.
    pub fn held(&self) -> usize {
        self.request.held() + self.out.held() + self.input.capacity() + self.answer_head.capacity()
    }

    /// Whether the client is to be told that nothing more comes.
    pub fn is_lingering(&self) -> bool {
        matches!(self.phase, Phase::Lingering)
    }

    /// Why it ended, if it has.
    pub fn ending(&self) -> Option<Ending> {
        if let Phase::Over(ending) = self.phase { Some(ending) } else { None }
    }

    /// The refusals since the last call.
    pub fn take_refusals(&mut self) -> Vec<Refusal> {
        std::mem::take(&mut self.refusals)
    }

    fn enter(&mut self, phase: Phase, now_ms: u64) {
        self.phase = phase;
        self.pace = Pace::begin(now_ms);
    }

    fn read_head(&mut self, now_ms: u64) {
        if matches!(self.phase, Phase::Idle) {
            self.enter(Phase::Head, now_ms);
            self.pace.moved(self.input.len());
        }
        let length = match self.scan.advance(&self.input) {
            Ok(Seen::Part) => return,
            Ok(Seen::Whole(length)) => length,
            Err(refusal) => return self.refuse(refusal, now_ms),
        };
        self.scan = Scan::default();
        let rest = self.input.split_off(length);
        let bytes = std::mem::take(&mut self.input);
        match Head::parse(&bytes, self.limits.body_bytes) {
            Err(refusal) => self.refuse(refusal, now_ms),
            Ok(head) => self.take_head(&head, &rest, now_ms),
        }
    }

    fn take_head(&mut self, head: &Head, rest: &[u8], now_ms: u64) {
        self.request.push(head.for_router(self.peer, self.scheme).as_bytes());
        self.asked = if head.method() == "HEAD" { Asked::HeadOnly } else { Asked::Whole };
        if head.afterwards() == Afterwards::Close {
            self.afterwards = Afterwards::Close;
        }
        if head.expectation() == Expectation::Continue && rest.is_empty() {
            self.out.push(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.enter(Phase::Body(head.body_bytes()), now_ms);
        self.pace.moved(rest.len());
        self.read_body(head.body_bytes(), rest, now_ms);
    }

    fn read_body(&mut self, left: u64, bytes: &[u8], now_ms: u64) {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let (body, rest) = bytes.split_at(count);
        self.request.push(body);
        self.input.extend_from_slice(rest);
        let left = left - count as u64;
        if left == 0 { self.enter(Phase::Whole, now_ms) } else { self.phase = Phase::Body(left) }
    }
}

#[cfg(test)]
#[path = "conversation/tests.rs"]
mod tests;
