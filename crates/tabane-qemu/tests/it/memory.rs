//! One saved machine, and others that begin with its memory.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use tabane_qemu::command::{Disk, DiskFormat, Machine, MemoryFile};
use tabane_qemu::memory::{Base, Parts, begin_to_load, save};
use tabane_qemu::process::{Credentials, Launch};
use tabane_qemu::qmp::RunState;
use tabane_qemu::{hotplug, qcow2};

use crate::machine::nic;
use crate::support::{LONG, Qemu, UID, folder, give_away, installation, is_root, machine, start, start_with};

const HANDLE: i32 = 12;
/// Real mode's memory: the firmware has worked in it.
const LOW_MEMORY_BYTES: u64 = 1 << 20;

async fn low_memory(qemu: &Qemu, name: &str) -> Vec<u8> {
    let arguments = serde_json::json!({ "val": 0, "size": LOW_MEMORY_BYTES, "filename": name });
    let _: serde_json::Value = qemu.qmp.execute("pmemsave", arguments).await.unwrap();
    std::fs::read(qemu.path(name)).unwrap()
}

fn with_disk(machine: &mut Machine, folder: &Path) {
    let path = folder.join("root.qcow2");
    qcow2::create(&path, 1 << 20, None).unwrap();
    give_away(&path);
    machine.disks = vec![Disk::new("root", path, DiskFormat::Qcow2)];
    machine.nics = vec![nic("lan")];
}

async fn loaded(qemu: &Qemu) {
    let began = std::time::Instant::now();
    while qemu.qmp.query_status().await.unwrap().state == RunState::Inmigrate {
        assert!(began.elapsed() < LONG);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

fn private_bytes(qemu: &Qemu) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/smaps", qemu.id.pid)).unwrap();
    let of_memory = text.split("\n7f").filter(|area| area.contains("memfd:memory"));
    let dirty = of_memory.flat_map(|area| area.lines()).filter_map(|l| l.strip_prefix("Private_Dirty:"));
    dirty.map(|l| l.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024).sum()
}

#[tokio::test]
async fn machines_begin_with_the_memory_of_one_and_cannot_change_it() {
    let place = folder();
    let mut first = machine("first").await;
    first.vm_generation_id = Some(first.uuid);
    with_disk(&mut first, place.path());
    let source = start(&first).await;
    source.qmp.cont().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let saved = place.path().join("memory");
    let file = File::create(&saved).unwrap();
    save(&source.qmp, Parts::All, file, LONG).await.unwrap();
    let expected = low_memory(&source, "low").await;
    assert!(expected.iter().filter(|b| **b != 0).count() > 10_000, "the firmware ran");

    let work = folder();
    let mut launch = Launch::new(installation().await.qemu.path, work.path(), work.path().join("log"));
    if is_root() {
        launch.credentials = Some(Credentials { uid: UID, gid: UID, supplementary_gids: vec![] });
    }
    let mut helper = first.clone();
    with_disk(&mut helper, work.path());
    let base = Base::prepare(launch, helper, File::open(&saved).unwrap(), LONG).await.unwrap();
    assert!(base.used_bytes() < 100 << 20, "untouched memory takes no space: {}", base.used_bytes());
    let handle = base.memory().unwrap();
    assert!(rustix::io::write(&handle, b"x").is_err(), "sealed");

    let mut others = Vec::new();
    for name in ["second", "third"] {
        let place = folder();
        let mut machine = machine(name).await;
        machine.vm_generation_id = Some(machine.uuid);
        with_disk(&mut machine, place.path());
        machine.incoming = true;
        machine.memory_file = Some(MemoryFile { fd: HANDLE, shared: false });
        let qemu = start_with(place, &machine, |launch| {
            launch.inherit_fds = vec![(base.memory().unwrap(), HANDLE)];
        })
        .await;
        begin_to_load(&qemu.qmp, Parts::Devices, base.devices().unwrap()).await.unwrap();
        loaded(&qemu).await;
        hotplug::set_link(&qemu.qmp, "lan", false).await.unwrap();
        others.push(qemu);
    }
    let low = low_memory(&others[0], "low").await;
    let differing = low.iter().zip(&expected).filter(|(a, b)| a != b).count();
    assert!(differing < 256, "the same memory, but for what tells machines apart: {differing}");
    for other in &others {
        assert!(private_bytes(other) < 4 << 20, "{}", private_bytes(other));
        other.qmp.cont().await.unwrap();
    }
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert!(others[0].qmp.query_status().await.unwrap().running);
    // What they write is their own.
    let after = std::fs::read(format!("/proc/self/fd/{}", handle.as_raw_fd())).unwrap();
    assert_eq!(after[..0x9_0000], expected[..0x9_0000]);
    // A machine that began so can be saved as a whole.
    let again = File::create(place.path().join("again")).unwrap();
    save(&others[1].qmp, Parts::All, again, LONG).await.unwrap();
    let size = std::fs::metadata(place.path().join("again")).unwrap().len();
    assert!(size > 1 << 20, "its memory is in it: {size}");
}
