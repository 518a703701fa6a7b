//! Where KVM is real: `tabane doctor` in an emulated machine whose processor has AMD's virtualization.
//!
//! ```text
//!   QEMU, TCG, -cpu EPYC,+svm ──► Debian's kernel with kvm-amd ──► /dev/kvm ──► the probe's guest
//! ```
//!
//! So the verdict "usable" is seen also where the machine that tests has no KVM, or one that is of no use.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::world::{BINARY, Texts, World};

/// In the order of their needs.
const MODULES: [&str; 3] = ["virt/lib/irqbypass", "arch/x86/kvm/kvm", "arch/x86/kvm/kvm-amd"];
const BEGIN: &str = "DOCTOR BEGINS";
const END: &str = "DOCTOR ENDS";
const TIMEOUT: Duration = Duration::from_secs(180);

/// Run instead of the image's own start. The binary brings the libraries that it was linked with.
const START: &str = "#!/bin/sh\nmount -t proc proc /proc\nmount -t sysfs sys /sys\nmount -t devtmpfs dev /dev 2>/dev/null\n\
    mount -t tmpfs run /run\nexec >/dev/ttyS0 2>&1\nstty -opost -F /dev/ttyS0\n\
    for module in irqbypass kvm kvm-amd; do insmod /native/$module.ko; done\n\
    for run in 1 2; do echo \"DOCTOR BEGINS\"\n\
    /native/loader --library-path /native /native/tabane doctor -o json --data-dir /run/tabane\n\
    echo \"DOCTOR ENDS\"; rmmod kvm_amd 2>/dev/null; done\npoweroff -f\n";

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", output.all_text());
    output.stdout_text()
}

/// An archive in cpio's "newc" form, which the kernel unpacks over the one before it.
fn cpio(files: &[(&str, u32, Vec<u8>)]) -> Vec<u8> {
    let mut archive = Vec::new();
    let pad = |archive: &mut Vec<u8>| archive.resize(archive.len().next_multiple_of(4), 0);
    let folder = ("native", 0o40_755, Vec::new());
    let last = ("TRAILER!!!", 0, Vec::new());
    for (i, (name, mode, content)) in [folder].iter().chain(files).chain([&last]).enumerate() {
        let fields = [i as u32 + 7_000, *mode, 0, 0, 1, 0, content.len() as u32, 0, 0, 0, 0];
        archive.extend(b"070701");
        for field in fields.into_iter().chain([name.len() as u32 + 1, 0]) {
            archive.extend(format!("{field:08x}").bytes());
        }
        archive.extend(name.bytes().chain([0]));
        pad(&mut archive);
        archive.extend(content);
        pad(&mut archive);
    }
    archive
}

/// The program of this test without what debuggers want, and what it is linked with.
fn program(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let stripped = folder.join("tabane");
    output(Command::new("objcopy").arg("--strip-all").arg(BINARY).arg(&stripped));
    let mut files = vec![("native/tabane".into(), std::fs::read(stripped).unwrap())];
    for line in output(Command::new("ldd").arg(BINARY)).lines() {
        let Some(path) = line.split_whitespace().find(|word| word.starts_with('/')) else { continue };
        let name = path.rsplit('/').next().unwrap();
        let name = if name.starts_with("ld-linux") { "loader" } else { name };
        files.push((format!("native/{name}"), std::fs::read(path).unwrap()));
    }
    assert!(files.iter().any(|(name, _)| name == "native/loader"), "the binary is linked dynamically");
    files
}

/// A world of its own for apt, as images are built by: this host may be of another release.
fn apt_of_debian_12(folder: &Path) -> std::path::PathBuf {
    let apt = folder.join("apt");
    for name in ["state/lists/partial", "cache/archives/partial", "parts"] {
        std::fs::create_dir_all(apt.join(name)).unwrap();
    }
    let from =
        "deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org";
    let sources = format!(
        "{from}/debian bookworm main\n{from}/debian bookworm-updates main\n\
         {from}/debian-security bookworm-security main\n"
    );
    std::fs::write(apt.join("sources.list"), sources).unwrap();
    std::fs::write(apt.join("status"), "").unwrap();
    let apt = apt.display();
    let text = format!(
        "Dir::State \"{apt}/state\";\nDir::State::status \"{apt}/status\";\nDir::Cache \"{apt}/cache\";\n\
         Dir::Etc::sourcelist \"{apt}/sources.list\";\nDir::Etc::sourceparts \"{apt}/parts\";\n\
         APT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\nAcquire::Retries \"3\";\n"
    );
    let settings = folder.join("apt.conf");
    std::fs::write(&settings, text).unwrap();
    settings
}

