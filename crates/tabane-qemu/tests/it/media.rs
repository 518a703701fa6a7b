//! CD drives and limits at a machine whose guest never answers.

use serde_json::Value;
use tabane_qemu::command::{CdDrive, Disk, DiskBus, DiskFormat, Medium, medium_blockdev, medium_node};
use tabane_qemu::throttle::Limits;
use tabane_qemu::{Error, media, throttle};

use crate::support::{image, machine, start};

fn medium(folder: &std::path::Path, tag: &str) -> Medium {
    Medium { tag: tag.into(), path: image(folder, &format!("{tag}.iso"), 1 << 20) }
}

#[tokio::test]
async fn media_come_and_go_and_what_was_cut_short_is_completed() {
    let mut machine = machine("media").await;
    machine.drives = vec![CdDrive { id: "cd0".into(), medium: None, boot_index: Some(1), port: Some(0) }];
    let qemu = start(&machine).await;
    let (qmp, folder) = (&qemu.qmp, qemu.folder.path());
    let (one, two) = (medium(folder, "111111111111"), medium(folder, "222222222222"));
    let nodes = async || -> Vec<String> {
        let nodes = qmp.query_named_block_nodes().await.unwrap();
        nodes.into_iter().map(|n| n.node_name).filter(|name| name.starts_with("m-")).collect()
    };
    assert_eq!(media::inserted(qmp, "cd0").await.unwrap(), None);
    media::change(qmp, "cd0", None).await.unwrap();
    for medium in [&one, &one, &two] {
        media::change(qmp, "cd0", Some(medium)).await.unwrap();
        assert_eq!(media::inserted(qmp, "cd0").await.unwrap().as_deref(), Some(medium.tag.as_str()));
        assert_eq!(nodes().await, [medium_node("cd0", &medium.tag)]);
    }
    media::change(qmp, "cd0", None).await.unwrap();
    assert_eq!((media::inserted(qmp, "cd0").await.unwrap(), nodes().await), (None, vec![]));

    // A crash after each step of the change from one to two.
    let run = async |command: &str, arguments: Value| {
        let _: Value = qmp.execute(command, arguments).await.unwrap();
    };
    for steps in 1..=4 {
        media::change(qmp, "cd0", Some(&one)).await.unwrap();
        let id = serde_json::json!({ "id": "cd-cd0" });
        let node = medium_blockdev("cd0", &two).unwrap();
        let insert = serde_json::json!({ "id": "cd-cd0", "node-name": medium_node("cd0", &two.tag) });
        let all = [
            ("blockdev-open-tray", id.clone()),
            ("blockdev-remove-medium", id),
            ("blockdev-add", node),
            ("blockdev-insert-medium", insert),
        ];
        for (command, arguments) in all.into_iter().take(steps) {
            run(command, arguments).await;
        }
        media::change(qmp, "cd0", Some(&two)).await.unwrap();
        assert_eq!(media::inserted(qmp, "cd0").await.unwrap().as_deref(), Some("222222222222"), "{steps}");
        assert_eq!(nodes().await, [medium_node("cd0", &two.tag)], "{steps}");
        let open =
            qmp.query_block().await.unwrap().into_iter().find(|b| b.is_of("cd-cd0")).unwrap().tray_open;
        assert_eq!(open, Some(false), "{steps}");
    }
    // What cannot be opened leaves the drive empty, and the next change finds its way.
    let absent = Medium { tag: "333333333333".into(), path: folder.join("absent.iso") };
    assert!(matches!(media::change(qmp, "cd0", Some(&absent)).await, Err(Error::Qmp { .. })));
    assert_eq!(media::inserted(qmp, "cd0").await.unwrap(), None);
    media::change(qmp, "cd0", Some(&one)).await.unwrap();
    assert!(matches!(media::change(qmp, "cd1", None).await, Err(Error::Invalid { .. })));
    let all = media::all(qmp).await.unwrap();
    assert_eq!(all, [("cd0".to_owned(), Some(one.tag.clone()))].into());
}

#[tokio::test]
async fn limits_are_set_and_lifted_by_disk() {
    let mut machine = machine("limits").await;
    let folder = crate::support::folder();
    let disk = |id: &str| Disk::new(id, image(folder.path(), id, 1 << 20), DiskFormat::Raw);
    let mut sata = disk("sata");
    sata.bus = DiskBus::Sata;
    machine.disks = vec![disk("root"), sata];
    let qemu = crate::support::start_in(folder, &machine).await;
    let told = async |disk: &str| -> (u64, u64) {
        let all: Vec<Value> = qemu.qmp.execute("query-block", Value::Null).await.unwrap();
        let of_disk =
            |info: &&Value| info["qdev"].as_str().is_some_and(|q| q.contains(&format!("disk-{disk}")));
        let inserted = &all.iter().find(of_disk).unwrap()["inserted"];
        (inserted["iops"].as_u64().unwrap(), inserted["bps_wr"].as_u64().unwrap())
    };
    for id in ["root", "sata"] {
        let limits = Limits { iops: 100, write_bytes_per_s: 1 << 20, ..Limits::default() };
        throttle::set(&qemu.qmp, id, limits).await.unwrap();
        assert_eq!(told(id).await, (100, 1 << 20));
        throttle::set(&qemu.qmp, id, Limits::default()).await.unwrap();
        assert_eq!(told(id).await, (0, 0));
    }
    assert!(matches!(throttle::set(&qemu.qmp, "none", Limits::default()).await, Err(Error::Invalid { .. })));
}
