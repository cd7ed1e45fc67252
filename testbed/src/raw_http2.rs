//! A client that writes HTTP/2 frame by frame: it can break every rule there is.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

/// The path of OTLP's export call for traces.
pub const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Frame type of RFC 9113, section 6, like those below.
pub const DATA: u8 = 0;
/// Frame type: opens a stream.
pub const HEADERS: u8 = 1;
/// Frame type: ends a stream at once.
pub const RST_STREAM: u8 = 3;
/// Frame type: what the sender is ready for.
pub const SETTINGS: u8 = 4;
/// Frame type: asks for a sign of life.
pub const PING: u8 = 6;
/// Frame type: ends a connection.
pub const GOAWAY: u8 = 7;
/// Frame type: the rest of a header block.
pub const CONTINUATION: u8 = 9;
/// Flag: the sender has said everything.
pub const END_STREAM: u8 = 1;
/// Flag: the header block is whole.
pub const END_HEADERS: u8 = 4;

/// The connection preface: RFC 9113, section 3.4.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Nothing is waited for longer than this.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection of plain bytes.
pub struct RawClient {
    stream: TcpStream,
}

/// A frame that the server sent.
#[derive(Debug)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// The stream it belongs to; 0 is the connection.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl RawClient {
    /// Connects and says nothing.
    pub fn silent(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        stream.set_nodelay(true).expect("it is a TCP socket");
        Self { stream }
    }

    /// Connects and sends preface and SETTINGS, whether or not the server lets it in.
    pub fn connect(address: SocketAddr) -> Self {
        let mut client = Self::silent(address);
        client.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
        client
    }

    /// Sends bytes; false once the server has closed.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends bytes, however slowly they are taken; false once the server has closed, or at `until`.
    pub fn send_until(&mut self, bytes: &[u8], until: Instant) -> bool {
        self.stream.set_write_timeout(Some(Duration::from_millis(100))).expect("not zero");
        let mut rest = bytes;
        while !rest.is_empty() {
            if Instant::now() >= until {
                return false;
            }
            match self.stream.write(rest).map_err(|error| error.kind()) {
                Ok(count) => rest = &rest[count..],
                Err(ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Sends `bytes` again and again and never reads, until the server has closed, or takes no more
    /// and it is `over`.
    pub fn flood(&mut self, bytes: &[u8], over: impl Fn() -> bool) {
        self.stream.set_write_timeout(Some(Duration::from_millis(500))).expect("not zero");
        let mut at = 0;
        loop {
            match self.stream.write(&bytes[at..]).map_err(|error| error.kind()) {
                Ok(count) => at = (at + count) % bytes.len(),
                Err(ErrorKind::WouldBlock | ErrorKind::TimedOut) if !over() => {}
                Err(_) => return,
            }
        }
    }

    /// Reads whatever the server says, beside what is sent, until one of both closes.
    #[expect(clippy::disallowed_methods, reason = "it ends with the connection")]
    pub fn read_beside(&self) {
        let mut stream = self.stream.try_clone().expect("a socket can be duplicated");
        thread::spawn(move || io::copy(&mut stream, &mut io::sink()));
    }

    /// Closes the connection, also for one who reads beside.
    pub fn close(self) {
        // The server may have been faster.
        self.stream.shutdown(Shutdown::Both).ok();
    }

    /// Reads until the server closes, which it must; gives what it said.
    pub fn read_to_close(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        let ended = self.stream.read_to_end(&mut said).map_err(|error| error.kind());
        let closed = matches!(ended, Ok(_) | Err(ErrorKind::ConnectionReset));
        assert!(closed, "the server closes, not {ended:?}");
        said
    }

    /// The next frame; `None` when the server has closed.
    pub fn next_frame(&mut self) -> Option<Frame> {
        let mut header = [0; 9];
        self.stream.read_exact(&mut header).ok()?;
        let [a, b, c, kind, flags, stream @ ..] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).ok()?;
        Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// Reads up to the first frame that is as wanted.
    pub fn await_frame(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        std::iter::from_fn(|| self.next_frame()).find(wanted).expect("the frame comes")
    }
}

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// HEADERS of an export request, its body to follow.
pub fn export_headers(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &export_block())
}

/// The header block of an export request, nothing in it indexed.
pub fn export_block() -> Vec<u8> {
    // RFC 7541, appendix A: 3 is `:method: POST`, 6 is `:scheme: http`.
    let mut block = vec![0x83, 0x86];
    for (name, value) in [
        (":path", EXPORT),
        (":authority", "pipeline"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        block.extend(field(0, name, value));
    }
    block
}

/// A header field spelled out; `representation` 0 leaves it out of the table, 0x40 adds it.
pub fn field(representation: u8, name: &str, value: &str) -> Vec<u8> {
    [vec![representation], string(name), string(value)].concat()
}

/// A string without Huffman coding: RFC 7541, section 5.2.
fn string(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    match text.len() {
        length @ ..127 => bytes.push(length as u8),
        length => {
            bytes.push(127);
            let mut rest = length - 127;
            while rest >= 128 {
                bytes.push((rest % 128) as u8 | 128);
                rest /= 128;
            }
            bytes.push(rest as u8);
        }
    }
    bytes.extend_from_slice(text.as_bytes());
    bytes
}
