//! A wall clock that can be stepped, for one process: a shim that `cc` builds and the loader puts
//! before libc. Linux with a dynamically linked libc only, like the rest of this crate's parts.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::PathBuf,
    process::Command,
};

use testbed::reaper;

/// The clock of whatever is started through [`SteppedClock::wrapper`].
pub(crate) struct SteppedClock {
    shim: PathBuf,
    shift: PathBuf,
    file: File,
}

impl SteppedClock {
    /// Builds the shim; the clock is right at first.
    pub(crate) fn new() -> Self {
        let folder = reaper::folder();
        let (source, shim) = (folder.join("clock_shim.c"), folder.join("clock_shim.so"));
        fs::write(&source, include_str!("clock_shim.c")).expect("this run's folder is writable");
        let built = Command::new("cc")
            .args(["-O2", "-shared", "-fPIC", "-o"])
            .args([&shim, &source])
            .status()
            .expect("a C compiler is there: the pipeline was built with it");
        assert!(built.success(), "cc: {built}");
        let shift = folder.join("clock_shift");
        fs::write(&shift, [0; 16]).expect("this run's folder is writable");
        let file = File::options().read(true).write(true).open(&shift).expect("it was written");
        Self { shim, shift, file }
    }

    /// What a program is started by to live in this time.
    pub(crate) fn wrapper(&self) -> Vec<String> {
        vec![
            "env".to_owned(),
            format!("LD_PRELOAD={}", self.shim.display()),
            format!("CLOCK_SHIFT_FILE={}", self.shift.display()),
        ]
    }

    /// The clock is this many seconds ahead of the system's from now on.
    pub(crate) fn step(&self, seconds: i64) {
        self.file.write_all_at(&seconds.to_ne_bytes(), 0).expect("the file is writable");
    }

    /// How often this clock was asked for the time.
    pub(crate) fn reads(&self) -> i64 {
        let mut count = [0; 8];
        self.file.read_exact_at(&mut count, 8).expect("the file is readable");
        i64::from_ne_bytes(count)
    }
}
