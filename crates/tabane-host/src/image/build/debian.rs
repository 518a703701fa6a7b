//! A Debian that boots by BIOS and UEFI, with cloud-init and the guest agent.
//!
//! ```text
//!   0  GPT │ 1 MiB  BIOS boot │ 2 MiB  ESP │ 66 MiB  root, the last one, so that it grows with the disk
//! ```
//!
//! ```text
//!   mmdebstrap ──► root.tar ──► ext4 (mkfs.ext4 -d) ──┐
//!   grub-mkimage, mkfs.vfat, mtools ──────────────────┴──► disk.raw ──► disk.qcow2
//! ```
//!
//! As root, mmdebstrap works in a mount and a process namespace of its own; otherwise in a user namespace, for which the
//! user needs subordinate ids (subuid(5)).

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use tabane_qemu::img::{Format, Img, Output, Sandbox, Source};
use uuid::Uuid;

use super::gpt::{self, Partition, SECTOR_BYTES};
use super::packages::{self, KEYRING, Packages};
use super::tool::{self, Needed, Tool};
use super::work::Work;
use super::{Error, Made, Progress, Report, Result, grub};

const MIB: u64 = 1 << 20;
const DISK_BYTES: u64 = 2048 * MIB;
const BIOS_BOOT_BYTES: u64 = MIB;
const ESP_BYTES: u64 = 64 * MIB;
const BIOS_BOOT_FIRST: u64 = MIB / SECTOR_BYTES;
const ESP_FIRST: u64 = BIOS_BOOT_FIRST + BIOS_BOOT_BYTES / SECTOR_BYTES;
const ROOT_FIRST: u64 = ESP_FIRST + ESP_BYTES / SECTOR_BYTES;
/// A slow mirror and an emulated host still get there.
const BOOTSTRAP_TIMEOUT: Duration = Duration::from_secs(3600);

/// How `unshare` makes them.
const ALONE: [&str; 5] = ["--mount", "--propagation=private", "--pid", "--fork", "--kill-child=KILL"];

pub(super) struct Release {
    number: &'static str,
    name: &'static str,
}

pub(super) const BOOKWORM: Release = Release { number: "12", name: "bookworm" };
pub(super) const TRIXIE: Release = Release { number: "13", name: "trixie" };

const TOOLS: &[Needed] = &[
    ("mmdebstrap", "mmdebstrap"),
    ("unshare", "util-linux"),
    ("apt-get", "apt"),
    ("tar", "tar"),
    ("mkfs.ext4", "e2fsprogs"),
    ("qemu-img", "qemu-utils"),
];

const PACKAGES: &[&str] = &[
    "linux-image-cloud-amd64",
    "initramfs-tools",
    "zstd",
    "systemd",
    "systemd-sysv",
    "systemd-resolved",
    "systemd-timesyncd",
    "libpam-systemd",
    "dbus",
    "udev",
    "cloud-init",
    "cloud-guest-utils",
    "fdisk",
    "e2fsprogs",
    "qemu-guest-agent",
    "openssh-server",
    "iproute2",
    "iputils-ping",
    "netbase",
    "ca-certificates",
    "curl",
    "sudo",
    "python3",
    "login",
    "passwd",
    "procps",
    "kmod",
    "less",
    "nano",
];

/// What mmdebstrap says when a step begins, how far the whole build is then, and how to call it.
const STEPS: &[(&str, f32, &str)] = &[
    ("running apt-get update", 0.02, "reading the lists"),
    ("downloading packages with apt", 0.06, "fetching the essential packages"),
    ("extracting archives", 0.15, "unpacking the essential packages"),
    ("installing essential packages", 0.2, "installing the essential packages"),
    ("installing remaining packages", 0.3, "installing packages"),
    ("Setting up linux-image", 0.55, "installing the kernel"),
    ("Setting up initramfs-tools", 0.6, "installing packages"),
    ("update-initramfs: Generating", 0.65, "making the initramfs"),
    ("running --customize-hook", 0.7, "configuring"),
    ("creating tarball", 0.72, "packing"),
];

