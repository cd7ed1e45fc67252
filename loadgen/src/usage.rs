//! What processes spend while a run is measured: CPU, memory, context switches.
//!
//! Owned by the thread that prints progress, which looks once per second; nothing here is on the
//! path of a request. Reads Linux's /proc and nothing else: where there is none, the generator's
//! own figures are absent and a process that was asked for is an error. A process that ends keeps
//! the figures of the last look.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::fs;
use std::process;
use std::str::FromStr;

/// A process to watch, `NAME=PID` on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WatchTarget {
    pub(crate) name: String,
    pub(crate) pid: u32,
}

/// A process that cannot be watched.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WatchError {
    #[error("expected NAME=PID, such as broker=4711")]
    Syntax,
    #[error("--watch {name}={pid}: /proc shows no such process")]
    Absent { name: String, pid: u32 },
}

/// What one process spent within the measured window.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(crate) struct ProcessUsage {
    pub(crate) name: String,
    pub(crate) pid: u32,
    pub(crate) cpu_seconds: f64,
    /// Per acknowledged span; absent when there was none.
    pub(crate) cpu_us_per_span: Option<f64>,
    /// Since the process began, not since the window did: the kernel keeps no other.
    pub(crate) rss_peak_bytes: u64,
    /// The process gave the core away, because it had to wait.
    pub(crate) context_switches_voluntary: u64,
    /// The core was taken away.
    pub(crate) context_switches_involuntary: u64,
    /// True when the process ended within the window.
    pub(crate) ended: bool,
}

/// The processes under watch.
pub(crate) struct Watch {
    processes: Vec<Watched>,
    /// Acknowledged when the window began.
    spans_before: u64,
}

struct Watched {
    target: WatchTarget,
    before: Spent,
    now: Spent,
    /// By thread, as last seen: a thread that ended has spent what it had spent.
    switches: BTreeMap<u32, Switches>,
    ended: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Spent {
    cpu_seconds: f64,
    rss_peak_bytes: u64,
    switches: Switches,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Switches {
    voluntary: u64,
    involuntary: u64,
}

impl FromStr for WatchTarget {
    type Err = WatchError;

    fn from_str(text: &str) -> Result<Self, WatchError> {
        let (name, pid) = text.split_once('=').ok_or(WatchError::Syntax)?;
        let pid = pid.parse().map_err(|_| WatchError::Syntax)?;
        if name.is_empty() || pid == 0 {
            return Err(WatchError::Syntax);
        }
        Ok(Self { name: name.to_owned(), pid })
    }
}

impl Watch {
    /// Begins the window for `targets` and for this process.
    pub(crate) fn begin(targets: &[WatchTarget]) -> Result<Self, WatchError> {
        let own = WatchTarget { name: "generator".to_owned(), pid: process::id() };
        let mut watched: Vec<_> = Watched::begin(own).into_iter().collect();
        for target in targets {
            let WatchTarget { name, pid } = target.clone();
            let absent = WatchError::Absent { name, pid };
            watched.push(Watched::begin(target.clone()).ok_or(absent)?);
        }
        Ok(Self { processes: watched, spans_before: 0 })
    }

    /// Begins the window anew, now that `spans` are acknowledged.
    pub(crate) fn restart(&mut self, spans: u64) {
        self.look();
        self.spans_before = spans;
        for watched in &mut self.processes {
            watched.before = watched.now;
        }
    }

    /// Looks at every process; to be called once per second.
    pub(crate) fn look(&mut self) {
        self.processes.iter_mut().for_each(Watched::look);
    }

    /// Ends the window, now that `spans` are acknowledged.
    pub(crate) fn end(mut self, spans: u64) -> Vec<ProcessUsage> {
        self.look();
        let spans = spans.saturating_sub(self.spans_before);
        self.processes.into_iter().map(|watched| watched.usage(spans)).collect()
    }
}

impl Watched {
    fn begin(target: WatchTarget) -> Option<Self> {
        let (before, now) = (Spent::default(), Spent::default());
        let mut watched = Self { target, before, now, switches: BTreeMap::new(), ended: false };
        watched.look();
        watched.before = watched.now;
        (!watched.ended).then_some(watched)
    }

    fn look(&mut self) {
        let folder = format!("/proc/{}", self.target.pid);
        let read = |file: &str| fs::read_to_string(format!("{folder}/{file}")).ok();
        let cpu_seconds = read("stat").and_then(|stat| cpu_seconds(&stat));
        // A process that ended and was not waited for has a stat, and no memory.
        let rss_peak = read("status").and_then(|status| field(&status, "VmHWM:"));
        let (Some(cpu_seconds), Some(rss_peak_kib)) = (cpu_seconds, rss_peak) else {
            self.ended = true;
            return;
        };
        for thread in fs::read_dir(format!("{folder}/task")).into_iter().flatten().flatten() {
            let id = thread.file_name().to_str().and_then(|name| name.parse().ok());
            let status = fs::read_to_string(thread.path().join("status")).ok();
            if let (Some(id), Some(switches)) = (id, status.and_then(|text| Switches::read(&text)))
            {
                self.switches.insert(id, switches);
            }
        }
        let mut switches = Switches::default();
        for thread in self.switches.values() {
            switches.voluntary += thread.voluntary;
            switches.involuntary += thread.involuntary;
        }
        self.now = Spent { cpu_seconds, rss_peak_bytes: rss_peak_kib << 10, switches };
    }

    fn usage(self, spans: u64) -> ProcessUsage {
        let Self { target: WatchTarget { name, pid }, before, now, ended, .. } = self;
        let cpu_seconds = now.cpu_seconds - before.cpu_seconds;
        let since = |now: u64, before: u64| now.saturating_sub(before);
        ProcessUsage {
            name,
            pid,
            cpu_seconds,
            cpu_us_per_span: (spans > 0).then(|| cpu_seconds * 1e6 / spans as f64),
            rss_peak_bytes: now.rss_peak_bytes,
            context_switches_voluntary: since(now.switches.voluntary, before.switches.voluntary),
            context_switches_involuntary: since(
                now.switches.involuntary,
                before.switches.involuntary,
            ),
            ended,
        }
    }
}

impl Switches {
    fn read(status: &str) -> Option<Self> {
        let voluntary = field(status, "voluntary_ctxt_switches:")?;
        let involuntary = field(status, "nonvoluntary_ctxt_switches:")?;
        Some(Self { voluntary, involuntary })
    }
}

impl Display for ProcessUsage {
    /// One row of the table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_span = self.cpu_us_per_span.map_or_else(|| "-".to_owned(), |us| format!("{us:.3}"));
        write!(
            f,
            "{:<24} {:>9.2} {per_span:>9} {:>9.1} {:>9} {:>9}{}",
            self.name,
            self.cpu_seconds,
            self.rss_peak_bytes as f64 / f64::from(1 << 20),
            self.context_switches_voluntary,
            self.context_switches_involuntary,
            if self.ended { "  ended during the run" } else { "" },
        )
    }
}

/// User and system time of a process and of the threads that it has had.
fn cpu_seconds(stat: &str) -> Option<f64> {
    // The second field is the program's name in parentheses, which may hold blanks itself.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut ticks = rest.split(' ').skip(UTIME_FIELD).map_while(|field| field.parse::<u64>().ok());
    Some((ticks.next()? + ticks.next()?) as f64 / TICKS_PER_SECOND)
}

/// The number behind `name`, which begins a line.
fn field(status: &str, name: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_whitespace().next()?.parse().ok()
}

/// Above the rows that [`ProcessUsage`] displays.
pub(crate) const PROCESS_HEADINGS: &str =
    "process                      CPU s   us/span  peak MiB    waited preempted";
/// Position of utime among the fields behind the name; stime follows it.
const UTIME_FIELD: usize = 11;
/// Linux shows times to programs in hundredths of a second, whatever its own clock does.
const TICKS_PER_SECOND: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::{Switches, WatchError, WatchTarget, cpu_seconds, field};

