//! `tiny`: a Linux that boots in seconds also where processors are emulated, for trying things and for tests.
//!
//! ```text
//!   kernel (PVH vmlinux) + initramfs ──► init ──► modules ──► DHCP on every nic ──► guest agent, shell on ttyS0
//!                                                        └──► disk.qcow2 on /mnt, if it is there
//! ```
//!
//! It has no passwords: whoever has its console is root.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tabane_qemu::img::{Img, Output, Sandbox, Source};

use super::cpio::Archive;
use super::modules::Modules;
use super::packages::Packages;
use super::tool::{self, Needed, Tool};
use super::work::Work;
use super::{Error, Made, Progress, Report, Result, elf, kernel};

pub(super) const RELEASE: &str = "bookworm";
pub(super) const KERNEL: &str = "linux-image-cloud-amd64";
const AGENT: &str = "qemu-guest-agent";
pub(super) const BUSYBOX: &str = "busybox-static";
const DISK_BYTES: u64 = 64 << 20;

pub(super) const TOOLS: &[Needed] = &[
    ("apt-get", "apt"),
    ("apt-cache", "apt"),
    ("dpkg-deb", "dpkg"),
    ("mkfs.ext4", "e2fsprogs"),
    ("qemu-img", "qemu-utils"),
];

/// What the agent, the disk and the nics need, loaded before anything is said to be ready.
const MODULES: &[&str] =
    &["virtio_pci", "virtio_console", "virtio_blk", "virtio_net", "virtio_rng", "virtio_balloon", "ext4"];
/// Loaded behind: the power button, seeds, and disks of another kind.
const MODULES_LATER: &[&str] = &[
    "button",
    "evdev",
    "isofs",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "nls_utf8",
    "sr_mod",
    "virtio_scsi",
    "sd_mod",
    "virtio_mem",
];

/// `quiet` and no security mitigations, because the guest holds no secrets and boots under emulation;
/// `no_timer_check`, because a busy emulator fails that check.
const COMMAND_LINE: &str = "console=tty0 console=ttyS0 quiet panic=10 mitigations=off nokaslr no_timer_check \
                            random.trust_cpu=on audit=0 raid=noautodetect";

const FOLDERS: &[&str] = &[
    "bin",
    "dev",
    "etc",
    "etc/acpi",
    "etc/acpi/PWRF",
    "lib",
    "lib/modules",
    "mnt",
    "proc",
    "root",
    "run",
    "sys",
];
const LINKS: &[(&str, &str)] = &[
    ("init", "bin/busybox"),
    ("sbin", "bin"),
    ("lib64", "lib"),
    ("usr/bin", "../bin"),
    ("usr/sbin", "../bin"),
    ("usr/lib", "../lib"),
    ("var/run", "../run"),
    ("etc/resolv.conf", "../run/resolv.conf"),
    ("etc/mtab", "../proc/self/mounts"),
];
const SCRIPTS: &[(&str, &str)] = &[
    ("etc/rc", include_str!("tiny/rc")),
    ("etc/later", include_str!("tiny/later")),
    ("etc/nic", include_str!("tiny/nic")),
    ("etc/lease", include_str!("tiny/lease")),
    ("etc/agent", include_str!("tiny/agent")),
    ("bin/shutdown", include_str!("tiny/shutdown")),
    ("etc/acpi/PWRF/00000080", "#!/bin/sh\nexec poweroff\n"),
];
const SETTINGS: &[(&str, &str)] = &[
    ("etc/inittab", include_str!("tiny/inittab")),
    ("etc/mdev.conf", include_str!("tiny/mdev.conf")),
    ("etc/passwd", "root::0:0:root:/root:/bin/sh\n"),
    ("etc/group", "root:x:0:\n"),
    ("etc/shells", "/bin/sh\n"),
    ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("etc/profile", "export PS1='\\h:\\w# '\n"),
];

pub(super) async fn build(work: &Work, report: Report<'_>) -> Result<Made> {
    tool::check(TOOLS)?;
    let step = |step, fraction, detail: &str| report(Progress { step, fraction, detail });
    step("packages", 0.0, "reading the lists");
    let packages = Packages::open(work, RELEASE).await?;
    let kernel_package = kernel_package(&packages).await?;
    step("packages", 0.2, &kernel_package);
    let kernel_root = packages.unpack(std::slice::from_ref(&kernel_package), "kernel").await?;
    step("packages", 0.4, AGENT);
    let root = packages.unpack(&programs(&packages).await?, "root").await?;

    step("kernel", 0.55, &kernel_package);
    let version = kernel_package.trim_start_matches("linux-image-");
    let image = work.read(&format!("kernel/boot/vmlinuz-{version}"))?;
    work.write_output("kernel", kernel::unpack(work, &image).await?)?;

    step("initramfs", 0.75, "");
    let initramfs = initramfs(&kernel_root, &root, version).await?;
    work.write_output("initramfs", initramfs)?;
    work.write_output("cmdline", format!("{COMMAND_LINE}\n"))?;

    step("disk", 0.9, "");
    disk(work).await?;
    Ok(Made {
        names: &["kernel", "initramfs", "cmdline", "disk.qcow2"],
        virtual_size_bytes: DISK_BYTES,
        command_line: Some(COMMAND_LINE.to_owned()),
        os: "tiny".into(),
        default_user: None,
    })
}

/// The newest kernel of the release.
pub(super) async fn kernel_package(packages: &Packages<'_>) -> Result<String> {
    let kernels = packages.depends(KERNEL, false).await?;
    let found = kernels.into_iter().find(|name| name.starts_with("linux-image-"));
    found.ok_or_else(|| Error::content(KERNEL, "it depends on no kernel"))
}

