//! What is measured: cases, the systems in each, loads and times. Pure.
//!
//! A case is one shape of request on one path. Within a round every system of every case has its
//! turn, so that whatever disturbs the machine for a minute disturbs all of them.

use std::time::Duration;

/// Everything that a run does.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) rounds: usize,
    /// Load before each measured load.
    pub(crate) warm_up: Duration,
    /// The measured part.
    pub(crate) window: Duration,
    /// One step of the search for the knee.
    pub(crate) step: Duration,
    /// Spans in the topic that forwarders drain.
    pub(crate) drained_spans: u64,
    pub(crate) cases: Vec<Case>,
    /// How long the idle pipeline is watched, and how many connections it is given.
    pub(crate) idle: Option<(Duration, usize)>,
}

/// One shape on one path.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) path: Path,
    pub(crate) shape: Shape,
    pub(crate) loads: Vec<Load>,
    pub(crate) reference: Reference,
    /// The first is the one that ratios are to.
    pub(crate) systems: Vec<System>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Receive,
    Forward,
    EndToEnd,
}

/// What requests look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) spans_per_request: u32,
    pub(crate) spans_per_trace: u32,
    pub(crate) gzip: bool,
}

/// How much is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Open loop, in per cent of the knee.
    Percent(u32),
    /// Closed loop, or a topic that is full: as much as the system takes.
    Saturation,
}

/// Whose knee is a hundred per cent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// One system's, so that all are offered the same.
    One(System),
    /// Each system's own.
    Each,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// The pipeline in default settings but for these.
    Ours {
        record_mode: &'static str,
        compression: &'static str,
    },
    /// The Collector with one of the files of peers/.
    Collector(&'static str),
    /// Bare tonic that drops requests.
    BareTonic,
    /// Bare tonic before bare librdkafka.
    BarePublish {
        record_mode: &'static str,
    },
    /// Bare librdkafka with records that are there already.
    BareProduce,
    /// Bare librdkafka before bare tonic.
    BareForward,
    BareConsume,
}

impl Plan {
    /// Ours beside peers and floors, all offered the same.
    pub(crate) fn compare() -> Self {
        let percents = [Load::Percent(25), Load::Percent(50), Load::Percent(90)];
        let all = [&percents[..], &[Load::Saturation]].concat();
        let half = vec![Load::Percent(50)];
        let receive = |shape, loads: &[Load], systems: &[System]| Case {
            path: Path::Receive,
            shape,
            loads: loads.to_vec(),
            reference: Reference::One(System::Collector("publish_keyed_durable")),
            systems: systems.to_vec(),
        };
        let few = [OURS, KEYED, System::BarePublish { record_mode: "trace" }];
        Self {
            name: "compare",
            rounds: 3,
            warm_up: Duration::from_millis(500),
            window: Duration::from_millis(1_500),
            step: Duration::from_secs(1),
            drained_spans: 3_000_000,
            cases: vec![
                receive(shape(512, 8), &all, &RECEIVERS),
                receive(shape(512, 1), &half, &few),
                receive(shape(10, 10), &half, &few),
                // Traces of four spans: every request of ten spans has parts of three of them.
                receive(shape(10, 4), &half, &few),
                receive(gzipped(512, 8), &half, &few),
                receive(gzipped(10, 10), &half, &few),
                Case {
                    path: Path::Forward,
                    shape: shape(512, 8),
                    loads: all,
                    reference: Reference::One(System::Collector("forward_at_least_once")),
                    systems: FORWARDERS.to_vec(),
                },
            ],
            idle: None,
        }
    }

    /// Ours alone: every setting that changes the work, each at half of its own knee.
    pub(crate) fn bench() -> Self {
        let mut cases = Vec::new();
        for (requests, traces) in [(512, 8), (512, 1), (10, 8), (10, 1)] {
            cases.push(Case {
                path: Path::Receive,
                shape: shape(requests, traces),
                loads: vec![Load::Percent(50), Load::Saturation],
                reference: Reference::Each,
                systems: OUR_SETTINGS.to_vec(),
            });
        }
        let one = |path, loads: &[Load]| Case {
            path,
            shape: shape(512, 8),
            loads: loads.to_vec(),
            reference: Reference::Each,
            systems: vec![OURS],
        };
        cases.push(one(Path::Forward, &[Load::Saturation]));
        cases.push(one(Path::EndToEnd, &[Load::Percent(50)]));
        // Memory at what it can take, and at ten times as much.
        cases.push(one(Path::Receive, &[Load::Percent(100)]));
        cases.push(one(Path::Receive, &[Load::Percent(1_000)]));
        Self {
            name: "bench",
            rounds: 3,
            warm_up: Duration::from_millis(500),
            window: Duration::from_secs(2),
            step: Duration::from_secs(1),
            drained_spans: 3_000_000,
            cases,
            idle: Some((Duration::from_secs(10), 1_000)),
        }
    }

