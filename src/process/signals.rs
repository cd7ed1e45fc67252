//! SIGTERM, SIGINT and SIGQUIT as a flag that the main thread looks at.

use std::sync::{Arc, atomic::AtomicBool};

use signal_hook::{consts::TERM_SIGNALS, flag};

/// A flag that the first signal sets; the second ends the process at once with `code`.
pub fn shutdown_asked(code: u8) -> Arc<AtomicBool> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in TERM_SIGNALS {
        // In this order: only the second signal finds the flag set.
        let at_once = flag::register_conditional_shutdown(*signal, code.into(), Arc::clone(&asked));
        if at_once.and_then(|_| flag::register(*signal, Arc::clone(&asked))).is_err() {
            tracing::warn!(signal, "signal cannot be caught: it ends the process at once");
        }
    }
    asked
}
