//! One system under its loads, once: samples before and after each load, and what came of it.

use std::{
    thread,
    time::{Duration, Instant},
};

use testbed::{
    kafka::{Kafka, KafkaOptions},
    sample::{Sample, Spent},
    wait,
};

use crate::{
    knee,
    load::{self, Amount, Offer, Report, Sink},
    plan::{Case, Load, PARTITIONS, Path, Plan, System},
    programs::Programs,
    systems::{self, Running, Site},
};

/// What one round found for one system under one load.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Measured {
    pub(crate) offered: Option<f64>,
    pub(crate) spans: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu: Duration,
    pub(crate) broker_cpu: Duration,
    pub(crate) memory_bytes: u64,
    pub(crate) reply_ms: Option<[f64; 3]>,
    pub(crate) end_to_end_ms: Option<[f64; 3]>,
    pub(crate) not_acknowledged: u64,
    pub(crate) void: Option<String>,
}

/// Kafka and the programs of a run.
pub(crate) struct Ground<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) programs: &'a Programs,
    pub(crate) kafka: &'a Kafka,
    brokers: String,
    broker: u32,
    topics: u32,
    /// The topic that forwarders drain, once there is one.
    full: Option<String>,
}

impl<'a> Ground<'a> {
    pub(crate) fn new(plan: &'a Plan, programs: &'a Programs, kafka: &'a Kafka) -> Self {
        let broker = kafka.process_ids()[0];
        Self { plan, programs, kafka, brokers: kafka.brokers(), broker, topics: 0, full: None }
    }

    /// What a hundred per cent is for `system`, in spans per second.
    pub(crate) fn knee(&mut self, case: &Case, system: System) -> f64 {
        if case.path == Path::Forward {
            let full = self.full_topic(case);
            let drained = self.drain(case, system, &full);
            return drained.spans as f64 / drained.seconds;
        }
        let topic = self.topic();
        let sink = (case.path == Path::EndToEnd).then(|| Sink::start(&self.programs.loadgen));
        let backend = sink.as_ref().map_or_else(String::new, |sink| sink.address.clone());
        let running = Running::start(system, &self.site(case, &topic, &backend));
        let endpoint = running.endpoint();
        let step = self.plan.step;
        let offer = |amount| self.offer(case, &endpoint, amount);
        offer(Amount::Saturate(self.plan.warm_up));
        let most = offer(Amount::Saturate(step));
        let most = most.acknowledged as f64 / most.seconds;
        let rate = knee::search(most, |rate| offer(Amount::Rate(rate, step)));
        drop(running);
        self.kafka.delete_topic(&topic);
        rate
    }

    /// Every load of `case` for `system`, in order; loads that it cannot have are left out.
    pub(crate) fn measure(
        &mut self,
        case: &Case,
        system: System,
        knee: f64,
    ) -> Vec<(Load, Measured)> {
        let loads = case.loads_of(system);
        if case.path == Path::Forward {
            loads.map(|load| (load, self.forward(case, system, load, knee))).collect()
        } else {
            self.receive(case, system, &loads.collect::<Vec<_>>(), knee)
        }
    }

    /// A topic full of records for forwarders to drain, made once and by the pipeline itself.
    pub(crate) fn full_topic(&mut self, case: &Case) -> String {
        if let Some(full) = &self.full {
            return full.clone();
        }
        let topic = self.topic();
        let feeder = Running::feeder(&self.site(case, &topic, ""));
        let fed = self.offer(case, &feeder.endpoint(), Amount::Spans(self.plan.drained_spans));
        assert_eq!(fed.not_acknowledged, 0, "a topic was not filled: {fed:?}");
        self.full = Some(topic.clone());
        topic
    }

