//! Apache Kafka: one broker or a cluster, KRaft, with its data in this run's folder.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    message::{BorrowedHeaders, Headers},
};

use crate::{parts, port, process::Process, reaper, wait};

/// What kind of cluster.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// Brokers, each of them a controller too. Topics are replicated to at most three.
    pub node_count: u16,
    /// Where the brokers keep their data; without one, in the folder of this run.
    pub data: Option<PathBuf>,
    /// The port that clients are told to use for the only broker, when something stands before it.
    pub advertised: Option<u16>,
    /// Further settings of every broker: lines of `server.properties`, which win over ours.
    pub settings: Vec<String>,
}

impl KafkaOptions {
    /// So many brokers, with their data in the folder of this run.
    pub fn nodes(node_count: u16) -> Self {
        Self { node_count, data: None, advertised: None, settings: Vec::new() }
    }
}

/// A running cluster; it ends when dropped.
pub struct Kafka {
    nodes: Vec<Node>,
}

struct Node {
    port: u16,
    folder: PathBuf,
    process: Process,
}

/// One record as a consumer sees it.
#[derive(Debug)]
pub struct Record {
    /// Where it lies.
    pub partition: i32,
    /// Its key, `None` when null.
    pub key: Option<Vec<u8>>,
    /// Its value; tombstones are not read.
    pub value: Vec<u8>,
    /// Its headers as text; of a name that repeats, the last.
    pub headers: BTreeMap<String, String>,
}

impl Kafka {
    /// Starts a cluster and waits until its brokers answer a metadata request.
    pub fn start(options: KafkaOptions) -> Self {
        let libraries = parts::folder("kafka").join("libs");
        for _ in 0..START_ATTEMPTS {
            let nodes = start_nodes(&libraries, &options);
            let mut cluster = Self { nodes };
            if cluster.await_ready() {
                return cluster;
            }
        }
        panic!("Kafka found no free ports in {START_ATTEMPTS} attempts");
    }

    /// `host:port` of every broker, as `KAFKA_BROKERS` takes it.
    pub fn brokers(&self) -> String {
        let addresses: Vec<_> =
            self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        addresses.join(",")
    }

    /// Where a broker itself listens, whatever it advertises.
    pub fn port_of(&self, id: i32) -> u16 {
        let index = usize::try_from(id - 1).expect("nodes are counted from 1");
        self.nodes[index].port
    }

    /// The leader of a partition; `None` while it has none.
    pub fn leader_of(&self, topic: &str, partition: i32) -> Option<i32> {
        let client: BaseConsumer = self.client().create().ok()?;
        let metadata = client.fetch_metadata(Some(topic), METADATA_TIMEOUT).ok()?;
        let partitions = metadata.topics().first()?.partitions();
        let found = partitions.iter().find(|found| found.id() == partition)?;
        (found.leader() > 0).then(|| found.leader())
    }

    /// The process id of every broker.
    pub fn process_ids(&self) -> Vec<u32> {
        self.nodes.iter().map(|node| node.process.id()).collect()
    }

    /// Ends every broker at once; the next start recovers their logs.
    pub fn kill_9(&mut self) {
        for node in &mut self.nodes {
            node.process.kill_9();
        }
    }

    /// Ends one broker at once.
    pub fn kill_9_node(&mut self, id: i32) {
        let index = usize::try_from(id - 1).expect("nodes are counted from 1");
        self.nodes[index].process.kill_9();
    }

    /// Ends every broker in order (SIGTERM).
    pub fn stop(&mut self) {
        for node in &mut self.nodes {
            node.process.stop(STOP_WITHIN);
        }
    }

    /// As if the brokers' disks were full: none of their files may grow any more, until they are
    /// started again.
    pub fn fill_disks(&self) {
        for id in self.process_ids() {
            let limited = Command::new("prlimit")
                .args(["--pid", &id.to_string(), "--fsize=1"])
                .status()
                .expect("util-linux is there");
            assert!(limited.success(), "prlimit: {limited}");
        }
    }

    /// Starts every broker again at its old address and with its old data.
    pub fn restart(&mut self) {
        let libraries = parts::folder("kafka").join("libs");
        for node in &mut self.nodes {
            node.process = run_broker(&libraries, &node.folder);
        }
        assert!(self.await_ready(), "a broker's old port was taken while it was down");
    }

