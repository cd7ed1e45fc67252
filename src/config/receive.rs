//! OTLP listener and admission.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use super::{
    kinds::{Address, Bytes, Count, Port, Time},
    reader::Reader,
};
use crate::limits;

/// OTLP listener and admission (`LISTEN_ADDRESS`, `GRPC_PORT`, `OTLP_*`).
#[derive(Clone, Debug)]
pub struct ReceiveConfig {
    /// `LISTEN_ADDRESS`: address of the OTLP listener.
    pub listen_address: IpAddr,
    /// `GRPC_PORT`: 0 lets the system choose.
    pub grpc_port: u16,
    /// `OTLP_REQUEST_BYTES_MAX`: largest request, compressed or not.
    pub request_bytes_max: usize,
    /// `OTLP_BYTES_IN_FLIGHT_MAX`: budget for everything between arrival and reply.
    pub bytes_in_flight_max: usize,
    /// `OTLP_REPLY_DEADLINE`: no reply is later than this.
    pub reply_deadline: Duration,
    /// `OTLP_CONNECTIONS_MAX`: further connections are closed at accept.
    pub connections_max: usize,
    /// `OTLP_STREAMS_MAX`: concurrent streams per connection.
    pub streams_max: u32,
}

impl ReceiveConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        reader.heading("Receive");
        Self {
            listen_address: reader.read(
                "LISTEN_ADDRESS",
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                Address,
                "Address of the OTLP and HTTP listeners; the image sets 0.0.0.0",
            ),
            grpc_port: reader.read("GRPC_PORT", 4317, Port, "Port of the OTLP/gRPC listener"),
            request_bytes_max: reader.read(
                "OTLP_REQUEST_BYTES_MAX",
                limits::REQUEST_BYTES_DEFAULT,
                Bytes(limits::REQUEST_BYTES_RANGE),
                "Largest request, as sent and inflated; at most a quarter of the bytes in flight",
            ),
            bytes_in_flight_max: reader.read(
                "OTLP_BYTES_IN_FLIGHT_MAX",
                limits::BYTES_IN_FLIGHT_DEFAULT,
                Bytes(limits::BYTES_IN_FLIGHT_RANGE),
                "Memory for requests between arrival and reply; above it they are refused",
            ),
            reply_deadline: reader.read(
                "OTLP_REPLY_DEADLINE",
                limits::REPLY_DEADLINE_DEFAULT,
                Time(limits::REPLY_DEADLINE_RANGE),
                "Longest time until a reply; below the client's own timeout, which is 10s in SDKs",
            ),
            connections_max: reader.read(
                "OTLP_CONNECTIONS_MAX",
                limits::CONNECTIONS_DEFAULT,
                Count(limits::CONNECTIONS_RANGE),
                "Most connections; further ones are closed at once",
            ),
            streams_max: reader.read(
                "OTLP_STREAMS_MAX",
                limits::STREAMS_DEFAULT,
                Count(limits::STREAMS_RANGE),
                "Most concurrent requests of one connection",
            ),
        }
    }
}