    /// One process under one load after the other.
    fn receive(
        &mut self,
        case: &Case,
        system: System,
        loads: &[Load],
        knee: f64,
    ) -> Vec<(Load, Measured)> {
        let topic = self.topic();
        let sink = (case.path == Path::EndToEnd).then(|| Sink::start(&self.programs.loadgen));
        let backend = sink.as_ref().map_or_else(String::new, |sink| sink.address.clone());
        let running = Running::start(system, &self.site(case, &topic, &backend));
        let endpoint = running.endpoint();
        let mut found = Vec::new();
        for &load in loads {
            if system == System::BareProduce {
                let measured = self.count_for_a_window(case, &running, || running.count());
                found.push((load, measured));
                continue;
            }
            let amount = self.amount(load, knee, self.plan.warm_up);
            self.offer(case, &endpoint, amount);
            let before = self.look(&running);
            let report = self.offer(case, &endpoint, self.amount(load, knee, self.plan.window));
            let measured = before.measured(&self.look(&running), report, offered(load, knee));
            found.push((load, measured));
        }
        drop(running);
        if let (Some(sink), Some((_, last))) = (sink, found.last_mut()) {
            last.end_to_end_ms = sink.end_to_end_ms();
        }
        self.kafka.delete_topic(&topic);
        found
    }

    /// Kafka to a backend: from a full topic, or from one that is fed at a rate.
    fn forward(&mut self, case: &Case, system: System, load: Load, knee: f64) -> Measured {
        let Load::Percent(_) = load else {
            let full = self.full_topic(case);
            return self.drain(case, system, &full);
        };
        let topic = self.topic();
        let sink = systems::counting_sink(self.programs);
        let backend = format!("127.0.0.1:{}", sink.port());
        let site = self.site(case, &topic, &backend);
        let feeder = Running::feeder(&site);
        let running = Running::start(system, &site);
        let fed = self.offer(case, &feeder.endpoint(), self.amount(load, knee, self.plan.warm_up));
        wait::wait_for("the first spans at the sink", FIRST_WITHIN, || {
            (sink.count() >= fed.acknowledged / 2).then_some(())
        });
        let (before, arrived) = (self.look(&running), sink.count());
        let report =
            self.offer(case, &feeder.endpoint(), self.amount(load, knee, self.plan.window));
        let mut measured = before.measured(&self.look(&running), report, offered(load, knee));
        measured.spans = sink.count() - arrived;
        measured.reply_ms = None;
        drop(running);
        self.kafka.delete_topic(&topic);
        measured
    }

    /// Reads a full topic until nine tenths have arrived or the window is over; it begins when a
    /// twentieth has.
    fn drain(&self, case: &Case, system: System, topic: &str) -> Measured {
        let sink = systems::counting_sink(self.programs);
        let backend = format!("127.0.0.1:{}", sink.port());
        let running = Running::launch(system, &self.site(case, topic, &backend));
        let launched = self.look(&running);
        let arrived = || match system {
            System::BareConsume => running.count() * u64::from(case.shape.spans_per_trace),
            _ => sink.count(),
        };
        let all = self.plan.drained_spans;
        wait::wait_for("the first spans of a full topic", FIRST_WITHIN, || {
            (arrived() >= all / 20).then_some(())
        });
        let (before, first) = (self.look(&running), arrived());
        let enough = all / 10 * 9;
        if first >= enough {
            // A short topic can be drained between two looks: then its start counts too.
            return Measured { spans: first, ..launched.spent(&before) };
        }
        let window = self.plan.window.max(DRAIN_MIN);
        wait::poll(window, || (arrived() >= enough).then_some(()));
        let (after, last) = (self.look(&running), arrived());
        Measured { spans: last - first, ..before.spent(&after) }
    }

    /// A window of something that needs no load from outside.
    fn count_for_a_window(
        &self,
        case: &Case,
        running: &Running,
        count: impl Fn() -> u64,
    ) -> Measured {
        thread::sleep(self.plan.warm_up);
        let (before, first) = (self.look(running), count());
        thread::sleep(self.plan.window);
        let (after, last) = (self.look(running), count());
        let spans = (last - first) * u64::from(case.shape.spans_per_trace);
        Measured { spans, ..before.spent(&after) }
    }

