//! Plugging at a machine whose guest never answers.

use std::time::Duration;

use tabane_qemu::command::{Backend, Disk, DiskFormat, TapSource, Vhost, disk_node};
use tabane_qemu::{Error, hotplug};

use crate::machine::nic;
use crate::support::{image, machine, start};

const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn disks_come_again_and_again_and_grow() {
    let mut machine = machine("disks").await;
    machine.ports = 3;
    machine.nics = vec![nic("lan")];
    let qemu = start(&machine).await;
    let qmp = &qemu.qmp;
    let disk = Disk::new("data", image(qemu.folder.path(), "data.raw", 1 << 20), DiskFormat::Raw);
    // The nic sits in port 0, which nobody but the object tree knows before the firmware ran.
    assert_eq!(hotplug::add_disk(qmp, &disk).await.unwrap(), 1);
    assert_eq!(hotplug::add_disk(qmp, &disk).await.unwrap(), 1, "again is the same");
    let elsewhere = Disk { port: Some(2), ..disk.clone() };
    assert!(matches!(hotplug::add_disk(qmp, &elsewhere).await, Err(Error::Conflict { .. })));

    hotplug::resize_disk(qmp, "data", 2 << 20).await.unwrap();
    hotplug::resize_disk(qmp, "data", 2 << 20).await.unwrap();
    assert_eq!(std::fs::metadata(qemu.path("data.raw")).unwrap().len(), 2 << 20);
    assert!(matches!(hotplug::resize_disk(qmp, "data", 1 << 20).await, Err(Error::Invalid { .. })));
    assert!(matches!(hotplug::resize_disk(qmp, "none", 1 << 20).await, Err(Error::Invalid { .. })));
    assert_eq!(hotplug::disk_node_now(qmp, "data").await.unwrap(), Some(disk_node("data")));

    // A crash between the steps: the file's node is there, the rest is not.
    let half = Disk::new("half", image(qemu.folder.path(), "half.raw", 1 << 20), DiskFormat::Raw);
    let nodes = tabane_qemu::command::blockdevs(&half).unwrap();
    let _: serde_json::Value = qmp.execute("blockdev-add", nodes[0].clone()).await.unwrap();
    assert_eq!(hotplug::add_disk(qmp, &half).await.unwrap(), 2);

    // No port is left, and nothing of the attempt.
    let more = Disk::new("more", image(qemu.folder.path(), "more.raw", 1 << 20), DiskFormat::Raw);
    assert!(matches!(hotplug::add_disk(qmp, &more).await, Err(Error::Exhausted { .. })));
    let absent = Disk::new("absent", qemu.path("absent.raw"), DiskFormat::Raw);
    assert!(hotplug::add_disk(qmp, &absent).await.is_err());
    let nodes = qmp.query_named_block_nodes().await.unwrap();
    assert!(!nodes.iter().any(|node| node.node_name == disk_node("more")), "{nodes:?}");

    let failure = hotplug::remove_disk(qmp, "data", SHORT).await.unwrap_err();
    assert!(matches!(failure, Error::NotReleased { .. }), "{failure:?}");
    hotplug::remove_disk(qmp, "never-was", SHORT).await.unwrap();
    // A reset unplugs what was asked for; then the removal is completed. The vCPU is stopped, since QEMU may hold the
    // node for as long as it runs.
    qmp.cont().await.unwrap();
    qmp.system_reset().await.unwrap();
    qmp.stop().await.unwrap();
    hotplug::remove_disk(qmp, "data", Duration::from_secs(60)).await.unwrap();
    let nodes = qmp.query_named_block_nodes().await.unwrap();
    assert!(!nodes.iter().any(|node| node.node_name == disk_node("data")), "{nodes:?}");
    assert_eq!(hotplug::add_disk(qmp, &more).await.unwrap(), 1, "the port is free again");
}

