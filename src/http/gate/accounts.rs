//! What each peer and all together hold: connections and memory. Peers without either are forgotten.

use std::collections::HashMap;
use std::net::IpAddr;

/// What one peer holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Open connections.
    pub connections: usize,
    /// Memory of bodies and answers, bytes.
    pub held: usize,
}

/// The accounts of all peers.
#[derive(Debug, Default)]
pub struct Accounts {
    peers: HashMap<IpAddr, Account>,
    held: usize,
}

impl Accounts {
    /// A connection of `peer` begins.
    pub fn open(&mut self, peer: IpAddr) {
        self.peers.entry(peer).or_default().connections += 1;
    }

    /// A connection of `peer` that held `held` bytes ends.
    pub fn close(&mut self, peer: IpAddr, held: usize) {
        self.change(peer, held, 0);
        if let Some(account) = self.peers.get_mut(&peer) {
            account.connections = account.connections.saturating_sub(1);
            if account.connections == 0 {
                self.peers.remove(&peer);
            }
        }
    }

    /// A connection of `peer` held `before` bytes and holds `after` now.
    pub fn change(&mut self, peer: IpAddr, before: usize, after: usize) {
        self.held = (self.held + after).saturating_sub(before);
        if let Some(account) = self.peers.get_mut(&peer) {
            account.held = (account.held + after).saturating_sub(before);
        }
    }

    /// What `peer` holds.
    pub fn of(&self, peer: IpAddr) -> Account {
        self.peers.get(&peer).copied().unwrap_or_default()
    }

    /// What all hold, bytes.
    pub fn held(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_counted_apart_and_forgotten() {
        let (a, b) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let mut accounts = Accounts::default();
        accounts.open(a);
        accounts.open(a);
        accounts.open(b);
        accounts.change(a, 0, 100);
        accounts.change(b, 0, 11);
        accounts.change(a, 100, 40);
        assert_eq!((accounts.of(a), accounts.held()), (Account { connections: 2, held: 40 }, 51));
        accounts.close(a, 40);
        accounts.close(a, 0);
        accounts.close(b, 11);
        assert_eq!((accounts.of(a), accounts.held(), accounts.peers.len()), (Account::default(), 0, 0));
    }
}