    /// Every system and every load for a moment: shows that all of it still starts.
    pub(crate) fn smoke() -> Self {
        let mut plan = Self::compare();
        plan.cases.retain(|case| case.shape == shape(512, 8) || case.shape.gzip);
        plan.cases.extend(Self::bench().cases.into_iter().filter(|it| it.path == Path::EndToEnd));
        for case in &mut plan.cases {
            case.loads.retain(|load| matches!(load, Load::Percent(50) | Load::Saturation));
        }
        let moment = Duration::from_millis(300);
        let idle = Some((Duration::from_millis(500), 20));
        let (warm_up, window, step) = (moment, moment, moment);
        Self {
            name: "smoke",
            rounds: 1,
            warm_up,
            window,
            step,
            drained_spans: 1_500_000,
            idle,
            ..plan
        }
    }
}

impl Case {
    /// The loads that `system` can have: one without OTLP is offered nothing, and takes what
    /// there is.
    pub(crate) fn loads_of(&self, system: System) -> impl Iterator<Item = Load> {
        let only_saturates = matches!(system, System::BareProduce | System::BareConsume);
        let loads = self.loads.iter().copied();
        loads.filter(move |load| !only_saturates || *load == Load::Saturation)
    }

    /// Its heading.
    pub(crate) fn title(&self) -> String {
        let path = match self.path {
            Path::Receive => "OTLP to Kafka",
            Path::Forward => "Kafka to OTLP",
            Path::EndToEnd => "OTLP to Kafka to OTLP",
        };
        format!("{path}, {}", self.shape.title())
    }
}

impl Shape {
    /// For people.
    fn title(self) -> String {
        let Self { spans_per_request, gzip, .. } = self;
        let traces = match self.traces() {
            1 => "one trace".to_owned(),
            traces => format!("{traces} traces"),
        };
        let gzip = if gzip { ", gzip" } else { "" };
        format!("{spans_per_request} spans of {traces} per request{gzip}")
    }

    /// Traces that a request has spans of.
    fn traces(self) -> u32 {
        self.spans_per_request.div_ceil(self.spans_per_trace)
    }

    /// Records that the pipeline makes of a request.
    pub(crate) fn records(self, record_mode: &str) -> u32 {
        let traces = self.traces();
        if record_mode == "partition" { traces.min(PARTITIONS) } else { traces }
    }

    /// Bytes of one of them, but for a few: spans, and the Resource and scope before them.
    pub(crate) fn record_bytes(self, record_mode: &str) -> u32 {
        self.spans_per_request * SPAN_BYTES / self.records(record_mode) + RESOURCE_BYTES
    }
}

impl Load {
    /// For people.
    pub(crate) fn title(self) -> String {
        match self {
            Self::Percent(percent) => format!("{percent} % of the knee"),
            Self::Saturation => "saturation".to_owned(),
        }
    }
}

impl System {
    /// For people.
    pub(crate) fn title(self) -> String {
        match self {
            Self::Ours { record_mode: "trace", compression: "none" } => "ours".to_owned(),
            Self::Ours { record_mode, compression: "none" } => format!("ours, {record_mode} mode"),
            Self::Ours { record_mode, compression } => {
                format!("ours, {record_mode} mode, {compression}")
            }
            Self::Collector(file) => {
                let setting = file.trim_start_matches("publish_").trim_start_matches("forward_");
                format!("Collector, {}", setting.replace('_', " "))
            }
            Self::BareTonic => "floor: tonic that drops".to_owned(),
            Self::BarePublish { record_mode: "trace" } => "floor: tonic + librdkafka".to_owned(),
            Self::BarePublish { record_mode } => {
                format!("floor: tonic + librdkafka, records as in {record_mode} mode")
            }
            Self::BareProduce => "floor: librdkafka alone".to_owned(),
            Self::BareForward => "floor: librdkafka + tonic".to_owned(),
            Self::BareConsume => "floor: librdkafka alone".to_owned(),
        }
    }
}