    /// Creates a topic and waits until every partition has a leader.
    pub fn create_topic(&self, topic: &str, partition_count: i32) {
        let replication = TopicReplication::Fixed(replication_factor(self.nodes.len()));
        let wanted = NewTopic::new(topic, partition_count, replication);
        let admin: AdminClient<DefaultClientContext> =
            self.client().create().expect("the settings are valid");
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
        let created = pollster::block_on(admin.create_topics([&wanted], &options))
            .unwrap_or_else(|error| panic!("creating {topic}: {error}"));
        assert!(created.iter().all(Result::is_ok), "creating {topic}: {created:?}");
        let consumer: BaseConsumer = self.client().create().expect("the settings are valid");
        wait::wait_for("leaders of a new topic", READY_WITHIN, || {
            let metadata = consumer.fetch_metadata(Some(topic), METADATA_TIMEOUT).ok()?;
            let partitions = metadata.topics().first()?.partitions();
            let complete = partitions.len() == usize::try_from(partition_count).ok()?;
            (complete && partitions.iter().all(|partition| partition.leader() > 0)).then_some(())
        });
    }

    /// Every record that is in `topic` now, partition by partition in the order of offsets.
    pub fn read_topic(&self, topic: &str) -> Vec<Record> {
        // Assigned by hand: the group is never joined, and nothing is committed.
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", "reads-whole-topics")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "false")
            .create()
            .expect("the settings are valid");
        let metadata = consumer
            .fetch_metadata(Some(topic), METADATA_TIMEOUT)
            .unwrap_or_else(|error| panic!("metadata of {topic}: {error}"));
        let mut records = Vec::new();
        for partition in metadata.topics()[0].partitions() {
            read_partition(&consumer, topic, partition.id(), &mut records);
        }
        records
    }

    /// Members of a consumer group; `None` while it rebalances or does not exist.
    pub fn stable_member_count(&self, group: &str) -> Option<usize> {
        let consumer: BaseConsumer = self.client().create().ok()?;
        let groups = consumer.fetch_group_list(Some(group), METADATA_TIMEOUT).ok()?;
        let found = groups.groups().first()?;
        (found.state() == "Stable").then(|| found.members().len())
    }

    /// The ends of the brokers' logs, for a failed test.
    pub fn log_tail(&self) -> String {
        self.nodes.iter().map(|node| node.process.log_tail()).collect()
    }

    /// Settings of a client of this cluster.
    pub fn client(&self) -> ClientConfig {
        let mut settings = ClientConfig::new();
        settings
            .set("bootstrap.servers", self.brokers())
            // A broker that was just restarted is asked again at once.
            .set("reconnect.backoff.max.ms", "200");
        settings
    }

    /// True once every broker is known to a client; false when one ended for want of its port.
    fn await_ready(&mut self) -> bool {
        let client: BaseConsumer = self.client().create().expect("the settings are valid");
        wait::wait_for("Kafka", READY_WITHIN, || {
            for node in &mut self.nodes {
                let Some(status) = node.process.ended() else { continue };
                let log = node.process.log();
                let collided = log.contains("Address already in use");
                assert!(collided, "Kafka ended: {status}\n{}", node.process.log_tail());
                return Some(false);
            }
            let metadata = client.fetch_metadata(None, METADATA_TIMEOUT).ok()?;
            (metadata.brokers().len() == self.nodes.len()).then_some(true)
        })
    }
}

/// Formats the storage of every node and starts them all.
fn start_nodes(libraries: &Path, options: &KafkaOptions) -> Vec<Node> {
    static CLUSTERS: AtomicU32 = AtomicU32::new(0);
    let cluster = CLUSTERS.fetch_add(1, Ordering::Relaxed);
    let ports: Vec<_> =
        (1..=options.node_count).map(|id| (id, port::free(), port::free())).collect();
    let voters: Vec<_> =
        ports.iter().map(|(id, _, controller)| format!("{id}@127.0.0.1:{controller}")).collect();
    let start = |&(id, broker, controller): &(u16, u16, u16)| {
        let folder = reaper::folder().join(format!("kafka-{cluster}-{id}"));
        fs::create_dir_all(&folder).expect("the folder of this run is writable");
        let data = options.data.as_deref().unwrap_or(&folder).join(format!("data-{cluster}-{id}"));
        let advertised = options.advertised.unwrap_or(broker);
        let mut settings = node_settings(&data, id, [broker, advertised, controller], &voters);
        for setting in &options.settings {
            settings += setting;
            settings.push('\n');
        }
        fs::write(folder.join("server.properties"), settings).expect("it is writable");
        format_storage(libraries, &folder);
        Node { port: broker, process: run_broker(libraries, &folder), folder }
    };
    ports.iter().map(start).collect()
}