/// The agent with all libraries that its packages may need, and busybox.
async fn programs(packages: &Packages<'_>) -> Result<Vec<String>> {
    let mut names = packages.depends(AGENT, true).await?;
    // Scripts of packages, which are not run here, need Perl, dpkg and more.
    names.retain(|name| (name.starts_with("lib") && !name.contains("perl")) || name.starts_with("zlib"));
    names.extend([AGENT.to_owned(), BUSYBOX.to_owned()]);
    names.sort();
    names.dedup();
    Ok(names)
}

async fn disk(work: &Work) -> Result<()> {
    let raw = work.path("disk.raw");
    let file = std::fs::File::create(&raw).map_err(Error::file("make", &raw))?;
    file.set_len(DISK_BYTES).map_err(Error::file("make", &raw))?;
    drop(file);
    Tool::new("mkfs.ext4")
        .args(["-q", "-F", "-L", "data", "-E", "lazy_itable_init=0"])
        .arg(&raw)
        .run()
        .await?;
    let source = Source::own(&raw, tabane_qemu::img::Format::Raw);
    let output = Output::Qcow2 { compress: false };
    Img::new(Sandbox::default()).convert(&source, &work.output("disk.qcow2"), output, &|_| {}).await?;
    Ok(())
}

async fn initramfs(kernel_root: &Path, root: &Path, version: &str) -> Result<Vec<u8>> {
    let mut archive = Archive::new();
    folders(&mut archive);
    busybox(&mut archive, root).await?;
    for (name, file) in agent(root)? {
        archive.file(&name, 0o755, &file);
    }
    for (name, text) in SCRIPTS {
        archive.file(name, 0o755, text.as_bytes());
    }
    for (name, text) in SETTINGS {
        archive.file(name, 0o644, text.as_bytes());
    }
    let release = format!(
        "NAME=\"Tabane tiny\"\nID=tiny\nVERSION_ID={version}\nVERSION=\"{version}\"\nPRETTY_NAME=\"Tabane tiny {version}\"\n"
    );
    archive.file("etc/os-release", 0o644, release.as_bytes());
    let lists: &[(&str, &[&str])] = &[("etc/modules", MODULES), ("etc/modules.later", MODULES_LATER)];
    modules(&mut archive, kernel_root, version, lists)?;
    Ok(archive.finish())
}

/// The folders, links and devices that busybox needs.
pub(super) fn folders(archive: &mut Archive) {
    for folder in FOLDERS {
        archive.folder(folder, 0o755);
    }
    archive.folder("tmp", 0o1777);
    archive.folder("usr", 0o755);
    archive.folder("var", 0o755);
    for (name, target) in LINKS {
        archive.link(name, target);
    }
    // Before devtmpfs is mounted, init has nowhere else to speak.
    archive.character_device("dev/console", 0o600, (5, 1));
    archive.character_device("dev/null", 0o666, (1, 3));
}

/// Busybox, by the names of all that it can do.
pub(super) async fn busybox(archive: &mut Archive, root: &Path) -> Result<()> {
    let busybox = find(root, &["bin/busybox", "usr/bin/busybox"])?;
    archive.file("bin/busybox", 0o755, &read(&busybox)?);
    for applet in Tool::new("sh").arg("-c").arg("exec \"$0\" --list").arg(&busybox).run().await?.lines() {
        if applet != "busybox" && applet != "shutdown" {
            archive.link(&format!("bin/{applet}"), "busybox");
        }
    }
    Ok(())
}

/// Modules with what they need, each once, and lists of them in the order of loading.
pub(super) fn modules(
    archive: &mut Archive,
    kernel_root: &Path,
    version: &str,
    lists: &[(&str, &[&str])],
) -> Result<()> {
    let folder =
        find(kernel_root, &[&format!("lib/modules/{version}"), &format!("usr/lib/modules/{version}")])?;
    let modules = Modules::open(&folder)?;
    let mut known: Vec<String> = Vec::new();
    for (list, wanted) in lists {
        let mut files = modules.in_order(wanted)?;
        files.retain(|name| !known.contains(name));
        let names: String = files.iter().map(|name| format!("{name}.ko\n")).collect();
        archive.file(list, 0o644, names.as_bytes());
        for name in &files {
            archive.file(&format!("lib/modules/{name}.ko"), 0o644, modules.content(name)?.as_slice());
        }
        known.extend(files);
    }
    Ok(())
}

/// The agent and every library that it needs, by their names in the archive.
fn agent(root: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let folders = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64", "usr/lib64"];
    let mut files = BTreeMap::new();
    let mut todo = vec![("bin/qemu-ga".to_owned(), find(root, &["usr/sbin/qemu-ga", "usr/bin/qemu-ga"])?)];
    while let Some((name, path)) = todo.pop() {
        if files.contains_key(&name) {
            continue;
        }
        let content = read(&path)?;
        let needs = elf::needs(&name, &content)?;
        files.insert(name, content);
        let loader = needs.loader.iter().filter_map(|path| path.rsplit('/').next().map(str::to_owned));
        for library in needs.libraries.into_iter().chain(loader) {
            let places = folders.map(|folder| format!("{folder}/{library}"));
            let places: Vec<_> = places.iter().map(String::as_str).collect();
            todo.push((format!("lib/{library}"), find(root, &places)?));
        }
    }
    Ok(files)
}

/// The first of these places that is there.
fn find(root: &Path, places: &[&str]) -> Result<PathBuf> {
    let found = places.iter().map(|place| root.join(place)).find(|path| path.exists());
    found.ok_or_else(|| Error::content("a package", format!("{} is not in it", places.join(" or "))))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(Error::file("read", path))
}