    /// A name and a number; anything else is refused.
    #[test]
    fn targets_are_read() {
        let target = WatchTarget { name: "broker".to_owned(), pid: 47 };
        assert_eq!("broker=47".parse(), Ok(target));
        for text in ["", "broker", "=47", "broker=", "broker=x", "broker=0", "broker=-1"] {
            assert_eq!(text.parse::<WatchTarget>(), Err(WatchError::Syntax), "{text}");
        }
    }

    /// The fields are found behind a program's name, whatever that holds.
    #[test]
    fn proc_files_are_read() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 900 0 0 0 250 150 0 0 20 0 9 0 12 34";
        assert_eq!(cpu_seconds(stat), Some(4.0));
        assert_eq!(cpu_seconds("7 (short) S 1"), None);
        let status = "VmHWM:\t   2048 kB\nvoluntary_ctxt_switches:\t5\n\
                      nonvoluntary_ctxt_switches:\t6\n";
        assert_eq!(field(status, "VmHWM:"), Some(2_048));
        assert_eq!(field(status, "VmRSS:"), None);
        assert_eq!(Switches::read(status), Some(Switches { voluntary: 5, involuntary: 6 }));
    }

    /// A live process is measured, a missing one is named, one that ends keeps its figures.
    #[cfg(target_os = "linux")]
    #[test]
    fn processes_are_watched() {
        use std::io::{Read, Write};
        use std::process::{Command, Stdio};

        use super::Watch;

        let (stdin, stdout) = (Stdio::piped(), Stdio::piped());
        let mut child = Command::new("cat").stdin(stdin).stdout(stdout).spawn().unwrap();
        // It is seen at work: before that it may own no memory yet.
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let target = WatchTarget { name: "child".to_owned(), pid: child.id() };
        let mut watch = Watch::begin(std::slice::from_ref(&target)).unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
        watch.look();
        // What was acknowledged before the window does not count in it.
        watch.restart(500);
        let usage = watch.end(1_500);
        let names: Vec<_> = usage.iter().map(|process| &process.name[..]).collect();
        assert_eq!(names, ["generator", "child"]);
        assert_eq!(usage.iter().map(|process| process.ended).collect::<Vec<_>>(), [false, true]);
        assert!(usage.iter().all(|process| process.rss_peak_bytes > 0), "{usage:?}");
        assert_eq!(usage[0].cpu_us_per_span, Some(usage[0].cpu_seconds * 1_000.0));

        let WatchTarget { name, pid } = target.clone();
        let error = Watch::begin(&[target]).err();
        assert_eq!(error, Some(WatchError::Absent { name, pid }));
    }
}
