//! The gate's one thread: waits for events, lets each connection move its bytes, keeps deadlines and accounts.
//!
//! Connections lie in places of a list. Place `n` has the tokens `2n` (client) and `2n + 1` (router) behind those of the doors;
//! an event for a place that has changed hands meanwhile costs one attempt to read and nothing else.

use super::accounts::Accounts;
use super::connection::{Connection, Ready};
use super::conversation::{Conversation, Ending};
use super::door::{Accepted, Door};
use super::head::Scheme;
use super::places::{GRACES_MS, slowest};
use super::refusal::Refusal;
use super::wire::Wire;
use super::{GateLimits, Shared};
use mio::net::{TcpStream, UnixStream};
use mio::{Events, Interest, Poll, Token};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often deadlines are looked at, milliseconds.
const TICK_MS: u64 = 100;
/// Largest piece read at once, bytes.
const PIECE_BYTES: usize = 64 << 10;
/// What every connection may hold even where the memory is full, bytes: a head and a small answer. Those who ask for little are
/// not to suffer for those who hold much.
const SMALL_BYTES: usize = 32 << 10;
/// Connections accepted before those that are open have their turn.
const ACCEPTED_AT_ONCE: usize = 64;
/// What the waker wakes.
pub const WAKER: Token = Token(0);
const FIRST_DOOR: usize = 1;

/// The loop's state.
pub struct EventLoop {
    poll: Poll,
    doors: Vec<Door>,
    first_place: usize,
    backend: PathBuf,
    limits: Arc<GateLimits>,
    shared: Arc<Shared>,
    places: Vec<Option<Connection>>,
    free: Vec<usize>,
    accounts: Accounts,
    /// Places with something to do.
    due: Vec<usize>,
    /// Places whose request waits for the router.
    line: VecDeque<usize>,
    exchanges: usize,
    scratch: Vec<u8>,
    began: Instant,
    ticked_ms: u64,
    drain_until_ms: Option<u64>,
}

impl EventLoop {
    /// A loop that has not begun.
    ///
    /// # Errors
    /// What the system says when the doors are registered.
    pub fn new(
        poll: Poll,
        mut doors: Vec<Door>,
        backend: PathBuf,
        limits: GateLimits,
        shared: Arc<Shared>,
    ) -> std::io::Result<Self> {
        for (n, door) in doors.iter_mut().enumerate() {
            poll.registry().register(&mut door.listener, Token(FIRST_DOOR + n), Interest::READABLE)?;
        }
        Ok(Self {
            poll,
            first_place: FIRST_DOOR + doors.len(),
            doors,
            backend,
            limits: Arc::new(limits),
            shared,
            places: Vec::new(),
            free: Vec::new(),
            accounts: Accounts::default(),
            due: Vec::new(),
            line: VecDeque::new(),
            exchanges: 0,
            scratch: vec![0; PIECE_BYTES],
            began: Instant::now(),
            ticked_ms: 0,
            drain_until_ms: None,
        })
    }

    /// Runs until a drain is over.
    ///
    /// # Errors
    /// What the system says of waiting for events.
    pub fn run(mut self) -> std::io::Result<()> {
        let mut events = Events::with_capacity(1_024);
        while !self.is_over() {
            match self.poll.poll(&mut events, self.patience()) {
                Err(e) if e.kind() != ErrorKind::Interrupted => return Err(e),
                _ => {}
            }
            for event in events.iter() {
                self.note(event);
            }
            self.obey();
            self.accept();
            self.tick();
            self.work();
            self.begin_exchanges();
            self.publish();
        }
        Ok(())
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn open(&self) -> usize {
        self.places.len() - self.free.len()
    }

    fn is_over(&self) -> bool {
        self.drain_until_ms.is_some_and(|until| self.open() == 0 || self.now_ms() >= until)
    }

    /// How long nothing needs to be done.
    fn patience(&self) -> Option<Duration> {
        let now_ms = self.now_ms();
        if !self.due.is_empty() || self.doors.iter().any(|d| d.is_due(now_ms)) {
            return Some(Duration::ZERO);
        }
        let waiting = self.open() > 0 || self.drain_until_ms.is_some() || self.doors.iter().any(Door::has_callers);
        waiting.then(|| Duration::from_millis((self.ticked_ms + TICK_MS).saturating_sub(now_ms).max(1)))
    }

    fn note(&mut self, event: &mio::event::Event) {
        let Token(token) = event.token();
        if let Some(door) = token.checked_sub(FIRST_DOOR).and_then(|n| self.doors.get_mut(n)) {
            return door.someone_calls();
        }
        let Some(number) = token.checked_sub(self.first_place) else { return };
        let Some(connection) = self.places.get_mut(number / 2).and_then(Option::as_mut) else { return };
        let ready: &mut Ready = if number % 2 == 0 { &mut connection.client } else { &mut connection.router_ready };
        ready.note(event);
        self.due.push(number / 2);
    }

    /// Begins a drain if one was asked for.
    fn obey(&mut self) {
        if self.drain_until_ms.is_some() {
            return;
        }
        let Some(deadline) = self.shared.drain_asked() else { return };
        let now_ms = self.now_ms();
        self.drain_until_ms = Some(now_ms.saturating_add(u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX)));
        // The doors' tokens stay theirs: the first place is not moved.
        self.doors.clear();
        for (place, connection) in self.places.iter_mut().enumerate() {
            if let Some(connection) = connection {
                connection.talk.finish();
                self.due.push(place);
            }
        }
    }

