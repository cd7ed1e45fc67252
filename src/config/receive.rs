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
    /// `OTLP_CONNECTIONS_PER_PEER_MAX`: the same for one address.
    pub connections_per_peer_max: usize,
    /// `OTLP_CONNECTION_AGE_MAX`: connections are told to go away then; 0 is never.
    pub connection_age_max: Duration,
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
            connections_per_peer_max: reader.read(
                "OTLP_CONNECTIONS_PER_PEER_MAX",
                limits::CONNECTIONS_PER_PEER_DEFAULT,
                Count(limits::CONNECTIONS_RANGE),
                "Most connections of one IPv4 address or IPv6 /64 network",
            ),
            connection_age_max: reader.read(
                "OTLP_CONNECTION_AGE_MAX",
                limits::CONNECTION_AGE_DEFAULT,
                Time(limits::CONNECTION_AGE_RANGE),
                "Connections this old are asked to reconnect, elsewhere if need be; 0s is never",
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
