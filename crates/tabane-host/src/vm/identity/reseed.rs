//! A program of a few instructions for the guest: it gives the kernel fresh randomness, and has it used at once.
//!
//! Two machines that go on from one memory have the same random numbers ahead of them. What is written to
//! `/dev/urandom` is mixed in, and used up to a minute later; only `RNDRESEEDCRNG` (random(4)) has it used now, and
//! shells cannot ask for that. A kernel with a driver for the VM generation ID does it by itself, and twice does no harm.
//!
//! ```text
//!   ELF header, one program header │ instructions │ "/dev/urandom" │ rand_pool_info with the randomness
//! ```

/// Where the file is loaded.
const BASE: u32 = 0x40_0000;
const HEADERS: usize = 64 + 56;
const RNDADDENTROPY: u32 = 0x4008_5203;
const RNDRESEEDCRNG: u32 = 0x5207;
const PATH: &[u8] = b"/dev/urandom\0";
/// Enough for any generator's key.
pub const RANDOM_BYTES: usize = 64;

/// A static program for Linux on x86-64. Its exit status is 0 if the kernel has done it.
pub fn program(random: [u8; RANDOM_BYTES]) -> Vec<u8> {
    let length = instructions(0, 0).len();
    let path = BASE + (HEADERS + length) as u32;
    let pool = path + PATH.len() as u32;
    let mut file = headers(HEADERS + length + PATH.len() + 8 + RANDOM_BYTES);
    file.extend(instructions(path, pool));
    file.extend(PATH);
    file.extend((8 * RANDOM_BYTES as u32).to_le_bytes());
    file.extend((RANDOM_BYTES as u32).to_le_bytes());
    file.extend(random);
    file
}

fn instructions(path: u32, pool: u32) -> Vec<u8> {
    let with = |opcode: u8, value: u32| [&[opcode][..], &value.to_le_bytes()].concat();
    let (eax, edi, esi, edx) = (0xb8, 0xbf, 0xbe, 0xba);
    let syscall = vec![0x0f, 0x05];
    let ioctl = |request: u32, argument: u32| {
        [with(eax, 16), vec![0x89, 0xdf], with(esi, request), with(edx, argument), syscall.clone()].concat()
    };
    let asks = [vec![0x89, 0xc3], ioctl(RNDADDENTROPY, pool), ioctl(RNDRESEEDCRNG, 0)].concat();
    [
        // open(path, O_RDWR, 0); a failure is below zero, and the status then.
        with(eax, 2),
        with(edi, path),
        with(esi, 2),
        with(edx, 0),
        syscall.clone(),
        vec![0x85, 0xc0, 0x78, asks.len() as u8],
        asks,
        // exit(eax)
        vec![0x89, 0xc7],
        with(eax, 60),
        syscall,
    ]
    .concat()
}

/// System V ABI, "ELF header" and "program header", for 64 bits.
fn headers(size: usize) -> Vec<u8> {
    let (base, size) = (u64::from(BASE), size as u64);
    let mut h = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // An executable for x86-64, version 1.
    h.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    for value in [base + HEADERS as u64, 64, 0] {
        h.extend(value.to_le_bytes());
    }
    // No flags; sizes: this header, a program header; one of these; no sections.
    for value in [0u16, 0, 64, 56, 1, 64, 0, 0] {
        h.extend(value.to_le_bytes());
    }
    // All of the file, to be read and executed.
    h.extend(1u32.to_le_bytes());
    h.extend(5u32.to_le_bytes());
    for value in [0, base, base, size, size, 0x1000] {
        h.extend(value.to_le_bytes());
    }
    h
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_kernel_takes_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reseed");
        std::fs::write(&path, program([7; RANDOM_BYTES])).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        let status = std::process::Command::new(&path).status().unwrap();
        // Without root the kernel refuses (EPERM), in its own words.
        let expected = if crate::users::can_switch() { Some(0) } else { Some(256 - libc::EPERM) };
        assert_eq!(status.code(), expected, "{status:?}");
    }
}
