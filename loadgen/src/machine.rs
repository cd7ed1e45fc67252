//! What the machine says of itself: the facts of a manifest, and the CPU time of a thread.
//!
//! Reads Linux's /proc and /sys and nothing else; elsewhere, and where a file is missing, a fact
//! is absent. Never on the path of a request.

use std::fs;
use std::time::Duration;

/// The processor's name for itself.
pub(crate) fn cpu_model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The kernel's release.
pub(crate) fn kernel() -> Option<String> {
    line("/proc/sys/kernel/osrelease")
}

/// How the first core chooses its clock.
pub(crate) fn governor() -> Option<String> {
    line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
}

/// Cores of this host.
pub(crate) fn cores() -> Option<usize> {
    listed(&line("/sys/devices/system/cpu/online")?)
}

/// Cores that this process may run on, fewer when it was pinned.
pub(crate) fn cores_allowed() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    listed(list.trim())
}

/// CPU time of the calling thread, in user and kernel mode.
pub(crate) fn thread_cpu() -> Option<Duration> {
    let text = line("/proc/thread-self/schedstat")?;
    Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
}

fn line(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// How many numbers a list such as `0-3,8` names.
fn listed(list: &str) -> Option<usize> {
    list.split(',')
        .map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            last.parse::<usize>().ok()?.checked_sub(first.parse().ok()?).map(|more| more + 1)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::listed;

    /// Lists of cores are counted, what is none is not guessed at.
    #[test]
    fn lists_are_counted() {
        assert_eq!(listed("0"), Some(1));
        assert_eq!(listed("0-3,8,10-11"), Some(7));
        for text in ["", "a", "3-1", "1-"] {
            assert_eq!(listed(text), None, "{text}");
        }
    }

    /// On Linux a thread's CPU time is known, and grows with its work.
    #[cfg(target_os = "linux")]
    #[test]
    fn cpu_time_is_read() {
        let before = super::thread_cpu().unwrap();
        let mut bits = 1;
        while super::thread_cpu().unwrap() == before {
            bits = (0..1_000_000).fold(bits, |bits, _| crate::ids::mix(bits));
        }
        assert_ne!(bits, 0);
        assert!(super::cores_allowed() <= super::cores());
    }
}