fn node_settings(data: &Path, id: u16, ports: [u16; 3], voters: &[String]) -> String {
    let [broker, advertised, controller] = ports;
    let common = include_str!("../../tests/real/parts/kafka/server.properties");
    let replicas = replication_factor(voters.len());
    let in_sync = (replicas - 1).max(1);
    format!(
        "{common}
node.id={id}
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{advertised}
controller.quorum.voters={}
log.dirs={}
default.replication.factor={replicas}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={replicas}
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
",
        voters.join(","),
        data.display(),
    )
}

fn replication_factor(node_count: usize) -> i32 {
    i32::try_from(node_count.min(3)).expect("at most three")
}

fn format_storage(libraries: &Path, folder: &Path) {
    let formatted = java(libraries)
        .args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"])
        .arg(folder.join("server.properties"))
        .output()
        .expect("scripts/real-parts has made sure of java");
    assert!(
        formatted.status.success(),
        "formatting {}: {}{}",
        folder.display(),
        String::from_utf8_lossy(&formatted.stdout),
        String::from_utf8_lossy(&formatted.stderr)
    );
}

fn run_broker(libraries: &Path, folder: &Path) -> Process {
    let logging = concat!(
        "-Dlog4j2.configurationFile=",
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/real/parts/kafka/log4j2.properties"
    );
    let mut command = java(libraries);
    command
        .args(["-Xms256m", "-Xmx512m", "-XX:+UseG1GC", logging, "kafka.Kafka"])
        .arg(folder.join("server.properties"));
    Process::start(&mut command, &folder.join("kafka.log"))
}

fn java(libraries: &Path) -> Command {
    let mut command = Command::new("java");
    command.arg("-cp").arg(libraries.join("*"));
    command
}

/// Reads from the first offset up to what was the end when the call began.
fn read_partition(consumer: &BaseConsumer, topic: &str, partition: i32, records: &mut Vec<Record>) {
    // Right after a start or a creation some partitions may still be without their leader.
    let (first, end) = wait::wait_for("offsets of a partition", READY_WITHIN, || {
        consumer.fetch_watermarks(topic, partition, METADATA_TIMEOUT).ok()
    });
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, partition, Offset::Offset(first)).expect("offset is valid");
    consumer.assign(&from).expect("the partition exists");
    let mut next = first;
    while next < end {
        // Transient errors (a broker that has just come back) are left to the deadline.
        let what = format!("record {next} of {end} in {topic}/{partition}");
        let record = wait::wait_for(&what, READ_WITHIN, || consumer.poll(POLL_TIMEOUT)?.ok());
        // Offsets of a topic without transactions and compaction have no gaps at the end.
        next = record.offset() + 1;
        records.push(Record {
            partition,
            key: record.key().map(<[u8]>::to_vec),
            value: record.payload().expect("no tombstones are read here").to_vec(),
            headers: record.headers().map(headers).unwrap_or_default(),
        });
    }
}

fn headers(headers: &BorrowedHeaders) -> BTreeMap<String, String> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers = headers.iter();
    headers.map(|it| (it.key.to_owned(), it.value.map(text).unwrap_or_default())).collect()
}

/// Any valid id will do: data folders are never shared.
const CLUSTER_ID: &str = "4L6g3nShT-eMCtK--X86sw";
/// Another process can take a port between our look and the broker's bind.
const START_ATTEMPTS: u32 = 3;
/// Three brokers starting on two busy cores take a good part of this.
const READY_WITHIN: Duration = Duration::from_secs(90);
const STOP_WITHIN: Duration = Duration::from_secs(30);
const METADATA_TIMEOUT: Duration = Duration::from_secs(5);
const READ_WITHIN: Duration = Duration::from_secs(30);
const POLL_TIMEOUT: Duration = Duration::from_millis(500);
