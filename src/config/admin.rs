//! The HTTP pages.

use std::net::IpAddr;

use super::{kinds::Port, reader::Reader};

/// HTTP pages (`HTTP_PORT`; same `LISTEN_ADDRESS`).
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// `LISTEN_ADDRESS`.
    pub listen_address: IpAddr,
    /// `HTTP_PORT`: 0 lets the system choose.
    pub http_port: u16,
}

impl AdminConfig {
    /// `listen_address` is that of all listeners.
    pub(super) fn read(reader: &mut Reader<'_>, listen_address: IpAddr) -> Self {
        reader.heading("Admin");
        let help = "Port of /healthz, /readyz, /metrics and /latency";
        Self { listen_address, http_port: reader.read("HTTP_PORT", 8080, Port, help) }
    }
}
