//! Other machines: threads, each in a network namespace of its own that vanishes with it.
//!
//! ```text
//!   namespace of the host                     namespace of the guest
//!   bridge ── tap ── handle ◄── relay ──► handle ── eth0 ── udhcpc, ping …
//! ```

use std::{
    io::ErrorKind,
    os::fd::{AsRawFd, OwnedFd},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use tabane_model::Mac;

use super::super::tap;

/// Frames travel behind a header of virtio-net's.
const HEADER: usize = 10;

type Work = Box<dyn FnOnce() + Send>;

/// A namespace with a thread in it.
pub struct Place {
    work: mpsc::Sender<Work>,
    /// The thread's number, by which devices are moved there.
    pub tid: i32,
}

pub fn unshare() {
    // SAFETY: a system call without memory; it concerns this thread alone.
    let answer = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
}

impl Place {
    pub fn new() -> Self {
        let (work, todo) = mpsc::channel::<Work>();
        let (ready, is_ready) = mpsc::channel();
        std::thread::spawn(move || {
            unshare();
            // SAFETY: a system call without arguments.
            ready.send(unsafe { libc::gettid() }).unwrap();
            todo.into_iter().for_each(|work| work());
        });
        let tid = is_ready.recv().unwrap();
        let place = Self { work, tid };
        place.sh("ip link set lo up");
        place
    }

    pub fn within<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, is_done) = mpsc::channel();
        self.work.send(Box::new(move || drop(done.send(work())))).unwrap();
        is_done.recv().expect("the work does not panic")
    }

    /// Runs a script; whether it succeeded, and all that it said.
    pub fn try_sh(&self, script: &str) -> (bool, String) {
        let script = script.to_owned();
        self.within(move || try_sh(&script))
    }

    pub fn sh(&self, script: &str) -> String {
        let (good, said) = self.try_sh(script);
        assert!(good, "{script}: {said}");
        said
    }
}

/// Runs a script in the namespace of this thread.
pub fn try_sh(script: &str) -> (bool, String) {
    let output = Command::new("sh").arg("-c").arg(format!("exec 2>&1; {script}")).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A guest with a nic, as QEMU would have it: it holds the tap's handle.
pub struct Guest {
    pub place: Place,
    host_end: Arc<OwnedFd>,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
    stop: Arc<AtomicBool>,
    relay: Option<std::thread::JoinHandle<()>>,
}

impl Guest {
    pub fn new(handle: OwnedFd, mac: Mac) -> Self {
        let place = Place::new();
        let guest_end = place.within(|| tap::open("eth0")).unwrap();
        place.sh(&format!("ip link set eth0 address {mac} up"));
        let (host_end, seen, stop) = (Arc::new(handle), Arc::default(), Arc::new(AtomicBool::new(false)));
        let relay = std::thread::spawn({
            let (host_end, seen, stop) = (Arc::clone(&host_end), Arc::clone(&seen), Arc::clone(&stop));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    copy(&host_end, &guest_end, Some(&seen));
                    copy(&guest_end, &host_end, None);
                    wait(&host_end, &guest_end);
                }
            }
        });
        Self { place, host_end, seen, stop, relay: Some(relay) }
    }

    /// Sends a frame past the guest's own kernel.
    pub fn inject(&self, frame: &[u8]) {
        let mut bytes = vec![0; HEADER];
        bytes.extend(frame);
        rustix::io::write(&*self.host_end, &bytes).unwrap();
    }

    /// Whether a frame with these bytes in it comes to this guest, for a while.
    pub fn sees(&self, marker: &[u8], within: Duration) -> bool {
        let start = Instant::now();
        loop {
            let has = |frame: &Vec<u8>| frame.windows(marker.len()).any(|w| w == marker);
            if self.seen.lock().unwrap().iter().any(has) {
                return true;
            }
            if start.elapsed() > within {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks for an address with this MAC; what the script of the bench says of it.
    pub fn dhcp(&self, script: &std::path::Path) -> Option<String> {
        let command = format!("busybox udhcpc -f -i eth0 -n -q -t 4 -T 1 -s {}", script.display());
        let (good, said) = self.place.try_sh(&command);
        good.then_some(said)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.relay.take().map(std::thread::JoinHandle::join);
    }
}

fn copy(from: &OwnedFd, to: &OwnedFd, seen: Option<&Mutex<Vec<Vec<u8>>>>) {
    let mut bytes = vec![0; 70_000];
    loop {
        match rustix::io::read(from, &mut bytes) {
            Ok(length) => {
                if let Some(seen) = seen {
                    seen.lock().unwrap().push(bytes[HEADER..length].to_vec());
                }
                // The other end may be down for a moment.
                let _ = rustix::io::write(to, &bytes[..length]);
            }
            Err(error) if std::io::Error::from(error).kind() == ErrorKind::WouldBlock => return,
            Err(_) => return,
        }
    }
}

fn wait(one: &OwnedFd, two: &OwnedFd) {
    let poll = |fd: &OwnedFd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut polls = [poll(one), poll(two)];
    // SAFETY: two structures on this stack.
    unsafe { libc::poll(polls.as_mut_ptr(), 2, 50) };
    if polls.iter().any(|p| p.revents & libc::POLLERR != 0) {
        std::thread::sleep(Duration::from_millis(20));
    }
}
