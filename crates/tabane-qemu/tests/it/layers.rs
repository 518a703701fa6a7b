//! Layers at a machine whose guest does nothing.

use std::{
    ffi::CString,
    fs::File,
    io::{ErrorKind, Read},
    os::{
        fd::{FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tabane_qemu::command::{Disk, DiskFormat};
use tabane_qemu::layers::{self, Below, NewLayer};
use tabane_qemu::qcow2;

use crate::support::{LONG, Qemu, folder, give_away, machine, start_in};

const SIZE_BYTES: u64 = 1 << 20;

fn layer(folder: &Path, number: u32, over: Option<&Path>) -> PathBuf {
    let path = folder.join(format!("{number}.qcow2"));
    qcow2::create(&path, SIZE_BYTES, over).unwrap();
    give_away(&path);
    path
}

/// Tells how often a file was opened since, by inotify(7).
struct Openings(File);

impl Openings {
    fn of(path: &Path) -> Self {
        let path = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: plain system calls; the descriptor is new and nobody else's.
        let inotify = unsafe {
            let inotify = libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC);
            assert!(libc::inotify_add_watch(inotify, path.as_ptr(), libc::IN_OPEN) >= 0);
            OwnedFd::from_raw_fd(inotify)
        };
        Self(inotify.into())
    }

    fn any(&mut self) -> bool {
        match self.0.read(&mut [0; 4096]) {
            Ok(bytes) => bytes > 0,
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => panic!("{error}"),
        }
    }
}

async fn stream(qemu: &Qemu, into: u32, below: &Below) {
    let qmp = &qemu.qmp;
    layers::stream(qmp, "job", "root", into, below).await.unwrap();
    let begun = Instant::now();
    loop {
        let job = layers::job(qmp, "job").await.unwrap().unwrap();
        if job.status == "concluded" {
            assert_eq!(job.error, None);
            break;
        }
        assert!(begun.elapsed() < LONG, "{job:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    layers::dismiss(qmp, "job").await.unwrap();
}

/// Where QEMU opens one anew it closes the old one, under requests that are under way.
#[tokio::test]
async fn files_stay_open_as_they_are_while_layers_are_frozen_and_merged() {
    let folder = folder();
    let mut paths = vec![layer(folder.path(), 0, None)];
    for number in 1..5 {
        paths.push(layer(folder.path(), number, paths.last().map(PathBuf::as_path)));
    }
    let mut machine = machine("layers").await;
    let mut disk = Disk::new("root", &paths[2], DiskFormat::Qcow2);
    disk.layer = 2;
    disk.below = vec![(1, paths[1].clone()), (0, paths[0].clone())];
    machine.disks = vec![disk];
    let qemu = start_in(folder, &machine).await;
    let mut openings: Vec<Openings> = paths[..3].iter().map(|path| Openings::of(path)).collect();

    // One that was frozen before QEMU was there; then one that the machine began with, and one that came later.
    stream(&qemu, 1, &Below::Nothing).await;
    layers::forget(&qemu.qmp, "root", 0).await.unwrap();
    for number in 3..5 {
        let path = paths[number as usize].clone();
        layers::snapshot(&qemu.qmp, &[NewLayer { id: "root".into(), layer: number, path }]).await.unwrap();
        assert_eq!(layers::top(&qemu.qmp, "root").await.unwrap(), Some(number));
        openings.push(Openings::of(&paths[number as usize]));
        stream(&qemu, number - 1, &Below::Nothing).await;
        layers::forget(&qemu.qmp, "root", number - 2).await.unwrap();
    }
    layers::keep_only(&qemu.qmp, "root", &[4, 3]).await.unwrap();
    for (number, opened) in openings.iter_mut().enumerate() {
        assert!(!opened.any(), "the file of layer {number} was opened anew");
    }
    let nodes = qemu.qmp.query_named_block_nodes().await.unwrap();
    let names: Vec<_> = nodes.iter().map(|node| node.node_name.as_str()).collect();
    assert_eq!(names.iter().filter(|name| name.ends_with("-root")).count(), 4, "{names:?}");
}

fn is_readable_by_others(path: &Path) -> bool {
    std::process::Command::new("qemu-img").arg("map").arg(path).output().unwrap().status.success()
}

/// What a commit that was given up leaves open for writing is closed for it before anybody else reads it.
#[tokio::test]
async fn layers_below_a_commit_that_was_given_up_can_be_read_by_others() {
    let folder = folder();
    let image = layer(folder.path(), 9, None);
    let base = layer(folder.path(), 0, Some(&image));
    let first = layer(folder.path(), 1, Some(&base));
    let second = layer(folder.path(), 2, Some(&first));
    let mut machine = machine("sealed").await;
    machine.disks = vec![Disk::new("root", &base, DiskFormat::Qcow2)];
    let qemu = start_in(folder, &machine).await;
    let qmp = &qemu.qmp;
    let take = |layer: u32, path: PathBuf| [NewLayer { id: "root".into(), layer, path }];
    layers::snapshot(qmp, &take(1, first.clone())).await.unwrap();
    assert!(is_readable_by_others(&base));

    layers::commit(qmp, "job", "root", 1, 0).await.unwrap();
    let begun = Instant::now();
    while layers::job(qmp, "job").await.unwrap().is_some_and(|job| job.status != "concluded") {
        let _ = layers::cancel(qmp, "job").await;
        assert!(begun.elapsed() < LONG);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    layers::dismiss(qmp, "job").await.unwrap();
    layers::seal(qmp, "root", &[0]).await.unwrap();
    layers::snapshot(qmp, &take(2, second)).await.unwrap();
    assert!(is_readable_by_others(&first), "what is below it is still open for writing");
    let nodes = qmp.query_named_block_nodes().await.unwrap();
    let writable: Vec<&str> = nodes
        .iter()
        .filter(|node| node.driver == "qcow2" && !node.read_only)
        .map(|node| node.node_name.as_str())
        .collect();
    assert_eq!(writable, ["d2-root"]);

    // It is merged into all the same later.
    layers::seal(qmp, "root", &[1, 0]).await.unwrap();
    layers::commit(qmp, "job", "root", 2, 1).await.unwrap();
    while layers::job(qmp, "job").await.unwrap().is_some_and(|job| job.status != "ready") {
        assert!(begun.elapsed() < LONG);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    layers::complete(qmp, "job").await.unwrap();
    while layers::job(qmp, "job").await.unwrap().is_some_and(|job| job.status != "concluded") {
        assert!(begun.elapsed() < LONG);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(layers::top(qmp, "root").await.unwrap(), Some(1));
}
