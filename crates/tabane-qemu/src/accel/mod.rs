//! Whether KVM really works here.
//!
//! `/dev/kvm` opens on hosts where no guest runs: in nested clouds whose KVM interprets ring-0 code, and in sandboxes
//! that cannot deliver an exception to ring 0. So a tiny guest is run:
//!
//! ```text
//!   open ─► make VM ─► marks 1, (2 loop 3) × 3, int3 ─► handler: mark 4 ─► back: mark 5 ─► halt ─► Usable
//!     │        │            │                 └─ internal error, fault ─────────────────────────► Unusable
//!     └────────┴────────────┴─ too slow, wrong order, no end before the deadline ───────────────► Unusable
//! ```
//!
//! Invariant: the probe ends within its time-out, whatever the kernel does, and never panics: the guest runs on a
//! thread of its own, which a watchdog interrupts, and in the worst case leaves behind.

mod guest;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// No probe takes longer than this, whatever the caller allows.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(2);

/// 2,000 turns take a microsecond natively and some dozens with the exits around them. Interpreters need a
/// millisecond and more. The best of three tries counts, so that a busy host does not look like an interpreter.
const LOOP_TIME_MAX: Duration = Duration::from_micros(500);

/// What the probe found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Usable {
        /// The best time for 2,000 turns of a loop in ring 0, with two exits to us.
        loop_us: u64,
        /// The whole probe.
        probe_ms: u64,
    },
    Unusable {
        /// For people; says what to do where something can be done.
        reason: String,
    },
}

impl Verdict {
    pub fn is_usable(&self) -> bool {
        matches!(self, Verdict::Usable { .. })
    }
}

/// Runs the probe guest on `device`, usually `/dev/kvm`. Blocks, usually for far less than a second.
pub fn probe_kvm(device: &Path, timeout: Duration) -> Verdict {
    let begin = Instant::now();
    let timeout = timeout.min(TIMEOUT_MAX);
    // The thread needs to know that it should end even if it never sees the signal.
    let deadline = begin + timeout;
    let thread_id = Arc::new(AtomicI32::new(0));
    let (sender, receiver) = mpsc::channel();
    let started = {
        let (device, thread_id) = (device.to_owned(), thread_id.clone());
        std::thread::Builder::new().name("kvm-probe".into()).spawn(move || {
            // SAFETY: plain system call.
            thread_id.store(unsafe { libc::gettid() }, Ordering::SeqCst);
            let _ = sender.send(probe(&device, deadline));
        })
    };
    if let Err(error) = started {
        return Verdict::Unusable { reason: format!("the probe cannot start a thread: {error}") };
    }
    let wait = timeout.mul_f64(0.8);
    let found = receiver.recv_timeout(wait).or_else(|_| {
        // Over time: interrupt the guest until its thread notices.
        let signal = kick_signal();
        while Instant::now() < deadline {
            // SAFETY: plain system call. Should the thread have just ended, the signal finds nobody: thread ids are
            // looked up within this process.
            unsafe {
                libc::syscall(libc::SYS_tgkill, libc::getpid(), thread_id.load(Ordering::SeqCst), signal)
            };
            if let Ok(found) = receiver.recv_timeout(Duration::from_millis(5)) {
                return Ok(found);
            }
        }
        receiver.try_recv().map_err(|_| ())
    });
    match found {
        Ok(Ok(loop_time)) => Verdict::Usable {
            loop_us: u64::try_from(loop_time.as_micros()).unwrap_or(u64::MAX),
            probe_ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
        },
        Ok(Err(reason)) => Verdict::Unusable { reason },
        Err(()) => Verdict::Unusable {
            reason: format!(
                "the kernel does not come back from the probe VM within {} ms",
                timeout.as_millis()
            ),
        },
    }
}

/// A real-time signal with a handler that does nothing: its only use is that KVM_RUN returns.
fn kick_signal() -> libc::c_int {
    extern "C" fn nothing(_: libc::c_int) {}
    // Near the upper end, which programs and libraries rarely use.
    let signal = libc::SIGRTMAX() - 3;
    // SAFETY: the handler is async-signal-safe. It stays, since a late signal must not end the program.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        libc::sigaction(signal, &raw const action, std::ptr::null_mut());
    }
    signal
}

/// The time of the loop, or why KVM is of no use.
fn probe(device: &Path, deadline: Instant) -> Result<Duration, String> {
    let name = device.display();
    std::fs::OpenOptions::new().read(true).write(true).open(device).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            format!("{name} is absent: the CPU's virtualization is off in the firmware, or this is a VM without it")
        }
        ErrorKind::PermissionDenied => format!("no permission on {name}: add the user to group kvm"),
        _ => format!("{name} cannot be opened: {error}"),
    })?;
    let path = std::ffi::CString::new(PathBuf::from(device).into_os_string().into_encoded_bytes())
        .map_err(|_| format!("{name} is not a path"))?;
    let kvm =
        kvm_ioctls::Kvm::new_with_path(path).map_err(|error| format!("{name} cannot be opened: {error}"))?;
    if kvm.get_api_version() != 12 {
        return Err(format!("{name} is no KVM, or one of before 2007"));
    }
    let loop_time = guest::run(&kvm, deadline)?;
    if loop_time > LOOP_TIME_MAX {
        return Err(format!(
            "ring-0 code is emulated: {} us for {} turns",
            loop_time.as_micros(),
            guest::LOOP_TURNS
        ));
    }
    Ok(loop_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_comes_in_time_and_with_a_reason() {
        let begin = Instant::now();
        let verdict = probe_kvm(Path::new("/dev/kvm"), Duration::from_secs(60));
        assert!(begin.elapsed() < TIMEOUT_MAX + Duration::from_secs(2), "{:?}", begin.elapsed());
        println!("{verdict:?} in {:?}", begin.elapsed());
        if let Verdict::Unusable { reason } = verdict {
            assert!(!reason.is_empty());
        }
    }

    #[test]
    fn an_absent_device_is_told() {
        let Verdict::Unusable { reason } = probe_kvm(Path::new("/nonexistent/kvm"), TIMEOUT_MAX) else {
            panic!("there is no such device");
        };
        assert!(reason.starts_with("/nonexistent/kvm is absent"), "{reason}");
    }

    #[test]
    fn other_files_are_no_kvm() {
        for path in ["/dev/null", "/"] {
            assert!(!probe_kvm(Path::new(path), TIMEOUT_MAX).is_usable());
        }
    }

    #[test]
    fn a_device_that_hangs_is_left_behind() {
        let root = tempfile::tempdir().unwrap();
        let fifo = root.path().join("fifo");
        let name = std::ffi::CString::new(fifo.to_str().unwrap()).unwrap();
        // SAFETY: plain system call.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        let begin = Instant::now();
        assert!(!probe_kvm(&fifo, Duration::from_millis(100)).is_usable());
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
}
