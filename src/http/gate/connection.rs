//! Moves the bytes of one connection between client, conversation and router, as far as it goes without waiting.

use super::conversation::{Conversation, Ending};
use super::refusal::Refusal;
use super::wire::{NoTls, Wire};
use mio::net::UnixStream;
use std::io::{Error, ErrorKind, Read, Write};
use std::net::IpAddr;

/// Turns of one connection before the others have theirs.
const TURNS: usize = 8;

/// What the system has said of a socket and not yet taken back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ready {
    /// Something may be there to read.
    pub readable: bool,
    /// Something may be written.
    pub writable: bool,
}

impl Ready {
    /// Takes note of an event; errors and ends show when the socket is used.
    pub fn note(&mut self, event: &mio::event::Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }
}

/// A connection with a client, and with the router while it answers.
pub struct Connection {
    /// What is said.
    pub talk: Conversation,
    /// Who the client is.
    pub peer: IpAddr,
    /// The client's socket.
    pub wire: Wire,
    /// What the client's socket is ready for.
    pub client: Ready,
    /// The router's socket, during an exchange.
    pub router: Option<UnixStream>,
    /// What the router's socket is ready for.
    pub router_ready: Ready,
    /// Memory that the accounts know of.
    pub accounted: usize,
    /// Whether it stands in line for the router.
    pub in_line: bool,
    /// Whether it counts as an exchange.
    pub exchanging: bool,
    /// Why it failed below HTTP, for the counters.
    pub fault: Option<&'static str>,
    client_is_over: bool,
    said_end: bool,
}

impl Connection {
    /// A connection that has just been accepted.
    pub fn new(wire: Wire, talk: Conversation, peer: IpAddr) -> Self {
        Self {
            talk,
            peer,
            wire,
            client: Ready { readable: true, writable: true },
            router: None,
            router_ready: Ready::default(),
            accounted: 0,
            in_line: false,
            exchanging: false,
            fault: None,
            client_is_over: false,
            said_end: false,
        }
    }

    /// Moves what can be moved; true if there may be more at once.
    pub fn work(&mut self, scratch: &mut [u8], now_ms: u64) -> bool {
        for _ in 0..TURNS {
            let mut moved = self.read_client(scratch, now_ms);
            moved |= self.write_router();
            moved |= self.read_router(scratch, now_ms);
            moved |= self.write_client(now_ms);
            if !self.talk.is_exchanging() {
                self.router = None;
            }
            if self.talk.ending().is_some() || !moved {
                return false;
            }
        }
        true
    }

    fn read_client(&mut self, scratch: &mut [u8], now_ms: u64) -> bool {
        if !self.client.readable || !self.talk.wants_client() {
            return false;
        }
        match self.wire.read(scratch) {
            Ok(0) => {
                self.client.readable = false;
                self.client_is_over = true;
                self.talk.client_ended();
            }
            Ok(count) => self.talk.client_sent(scratch.get(..count).unwrap_or_default(), now_ms),
            Err(e) => return self.client_failed(&e, |ready| ready.readable = false),
        }
        true
    }

    fn write_client(&mut self, now_ms: u64) -> bool {
        if !self.client.writable {
            return false;
        }
        let mut moved = false;
        if !self.talk.for_client().is_empty() {
            match self.wire.write(self.talk.for_client()) {
                Ok(count) => {
                    self.talk.client_took(count);
                    moved = true;
                }
                Err(e) => return self.client_failed(&e, |ready| ready.writable = false),
            }
        }
        match self.wire.flush() {
            Ok(true) if self.talk.for_client().is_empty() => self.all_is_sent(now_ms) || moved,
            Ok(true) => moved,
            Ok(false) => {
                self.client.writable = false;
                false
            }
            Err(e) => self.client_failed(&e, |ready| ready.writable = false),
        }
    }

    fn all_is_sent(&mut self, now_ms: u64) -> bool {
        let wanted = self.talk.wants_client();
        self.talk.client_has_all(now_ms);
        if self.talk.is_lingering() && !self.said_end {
            self.wire.say_end();
            self.said_end = true;
            if self.client_is_over {
                self.talk.client_ended();
            }
        }
        self.talk.wants_client() != wanted
    }

    /// Nothing is lost where the system asks for patience; everything else ends the connection.
    fn client_failed(&mut self, error: &Error, not_now: impl FnOnce(&mut Ready)) -> bool {
        match error.kind() {
            ErrorKind::WouldBlock => {
                not_now(&mut self.client);
                return false;
            }
            ErrorKind::Interrupted => return true,
            ErrorKind::InvalidData if error.get_ref().is_some_and(|inner| inner.is::<NoTls>()) => {
                self.wire.say_plainly(&Refusal::TlsExpected.answer());
                self.fault = Some(Refusal::TlsExpected.code());
            }
            ErrorKind::InvalidData => self.fault = Some("tls"),
            _ => {}
        }
        self.talk.end(Ending::Done);
        false
    }

    fn write_router(&mut self) -> bool {
        let Some(router) = self.router.as_mut().filter(|_| self.router_ready.writable) else { return false };
        if self.talk.for_router().is_empty() {
            return false;
        }
        match router.write(self.talk.for_router()) {
            Ok(count) => self.talk.router_took(count),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                self.router_ready.writable = false;
                return false;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            // It may have answered before it went: what it said is still to be read.
            Err(_) => self.talk.router_is_deaf(),
        }
        true
    }

    fn read_router(&mut self, scratch: &mut [u8], now_ms: u64) -> bool {
        let Some(router) = self.router.as_mut().filter(|_| self.router_ready.readable) else { return false };
        match router.read(scratch) {
            Ok(0) => self.talk.router_ended(now_ms),
            Ok(count) => self.talk.router_sent(scratch.get(..count).unwrap_or_default(), now_ms),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                self.router_ready.readable = false;
                return false;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(_) => self.talk.router_ended(now_ms),
        }
        true
    }
}
