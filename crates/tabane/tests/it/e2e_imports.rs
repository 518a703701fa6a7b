//! Packages become VMs: whole, once, and nothing that an attacker wrote into them becomes anything else.

use std::{path::Path, process::Command, time::Duration};

use crate::world::{Texts, World};

fn tool(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", output.all_text());
    output.stdout_text()
}

/// A world with a VM `web` of 1 GiB, and what it is as `web.ova` and `web.raw` in a folder.
fn exported() -> (World, std::path::PathBuf) {
    let world = World::with_tiny();
    world.ok(&[
        "vm", "create", "web", "--image", "tiny", "--disk", "1GiB", "--memory", "192MiB", "--cpus", "2",
    ]);
    world.ok(&["vm", "attach", "web", "--size", "64MiB", "--wait", "ready"]);
    let out = world.path().join("out");
    std::fs::create_dir(&out).unwrap();
    world.ok(&["snapshot", "create", "web", "fixed"]);
    for file in ["web.ova", "web.raw"] {
        let to = out.join(file);
        let format = file.rsplit('.').next().unwrap();
        world.ok(&[
            "vm",
            "export",
            "web",
            "--snapshot",
            "fixed",
            "--format",
            format,
            "-o",
            to.to_str().unwrap(),
        ]);
    }
    (world, out)
}

fn is_the_same(world: &World, out: &Path, vm: &str) {
    let to = out.join(format!("{vm}.raw"));
    world.ok(&["vm", "export", vm, "--format", "raw", "--disk", "root", "-o", to.to_str().unwrap()]);
    tool(out, "cmp", &["web.raw", &format!("{vm}.raw")]);
}

fn images(world: &World) -> String {
    world.ok(&["image", "list", "-o", "json"])
}

#[test]
fn e2e_what_was_exported_is_imported_bit_by_bit() {
    let (world, out) = exported();
    let ova = out.join("web.ova");
    let ova = ova.to_str().unwrap();

    let told = world.run(&["vm", "import", ova, "--name", "copy", "--dry-run", "-o", "json"]).all_text();
    for expected in ["web-root.vmdk", "web-data.vmdk", "\"cpus\": 2", "virtio", "nic0"] {
        assert!(told.contains(expected), "{expected} is not in the plan:\n{told}");
    }
    assert!(world.refused(&["vm", "get", "copy"]).contains("copy"), "a dry run makes nothing");
    let taken = world.refused(&["vm", "import", ova]);
    assert!(taken.contains("--name"), "{taken}");

    world.ok(&["vm", "import", ova, "--name", "copy"]);
    is_the_same(&world, &out, "copy");
    let (web, copy) = (world.get("vm", "web"), world.get("vm", "copy"));
    for field in ["cpus", "memory_bytes", "firmware"] {
        assert_eq!(web["spec"][field], copy["spec"][field]);
    }
    assert_eq!(copy["spec"]["disks"].as_array().unwrap().len(), 2);
    assert_eq!(copy["spec"]["nics"][0]["network"], web["spec"]["nics"][0]["network"]);
    assert_ne!(copy["spec"]["nics"][0]["mac"], web["spec"]["nics"][0]["mac"], "no MAC is there twice");
    assert!(!images(&world).contains("import-"), "the images on the way are gone");
    // The same again finds it done.
    world.ok(&["vm", "import", ova, "--name", "copy"]);

    // As an OVF with its files beside it.
    tool(&out, "tar", &["xf", "web.ova"]);
    let ovf = out.join("web.ovf");
    world.ok(&["vm", "import", ovf.to_str().unwrap(), "--name", "beside", "--keep-macs"]);
    is_the_same(&world, &out, "beside");
    assert_eq!(world.get("vm", "beside")["spec"]["nics"][0]["mac"], web["spec"]["nics"][0]["mac"]);
}

#[test]
fn e2e_what_was_tampered_with_is_refused_before_anything_is_made() {
    let (world, out) = exported();
    let refused = |file: &str, expected: &str| {
        let path = out.join(file);
        let told = world.refused(&["vm", "import", path.to_str().unwrap(), "--name", "evil"]);
        assert!(told.contains(expected), "{expected:?} is not in:\n{told}");
        world.refused(&["vm", "get", "evil"]);
        assert!(!images(&world).contains("import-evil-root\",\"ready"), "{}", images(&world));
    };
    let mut bytes = std::fs::read(out.join("web.ova")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(out.join("flipped.ova"), &bytes).unwrap();
    refused("flipped.ova", "is not what the manifest says");
    bytes[middle] ^= 1;
    std::fs::write(out.join("short.ova"), &bytes[..middle]).unwrap();
    refused("short.ova", "beyond the end");

    tool(&out, "tar", &["xf", "web.ova"]);
    tool(&out, "tar", &["cPf", "out.ova", "--transform=s|web-root|../../root|", "web.ovf", "web-root.vmdk"]);
    refused("out.ova", "leads into another folder");
    std::os::unix::fs::symlink("/etc/shadow", out.join("link.vmdk")).unwrap();
    tool(&out, "tar", &["cf", "link.ova", "web.ovf", "link.vmdk"]);
    refused("link.ova", "a link or a device");

    // A disk that is larger inside than it says: 1 GiB is stated, 3 TiB are there.
    std::fs::remove_file(out.join("web.mf")).unwrap();
    let options = ["-f", "vmdk", "-o", "subformat=monolithicSparse"];
    tool(&out, "qemu-img", &[&["create", "-q"], &options[..], &["web-root.vmdk", "3T"]].concat());
    refused("web.ovf", "and at most 1 GiB was announced");
    // Its failed image does not stand in the way of the right file.
    tool(&out, "tar", &["xf", "web.ova"]);
    let right = out.join("web.ovf");
    world.ok(&["vm", "import", right.to_str().unwrap(), "--name", "evil"]);
    is_the_same(&world, &out, "evil");
}

#[test]
fn e2e_an_import_that_is_killed_again_and_again_goes_on_and_makes_one_vm() {
    let (mut world, out) = exported();
    // Random data, so that sending takes its time.
    tool(&out, "dd", &["if=/dev/urandom", "of=noise", "bs=1M", "count=96", "status=none"]);
    tool(&out, "dd", &["if=noise", "of=web.raw", "bs=1M", "seek=64", "conv=notrunc", "status=none"]);
    tool(&out, "tar", &["xf", "web.ova"]);
    let stream = ["-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"];
    tool(&out, "qemu-img", &[&["convert"], &stream[..], &["web.raw", "web-root.vmdk"]].concat());
    std::fs::remove_file(out.join("web.mf")).unwrap();
    tool(&out, "tar", &["cf", "big.ova", "web.ovf", "web-root.vmdk", "web-data.vmdk"]);
    let ova = out.join("big.ova");
    let import = ["vm", "import", ova.to_str().unwrap(), "--name", "copy"];
    let mut killed = 0;
    for wait_ms in (50..).step_by(150) {
        let mut child = world.command(&import).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(wait_ms));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{}", world.log_tail());
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        killed += 1;
        // The agent and the server, too, now and then.
        if killed % 4 == 0 {
            world.kill_up();
            world.up();
        }
    }
    assert!(killed >= 3, "it was over after {killed} kills: nothing was tried");
    eprintln!("killed {killed} times");
    is_the_same(&world, &out, "copy");
    assert!(!images(&world).contains("import-"), "{}", images(&world));
    let copies = world.ok(&["vm", "list", "-o", "json"]).matches("\"imported-from\"").count();
    assert_eq!(copies, 1);
    world.healthy();
}
