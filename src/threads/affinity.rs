//! How many threads of each kind, and which of them are pinned to which core.
//!
//! Pure but for [`Machine::detect`] and [`CoreId::pin`], which the main thread and each spawned
//! thread call once.

use std::fs;

use crate::config::{Pinning, Role, ThreadsConfig};

/// A core this process is allowed to run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreId(core_affinity::CoreId);

impl CoreId {
    /// Pins the calling thread; false when the system refuses.
    pub fn pin(self) -> bool {
        core_affinity::set_for_current(self.0)
    }

    /// The system's number of the core.
    pub fn index(self) -> usize {
        self.0.id
    }
}

/// What the process may use of the machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Cores of the affinity mask (`sched_getaffinity`).
    pub cores: Vec<CoreId>,
    /// CPUs granted by the cgroup's quota, when there is one.
    pub quota: Option<f64>,
}

impl Machine {
    /// Reads the affinity mask and the cgroup v2 (or v1) CPU quota.
    pub fn detect() -> Self {
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        Self { cores: cores.into_iter().map(CoreId).collect(), quota: cgroup_quota() }
    }

    /// Whole CPUs that threads can count on, at least one.
    fn cpus(&self) -> usize {
        let allowed = self.cores.len().max(1);
        self.quota.map_or(allowed, |quota| (quota.ceil() as usize).clamp(1, allowed))
    }
}

/// The chosen thread counts and cores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `receive-K` threads; 0 when the role does not receive.
    pub receive: usize,
    /// `publish-N` threads, one producer each; 0 when the role does not receive.
    pub publish: usize,
    /// `forward-N` threads, one consumer each; 0 when the role does not forward.
    pub forward: usize,
    /// Core of each publish thread; empty = unpinned.
    pub pinned: Vec<CoreId>,
    /// Why it is so, for the start line.
    pub reason: String,
}

/// One more receive or publish thread per this many CPUs: a receive thread carries several
/// hundred thousand spans per second, and every further producer makes batches smaller.
const CPUS_PER_THREAD: usize = 4;

impl Layout {
    /// Chooses counts and cores from the settings and the machine.
    pub fn choose(config: &ThreadsConfig, role: Role, machine: &Machine) -> Self {
        let automatic = machine.cpus().div_ceil(CPUS_PER_THREAD);
        let count =
            |set: Option<usize>, runs: bool| if runs { set.unwrap_or(automatic) } else { 0 };
        let receive = count(config.receive, role.receives());
        let publish = count(config.publish, role.receives());
        let forward = count(config.forward, role.forwards());
        // librdkafka's broker thread of each producer is as hot as the worker that feeds it.
        let hot = receive + 2 * publish + 2 * forward;
        let (pin, why) = match (config.pinning, machine.quota) {
            (Pinning::Off, _) => (false, "pinning is off".to_owned()),
            (Pinning::On, _) => (!machine.cores.is_empty(), "pinning is on".to_owned()),
            (Pinning::Auto, Some(quota)) => (
                false,
                format!("unpinned: a cpu quota of {quota} moves, every pod would share core 0"),
            ),
            (Pinning::Auto, None) if machine.cores.len() < hot => {
                (false, format!("unpinned: {} cores for {hot} hot threads", machine.cores.len()))
            }
            (Pinning::Auto, None) => {
                (true, format!("pinned: {} cores for {hot} hot threads", machine.cores.len()))
            }
        };
        let pinned = if pin {
            machine.cores.iter().rev().cycle().take(publish).copied().collect()
        } else {
            Vec::new()
        };
        Self { receive, publish, forward, pinned, reason: why }
    }
}

/// CPUs granted by the control group, from the file of version 2 or the two of version 1.
fn cgroup_quota() -> Option<f64> {
    let read = |path: &str| fs::read_to_string(path).ok();
    if let Some(text) = read("/sys/fs/cgroup/cpu.max") {
        return parse_cpu_max(&text);
    }
    let quota = read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")?;
    let period = read("/sys/fs/cgroup/cpu/cpu.cfs_period_us")?;
    parse_cpu_max(&format!("{} {}", quota.trim(), period.trim()))
}

/// Parses `<quota|max|-1> <period>`, both in microseconds.
fn parse_cpu_max(text: &str) -> Option<f64> {
    let mut words = text.split_whitespace();
    let quota: f64 = words.next()?.parse().ok()?;
    let period: f64 = words.next()?.parse().ok()?;
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(core_count: usize, quota: Option<f64>) -> Machine {
        let cores = (0..core_count).map(|id| CoreId(core_affinity::CoreId { id })).collect();
        Machine { cores, quota }
    }

    fn auto() -> ThreadsConfig {
        ThreadsConfig { receive: None, publish: None, forward: None, pinning: Pinning::Auto }
    }

    /// Without room for every hot thread, nothing is pinned.
    #[test]
    fn two_cores_stay_unpinned() {
        let layout = Layout::choose(&auto(), Role::All, &machine(2, None));
        assert_eq!((layout.receive, layout.publish, layout.forward), (1, 1, 1));
        assert!(layout.pinned.is_empty());
    }

    /// With room, each publish thread has a core of its own.
    #[test]
    fn sixteen_cores_pin_publish() {
        let layout = Layout::choose(&auto(), Role::Receive, &machine(16, None));
        assert_eq!((layout.receive, layout.publish, layout.forward), (4, 4, 0));
        let mut cores: Vec<usize> = layout.pinned.iter().map(|core| core.index()).collect();
        cores.dedup();
        assert_eq!(cores, [15, 14, 13, 12]);
    }

    /// A quota decides the thread count and forbids automatic pinning.
    #[test]
    fn quota_rules() {
        let layout = Layout::choose(&auto(), Role::All, &machine(64, Some(2.0)));
        assert_eq!(layout.publish, 1);
        assert!(layout.pinned.is_empty());
        let on = ThreadsConfig { pinning: Pinning::On, ..auto() };
        assert_eq!(Layout::choose(&on, Role::All, &machine(64, Some(2.0))).pinned.len(), 1);
    }

    /// Both spellings of the control group's quota are read, "max" and -1 mean none.
    #[test]
    fn cpu_max_forms() {
        assert_eq!(parse_cpu_max("150000 100000\n"), Some(1.5));
        assert_eq!(parse_cpu_max("max 100000\n"), None);
        assert_eq!(parse_cpu_max("-1 100000"), None);
    }
}
