//! What a process has spent so far: CPU, memory, context switches. Reads Linux's /proc.

use std::{collections::BTreeMap, fs, time::Duration};

/// A process at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    threads: BTreeMap<u32, Thread>,
    /// Memory that it holds.
    pub memory_bytes: u64,
    /// The most that it held since it began.
    pub memory_bytes_max: u64,
}

/// What a process spent between two samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// On any core. A thread that ended in between is left out.
    pub cpu: Duration,
    /// A thread had to wait and gave its core away: each is followed by a wake-up.
    pub switches_voluntary: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Thread {
    cpu_ns: u64,
    switches_voluntary: u64,
}

impl Sample {
    /// Looks at a process; `None` once it has ended, and where there is no /proc.
    pub fn take(process: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{process}/task")).ok()?.flatten() {
            let folder = entry.path();
            let id = entry.file_name().to_string_lossy().parse().ok()?;
            // The thread may have ended since the folder was read.
            let Ok(spent) = fs::read_to_string(folder.join("schedstat")) else { continue };
            let Ok(status) = fs::read_to_string(folder.join("status")) else { continue };
            let cpu_ns = spent.split_whitespace().next()?.parse().ok()?;
            let switches_voluntary = number(&status, "voluntary_ctxt_switches:")?;
            threads.insert(id, Thread { cpu_ns, switches_voluntary });
        }
        Some(Self {
            threads,
            memory_bytes: number(&status, "VmRSS:")? * 1024,
            memory_bytes_max: number(&status, "VmHWM:")? * 1024,
        })
    }

    /// What was spent since `before`, a sample of the same process.
    pub fn since(&self, before: &Self) -> Spent {
        let mut spent = Spent::default();
        for (id, now) in &self.threads {
            let then = before.threads.get(id).copied().unwrap_or_default();
            // A new thread can have an old one's id; it has then spent less.
            spent.cpu += Duration::from_nanos(now.cpu_ns.saturating_sub(then.cpu_ns));
            spent.switches_voluntary +=
                now.switches_voluntary.saturating_sub(then.switches_voluntary);
        }
        spent
    }
}

/// The number on the line of `status` that begins with `name`.
fn number(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only threads of the later sample count, and each by what it spent in between.
    #[test]
    fn spent_between_samples() {
        let thread = |cpu_ns, switches_voluntary| Thread { cpu_ns, switches_voluntary };
        let before = [(1, thread(100, 1)), (2, thread(700, 9))];
        let now = [(1, thread(350, 4)), (3, thread(50, 2))];
        let sample =
            |threads: [(u32, Thread); 2]| Sample { threads: threads.into(), ..Sample::default() };
        let spent = sample(now).since(&sample(before));
        assert_eq!(spent, Spent { cpu: Duration::from_nanos(300), switches_voluntary: 5 });
    }

    /// This very process is alive, holds memory, and has held no less.
    #[cfg(target_os = "linux")]
    #[test]
    fn own_process() {
        let sample = Sample::take(std::process::id()).unwrap();
        assert!(sample.memory_bytes > 0);
        assert!(sample.memory_bytes_max >= sample.memory_bytes);
        assert!(!sample.threads.is_empty());
    }
}
