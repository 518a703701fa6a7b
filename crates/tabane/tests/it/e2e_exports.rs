//! A guest that goes on running, as files for other systems, read by their own tools.

use std::{path::Path, process::Command};

use crate::world::World;

fn tool(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
    text
}

fn is_installed(program: &str) -> bool {
    let found = Command::new("which").arg(program).output().is_ok_and(|o| o.status.success());
    if !found {
        eprintln!("{program} is not installed: its opinion is not asked for");
    }
    found
}

#[test]
fn e2e_an_export_goes_on_when_the_host_dies_and_leaves_nothing_when_it_is_killed() {
    let mut world = World::with_tiny();
    world.tiny_vm("web", &["--disk", "1GiB"]);
    world.exec("web", "dd if=/dev/urandom of=/mnt/data bs=1M count=40 2>/dev/null; sync");
    world.ok(&["snapshot", "create", "web", "fixed"]);
    let folder = world.path().to_owned();
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let raw = file("whole.raw");
    world.ok(&["vm", "export", "web", "--snapshot", "fixed", "--format", "raw", "-o", &raw]);
    let is_whole = |package: &str| {
        let inside = folder.join("inside");
        std::fs::create_dir(&inside).unwrap();
        tool(&inside, "tar", &["xf", package]);
        for line in std::fs::read_to_string(inside.join("web.mf")).unwrap().lines() {
            let (name, digest) = line.strip_prefix("SHA256(").unwrap().split_once(")= ").unwrap();
            assert!(tool(&inside, "sha256sum", &[name]).starts_with(digest), "{line}");
        }
        tool(&inside, "qemu-img", &["compare", "-f", "raw", "-F", "vmdk", &raw, "web-root.vmdk"]);
        std::fs::remove_dir_all(&inside).unwrap();
    };
    for round in 0..6u64 {
        let to = file(&format!("{round}.ova"));
        let pause = std::time::Duration::from_millis(40 + round * 170);
        let export = ["vm", "export", "web", "--snapshot", "fixed", "-o", &to];
        let mut child = world.command(&export).stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(pause);
        if round % 2 == 0 {
            world.kill_up();
            world.up();
            assert!(child.wait().unwrap().success(), "round {round}");
            is_whole(&to);
        } else {
            child.kill().unwrap();
            child.wait().unwrap();
            // Half a file does not have its name.
            if Path::new(&to).exists() {
                is_whole(&to);
            }
        }
    }
    world.answers("web");
    world.healthy();
    world.ok(&["snapshot", "delete", "fixed", "--wait", "deleted"]);
    world.ok(&["vm", "delete", "web", "--wait", "deleted"]);
    world.healthy();
}

/// The SHA-256 of a disk's content, as somebody else's reader has it.
fn second_opinion(folder: &Path, reader: &str, name: &str) -> Option<String> {
    let script = std::env::var("CARGO_MANIFEST_DIR").unwrap() + "/tests/it/second_opinion.py";
    // `cargo xtask setup` puts them beside what is built.
    let here = std::env::current_exe().unwrap();
    let packages = here.ancestors().nth(3).unwrap().join("second-opinions");
    let mut command = Command::new("/usr/bin/python3");
    command.args([&script, reader, name]).current_dir(folder).env("PYTHONPATH", packages);
    let output = command.output().unwrap();
    if output.status.code() == Some(77) {
        eprintln!("{reader} is not installed: its opinion is not asked for");
        return None;
    }
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{reader} cannot read {name}: {told}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn e2e_a_running_vm_is_exported_whole() {
    let world = World::with_tiny();
    world.tiny_vm("web", &["--disk", "1GiB"]);
    world.exec("web", "dd if=/dev/urandom of=/mnt/data bs=1M count=8 2>/dev/null; sync");
    world.ok(&["snapshot", "create", "web", "fixed"]);
    let out = world.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let file = |name: &str| out.join(name).to_str().unwrap().to_owned();
    for format in ["raw", "qcow2", "vhdx", "vmdk"] {
        let to = file(&format!("web.{format}"));
        world.ok(&["vm", "export", "web", "--snapshot", "fixed", "--format", format, "-o", &to]);
    }
    let to = file("web.ova");
    world.ok(&["vm", "export", "web", "--snapshot", "fixed", "-o", &to]);

    // Every form has the same content, bit by bit.
    tool(&out, "tar", &["xf", "web.ova"]);
    assert_eq!(tool(&out, "tar", &["tf", "web.ova"]), "web.ovf\nweb-root.vmdk\nweb.mf\n");
    for (format, name) in
        [("qcow2", "web.qcow2"), ("vhdx", "web.vhdx"), ("vmdk", "web.vmdk"), ("vmdk", "web-root.vmdk")]
    {
        let told = tool(&out, "qemu-img", &["compare", "-f", "raw", "-F", format, "web.raw", name]);
        assert!(told.contains("identical"), "{told}");
    }
    let raw = std::fs::metadata(file("web.raw")).unwrap();
    assert_eq!(raw.len(), 1 << 30);
    assert!(std::os::unix::fs::MetadataExt::blocks(&raw) * 512 < 512 << 20, "holes stay holes");
    assert!(tool(&out, "qemu-img", &["info", "web-root.vmdk"]).contains("streamOptimized"));
    for line in std::fs::read_to_string(file("web.mf")).unwrap().lines() {
        let (name, digest) = line.strip_prefix("SHA256(").unwrap().split_once(")= ").unwrap();
        assert!(tool(&out, "sha256sum", &[name]).starts_with(digest), "{line}");
    }
    if is_installed("virt-v2v") {
        let told = tool(&out, "virt-v2v", &["-i", "ova", "web.ova", "-o", "null", "--print-source"]);
        for expected in ["name: web", "memory: 201326592", "vCPUs: 1", "disks:", "NICs:"] {
            let found = told.to_lowercase().contains(&expected.to_lowercase());
            assert!(found, "{expected} is not in what virt-v2v says:\n{told}");
        }
    }
    let content = tool(&out, "sha256sum", &["web.raw"]);
    for (reader, name) in [
        ("libvmdk", "web-root.vmdk"),
        ("libvmdk", "web.vmdk"),
        ("libvhdi", "web.vhdx"),
        ("dissect.vmdk", "web-root.vmdk"),
        ("dissect.vmdk", "web.vmdk"),
        ("dissect.vhdx", "web.vhdx"),
    ] {
        if let Some(digest) = second_opinion(&out, reader, name) {
            assert!(content.starts_with(digest.trim()), "{reader} reads something else in {name}");
        }
    }

    // Without a snapshot one is taken, and goes again; the file is not overwritten by accident.
    let told = world.refused(&["vm", "export", "web", "-o", &to]);
    assert!(told.contains("--force"), "{told}");
    world.ok(&["vm", "export", "web", "--ovf2", "--force", "-o", &to]);
    world.eventually("its snapshot is gone", || {
        !world.ok(&["snapshot", "list", "-o", "json"]).contains("export")
    });
    assert!(tool(&out, "tar", &["xOf", "web.ova", "web.ovf"]).contains("envelope/2"));
    let told =
        world.refused(&["vm", "export", "web", "--format", "raw", "--disk", "none", "-o", &file("x.raw")]);
    assert!(told.contains("no such disk"), "{told}");
    assert!(!out.join("x.raw.part").exists() && !out.join("x.raw").exists());
    assert_eq!(std::fs::read_dir(world.path().join("host/exports")).unwrap().count(), 0, "nothing is left");
    world.answers("web");
}
