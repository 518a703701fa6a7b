//! The probe guest: 36 bytes of code, two handlers, and the tables that 64-bit mode needs.
//!
//! ```text
//!   0x1000 page map level 4 ─► 0x2000 pointer table ─► 0x3000 directory: one page of 2 MiB, identity
//!   0x4000 GDT    0x5000 IDT, 256 gates    0x7000 top of the stack    0x8000 TSS    0x10000 code
//! ```
//!
//! Source: AMD64 Architecture Programmer's Manual, volume 2, chapters 4, 5, 8 and 14.
//!
//! Invariant: everything the guest does ends in an exit to us, and every wait for an exit ends by the watchdog's
//! signal.

use std::time::{Duration, Instant};

use kvm_bindings::{KVM_MAX_CPUID_ENTRIES, kvm_dtable, kvm_regs, kvm_segment, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd};

pub(super) const LOOP_TURNS: u32 = 2000;

const LOOP_TRIES: usize = 3;

const MEMORY_BYTES: usize = 2 << 20;
const PML4: usize = 0x1000;
const PDPT: usize = 0x2000;
const DIRECTORY: usize = 0x3000;
const GDT: usize = 0x4000;
const IDT: usize = 0x5000;
const STACK_TOP: usize = 0x7000;
const TSS: usize = 0x8000;
const CODE: usize = 0x10000;
const ON_INT3: usize = CODE + 0x40;
const ON_FAULT: usize = CODE + 0x50;

/// The guest writes its marks to this port.
const PORT: u16 = 0xe9;
const MARK_ALIVE: u8 = 1;
const MARK_LOOP_BEGIN: u8 = 2;
const MARK_LOOP_END: u8 = 3;
const MARK_INT3: u8 = 4;
const MARK_BACK: u8 = 5;
const MARK_FAULT: u8 = 6;

#[rustfmt::skip]
const MAIN: [u8; 36] = [
    0xb0, MARK_ALIVE,               //        mov  al, 1
    0xe6, 0xe9,                     //        out  0xe9, al
    0xbb, 0x03, 0x00, 0x00, 0x00,   //        mov  ebx, 3
    0xb0, MARK_LOOP_BEGIN,          // again: mov  al, 2
    0xe6, 0xe9,                     //        out  0xe9, al
    0xb9, 0xd0, 0x07, 0x00, 0x00,   //        mov  ecx, 2000
    0xff, 0xc9,                     // turn:  dec  ecx
    0x75, 0xfc,                     //        jnz  turn
    0xb0, MARK_LOOP_END,            //        mov  al, 3
    0xe6, 0xe9,                     //        out  0xe9, al
    0xff, 0xcb,                     //        dec  ebx
    0x75, 0xeb,                     //        jnz  again
    0xcc,                           //        int3
    0xb0, MARK_BACK,                //        mov  al, 5
    0xe6, 0xe9,                     //        out  0xe9, al
    0xf4,                           //        hlt
];

#[rustfmt::skip]
const INT3_HANDLER: [u8; 6] = [
    0xb0, MARK_INT3,                //        mov  al, 4
    0xe6, 0xe9,                     //        out  0xe9, al
    0x48, 0xcf,                     //        iretq
];

#[rustfmt::skip]
const FAULT_HANDLER: [u8; 5] = [
    0xb0, MARK_FAULT,               //        mov  al, 6
    0xe6, 0xe9,                     //        out  0xe9, al
    0xf4,                           //        hlt
];

/// Anonymous memory for the guest; returned to the kernel after the VM, whose last user it is.
struct Memory(*mut u8);

impl Memory {
    fn new() -> Result<Self, String> {
        // SAFETY: a fresh private mapping, nobody else's.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                MEMORY_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(format!("no memory for the probe VM: {}", std::io::Error::last_os_error()));
        }
        Ok(Memory(address.cast()))
    }

    fn put(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= MEMORY_BYTES, "the layout above lies within the memory");
        // SAFETY: checked to be within the mapping; the guest does not run yet.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.add(at), bytes.len()) }
    }

    fn put_word(&self, at: usize, word: u64) {
        self.put(at, &word.to_le_bytes());
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: our own mapping, and the VM that used it is dropped before.
        unsafe { libc::munmap(self.0.cast(), MEMORY_BYTES) };
    }
}

