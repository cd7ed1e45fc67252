//! What the pipeline costs while nothing happens: CPU, wake-ups, and memory per connection.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use testbed::{sample::Sample, wait};

use crate::{
    measure::Ground,
    plan::{Case, System},
    record::Idle,
    systems::{self, Running},
};

/// Watches `system` in the role of `case` for `seconds`, then opens connections that say nothing.
pub(crate) fn measure(
    ground: &mut Ground<'_>,
    case: &Case,
    system: System,
    watched: Duration,
    connections: usize,
) -> Idle {
    let topic = ground.topic();
    let sink = systems::counting_sink(ground.programs);
    let backend = format!("127.0.0.1:{}", sink.port());
    let running = Running::start(system, &ground.site(case, &topic, &backend));
    let look = || Sample::take(running.id()).expect("the pipeline runs, and there is /proc");
    // What it does once after its start belongs to no second of its idle life.
    thread::sleep(SETTLED);
    let before = look();
    thread::sleep(watched);
    let after = look();
    let spent = after.since(&before);
    let seconds = watched.as_secs_f64();
    let opened: Vec<TcpStream> = (0..connections).map(|_| connect(running.port())).collect();
    let held = settled_memory(&look);
    let grown = held.saturating_sub(after.memory_bytes) as f64;
    let idle = Idle {
        seconds,
        cpu_ms_per_second: spent.cpu.as_secs_f64() * 1e3 / seconds,
        wake_ups_per_second: spent.switches_voluntary as f64 / seconds,
        memory_mib: after.memory_bytes as f64 / MIB,
        connections,
        kib_per_connection: grown / 1024.0 / connections as f64,
    };
    drop(opened);
    idle
}

/// A connection that both sides have greeted: the server keeps all that it keeps of one.
fn connect(port: u16) -> TcpStream {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).expect("the pipeline listens");
    connection.set_read_timeout(Some(GREETED_WITHIN)).expect("the timeout is not zero");
    connection.write_all(PREFACE).expect("the pipeline reads");
    let mut header = [0; 9];
    connection.read_exact(&mut header).expect("the pipeline greets with its settings");
    connection
}

/// Memory once it no longer grows.
fn settled_memory(look: &impl Fn() -> Sample) -> u64 {
    let mut last = look().memory_bytes;
    wait::poll(SETTLED, || {
        let now = look().memory_bytes;
        let settled = now == last;
        last = now;
        settled.then_some(())
    });
    last
}

/// The greeting of an HTTP/2 client, and its settings: none.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const SETTLED: Duration = Duration::from_secs(2);
const GREETED_WITHIN: Duration = Duration::from_secs(10);
const MIB: f64 = 1024.0 * 1024.0;