pub(super) async fn build(release: &Release, work: &Work, report: Report<'_>) -> Result<Made> {
    let mapping: &[Needed] = if is_root() { &[] } else { &[("newuidmap", "uidmap")] };
    tool::check(&[TOOLS, grub::TOOLS, mapping].concat())?;
    packages::check_keyring(release.number)?;
    let root_id = Uuid::now_v7();
    bootstrap(release, work, root_id, report).await?;

    report(Progress { step: "disk", fraction: 0.75, detail: "making the file system" });
    let disk_sectors = DISK_BYTES / SECTOR_BYTES;
    let root_last = gpt::last_usable(disk_sectors);
    // Whole blocks of 4 KiB, and so whole sectors.
    let root_bytes = (root_last + 1 - ROOT_FIRST) * SECTOR_BYTES / 4096 * 4096;
    populate(work, root_id, root_bytes).await?;

    report(Progress { step: "disk", fraction: 0.85, detail: "making the boot loader" });
    let grub = grub::make(work, &root_id.to_string()).await?;
    let esp = work.path("esp");
    let packages = Packages::open(work, release.name).await?;
    let signed = packages.unpack(&grub::SIGNED.map(String::from), "signed").await?;
    grub.efi_partition(&esp, ESP_BYTES, &signed).await?;
    let partition = |kind, name, first, last| Partition { kind, id: Uuid::now_v7(), name, first, last };
    let mut table = gpt::table(
        Uuid::now_v7(),
        disk_sectors,
        &[
            partition(gpt::BIOS_BOOT, "bios", BIOS_BOOT_FIRST, ESP_FIRST - 1),
            partition(gpt::EFI_SYSTEM, "esp", ESP_FIRST, ROOT_FIRST - 1),
            partition(gpt::ROOT_X86_64, "root", ROOT_FIRST, root_last),
        ],
    );
    let sector = &mut table.begin[..SECTOR_BYTES as usize];
    let core = grub.install(sector, BIOS_BOOT_FIRST, BIOS_BOOT_BYTES / SECTOR_BYTES)?;

    let (raw, root) = (work.path("disk.raw"), work.path("root.ext4"));
    let pieces = (raw.clone(), table, core, esp, root);
    tokio::task::spawn_blocking(move || assemble(&pieces.0, &pieces.1, &pieces.2, &pieces.3, &pieces.4))
        .await
        .map_err(|error| Error::content("the disk", error.to_string()))??;
    convert(&raw, &work.output("disk.qcow2"), report).await?;
    Ok(Made {
        names: &["disk.qcow2"],
        virtual_size_bytes: DISK_BYTES,
        command_line: None,
        os: format!("debian-{}", release.number),
        default_user: Some("debian".into()),
    })
}