/// Runs the guest to its end and returns the best time of the loop.
pub(super) fn run(kvm: &Kvm, deadline: Instant) -> Result<Duration, String> {
    let failed = |what: &'static str| move |error| format!("KVM cannot {what}: {error}");
    let memory = Memory::new()?;
    lay_out(&memory);
    let vm = kvm.create_vm().map_err(failed("make a VM"))?;
    // Old Intel CPUs need a place for a helper task state; others have no such call.
    let _ = vm.set_tss_address(0xfffb_d000);
    let region = kvm_userspace_memory_region {
        slot: 0,
        flags: 0,
        guest_phys_addr: 0,
        memory_size: MEMORY_BYTES as u64,
        userspace_addr: memory.0 as u64,
    };
    // SAFETY: the memory outlives the VM: it was made before and is dropped after.
    unsafe { vm.set_user_memory_region(region) }.map_err(failed("give memory to a VM"))?;
    let mut vcpu = vm.create_vcpu(0).map_err(failed("make a vCPU"))?;
    let cpuid = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).map_err(failed("tell its CPU features"))?;
    vcpu.set_cpuid2(&cpuid).map_err(failed("set CPU features"))?;
    enter_long_mode(&vcpu).map_err(failed("set a vCPU to 64-bit mode"))?;
    watch(&mut vcpu, deadline)
}

fn lay_out(memory: &Memory) {
    const PRESENT_WRITABLE: u64 = 0b11;
    const LARGE: u64 = 1 << 7;
    memory.put_word(PML4, PDPT as u64 | PRESENT_WRITABLE);
    memory.put_word(PDPT, DIRECTORY as u64 | PRESENT_WRITABLE);
    memory.put_word(DIRECTORY, LARGE | PRESENT_WRITABLE);
    // Null, 64-bit code of ring 0 (selector 8), data of ring 0 (16), task state (24, two words).
    let task = 0x67 | ((TSS as u64) << 16) | (0x8b_u64 << 40);
    for (number, word) in [0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff, task, 0].into_iter().enumerate() {
        memory.put_word(GDT + 8 * number, word);
    }
    for vector in 0..256 {
        let handler = if vector == 3 { ON_INT3 } else { ON_FAULT } as u64;
        // An interrupt gate of ring 0: offset in three pieces, selector 8.
        let gate = (handler & 0xffff) | (8 << 16) | (0x8e_u64 << 40) | ((handler >> 16 & 0xffff) << 48);
        memory.put_word(IDT + 16 * vector, gate);
        memory.put_word(IDT + 16 * vector + 8, handler >> 32);
    }
    memory.put(CODE, &MAIN);
    memory.put(ON_INT3, &INT3_HANDLER);
    memory.put(ON_FAULT, &FAULT_HANDLER);
}

