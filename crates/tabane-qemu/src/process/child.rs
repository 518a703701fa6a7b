//! The child, and what it does until it is the program.
//!
//! The order matters: whatever needs rights or the host's view comes first, then the rights go, last the exec.
//!
//! ```text
//!   session ► umask ► cgroups ► handles ► core limit ► folder ► bounding set ► groups, user ► capabilities
//!           ► no_new_privs ► signals ► exec
//! ```
//!
//! The child works in our memory, on a stack of its own, while the thread that made it stands still (clone(2) with
//! CLONE_VM and CLONE_VFORK, as posix_spawn(3) does): a copy of the page tables would cost more than all of its steps.
//!
//! Invariant: only async-signal-safe calls (signal-safety(7)): no allocation, no locks, no panics, and nothing written
//! but its own stack and `errno`. Users and groups are changed by raw system calls, because the library's wrappers try
//! to reach the other threads, which are not the child's.

use std::ffi::{CStr, CString};
use std::os::fd::RawFd;

use super::launch::Credentials;

pub(super) struct Plan<'a> {
    /// Both lists end with a null pointer.
    pub arguments: Vec<*const libc::c_char>,
    pub environment: Vec<*const libc::c_char>,
    pub directory: &'a CStr,
    pub cgroups: &'a [CString],
    /// From, to. All sources lie above all targets.
    pub moves: &'a [(RawFd, RawFd)],
    pub credentials: Option<&'a Credentials>,
    pub core_bytes_max: u64,
    pub locks_memory: bool,
    /// Eight bytes go here if a step fails: step and errno. It closes itself at the exec.
    pub report: RawFd,
}

const STEPS: [&str; 11] = [
    "make a session of its own",
    "enter a cgroup",
    "arrange its handles",
    "limit core files",
    "enter its folder",
    "drop the capability bounding set",
    "set its groups",
    "set its user",
    "drop its capabilities",
    "renounce new privileges",
    EXEC,
];

pub(super) const EXEC: &str = "execute the program";

pub(super) fn step_name(step: i32) -> &'static str {
    usize::try_from(step).ok().and_then(|step| STEPS.get(step).copied()).unwrap_or("start")
}

/// Capability sets as capset(2) version 3 takes them: two words of effective, permitted and inheritable.
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// Far more than the steps need; the kernel's own frames do not count.
const STACK_BYTES: usize = 64 << 10;

/// Returns the child's number once it is the program, or has ended.
pub(super) fn start(plan: &Plan<'_>) -> std::io::Result<libc::pid_t> {
    let mut stack = vec![0_u128; STACK_BYTES / size_of::<u128>()];
    // SAFETY: all of it is our own memory, which outlives the child's use of it since this thread stands still until then.
    // No signal may arrive in the child: its handler would run in our memory, and believe to be us.
    unsafe {
        let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let top = stack.as_mut_ptr().add(stack.len());
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let argument = std::ptr::from_ref(plan).cast_mut().cast();
        let pid = libc::clone(become_program, top.cast(), flags, argument);
        let failure = std::io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        if pid < 0 { Err(failure) } else { Ok(pid) }
    }
}

extern "C" fn become_program(plan: *mut libc::c_void) -> libc::c_int {
    // SAFETY: system calls on valid memory: `start` hands over a plan that is alive.
    unsafe {
        let plan: &Plan<'_> = &*plan.cast_const().cast();
        let step = run_steps(plan);
        let word = [step, *libc::__errno_location()];
        libc::write(plan.report, word.as_ptr().cast(), size_of_val(&word));
        libc::_exit(127)
    }
}

/// Returns the number of the step that failed, with errno set. Does not return otherwise.
unsafe fn run_steps(plan: &Plan<'_>) -> i32 {
    // SAFETY: as above, for the whole function.
    unsafe {
        if libc::setsid() < 0 {
            return 0;
        }
        libc::umask(0o077);
        if !enter_cgroups(plan.cgroups) {
            return 1;
        }
        if !arrange_handles(plan.moves) {
            return 2;
        }
        let limit = libc::rlimit { rlim_cur: plan.core_bytes_max, rlim_max: plan.core_bytes_max };
        if libc::setrlimit(libc::RLIMIT_CORE, &raw const limit) != 0 {
            return 3;
        }
        let all = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
        if plan.locks_memory && libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const all) != 0 {
            return 3;
        }
        if libc::chdir(plan.directory.as_ptr()) != 0 {
            return 4;
        }
        // Ambient capabilities would survive an exec. Kernels without them say EINVAL: nothing to clear there.
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        if !drop_bounding_set() {
            return 5;
        }
        if let Some(step) = plan.credentials.and_then(|credentials| change_user(credentials)) {
            return step;
        }
        let header = CapabilityHeader { version: CAPABILITY_VERSION_3, pid: 0 };
        let none = [0_u32; 6];
        if libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) != 0 {
            return 8;
        }
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
            return 9;
        }
        default_signals();
        libc::execve(plan.arguments[0], plan.arguments.as_ptr(), plan.environment.as_ptr());
        10
    }
}

/// `0` means whoever writes it. A process that moves another, or all its threads, waits for a quiet state of all
/// processors, some 10 ms for each group; a thread that moves itself does not, and this child has one thread only.
unsafe fn enter_cgroups(files: &[CString]) -> bool {
    // SAFETY: system calls on valid memory, in the child.
    unsafe {
        for file in files {
            let fd = libc::open(file.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
            if fd < 0 || libc::write(fd, c"0".as_ptr().cast(), 1) != 1 {
                return false;
            }
            libc::close(fd);
        }
    }
    true
}

unsafe fn arrange_handles(moves: &[(RawFd, RawFd)]) -> bool {
    // SAFETY: system calls, in the child.
    unsafe {
        for (from, to) in moves {
            if libc::dup2(*from, *to) < 0 {
                return false;
            }
        }
        // Whatever else is open goes at the exec, also what a library opened without close-on-exec. The report pipe
        // has to live until then, which is why nothing is closed right now.
        if libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) != 0 {
            return false;
        }
        for (_, to) in moves {
            if libc::fcntl(*to, libc::F_SETFD, 0) < 0 {
                return false;
            }
        }
    }
    true
}

unsafe fn drop_bounding_set() -> bool {
    // SAFETY: system calls, in the child.
    unsafe {
        for capability in 0..64 {
            if libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) == 0 {
                continue;
            }
            return match *libc::__errno_location() {
                // One beyond the last capability of this kernel.
                libc::EINVAL => true,
                // Somebody without rights cannot drop them; with no_new_privs nothing can come back either.
                libc::EPERM => libc::geteuid() != 0,
                _ => false,
            };
        }
    }
    true
}

unsafe fn change_user(credentials: &Credentials) -> Option<i32> {
    let groups = &credentials.supplementary_gids;
    let (uid, gid) = (credentials.uid, credentials.gid);
    // SAFETY: system calls on valid memory, in the child.
    unsafe {
        if libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) != 0
            || libc::syscall(libc::SYS_setresgid, gid, gid, gid) != 0
        {
            return Some(6);
        }
        if libc::syscall(libc::SYS_setresuid, uid, uid, uid) != 0 {
            return Some(7);
        }
    }
    None
}

/// Ignored signals and a blocked mask would be inherited through the exec; Rust ignores SIGPIPE.
unsafe fn default_signals() {
    // SAFETY: system calls on valid memory, in the child. Signals that may not be changed say so, harmlessly.
    unsafe {
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}