const fn shape(spans_per_request: u32, spans_per_trace: u32) -> Shape {
    Shape { spans_per_request, spans_per_trace, gzip: false }
}

const fn gzipped(spans_per_request: u32, spans_per_trace: u32) -> Shape {
    Shape { spans_per_request, spans_per_trace, gzip: true }
}

const fn ours(record_mode: &'static str, compression: &'static str) -> System {
    System::Ours { record_mode, compression }
}

/// Partitions of every topic, the pipeline's default.
pub(crate) const PARTITIONS: u32 = 8;
/// Encoded size of a span.
pub(crate) const SPAN_BYTES: u32 = 290;
/// What loadgen's spans have before them: measured, a record of one span has 404 bytes.
const RESOURCE_BYTES: u32 = 114;
const OURS: System = ours("trace", "none");
const KEYED: System = System::Collector("publish_keyed");
const RECEIVERS: [System; 11] = [
    OURS,
    ours("partition", "none"),
    KEYED,
    System::Collector("publish_keyed_batch"),
    System::Collector("publish_keyed_durable"),
    System::Collector("publish_unkeyed"),
    System::Collector("publish_unkeyed_batch"),
    System::BarePublish { record_mode: "trace" },
    System::BarePublish { record_mode: "partition" },
    System::BareTonic,
    System::BareProduce,
];
const FORWARDERS: [System; 5] = [
    OURS,
    System::Collector("forward_at_least_once"),
    System::Collector("forward_lossy"),
    System::BareForward,
    System::BareConsume,
];
const OUR_SETTINGS: [System; 4] =
    [OURS, ours("partition", "none"), ours("trace", "lz4"), ours("partition", "lz4")];

#[cfg(test)]
mod tests {
    use super::*;

    fn plans() -> [Plan; 3] {
        [Plan::compare(), Plan::bench(), Plan::smoke()]
    }

    /// A row is named by case, load and system: no two rows of a plan have the same name.
    #[test]
    fn rows_are_told_apart() {
        for plan in plans() {
            let mut names = Vec::new();
            for case in &plan.cases {
                for system in &case.systems {
                    for load in &case.loads {
                        names.push((case.title(), system.title(), load.title()));
                    }
                }
            }
            let all = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), all, "{}", plan.name);
        }
    }

    /// Every request of a shape has spans of as many traces as the floors are told, wherever in a
    /// trace it begins.
    #[test]
    fn shapes_fit() {
        for case in plans().iter().flat_map(|plan| &plan.cases) {
            let Shape { spans_per_request, spans_per_trace, .. } = case.shape;
            for request in 0..spans_per_trace {
                let first = request * spans_per_request;
                let last = first + spans_per_request - 1;
                let traces = last / spans_per_trace - first / spans_per_trace + 1;
                assert_eq!(traces, case.shape.traces(), "{}", case.title());
            }
        }
        let records = |shape: Shape| [shape.records("trace"), shape.records("partition")];
        assert_eq!(records(shape(512, 8)), [64, 8]);
        assert_eq!(records(shape(10, 10)), [1, 1]);
        assert_eq!(shape(512, 8).record_bytes("trace"), 2_434);
        assert_eq!(shape(512, 1).record_bytes("trace"), 404);
    }

    /// Each peer is measured with a committed configuration, and none lies there unused.
    #[test]
    fn configurations_are_used() {
        let mut used: Vec<String> = [RECEIVERS.as_slice(), &FORWARDERS]
            .concat()
            .iter()
            .filter_map(|system| match system {
                System::Collector(file) => Some(format!("{file}.yaml")),
                _ => None,
            })
            .collect();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        used.sort();
        files.sort();
        assert_eq!(used, files);
    }

    /// What CI runs starts every system that a plan measures.
    #[test]
    fn smoke_starts_every_system() {
        let systems = |plan: &Plan| -> Vec<System> {
            plan.cases.iter().flat_map(|case| case.systems.clone()).collect()
        };
        let smoked = systems(&Plan::smoke());
        for system in systems(&Plan::compare()) {
            assert!(smoked.contains(&system), "{}", system.title());
        }
    }
}
