//! The table of operations that are under way or whose response has not been taken yet.

use crate::fence;
use abi::Control;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// One operation: what it shares with its caller, and its response once there is one.
#[derive(Default)]
pub struct Job {
    pub control: Control,
    response: Mutex<Option<Vec<u8>>>,
    finished: Condvar,
}

impl Job {
    /// Waits until the operation has ended; false when `timeout` passed first.
    pub fn wait(&self, timeout: Duration) -> bool {
        let pending = lock(&self.response);
        let waited = self.finished.wait_timeout_while(pending, timeout, |response| response.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.is_some()
    }

    /// Shows the response, if the operation has ended.
    pub fn with_response<T>(&self, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        lock(&self.response).as_deref().map(look)
    }

    fn run(&self, request: &[u8]) {
        let response = fence::respond(request, &self.control);
        *lock(&self.response) = Some(response);
        self.finished.notify_all();
        self.control.gates().end();
    }
}

#[derive(Default)]
struct Table {
    last: u64,
    jobs: HashMap<u64, Arc<Job>>,
}

static TABLE: Mutex<Option<Table>> = Mutex::new(None);

/// Starts a request on a thread of its own and returns the job's id, which is never 0.
///
/// # Errors
/// When the system refuses one more thread.
pub fn submit(request: Vec<u8>) -> std::io::Result<u64> {
    let job = Arc::new(Job::default());
    let runner = Arc::clone(&job);
    thread::Builder::new().name("stasis-job".to_owned()).spawn(move || runner.run(&request))?;
    let mut guard = lock(&TABLE);
    let table = guard.get_or_insert_default();
    table.last += 1;
    table.jobs.insert(table.last, job);
    Ok(table.last)
}

pub fn find(id: u64) -> Option<Arc<Job>> {
    lock(&TABLE).as_ref()?.jobs.get(&id).cloned()
}

pub fn forget(id: u64) {
    if let Some(table) = lock(&TABLE).as_mut() {
        table.jobs.remove(&id);
    }
}

/// A panic while a lock is held leaves nothing half-written here, so a poisoned lock is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_runs_answers_and_is_forgotten() {
        let id = submit(br#"{"op": "no such thing"}"#.to_vec()).unwrap();
        let job = find(id).unwrap();
        assert!(job.wait(Duration::from_secs(30)));
        let text = job.with_response(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).unwrap();
        assert!(text.contains("no such operation"), "{text}");
        forget(id);
        assert!(find(id).is_none());
    }

    #[test]
    fn waiting_for_a_job_that_never_ends_times_out() {
        assert!(!Job::default().wait(Duration::from_millis(1)));
    }
}
