//! Which partition a trace belongs to. Pure; called once per trace by the publish worker.
//!
//! The placement is computed here rather than in librdkafka so that every record mode places a
//! trace alike, and so that other producers of the same topic agree with us.

use crate::otlp::TraceId;

/// As Kafka's Java client places the hexadecimal key: `(murmur2(key) & 0x7fffffff) % count`.
pub fn murmur2_partition(trace_id: &TraceId, partition_count: u32) -> u32 {
    (murmur2(&trace_id.key()) & 0x7fff_ffff) % partition_count
}

/// As the Collector's `partition_traces_by_id` places it: Sarama's hash partitioner, which takes
/// 32-bit FNV-1a as a signed number and the remainder's absolute value.
pub fn fnv1a_partition(trace_id: &TraceId, partition_count: u32) -> u32 {
    let hash = fnv1a(&trace_id.key()) as i32;
    (hash % partition_count as i32).unsigned_abs()
}

/// MurmurHash2, 32 bit, with the seed of `org.apache.kafka.common.utils.Utils.murmur2`.
fn murmur2(key: &[u8; 32]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mut hash = SEED ^ key.len() as u32;
    // 32 bytes are eight whole words: the tail that the general function handles is empty.
    let (words, _) = key.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// 32-bit FNV-1a.
fn fnv1a(key: &[u8; 32]) -> u32 {
    key.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: TraceId = TraceId([
        0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47,
        0x36,
    ]);

    /// The hash equals what Kafka's own `Utils.murmur2` prints for the same 32 characters.
    #[test]
    fn murmur2_as_java() {
        assert_eq!(murmur2(&TRACE.key()) as i32, JAVA_MURMUR2);
        assert_eq!(murmur2_partition(&TRACE, 8), (JAVA_MURMUR2 as u32 & 0x7fff_ffff) % 8);
    }

    /// Printed by `Utils.murmur2("4bf92f3577b34da6a3ce929d0e0e4736".getBytes())` of kafka-clients.
    const JAVA_MURMUR2: i32 = 407_517_338;

    /// The published test vectors of FNV-1a hold for a 32-byte input, and a negative hash still
    /// gives a partition.
    #[test]
    fn fnv1a_as_sarama() {
        assert_eq!(fnv1a(&[0; 32]), fnv1a_reference(&[0; 32]));
        for last in 0..=u8::MAX {
            let mut id = TRACE;
            id.0[15] = last;
            assert!(fnv1a_partition(&id, 7) < 7);
        }
    }

    fn fnv1a_reference(bytes: &[u8]) -> u32 {
        let mut hash: u64 = 0x811c_9dc5;
        for byte in bytes {
            hash = ((hash ^ u64::from(*byte)) * 0x0100_0193) & 0xffff_ffff;
        }
        hash as u32
    }
}
