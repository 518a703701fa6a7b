//! CDs and disks that tests make: some say on the serial port that they were booted, one holds a whole Linux.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::world::World;

/// A boot sector that says a word on the serial port and stands still. The same bytes do for a disk, and for a CD
/// without emulation (El Torito): both are loaded to 0000:7c00.
pub fn boot_sector(word: &str) -> Vec<u8> {
    let mut code = vec![
        0x31, 0xc0, // xor ax, ax
        0x8e, 0xd8, // mov ds, ax
        0xba, 0xf8, 0x03, // mov dx, 0x3f8
        0xbe, 0x15, 0x7c, // mov si, text
        0xac, // next: lodsb
        0x08, 0xc0, // or al, al
        0x74, 0x03, // jz end
        0xee, // out dx, al
        0xeb, 0xf8, // jmp next
        0xf4, // end: hlt
        0xeb, 0xfd, // jmp end
    ];
    assert_eq!(code.len(), 0x15, "the text follows");
    code.extend(format!("BOOTED {word}\n\0").bytes());
    assert!(code.len() <= 510);
    code.resize(510, 0);
    code.extend([0x55, 0xaa]);
    code
}

pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {told}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A CD of this folder, and of what is booted from it.
fn iso(folder: &Path, label: &str, boot: Option<&str>, to: &Path) {
    let (folder, to) = (folder.to_str().unwrap(), to.to_str().unwrap());
    let mut arguments = vec!["-quiet", "-R", "-J", "-V", label, "-o", to];
    if let Some(boot) = boot {
        arguments.extend(["-b", boot, "-c", "boot/catalog", "-no-emul-boot", "-boot-load-size", "4"]);
        arguments.push("-boot-info-table");
    }
    arguments.push(folder);
    run("genisoimage", &arguments);
}

/// A CD that holds its own name; if it can be booted, it says so and no more.
pub fn small_cd(world: &World, name: &str, boots: bool) -> PathBuf {
    let folder = world.path().join(format!("cd-{name}"));
    std::fs::create_dir_all(folder.join("boot")).unwrap();
    std::fs::write(folder.join("name"), format!("{name}\n")).unwrap();
    let to = world.path().join(format!("{name}.iso"));
    if boots {
        std::fs::write(folder.join("boot/sector"), boot_sector(name)).unwrap();
        // Its table of information would lie in the middle of these bytes.
        let (from, to) = (folder.to_str().unwrap(), to.to_str().unwrap());
        let boot = ["-b", "boot/sector", "-c", "boot/catalog", "-no-emul-boot", "-boot-load-size", "1"];
        let label = ["-quiet", "-R", "-V", name, "-o", to];
        run("genisoimage", &[&label[..], &boot[..], &[from]].concat());
    } else {
        iso(&folder, name, None, &to);
    }
    to
}

const MODULES: &[&str] = &[
    "virtio_pci",
    "virtio_console",
    "virtio_blk",
    "virtio_net",
    "virtio_rng",
    "ext4",
    "ahci",
    "sd_mod",
    "sr_mod",
    "isofs",
    "e1000e",
    "button",
    "evdev",
];

/// The name of a module's file without where it is and how it is packed.
fn stem(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or_default();
    file.strip_suffix(".xz").unwrap_or(file).trim_end_matches(".ko")
}

/// Puts a module, behind those that it needs, into a folder and a list.
fn add_module(all: &str, name: &str, folder: &Path, list: &mut Vec<String>) {
    let is_it = |path: &&str| stem(path).replace('-', "_") == name.replace('-', "_");
    let Some(path) = all.lines().find(is_it) else { return };
    let file = format!("{}.ko", stem(path));
    if list.contains(&file) {
        return;
    }
    // Debian 13 packs its modules.
    let content = if path.ends_with(".xz") {
        Command::new("xz").args(["-dc", path]).output().unwrap().stdout
    } else {
        std::fs::read(path).unwrap()
    };
    assert!(content.starts_with(b"\x7fELF"), "{path} is no module");
    // A section of the file holds what modinfo(8) shows, each entry with a zero behind it.
    let entries = content.split(|byte| *byte == 0).filter_map(|entry| entry.strip_prefix(b"depends="));
    for needed in entries.flat_map(|entry| entry.split(|byte| *byte == b',')).filter(|n| !n.is_empty()) {
        add_module(all, std::str::from_utf8(needed).unwrap(), folder, list);
    }
    std::fs::write(folder.join(&file), content).unwrap();
    list.push(file);
}

