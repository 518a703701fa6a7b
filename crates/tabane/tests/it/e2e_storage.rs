//! Storage: many clones at once, and a pool that runs full.

use std::process::Command;

use crate::world::World;

#[test]
fn e2e_fifty_clones_at_once_all_succeed() {
    let world = World::with_tiny();
    let threads: Vec<_> = (0..50)
        .map(|i| {
            let mut create =
                world.command(&["vm", "create", &format!("clone-{i}"), "--image", "tiny", "--wait", "ready"]);
            std::thread::spawn(move || create.output().unwrap())
        })
        .collect();
    for thread in threads {
        let output = thread.join().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let disks = world.ok(&["disk", "list", "-f", "phase=ready"]);
    assert_eq!(disks.lines().count(), 51, "{disks}");
    // One of them has what the image has.
    world.ok(&["vm", "start", "clone-33", "--wait", "agent", "--timeout", "240"]);
    assert!(world.exec("clone-33", "mount").contains("/dev/vda"));
    // The image's content stays while clones stand on it, also when the image is deleted.
    world.ok(&["image", "delete", "tiny"]);
    world.ok(&["vm", "shutdown", "clone-33", "--wait", "stopped", "--timeout", "120"]);
    world.ok(&["vm", "start", "clone-33", "--wait", "agent", "--timeout", "240"]);
}

struct Mount(std::path::PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l"]).arg(&self.0).status();
    }
}

#[test]
fn e2e_a_full_pool_stops_writers_and_loses_nothing() {
    let world = World::with_tiny();
    let folder = world.path().join("small");
    std::fs::create_dir(&folder).unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m,mode=711", "small"]).arg(&folder).status();
    if !mounted.unwrap().success() {
        eprintln!("not root: a small file system cannot be mounted, so nothing is tested");
        return;
    }
    let _mount = Mount(folder.clone());
    world.ok(&["pool", "create", "small", "--path", folder.to_str().unwrap()]);
    world.tiny_vm("a", &["--pool", "small"]);
    let ballast = folder.join("ballast");
    std::fs::write(&ballast, vec![1; 8 << 20]).unwrap();

    // More than fits: written in the background, since the guest will be stopped in the middle of it.
    let script = "(i=0; while [ $i -lt 20 ]; do dd if=/dev/zero bs=1M count=1 2>/dev/null | tr '\\0' \"\\\\$((i % 8 + 60))\" \
                  > /mnt/f$i; i=$((i + 1)); done; sync; echo done > /mnt/end; sync) > /dev/null 2>&1 &";
    world.exec("a", script);
    world.eventually("the guest is stopped", || {
        world.get("vm", "a")["status"]["conditions"].to_string().contains("\"storage\"")
    });
    assert!(world.events().contains("the pool is full"), "{}", world.events());
    std::fs::remove_file(&ballast).unwrap();
    // Without a word from anybody it goes on, and everything is there.
    world.eventually("the guest has written all", || {
        world.run(&["vm", "exec", "a", "--timeout", "10", "--", "test", "-f", "/mnt/end"]).status.success()
    });
    let check = "for i in $(seq 0 19); do [ $(wc -c < /mnt/f$i) = 1048576 ] || echo short $i; \
                 [ \"$(tr -d \"\\\\$((i % 8 + 60))\" < /mnt/f$i | wc -c)\" = 0 ] || echo wrong $i; done";
    assert_eq!(world.exec("a", check), "");
    assert!(world.events().contains("the storage takes writes again"));
}

/// XFS on a file, at a folder; nothing where that cannot be mounted.
fn mount_xfs(file: &std::path::Path, folder: &std::path::Path) -> Option<Mount> {
    std::fs::File::create(file).unwrap().set_len(1 << 30).unwrap();
    let made = Command::new("mkfs.xfs").args(["-q", "-m", "reflink=1"]).arg(file).status();
    assert!(made.is_ok_and(|s| s.success()), "mkfs.xfs of xfsprogs is needed");
    std::fs::create_dir(folder).unwrap();
    let mount = Mount(folder.to_path_buf());
    let mounted = Command::new("mount").args(["-o", "loop"]).arg(file).arg(folder).output().unwrap();
    if !mounted.status.success() {
        eprintln!("left out, nothing can be mounted here: {}", String::from_utf8_lossy(&mounted.stderr));
        return None;
    }
    Some(mount)
}

#[test]
fn e2e_a_full_clone_shares_its_blocks_where_the_file_system_can() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let mut mount = None;
    let world = World::start_with(|data| mount = mount_xfs(&folder.path().join("xfs"), &data.join("host")));
    if mount.is_none() {
        return;
    }
    world.ok(&["image", "build", "tiny"]);
    world.eventually("the pool says what it can do", || {
        world.get("pool", "local")["status"]["hosts"]["h1"]["reflink"] == true
    });
    world.ok(&[
        "vm",
        "create",
        "full",
        "--image",
        "tiny",
        "--memory",
        "192MiB",
        "--full-clone",
        "--wait",
        "stopped",
    ]);
    let disk = std::fs::read_dir(world.path().join("host/pool")).unwrap().flatten().map(|e| e.path());
    let disk = disk.into_iter().find(|p| p.extension().is_some_and(|e| e == "qcow2")).unwrap();
    let extents = Command::new("filefrag").arg("-v").arg(&disk).output().unwrap();
    let extents = String::from_utf8_lossy(&extents.stdout).into_owned();
    assert!(extents.contains("shared"), "{extents}");
    let info = Command::new("qemu-img").args(["info", "-U"]).arg(&disk).output().unwrap();
    let info = String::from_utf8_lossy(&info.stdout).into_owned();
    assert!(info.contains("file format: qcow2") && !info.contains("backing file"), "{info}");
    world.ok(&["vm", "start", "full", "--wait", "agent", "--timeout", "240"]);
    assert!(world.exec("full", "mount").contains("/dev/vda"));
    // A folder cannot go while something is mounted in it.
    let data = world.path().to_path_buf();
    drop((world, mount));
    let _ = std::fs::remove_dir_all(data);
}

#[test]
fn e2e_a_disk_that_is_gone_is_told_once_and_not_made_anew() {
    let mut world = World::with_tiny();
    world.ok(&["vm", "create", "a", "--image", "tiny", "--wait", "ready"]);
    let uid = world.get("disk", "a-root")["meta"]["uid"].as_str().unwrap().replace('-', "");
    let path = world.path().join(format!("host/pool/{uid}.qcow2"));
    world.kill_up();
    std::fs::rename(&path, path.with_extension("away")).unwrap();
    world.up();
    world.eventually("the disk has failed", || world.get("disk", "a-root")["status"]["phase"] == "failed");
    // Looking again is for later: what was told must not be a reason to look.
    let steps = |world: &World| world.log().matches("Prepare").count();
    std::thread::sleep(std::time::Duration::from_secs(1));
    let before = steps(&world);
    std::thread::sleep(std::time::Duration::from_secs(4));
    let after = steps(&world);
    assert!(after - before < 10, "{} tries in 4 s", after - before);
    assert!(!path.exists());
    // Put back, it is found.
    std::fs::rename(path.with_extension("away"), &path).unwrap();
    world.eventually("the disk is ready", || world.get("disk", "a-root")["status"]["phase"] == "ready");
}
