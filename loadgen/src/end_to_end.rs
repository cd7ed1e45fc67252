//! End-to-end latency: from when a span was meant to be sent to when it arrived.
//!
//! Owned by the arrivals it belongs to. A span carries its intended start, and the sink reads its
//! own wall clock, so the figure is sound where generator and sink share a host; elsewhere it is
//! off by the difference of the two clocks. Pure; time is passed in.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};

use crate::files::DamageError;
use crate::ids::RunId;
use crate::latency::{self, Named, Percentiles};

/// The latencies of first arrivals, by span.
#[derive(Debug, PartialEq)]
pub(crate) struct EndToEnd {
    histogram: Histogram<u64>,
    /// Spans meant to start within this of the first of their run are left out.
    warm_up_nanos: u64,
    /// By run, the intended start of the span that arrived first.
    first_nanos: BTreeMap<RunId, u64>,
    /// Spans left out.
    warm_up_spans: u64,
}

impl Default for EndToEnd {
    fn default() -> Self {
        Self::new(0)
    }
}

impl EndToEnd {
    /// Leaves out what starts in the first `warm_up_nanos` of a run.
    pub(crate) fn new(warm_up_nanos: u64) -> Self {
        Self {
            histogram: latency::histogram_up_to(END_TO_END_NANOS_MAX),
            warm_up_nanos,
            first_nanos: BTreeMap::new(),
            warm_up_spans: 0,
        }
    }

    /// Records one span; both times are nanoseconds since the epoch.
    pub(crate) fn record(&mut self, run: RunId, intended_nanos: u64, arrived_nanos: u64) {
        if self.warm_up_nanos > 0 {
            let first = *self.first_nanos.entry(run).or_insert(intended_nanos);
            if intended_nanos < first.saturating_add(self.warm_up_nanos) {
                self.warm_up_spans += 1;
                return;
            }
        }
        self.histogram.saturating_record(arrived_nanos.saturating_sub(intended_nanos));
    }

    /// Adds the figures of another sink.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("histograms of the same bounds add up");
        self.warm_up_spans += other.warm_up_spans;
    }

    /// `None` when nothing was measured.
    pub(crate) fn percentiles(&self) -> Option<Percentiles> {
        (!self.histogram.is_empty()).then(|| latency::percentiles(&self.histogram))
    }

    /// Spans that were left out as those of the warm-up.
    pub(crate) fn warm_up_spans(&self) -> u64 {
        self.warm_up_spans
    }

    pub(crate) fn named(&self) -> Named<'_> {
        Named { name: "end to end", tag: "end-to-end", histogram: &self.histogram }
    }

    /// Appends the figures to a file's `content`.
    pub(crate) fn encode(&self, content: &mut Vec<u8>) {
        let mut encoded = Vec::new();
        V2Serializer::new()
            .serialize(&self.histogram, &mut encoded)
            .expect("a histogram of constant bounds fits its own format, and memory takes it");
        content.put_u64_le(self.warm_up_spans);
        content.put_u32_le(encoded.len() as u32);
        content.extend_from_slice(&encoded);
    }

    /// Reads what [`Self::encode`] wrote.
    pub(crate) fn decode(content: &mut Bytes) -> Result<Self, DamageError> {
        let warm_up_spans = content.try_get_u64_le()?;
        let encoded_bytes = content.try_get_u32_le()? as usize;
        if content.remaining() < encoded_bytes {
            return Err(DamageError::Short);
        }
        let mut encoded = content.split_to(encoded_bytes).reader();
        let read: Histogram<u64> =
            Deserializer::new().deserialize(&mut encoded).map_err(|_| UNREADABLE)?;
        // Into bounds of our own, which later figures fit.
        let mut decoded = Self { warm_up_spans, ..Self::default() };
        decoded.histogram.add(&read).map_err(|_| UNREADABLE)?;
        Ok(decoded)
    }
}

const UNREADABLE: DamageError = DamageError::Value("the latency histogram");
/// A day: what a backlog may take to drain. What takes longer ends up in the last bucket.
const END_TO_END_NANOS_MAX: u64 = 86_400_000_000_000;

#[cfg(test)]
mod tests {
    use super::EndToEnd;
    use crate::ids::RunId;

    /// The first moments of each run are left out, counted from that run's own first span.
    #[test]
    fn the_warm_up_of_each_run_is_left_out() {
        let mut latencies = EndToEnd::new(1_000_000);
        for run in [1, 2] {
            let start = u64::from(run) * 50_000_000;
            for offset in [0, 999_999, 1_000_000] {
                let intended = start + offset;
                latencies.record(RunId(run), intended, intended + 5_000);
            }
        }
        assert_eq!(latencies.warm_up_spans(), 4);
        assert_eq!(latencies.percentiles().unwrap().count, 2);
    }

    /// Nothing measured is no figure, rather than a latency of zero.
    #[test]
    fn nothing_is_no_figure() {
        assert_eq!(EndToEnd::default().percentiles(), None);
    }

    /// Damage in a file is recognised, not trusted.
    #[test]
    fn damage_is_refused() {
        let mut content = Vec::new();
        EndToEnd::default().encode(&mut content);
        content[12] ^= 0xff;
        assert!(EndToEnd::decode(&mut content.into()).is_err());
    }
}