/// A CD with Debian's ordinary kernel, which knows SATA and Intel's nics where that for clouds does not, and the
/// programs of the image `tiny`. GRUB boots it. `files` are on it as well.
pub fn linux_cd(world: &World, files: &[(&str, &[u8])]) -> PathBuf {
    let work = world.path().join("linux-cd");
    let (cd, more) = (work.join("cd"), work.join("more"));
    for folder in [cd.join("boot/grub"), more.join("lib/modules"), more.join("etc"), work.join("kernel")] {
        std::fs::create_dir_all(folder).unwrap();
    }
    let depends = run("apt-cache", &["depends", "linux-image-amd64"]);
    let package = depends.lines().find_map(|l| l.trim().strip_prefix("Depends: ")).expect("a kernel").trim();
    let version = package.strip_prefix("linux-image-").unwrap();
    let work_text = work.to_str().unwrap();
    run("sh", &["-c", &format!("cd {work_text} && apt-get -q download {package} 2>/dev/null")]);
    run(
        "sh",
        &["-c", &format!("cd {work_text} && dpkg-deb -x {package}_*.deb kernel && rm {package}_*.deb")],
    );
    let kernel = work.join("kernel");
    let all = run("find", &[kernel.to_str().unwrap(), "-name", "*.ko", "-o", "-name", "*.ko.xz"]);
    let mut list = Vec::new();
    for module in MODULES {
        add_module(&all, module, &more.join("lib/modules"), &mut list);
    }
    std::fs::write(more.join("etc/modules"), list.join("\n") + "\n").unwrap();
    std::fs::write(more.join("etc/modules.later"), "").unwrap();
    let archive = format!("cd {work_text}/more && find . | cpio --quiet -o -H newc > {work_text}/cd/more");
    run("sh", &["-c", &archive]);
    let images = std::fs::read_dir(world.path().join("host/images")).unwrap().flatten().map(|e| e.path());
    let initramfs = images.map(|image| image.join("initramfs")).find(|path| path.exists()).expect("tiny");
    std::fs::copy(initramfs, cd.join("initramfs")).unwrap();
    std::fs::copy(kernel.join(format!("boot/vmlinuz-{version}")), cd.join("vmlinuz")).unwrap();
    let configuration = "serial --unit=0 --speed=115200\nterminal_output serial\necho loading\n\
        linux /vmlinuz console=ttyS0 quiet mitigations=off nokaslr no_timer_check random.trust_cpu=on medium=setup\n\
        initrd /initramfs /more\nboot\n";
    std::fs::write(cd.join("boot/grub/grub.cfg"), configuration).unwrap();
    std::fs::write(cd.join("name"), "setup\n").unwrap();
    for (name, content) in files {
        std::fs::write(cd.join(name), content).unwrap();
    }
    let core = cd.join("boot/core.img");
    let modules =
        ["biosdisk", "iso9660", "linux", "normal", "configfile", "serial", "terminal", "echo", "boot"];
    let image = ["-O", "i386-pc-eltorito", "-p", "/boot/grub", "-o", core.to_str().unwrap()];
    run("grub-mkimage", &[&image[..], &modules[..]].concat());
    let to = world.path().join("setup.iso");
    iso(&cd, "SETUP", Some("boot/core.img"), &to);
    std::fs::remove_dir_all(&work).unwrap();
    to
}
