//! How many connections each address has open. Shared by the acceptor and the connections' ends.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

/// Open connections by address, never more than are open in all.
pub(super) struct Peers {
    connections_max: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's place in the count of its address; dropped with it.
pub(super) struct PeerPlace {
    peers: Arc<Peers>,
    peer: IpAddr,
}

impl Peers {
    /// Lets each address have `connections_max` connections.
    pub(super) fn new(connections_max: usize) -> Arc<Self> {
        Arc::new(Self { connections_max, open: Mutex::new(HashMap::new()) })
    }

    /// A place for one more connection of `address`; `None` when it has as many as it may.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<PeerPlace> {
        let peer = peer(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(peer).or_insert(0);
        // A count of 0 is not left behind: the least limit is 1.
        (*count < self.connections_max).then(|| {
            *count += 1;
            PeerPlace { peers: Arc::clone(self), peer }
        })
    }
}

impl Drop for PeerPlace {
    fn drop(&mut self) {
        let mut open = self.peers.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.peer);
            }
        }
    }
}

/// What counts as one peer: an IPv4 address, and the 64 bits of an IPv6 address that one network
/// is given, because a host of it may use any of the others.
fn peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// An address is stopped at its limit, others are not, and a place that is given back is free.
    #[test]
    fn each_address_has_its_own_count() {
        let peers = Peers::new(2);
        let first = peers.take(address("10.0.0.1")).unwrap();
        let _second = peers.take(address("::ffff:10.0.0.1")).unwrap();
        assert!(peers.take(address("10.0.0.1")).is_none());
        let _other = peers.take(address("10.0.0.2")).unwrap();
        drop(first);
        assert!(peers.take(address("10.0.0.1")).is_some());
    }

    /// The hosts of one IPv6 network are one peer.
    #[test]
    fn an_ipv6_network_is_one_peer() {
        let peers = Peers::new(1);
        let _place = peers.take(address("2001:db8::1")).unwrap();
        assert!(peers.take(address("2001:db8::2")).is_none());
        assert!(peers.take(address("2001:db8:0:1::1")).is_some());
    }

    /// Nothing is kept of an address without connections.
    #[test]
    fn closed_connections_leave_nothing() {
        let peers = Peers::new(1);
        drop(peers.take(address("10.0.0.1")));
        assert!(peers.open.lock().unwrap().is_empty());
    }
}
