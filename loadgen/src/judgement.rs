//! What a run's figures are worth: reasons to call them void, and what to know beside them.
//!
//! Pure. It must never call a figure good that the run does not support: every rule names what it
//! saw and the limit.

use std::time::Duration;

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence {
    /// True when even shared cores are to void the run.
    pub(crate) is_strict: bool,
    /// Spans of the whole run.
    pub(crate) acknowledged: u64,
    /// Spans of requests that were meant to start after the warm-up.
    pub(crate) measured: u64,
    /// From the end of the warm-up to the last answer.
    pub(crate) measured_for: Duration,
    /// Microseconds from the intended start.
    pub(crate) latency_p99: f64,
    /// Microseconds from the intended to the actual start.
    pub(crate) lateness_p99: f64,
    /// Part of the time that generator threads were on a core; `None` where that is not known.
    pub(crate) busy: Option<f64>,
    pub(crate) placement: Placement,
}

/// Where generator and receiver run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Placement {
    /// True when the receiver is on the generator's host.
    pub(crate) receiver_is_local: bool,
    pub(crate) generator_threads: usize,
    /// Cores of the host.
    pub(crate) cores: Option<usize>,
    /// Cores that the generator may use.
    pub(crate) cores_allowed: Option<usize>,
}

/// The verdict on a run's figures.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// Why the whole run says nothing about the receiver.
    pub(crate) void: Option<String>,
    /// Why latencies, and a rate that may be the generator's own, say nothing about the receiver.
    pub(crate) latency_void: Option<String>,
    /// What does not void a figure, and belongs beside it.
    pub(crate) notes: Vec<String>,
}

impl Judgement {
    pub(crate) fn new(evidence: &Evidence) -> Self {
        let mut judgement = Self::default();
        if cfg!(debug_assertions) {
            judgement.notes.push("loadgen was built for debugging: it is slow".to_owned());
        }
        let shared = evidence.placement.shared();
        judgement.void = if evidence.acknowledged == 0 {
            Some("no span was acknowledged".to_owned())
        } else if evidence.measured == 0 {
            Some("no request started after the warm-up".to_owned())
        } else if evidence.is_strict {
            shared.clone()
        } else {
            None
        };
        judgement.latency_void = saturated(evidence).or_else(|| late(evidence));
        judgement.notes.extend(shared);
        judgement
    }
}

impl Placement {
    /// Says so when generator and receiver compete for cores. A generator that was pinned to some
    /// of them has a placement that somebody chose.
    fn shared(self) -> Option<String> {
        let cores = self.cores.filter(|_| self.receiver_is_local)?;
        let is_pinned = self.cores_allowed.is_some_and(|allowed| allowed < cores);
        // The generator's threads, the pacer, and at least one for the receiver.
        let needed = self.generator_threads + 2;
        (!is_pinned && cores < needed).then(|| {
            format!("receiver and generator share {cores} cores, {needed} would keep them apart")
        })
    }
}

/// A generator whose threads are busy all the time measures itself: in a closed loop its own rate,
/// in an open one how late it is.
fn saturated(evidence: &Evidence) -> Option<String> {
    let busy = evidence.busy.filter(|_| evidence.measured_for >= SATURATION_WINDOW_MIN)?;
    (busy > BUSY_MAX).then(|| {
        format!(
            "the generator was saturated: its threads were busy {:.0} % of the time, limit {:.0} %",
            busy * 100.0,
            BUSY_MAX * 100.0
        )
    })
}

fn late(evidence: &Evidence) -> Option<String> {
    let limit = (evidence.latency_p99 / 10.0).max(LATENESS_MICROS_MAX);
    (evidence.lateness_p99 > limit).then(|| {
        format!(
            "requests started late: p99 of lateness {:.0} us, limit {limit:.0} us",
            evidence.lateness_p99
        )
    })
}

/// Within what a sleeping thread can be expected to wake.
const LATENESS_MICROS_MAX: f64 = 1_000.0;
/// Above it a thread has no room left for the bursts of its own work.
const BUSY_MAX: f64 = 0.85;
/// A shorter run is over before its threads have had reason to sleep.
const SATURATION_WINDOW_MIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Evidence, Judgement, Placement};

    const SOUND: Evidence = Evidence {
        is_strict: false,
        acknowledged: 10,
        measured: 10,
        measured_for: Duration::from_secs(2),
        latency_p99: 2_000.0,
        lateness_p99: 900.0,
        busy: Some(0.5),
        placement: Placement {
            receiver_is_local: true,
            generator_threads: 1,
            cores: Some(3),
            cores_allowed: Some(3),
        },
    };

    fn voids(evidence: &Evidence) -> (bool, bool) {
        let Judgement { void, latency_void, .. } = Judgement::new(evidence);
        (void.is_some(), latency_void.is_some())
    }

    /// A late generator voids its latencies, unless lateness is small beside them.
    #[test]
    fn lateness_voids_latency() {
        let p99 = |latency_p99, lateness_p99| Evidence { latency_p99, lateness_p99, ..SOUND };
        assert_eq!(voids(&p99(2_000.0, 900.0)), (false, false));
        assert_eq!(voids(&p99(50_000.0, 4_000.0)), (false, false));
        assert_eq!(voids(&p99(5_000.0, 1_100.0)), (false, true));
    }

    /// A busy generator voids latencies; a run of less than a second is not judged.
    #[test]
    fn saturation_voids() {
        let busy = Evidence { busy: Some(0.9), ..SOUND };
        assert_eq!(voids(&busy), (false, true));
        let measured_for = Duration::from_millis(900);
        assert_eq!(voids(&Evidence { measured_for, ..busy }), (false, false));
        assert_eq!(voids(&Evidence { busy: None, ..busy }), (false, false));
    }

    /// Nothing acknowledged, or nothing after the warm-up, is no measurement.
    #[test]
    fn nothing_measured_is_void() {
        assert!(voids(&Evidence { acknowledged: 0, ..SOUND }).0);
        assert!(voids(&Evidence { measured: 0, ..SOUND }).0);
    }

    /// Too few cores for both are noted, and void under `--strict` alone; a receiver elsewhere, or
    /// a generator with cores of its own, shares nothing.
    #[test]
    fn shared_cores_are_noted() {
        let judge = |placement, is_strict| {
            let judgement = Judgement::new(&Evidence { placement, is_strict, ..SOUND });
            let is_noted = judgement.notes.iter().any(|note| note.contains("share"));
            (is_noted, judgement.void.is_some())
        };
        let shared = Placement { cores: Some(2), cores_allowed: Some(2), ..SOUND.placement };
        assert_eq!(judge(shared, false), (true, false));
        assert_eq!(judge(shared, true), (true, true));
        assert_eq!(judge(SOUND.placement, true), (false, false));
        let elsewhere = Placement { receiver_is_local: false, ..shared };
        assert_eq!(judge(elsewhere, true), (false, false));
        let pinned = Placement { cores_allowed: Some(1), ..shared };
        assert_eq!(judge(pinned, true), (false, false));
    }
}