    fn accept(&mut self) {
        let now_ms = self.now_ms();
        for n in 0..self.doors.len() {
            for _ in 0..ACCEPTED_AT_ONCE {
                let Some(door) = self.doors.get_mut(n).filter(|d| d.is_due(now_ms)) else { break };
                match door.accept(now_ms) {
                    Accepted::Caller(socket, peer) => self.admit(n, socket, peer, now_ms),
                    Accepted::Nobody => break,
                    Accepted::NoDescriptor => {
                        self.shared.count("no_descriptor");
                        if !self.take_back(None, now_ms) {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Gives a caller a place, if need be that of one who makes no progress.
    fn admit(&mut self, door: usize, socket: TcpStream, peer: IpAddr, now_ms: u64) {
        self.shared.accepted();
        let certificate = self.doors.get(door).and_then(|d| d.certificate.as_ref()).map(|c| c.current());
        let peer_is_full = self.accounts.of(peer).connections >= self.limits.connections_per_peer;
        let refusal = if peer_is_full && !self.take_back(Some(peer), now_ms) {
            Some(Refusal::PeerConnections)
        } else if self.open() >= self.limits.connections && !self.take_back(None, now_ms) {
            Some(Refusal::Connections)
        } else {
            None
        };
        let Ok(mut wire) = Wire::new(socket, certificate.as_ref()) else { return };
        if let Some(refusal) = refusal {
            self.shared.count(refusal.code());
            if certificate.is_none() {
                wire.say_plainly(&refusal.answer());
            }
            return;
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        let interest = Interest::READABLE | Interest::WRITABLE;
        if self.poll.registry().register(wire.socket(), Token(self.first_place + 2 * place), interest).is_err() {
            return self.free.push(place);
        }
        let scheme = if certificate.is_some() { Scheme::Https } else { Scheme::Http };
        let talk = Conversation::new(Arc::clone(&self.limits), peer, scheme, now_ms);
        if let Some(room) = self.places.get_mut(place) {
            *room = Some(Connection::new(wire, talk, peer));
            self.accounts.open(peer);
            self.due.push(place);
        }
    }

    /// Ends the connection that has made least progress, among all or those of one peer; false if none may be ended.
    fn take_back(&mut self, peer: Option<IpAddr>, now_ms: u64) -> bool {
        let of_peer = |c: &&Connection| peer.is_none_or(|p| p == c.peer);
        for grace_ms in GRACES_MS {
            let open = self.places.iter().enumerate().filter_map(|(n, c)| Some((n, c.as_ref().filter(of_peer)?)));
            if let Some(place) = slowest(open.map(|(n, c)| (n, c.talk.rate(grace_ms, now_ms)))) {
                if let Some(connection) = self.places.get_mut(place).and_then(Option::as_mut) {
                    connection.talk.end(Ending::TakenBack);
                }
                self.settle(place, now_ms);
                return true;
            }
        }
        false
    }

    fn tick(&mut self) {
        let now_ms = self.now_ms();
        if now_ms < self.ticked_ms + TICK_MS {
            return;
        }
        self.ticked_ms = now_ms;
        for (place, connection) in self.places.iter_mut().enumerate() {
            let Some(connection) = connection else { continue };
            connection.talk.tick(now_ms);
            if connection.talk.ending().is_some() || !connection.talk.for_client().is_empty() {
                self.due.push(place);
            }
        }
    }

    fn work(&mut self) {
        let now_ms = self.now_ms();
        let mut due = std::mem::take(&mut self.due);
        due.sort_unstable();
        due.dedup();
        for place in due {
            let Some(connection) = self.places.get_mut(place).and_then(Option::as_mut) else { continue };
            if connection.work(&mut self.scratch, now_ms) {
                self.due.push(place);
            }
            self.settle(place, now_ms);
            self.make_room(place, now_ms);
        }
    }

    /// Brings counters, accounts, line and places in agreement with a connection that has moved.
    fn settle(&mut self, place: usize, now_ms: u64) {
        let Some(room) = self.places.get_mut(place) else { return };
        let Some(connection) = room else { return };
        for refusal in connection.talk.take_refusals() {
            self.shared.count(refusal.code());
        }
        if let Some(code) = connection.fault.take() {
            self.shared.count(code);
        }
        let held = connection.talk.held();
        self.accounts.change(connection.peer, connection.accounted, held);
        connection.accounted = held;
        if connection.exchanging && !connection.talk.is_exchanging() {
            connection.exchanging = false;
            connection.router = None;
            self.exchanges -= 1;
        }
        if connection.talk.is_whole() && !connection.in_line {
            connection.in_line = true;
            self.line.push_back(place);
        }
        if let Some(ending) = connection.talk.ending() {
            if let Some(code) = ending.code() {
                self.shared.count(code);
            }
            self.accounts.close(connection.peer, held);
            *room = None;
            self.free.push(place);
            for door in &mut self.doors {
                door.someone_left(now_ms);
            }
        }
    }

    /// Keeps the memory within its bounds after the connection at `place` has grown.
    fn make_room(&mut self, place: usize, now_ms: u64) {
        let Some(connection) = self.places.get_mut(place).and_then(Option::as_mut) else { return };
        if self.accounts.of(connection.peer).held > self.limits.held_bytes_per_peer && connection.accounted > SMALL_BYTES {
            connection.talk.refuse(Refusal::PeerMemory, now_ms);
            self.due.push(place);
            self.settle(place, now_ms);
        }
        let grown = self.places.get(place).and_then(Option::as_ref).is_some_and(|c| c.accounted > SMALL_BYTES);
        while grown && self.accounts.held() > self.limits.held_bytes {
            let large = |c: &&Connection| c.accounted > SMALL_BYTES;
            let [grace_ms, _] = GRACES_MS;
            let open = self.places.iter().enumerate().filter_map(|(n, c)| Some((n, c.as_ref().filter(large)?)));
            let victim = slowest(open.map(|(n, c)| (n, c.talk.rate(grace_ms, now_ms)))).unwrap_or(place);
            let Some(connection) = self.places.get_mut(victim).and_then(Option::as_mut) else { return };
            connection.talk.give_way(Refusal::Memory, now_ms);
            self.due.push(victim);
            self.settle(victim, now_ms);
            if victim == place {
                return;
            }
        }
    }

    /// Hands whole requests on, as many as the router may have at once.
    fn begin_exchanges(&mut self) {
        let now_ms = self.now_ms();
        while self.exchanges < self.limits.exchanges {
            let Some(place) = self.line.pop_front() else { return };
            let Some(connection) = self.places.get_mut(place).and_then(Option::as_mut) else { continue };
            if !connection.talk.is_whole() {
                connection.in_line = false;
                continue;
            }
            let opened = UnixStream::connect(&self.backend).and_then(|mut socket| {
                let (token, interest) = (Token(self.first_place + 2 * place + 1), Interest::READABLE | Interest::WRITABLE);
                self.poll.registry().register(&mut socket, token, interest).map(|()| socket)
            });
            match opened {
                Ok(socket) => {
                    connection.talk.exchange_begins(now_ms);
                    connection.router = Some(socket);
                    connection.router_ready = Ready { readable: true, writable: true };
                    connection.in_line = false;
                    connection.exchanging = true;
                    self.exchanges += 1;
                    self.shared.handed_on();
                }
                // The router's own line is full, or no descriptor is left: the next tick tries again.
                Err(e) if e.kind() == ErrorKind::WouldBlock || super::door::is_out_of_descriptors(&e) => {
                    return self.line.push_front(place);
                }
                Err(e) => {
                    log::error!("the router cannot be reached: {e}");
                    connection.in_line = false;
                    connection.talk.refuse(Refusal::RouterFailed, now_ms);
                }
            }
            self.due.push(place);
        }
    }

    fn publish(&self) {
        self.shared.holds(self.open(), self.exchanges, self.accounts.held());
    }
}