/// KVM of the very kernel that the image has, from Debian's archive.
fn modules(folder: &Path, kernel: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mark = b"Linux version ";
    let at = kernel.windows(mark.len()).position(|w| w == mark).unwrap() + mark.len();
    let version: Vec<u8> = kernel[at..].iter().copied().take_while(|b| !b.is_ascii_whitespace()).collect();
    let version = String::from_utf8(version).unwrap();
    let package = format!("linux-image-{version}");
    let settings = apt_of_debian_12(folder);
    for arguments in [&["-q", "update"][..], &["-q", "download", &package]] {
        output(Command::new("apt-get").args(arguments).env("APT_CONFIG", &settings).current_dir(folder));
    }
    let found = std::fs::read_dir(folder).unwrap().flatten().map(|e| e.path());
    let deb = found.into_iter().find(|p| p.extension().is_some_and(|e| e == "deb")).unwrap();
    output(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(folder.join("root")));
    let read = |module: &str| {
        let name = module.rsplit('/').next().unwrap();
        let path = folder.join(format!("root/lib/modules/{version}/kernel/{module}.ko"));
        (format!("native/{name}.ko"), std::fs::read(path).unwrap())
    };
    MODULES.iter().map(|module| read(module)).collect()
}

/// What `tabane doctor` says of KVM on a machine with this processor, and how long that took.
fn doctor(folder: &Path, kernel: &Path, initramfs: &Path, cpu: &str) -> (Vec<Value>, Duration) {
    let started = Instant::now();
    let serial = folder.join("serial");
    let _ = std::fs::remove_file(&serial);
    let mut machine = Command::new("qemu-system-x86_64")
        .args([
            "-machine",
            "q35",
            "-accel",
            "tcg",
            "-cpu",
            cpu,
            "-m",
            "768",
            "-nodefaults",
            "-no-user-config",
        ])
        .args(["-display", "none", "-no-reboot", "-serial"])
        .arg(format!("file:{}", serial.display()))
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initramfs)
        .args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check random.trust_cpu=on"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let said = || String::from_utf8_lossy(&std::fs::read(&serial).unwrap_or_default()).into_owned();
    while machine.try_wait().unwrap().is_none() {
        if started.elapsed() > TIMEOUT {
            machine.kill().unwrap();
            machine.wait().unwrap();
            panic!("it does not end: {}", said());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let said = said();
    let parts = said.split(BEGIN).skip(1).filter_map(|part| part.split(END).next());
    let findings: Vec<Value> = parts
        .map(|part| serde_json::from_str(part).unwrap_or_else(|error| panic!("{error}: {said}")))
        .collect();
    let kvm = |found: &Value| {
        let all = found.as_array().unwrap();
        all.iter().find(|finding| finding["about"] == "KVM").unwrap_or_else(|| panic!("{found}")).clone()
    };
    assert_eq!(findings.len(), 2, "{said}");
    (findings.iter().map(kvm).collect(), started.elapsed())
}

#[test]
fn e2e_kvm_that_works_is_told_from_none() {
    let world = World::with_tiny();
    let digest = world.get("image", "tiny")["status"]["digest"].as_str().unwrap().to_owned();
    let image = world.path().join("host/images").join(digest);
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let kernel = std::fs::read(image.join("kernel")).unwrap();
    let mut files = program(folder.path());
    files.extend(modules(folder.path(), &kernel));
    files.push(("etc/rc".into(), START.into()));
    let files: Vec<_> =
        files.iter().map(|(name, content)| (name.as_str(), 0o100_755, content.clone())).collect();
    let mut initramfs = std::fs::read(image.join("initramfs")).unwrap();
    initramfs.resize(initramfs.len().next_multiple_of(512), 0);
    initramfs.extend(cpio(&files));
    let path = folder.path().join("initramfs");
    std::fs::write(&path, initramfs).unwrap();

    // First with the module, then without it.
    let (found, took) = doctor(folder.path(), &image.join("kernel"), &path, "EPYC,+svm");
    println!("in {took:?}: {found:#?}");
    assert_eq!(found[0]["severity"], "fine", "{found:?}");
    assert!(found[0]["told"].as_str().unwrap().contains("its int3 was delivered"), "{found:?}");
    assert_eq!(found[1]["severity"], "note", "{found:?}");
    assert!(found[1]["told"].as_str().unwrap().contains("/dev/kvm is absent"), "{found:?}");
}
