//! Starts the tasks of one receive runtime and hears of their panics. Owned by its thread.
//!
//! tokio catches the panic of a task and keeps it for whoever joins the task. Nobody joins an
//! acceptor or a request, so a panic would leave half a server that looks healthy. Here every task
//! carries an alarm; the thread ends loudly when one goes off.

use std::sync::Arc;

use tokio::sync::Notify;

/// What every task of a runtime is started with.
#[derive(Clone, Default)]
pub(super) struct Tasks {
    panicked: Arc<Notify>,
}

impl Tasks {
    /// Starts a task that nobody waits for; it ends with the runtime at the latest.
    #[expect(clippy::disallowed_methods, reason = "the home of the receive half's tasks")]
    pub(super) fn start(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.watched(task));
    }

    /// The same task, its panic reported.
    pub(super) fn watched<T>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        let alarm = Alarm { panicked: Arc::clone(&self.panicked) };
        async move {
            let _alarm = alarm;
            task.await
        }
    }

    /// Returns once a task has panicked.
    pub(super) async fn panicked(&self) {
        self.panicked.notified().await;
    }
}

/// Goes off when it is dropped by a panic.
struct Alarm {
    panicked: Arc<Notify>,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.panicked.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::*;

    /// The panic of a task that nobody joins is heard; the end of one in order is not.
    #[test]
    fn a_panic_is_heard() {
        Builder::new_current_thread().build().unwrap().block_on(async {
            let tasks = Tasks::default();
            tasks.start(async {});
            tokio::task::yield_now().await;
            let quiet = async { tokio::task::yield_now().await };
            tokio::select! {
                biased;
                () = tasks.panicked() => panic!("nothing has happened"),
                () = quiet => {}
            }
            tasks.start(async { panic!("a task's own") });
            tasks.panicked().await;
        });
    }
}
