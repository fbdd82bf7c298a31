//! The exported symbols.
//!
//! # Safety
//! The caller passes pointers into its own live buffers, valid for the length that it names, for the duration of the
//! call; nothing keeps a pointer after returning. Every body runs behind the fence.

use crate::fence::guard;
use crate::jobs;
use abi::Reached;
use std::ffi::c_char;
use std::slice;
use std::time::Duration;

/// Copies the JSON request and starts its operation. Returns the job's id, 0 when it could not be started.
///
/// # Safety
/// `request` must be readable for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stasis_submit(request: *const u8, length: usize) -> u64 {
    if request.is_null() {
        return 0;
    }
    // SAFETY: the caller upholds that the buffer is readable for `length` bytes during this call; it is copied here.
    let request = unsafe { slice::from_raw_parts(request, length) }.to_vec();
    guard(0, || jobs::submit(request).unwrap_or(0))
}

/// Waits for a job: 1 when it has finished, 0 when `timeout_ms` passed first, -1 when there is no such job.
#[unsafe(no_mangle)]
pub extern "C" fn stasis_wait(job: u64, timeout_ms: u32) -> i32 {
    guard(-1, || match jobs::find(job) {
        Some(job) => i32::from(job.wait(Duration::from_millis(timeout_ms.into()))),
        None => -1,
    })
}

/// The length in bytes of a finished job's response, -1 when there is none. When it fits into `capacity` it is copied
/// and the job is forgotten; otherwise nothing is copied.
///
/// # Safety
/// `buffer` must be writable for `capacity` bytes; it may be null when `capacity` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stasis_take(job: u64, buffer: *mut u8, capacity: usize) -> i64 {
    guard(-1, || {
        let copied = jobs::find(job).and_then(|job| {
            job.with_response(|response| {
                let fits = response.len() <= capacity && !buffer.is_null();
                if fits {
                    // SAFETY: the caller upholds that `buffer` is writable for `capacity` bytes, which is at least the
                    // response's length; it is the caller's memory and cannot overlap a vector of ours.
                    unsafe { buffer.copy_from_nonoverlapping(response.as_ptr(), response.len()) };
                }
                (response.len() as i64, fits)
            })
        });
        let Some((length, fits)) = copied else { return -1 };
        if fits {
            jobs::forget(job);
        }
        length
    })
}

/// Writes phase, done, total and unit (0 none, 1 bytes, 2 processes): 0, or -1 when there is no such job.
///
/// # Safety
/// `buffer` must be writable and aligned for four 64-bit numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stasis_progress(job: u64, buffer: *mut u64) -> i32 {
    guard(-1, || {
        let Some(job) = jobs::find(job) else { return -1 };
        if buffer.is_null() {
            return -1;
        }
        // SAFETY: the caller upholds that four aligned 64-bit numbers may be written there.
        unsafe { buffer.cast::<[u64; 4]>().write(job.control.progress()) };
        0
    })
}

/// Asks a job to stop at its next safe point: 0, or -1 when there is no such job.
#[unsafe(no_mangle)]
pub extern "C" fn stasis_cancel(job: u64) -> i32 {
    guard(-1, || match jobs::find(job) {
        Some(job) => {
            job.control.cancel();
            0
        }
        None => -1,
    })
}

/// Waits until a job stands before a gate (`abi::Gates`): 1 when it does, 2 when it has ended, 0 when `timeout_ms` passed first,
/// -1 when there is no such job.
#[unsafe(no_mangle)]
pub extern "C" fn stasis_await_gate(job: u64, gate: u32, timeout_ms: u32) -> i32 {
    guard(-1, || match jobs::find(job) {
        Some(job) => {
            match job.control.gates().await_reached(gate, Duration::from_millis(timeout_ms.into())) {
                Reached::NotYet => 0,
                Reached::Gate => 1,
                Reached::End => 2,
            }
        }
        None => -1,
    })
}

/// Lets a job pass all gates up to this one: 0, or -1 when there is no such job.
#[unsafe(no_mangle)]
pub extern "C" fn stasis_open_gate(job: u64, gate: u32) -> i32 {
    guard(-1, || match jobs::find(job) {
        Some(job) => {
            job.control.gates().open(gate);
            0
        }
        None => -1,
    })
}

/// The library's version, NUL-terminated and static.
#[unsafe(no_mangle)]
pub extern "C" fn stasis_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
