//! How many of the process's file descriptors clients may take: never the last ones.
//!
//! Kafka's connections, the HTTP pages and the clients' sockets come out of one limit. Without a
//! share that clients cannot have, a crowd would take every descriptor, and a broker connection
//! that is lost could not be made anew. The limit is raised as the port is bound; the acceptor asks
//! about each socket.

use std::os::fd::AsRawFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::{DESCRIPTOR_SHARES_KEPT, DESCRIPTORS_KEPT_MAX};

/// Raises the limit to what the system allows this process, and says so when that is fewer than
/// `connections_max` connections need.
pub(super) fn raise_limit(connections_max: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::debug!(%error, "the limit of file descriptors stays as it is");
    }
    let limit = getrlimit(Resource::Nofile).current;
    if !is_within(connections_max as u64, limit) {
        tracing::warn!(
            limit,
            OTLP_CONNECTIONS_MAX = connections_max,
            "fewer file descriptors than connections that may be open: raise the limit of open \
             files (ulimit -n, LimitNOFILE=)"
        );
    }
}

/// True while enough descriptors are left beside this socket, which is the newest one.
///
/// The system gives out the lowest number that is free: everything below is taken. The limit is
/// asked for each time, because it can be changed from outside.
pub(super) fn are_left_beside(socket: &impl AsRawFd) -> bool {
    let number = u64::try_from(socket.as_raw_fd()).expect("an open socket has a number");
    is_within(number, getrlimit(Resource::Nofile).current)
}

/// Whether clients may have the descriptor `number`, under a limit (`None`: there is none).
fn is_within(number: u64, limit: Option<u64>) -> bool {
    limit.is_none_or(|limit| {
        number < limit - (limit / DESCRIPTOR_SHARES_KEPT).min(DESCRIPTORS_KEPT_MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients never get the last quarter of few descriptors, nor the last 256 of many.
    #[test]
    fn the_last_ones_are_kept() {
        for (limit, highest) in [(64, 47), (1024, 767), (65_536, 65_279)] {
            assert!(is_within(highest, Some(limit)), "{limit}");
            assert!(!is_within(highest + 1, Some(limit)), "{limit}");
        }
        assert!(is_within(1 << 40, None));
        assert!(!is_within(0, Some(0)));
    }
}