fn enter_long_mode(vcpu: &VcpuFd) -> Result<(), kvm_ioctls::Error> {
    let mut sregs = vcpu.get_sregs()?;
    let code = kvm_segment {
        base: 0,
        limit: 0xffff_ffff,
        selector: 8,
        type_: 11,
        present: 1,
        s: 1,
        l: 1,
        g: 1,
        ..Default::default()
    };
    let data = kvm_segment { selector: 16, type_: 3, l: 0, db: 1, ..code };
    sregs.cs = code;
    (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
    sregs.tr = kvm_segment {
        base: TSS as u64,
        limit: 0x67,
        selector: 24,
        type_: 11,
        present: 1,
        ..Default::default()
    };
    sregs.gdt = kvm_dtable { base: GDT as u64, limit: 39, ..Default::default() };
    sregs.idt = kvm_dtable { base: IDT as u64, limit: 0xfff, ..Default::default() };
    sregs.cr3 = PML4 as u64;
    sregs.cr4 = 0x20; // PAE
    sregs.cr0 = 0x8000_0031; // paging, numeric error, extension type, protection
    sregs.efer = 0x500; // long mode enabled and active
    vcpu.set_sregs(&sregs)?;
    vcpu.set_regs(&kvm_regs { rip: CODE as u64, rflags: 2, rsp: STACK_TOP as u64, ..Default::default() })
}

/// Follows the guest's marks.
fn watch(vcpu: &mut VcpuFd, deadline: Instant) -> Result<Duration, String> {
    let mut seen = Vec::with_capacity(16);
    let mut loop_begin = Instant::now();
    let mut best = Duration::MAX;
    while Instant::now() < deadline {
        match vcpu.run() {
            Ok(VcpuExit::IoOut(PORT, &[mark])) => {
                match mark {
                    MARK_LOOP_BEGIN => loop_begin = Instant::now(),
                    MARK_LOOP_END => best = best.min(loop_begin.elapsed()),
                    MARK_FAULT => return Err(format!("the probe VM faults {}", place(&seen))),
                    _ => {}
                }
                seen.push(mark);
                if seen.len() > 2 * LOOP_TRIES + 3 {
                    return Err("the probe VM runs in circles".into());
                }
            }
            Ok(VcpuExit::Hlt) => {
                let mut whole = vec![MARK_ALIVE];
                whole.extend([MARK_LOOP_BEGIN, MARK_LOOP_END].repeat(LOOP_TRIES));
                whole.extend([MARK_INT3, MARK_BACK]);
                return if seen == whole {
                    Ok(best)
                } else {
                    Err(format!("the probe VM halts {}", place(&seen)))
                };
            }
            Ok(VcpuExit::InternalError) => {
                // SAFETY: the kernel fills this part of the union on an internal error.
                let suberror = unsafe { vcpu.get_kvm_run().__bindgen_anon_1.internal.suberror };
                return Err(internal_error(&seen, suberror));
            }
            Ok(VcpuExit::Shutdown) if seen.contains(&MARK_LOOP_END) => {
                return Err("ring-0 int3 ends in a triple fault: this KVM does not deliver exceptions".into());
            }
            Ok(VcpuExit::Intr) => {}
            Ok(exit) => return Err(format!("the probe VM ends with {exit:?} {}", place(&seen))),
            Err(error) if error.errno() == libc::EINTR || error.errno() == libc::EAGAIN => {
                return Err(format!("the probe VM hangs {}", place(&seen)));
            }
            Err(error) => return Err(format!("KVM cannot run a VM: {error}")),
        }
    }
    Err(format!("the probe VM hangs {}", place(&seen)))
}

fn internal_error(seen: &[u8], suberror: u32) -> String {
    if seen.contains(&MARK_LOOP_END) && !seen.contains(&MARK_INT3) {
        return format!(
            "ring-0 int3 is not delivered (KVM internal error suberror {suberror}): this looks like a nested or \
             pagetable-based KVM"
        );
    }
    format!("KVM internal error suberror {suberror} {}", place(seen))
}

/// How far the guest came, for people.
fn place(seen: &[u8]) -> &'static str {
    match seen.last() {
        None => "before its first instruction",
        Some(&MARK_ALIVE) => "after its first instructions",
        Some(&MARK_LOOP_BEGIN) => "in a loop of 2,000 turns",
        Some(&MARK_LOOP_END) => "after its loop, when int3 should be delivered to ring 0",
        Some(&MARK_INT3) => "when it returns from int3",
        Some(_) => "at its end",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_fits_its_layout() {
        assert!(CODE + MAIN.len() <= ON_INT3);
        assert!(ON_INT3 + INT3_HANDLER.len() <= ON_FAULT);
        let turns = u32::from_le_bytes([MAIN[14], MAIN[15], MAIN[16], MAIN[17]]);
        assert_eq!(turns, LOOP_TURNS);
        assert_eq!(usize::from(MAIN[5]), LOOP_TRIES);
    }

    #[test]
    fn the_reason_names_what_is_known() {
        let text = internal_error(&[1, 2, 3, 2, 3, 2, 3], 1);
        assert!(text.starts_with("ring-0 int3 is not delivered (KVM internal error suberror 1)"), "{text}");
        assert!(internal_error(&[], 3).ends_with("before its first instruction"));
    }
}
