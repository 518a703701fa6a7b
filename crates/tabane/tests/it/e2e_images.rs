//! Images from files: formats, checksums, and those that must not be taken.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::world::World;

fn qemu_img(arguments: &[&str]) {
    let output = Command::new("qemu-img").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn raw(folder: &Path) -> PathBuf {
    let path = folder.join("disk.raw");
    let content: Vec<u8> = (0..4 << 20).map(|i: u32| (i / 4096 % 251) as u8).collect();
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn e2e_images_of_every_format_are_imported() {
    let world = World::start();
    let raw = raw(world.path());
    for (name, driver) in [
        ("raw", "raw"),
        ("qcow2", "qcow2"),
        ("vmdk", "vmdk"),
        ("vhd", "vpc"),
        ("vhdx", "vhdx"),
        ("vdi", "vdi"),
    ] {
        let file = world.path().join(format!("x.{name}"));
        qemu_img(&["convert", "-f", "raw", "-O", driver, text(&raw), text(&file)]);
        world.ok(&["image", "import", name, text(&file)]);
        let image = world.get("image", name);
        assert_eq!(image["status"]["phase"], "ready", "{name}");
        let size = image["status"]["virtual_size_bytes"].as_u64().unwrap();
        assert!((4 << 20..5 << 20).contains(&size), "{name}: {size}");
        // What is kept is what was given, bit by bit.
        let digest = image["status"]["digest"].as_str().unwrap();
        let kept = world.path().join("host/images").join(digest).join("disk.qcow2");
        let back = world.path().join("back.raw");
        qemu_img(&["convert", "-f", "qcow2", "-O", "raw", text(&kept), text(&back)]);
        assert_eq!(std::fs::read(&back).unwrap()[..4 << 20], std::fs::read(&raw).unwrap(), "{name}");
    }
    // The same content is kept once.
    world.ok(&["image", "import", "again", text(&raw)]);
    assert_eq!(
        world.get("image", "again")["status"]["digest"],
        world.get("image", "raw")["status"]["digest"]
    );

    let wrong = "0".repeat(64);
    let refused = world.refused(&["image", "import", "checked", text(&raw), "--sha256", &wrong]);
    assert!(refused.contains("SHA-256"), "{refused}");
}

#[test]
fn e2e_hostile_images_are_refused_with_the_reason() {
    let world = World::start();
    let raw = raw(world.path());
    let backed = world.path().join("backed.qcow2");
    qemu_img(&["create", "-q", "-f", "qcow2", "-b", text(&raw), "-F", "raw", text(&backed)]);
    let data = world.path().join("data.qcow2");
    let option = format!("data_file={}", text(&world.path().join("outside")));
    qemu_img(&["create", "-q", "-f", "qcow2", "-o", &option, text(&data), "1M"]);
    let descriptor = world.path().join("flat.vmdk");
    let lines = "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n\
                 RW 2048 FLAT \"/etc/shadow\" 0\n";
    std::fs::write(&descriptor, lines).unwrap();
    let disguised = world.path().join("disguised.raw");
    std::fs::copy(&backed, &disguised).unwrap();
    let torn = world.path().join("torn.qcow2");
    std::fs::write(&torn, &std::fs::read(&backed).unwrap()[..100]).unwrap();

    for (name, file, more, told) in [
        ("backed", &backed, &[][..], "backing file"),
        ("data", &data, &[][..], "data in another file"),
        ("flat", &descriptor, &[][..], "shadow"),
        ("disguised", &disguised, &["--format", "raw"][..], "raw"),
        ("torn", &torn, &[][..], "damaged"),
    ] {
        let refused = world.refused(&[&["image", "import", name, text(file)][..], more].concat());
        assert!(refused.contains(told), "{name}: {refused}");
        assert_eq!(world.get("image", name)["status"]["phase"], "failed");
        world.ok(&["image", "delete", name]);
    }
    world.eventually("nothing is left", || {
        let count = |folder: &str| std::fs::read_dir(world.path().join("host").join(folder)).unwrap().count();
        count("images") == 0 && count("incoming") == 0
    });
}