async fn bootstrap(release: &Release, work: &Work, root_id: Uuid, report: Report<'_>) -> Result<()> {
    report(Progress { step: "packages", fraction: 0.0, detail: "" });
    let script = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt;
        let path = work.write(name, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
            .map_err(Error::file("write", &path))?;
        Ok::<_, Error>(path)
    };
    let early = script("early.sh", include_str!("debian/early.sh"))?;
    let customize = script("customize.sh", include_str!("debian/customize.sh"))?;
    let mut reached = 0.0;
    let mut seen = |line: &str| {
        let step = STEPS.iter().find(|(said, fraction, _)| line.contains(said) && *fraction > reached);
        if let Some((_, fraction, detail)) = step {
            reached = *fraction;
            report(Progress { step: "packages", fraction: reached, detail });
        }
    };
    // In root's own mode mmdebstrap mounts /proc and more for all to see, and does not end its mounts when it is killed.
    // In namespaces of its own both end with its first process.
    let (tool, mode) = match is_root() {
        true => (Tool::new("unshare").args(ALONE).arg("mmdebstrap"), "root"),
        false => (Tool::new("mmdebstrap"), "unshare"),
    };
    let tool = tool
        .arg(format!("--mode={mode}"))
        .args(["--variant=minbase", "--format=tar", "--architectures=amd64", "--verbose"])
        .arg(format!("--keyring={KEYRING}"))
        .arg(format!("--include={}", PACKAGES.join(",")))
        .args(["--aptopt=APT::Install-Recommends \"false\"", "--aptopt=Acquire::Retries \"3\""])
        // dpkg stays in our session and ends with it.
        .arg("--aptopt=Dpkg::Use-Pty \"false\"")
        .args(
            ["doc", "man", "info", "locale"]
                .map(|name| format!("--dpkgopt=path-exclude=/usr/share/{name}/*")),
        )
        .args([
            "--dpkgopt=path-include=/usr/share/doc/*/copyright",
            "--dpkgopt=path-include=/usr/share/locale/locale.alias",
        ])
        .arg(format!("--essential-hook={} \"$1\"", tool::quoted(&early)))
        .arg(format!("--customize-hook={} \"$1\"", tool::quoted(&customize)))
        .arg(release.name)
        .arg(work.path("root.tar"))
        .args(packages::sources(release.name, "").lines())
        .env("ROOT_UUID", root_id.to_string())
        .env("TMPDIR", temporary(work)?)
        .timeout(BOOTSTRAP_TIMEOUT);
    tool.seen(&mut seen).run().await.map(drop).map_err(|error| packages::understood(error, release.number))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Where the tools unpack: in the work folder, unless they run in a user namespace, whose root cannot enter there.
fn temporary(work: &Work) -> Result<std::path::PathBuf> {
    if is_root() { work.folder("tmp") } else { Ok("/var/tmp".into()) }
}

async fn populate(work: &Work, root_id: Uuid, size_bytes: u64) -> Result<()> {
    let text = include_str!("debian/populate.sh");
    let tool = match is_root() {
        true => Tool::new("sh").args(["-c", text]),
        false => Tool::new("mmdebstrap").args(["--unshare-helper", "sh", "-c", text]),
    };
    tool.env("ROOT_UUID", root_id.to_string())
        .env("SIZE_BYTES", size_bytes.to_string())
        .env("TMPDIR", temporary(work)?)
        .timeout(BOOTSTRAP_TIMEOUT)
        .stdin(&work.path("root.tar"))?
        .into_file(&work.path("root.ext4"))
        .await
}

fn assemble(raw: &Path, table: &gpt::Table, core: &[u8], esp: &Path, root: &Path) -> Result<()> {
    let disk = File::create(raw).map_err(Error::file("make", raw))?;
    disk.set_len(DISK_BYTES).map_err(Error::file("make", raw))?;
    copy(esp, &disk, ESP_FIRST * SECTOR_BYTES)?;
    copy(root, &disk, ROOT_FIRST * SECTOR_BYTES)?;
    let write = |bytes: &[u8], at: u64| disk.write_all_at(bytes, at).map_err(Error::file("write", raw));
    write(core, BIOS_BOOT_FIRST * SECTOR_BYTES)?;
    write(&table.begin, 0)?;
    write(&table.end, DISK_BYTES - table.end.len() as u64)
}

/// Copies what is not zero.
fn copy(from: &Path, disk: &File, at: u64) -> Result<()> {
    let mut file = File::open(from).map_err(Error::file("open", from))?;
    let mut buffer = vec![0; MIB as usize];
    let mut offset = at;
    loop {
        let mut piece = (&mut file).take(MIB);
        let mut length = 0;
        while length < buffer.len() {
            match piece.read(&mut buffer[length..]).map_err(Error::file("read", from))? {
                0 => break,
                n => length += n,
            }
        }
        if length == 0 {
            return Ok(());
        }
        if buffer[..length].iter().any(|byte| *byte != 0) {
            disk.write_all_at(&buffer[..length], offset).map_err(Error::file("write", "the disk"))?;
        }
        offset += length as u64;
    }
}

async fn convert(raw: &Path, target: &Path, report: Report<'_>) -> Result<()> {
    let progress = |fraction: f32| {
        report(Progress { step: "disk", fraction: 0.9 + fraction * 0.1, detail: "writing the image" });
    };
    let source = Source::own(raw, Format::Raw);
    Img::new(Sandbox::default())
        .convert(&source, target, Output::Qcow2 { compress: false }, &progress)
        .await?;
    Ok(())
}