#[tokio::test]
async fn nics_come_again_and_again() {
    let qemu = start(&machine("nics").await).await;
    let qmp = &qemu.qmp;
    assert_eq!(hotplug::add_nic(qmp, &nic("lan")).await.unwrap(), 0);
    assert_eq!(hotplug::add_nic(qmp, &nic("lan")).await.unwrap(), 0);
    let mut second = nic("second");
    second.port = Some(0);
    assert!(matches!(hotplug::add_nic(qmp, &second).await, Err(Error::Invalid { .. })));
    second.port = Some(7);
    // A crash between the two steps.
    let netdev = tabane_qemu::command::netdev(&second).unwrap();
    let _: serde_json::Value = qmp.execute("netdev_add", netdev).await.unwrap();
    assert_eq!(hotplug::add_nic(qmp, &second).await.unwrap(), 7);
    let failure = hotplug::remove_nic(qmp, "lan", SHORT).await.unwrap_err();
    assert!(matches!(failure, Error::NotReleased { .. }), "{failure:?}");
    hotplug::remove_nic(qmp, "never-was", SHORT).await.unwrap();
}

#[tokio::test]
async fn handles_reach_qemu_by_name() {
    let qemu = start(&machine("handles").await).await;
    let file = std::fs::File::open("/dev/null").unwrap();
    qemu.qmp.pass_fd("tap-lan", file.into()).await.unwrap();
    let mut lan = nic("lan");
    lan.backend = Backend::Tap { source: TapSource::Passed("tap-lan".into()), vhost: Vhost::Off };
    // QEMU finds the handle and sees that it is no tap.
    let failure = hotplug::add_nic(&qemu.qmp, &lan).await.unwrap_err();
    assert!(matches!(failure, Error::Qmp { ref command, .. } if command == "netdev_add"), "{failure:?}");
    assert!(!failure.to_string().contains("not been found"), "{failure}");
    assert!(qemu.qmp.pass_fd("7up", std::fs::File::open("/dev/null").unwrap().into()).await.is_err());
}

#[tokio::test]
async fn cpus_and_memory_grow() {
    let mut machine = machine("grows").await;
    machine.cpus_max = 4;
    machine.memory_bytes_max = 1 << 30;
    machine.memory_slots = 2;
    let qemu = start(&machine).await;
    let qmp = &qemu.qmp;
    assert_eq!(hotplug::cpu_count(qmp).await.unwrap(), 1);
    assert_eq!(hotplug::ensure_cpus(qmp, 3).await.unwrap(), 3);
    assert_eq!(hotplug::ensure_cpus(qmp, 3).await.unwrap(), 3);
    assert_eq!(hotplug::ensure_cpus(qmp, 2).await.unwrap(), 3, "none is taken away");
    assert!(matches!(hotplug::ensure_cpus(qmp, 5).await, Err(Error::Exhausted { .. })));

    hotplug::add_memory(qmp, "first", 128 << 20).await.unwrap();
    hotplug::add_memory(qmp, "first", 128 << 20).await.unwrap();
    assert!(matches!(hotplug::add_memory(qmp, "first", 256 << 20).await, Err(Error::Conflict { .. })));
    assert!(matches!(hotplug::add_memory(qmp, "odd", 100 << 20).await, Err(Error::Invalid { .. })));
    // A crash between the two steps, with another size then.
    let half = serde_json::json!({"qom-type": "memory-backend-ram", "id": "memory-half", "size": 256 << 20});
    let _: serde_json::Value = qmp.execute("object-add", half).await.unwrap();
    hotplug::add_memory(qmp, "half", 128 << 20).await.unwrap();
    // No slot is left, and nothing of the attempt.
    assert!(matches!(hotplug::add_memory(qmp, "third", 128 << 20).await, Err(Error::Qmp { .. })));
    assert!(!qmp.qom_list("/objects").await.unwrap().contains(&"memory-third".to_owned()));
    assert_eq!(qmp.query_memory_devices().await.unwrap().len(), 2);
}
