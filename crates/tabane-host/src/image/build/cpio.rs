//! A cpio archive in the "new ASCII" format, which the kernel takes as an initramfs.
//!
//! Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
//!
//! Invariant: everything belongs to root, has no time, and is written in the order given, so that the same files make
//! the same archive. A folder has to be written before what is in it.

pub(super) struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

impl Archive {
    pub(super) fn new() -> Archive {
        Archive { bytes: Vec::new(), inode: 0 }
    }

    pub(super) fn folder(&mut self, name: &str, mode: u32) {
        self.entry(name, FOLDER | mode, (0, 0), &[]);
    }

    pub(super) fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entry(name, FILE | mode, (0, 0), content);
    }

    pub(super) fn link(&mut self, name: &str, target: &str) {
        self.entry(name, LINK | 0o777, (0, 0), target.as_bytes());
    }

    pub(super) fn character_device(&mut self, name: &str, mode: u32, device: (u32, u32)) {
        self.entry(name, CHARACTER_DEVICE | mode, device, &[]);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        // The kernel reads whole blocks from some boot loaders.
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.inode += 1;
        let links = if mode & 0o170_000 == FOLDER { 2 } else { 1 };
        let length = content.len() as u32;
        // Magic; inode, mode, uid, gid, links, time, size, device of the file system, device, name, checksum (unused).
        let fields =
            [self.inode, mode, 0, 0, links, 0, length, 0, 0, device.0, device.1, name.len() as u32 + 1, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn cpio_reads_it() {
        let mut archive = Archive::new();
        archive.folder("bin", 0o755);
        archive.file("bin/a", 0o755, b"hello");
        archive.file("bin/empty", 0o600, b"");
        archive.link("sbin", "bin");
        let bytes = archive.finish();
        let mut child = Command::new("cpio")
            .args(["-itv", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&bytes).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let modes: Vec<_> = text.lines().map(|line| &line[..10]).collect();
        assert!(output.status.success());
        assert_eq!(modes, ["drwxr-xr-x", "-rwxr-xr-x", "-rw-------", "lrwxrwxrwx"], "{text}");
        assert!(text.contains("sbin -> bin"));
    }
}