    fn amount(&self, load: Load, knee: f64, duration: Duration) -> Amount {
        offered(load, knee).map_or(Amount::Saturate(duration), |rate| Amount::Rate(rate, duration))
    }

    fn offer(&self, case: &Case, endpoint: &str, amount: Amount) -> Report {
        load::run(&self.programs.loadgen, &Offer { endpoint, shape: case.shape, amount })
    }

    /// A new topic, so that no system finds another's records.
    pub(crate) fn topic(&mut self) -> String {
        self.topics += 1;
        let topic = format!("compare-{}", self.topics);
        self.kafka.create_topic(&topic, i32::try_from(PARTITIONS).expect("there are few"));
        topic
    }

    pub(crate) fn site<'b>(&'b self, case: &Case, topic: &'b str, backend: &'b str) -> Site<'b> {
        let Self { programs, brokers, .. } = self;
        Site { programs, brokers, topic, backend, path: case.path, shape: case.shape }
    }

    fn look(&self, running: &Running) -> Look {
        let take = |process, what| {
            Sample::take(process)
                .unwrap_or_else(|| panic!("{what} has ended, or there is no /proc"))
        };
        Look {
            at: Instant::now(),
            system: take(running.id(), "the measured system"),
            broker: take(self.broker, "the broker"),
        }
    }
}

/// Kafka on memory, so that no disk is measured.
pub(crate) fn start_kafka(data: Option<std::path::PathBuf>) -> Kafka {
    let settings = BROKER_SETTINGS.map(|(name, value)| format!("{name}={value}"));
    Kafka::start(KafkaOptions { data, settings: settings.to_vec(), ..KafkaOptions::nodes(1) })
}

/// Both processes at one moment.
struct Look {
    at: Instant,
    system: Sample,
    broker: Sample,
}

impl Look {
    /// What was spent between two looks.
    fn spent(&self, after: &Self) -> Measured {
        let cpu = |after: &Sample, before: &Sample| {
            let Spent { cpu, .. } = after.since(before);
            cpu
        };
        Measured {
            seconds: after.at.duration_since(self.at).as_secs_f64(),
            cpu: cpu(&after.system, &self.system),
            broker_cpu: cpu(&after.broker, &self.broker),
            memory_bytes: after.system.memory_bytes_max,
            ..Measured::default()
        }
    }

    /// The same, with what loadgen says.
    fn measured(&self, after: &Self, report: Report, offered: Option<f64>) -> Measured {
        Measured {
            offered,
            spans: report.acknowledged,
            seconds: report.seconds,
            reply_ms: Some(report.reply_ms),
            not_acknowledged: report.not_acknowledged,
            void: report.void,
            ..self.spent(after)
        }
    }
}

/// The offered rate in whole hundreds of spans per second.
fn offered(load: Load, knee: f64) -> Option<f64> {
    let Load::Percent(percent) = load else { return None };
    Some((knee * f64::from(percent) / 1e4).round().max(1.0) * 100.0)
}

/// Enough for the longest window, little enough for memory.
pub(crate) const BROKER_SETTINGS: [(&str, &str); 4] = [
    ("log.segment.bytes", "67108864"),
    ("log.retention.bytes", "134217728"),
    ("log.retention.check.interval.ms", "2000"),
    ("log.segment.delete.delay.ms", "1000"),
];
/// Whole batches arrive: a moment may see none.
const DRAIN_MIN: Duration = Duration::from_secs(1);
const FIRST_WITHIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    /// Per cent of the knee, never nothing.
    #[test]
    fn offered_rates() {
        assert_eq!(offered(Load::Percent(50), 123_456.0), Some(61_700.0));
        assert_eq!(offered(Load::Percent(25), 1.0), Some(100.0));
        assert_eq!(offered(Load::Saturation, 123_456.0), None);
    }
}
