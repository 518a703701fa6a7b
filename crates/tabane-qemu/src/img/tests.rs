//! qemu-img itself, on good images and bad ones.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::*;

/// Another user where we may become one.
fn identity() -> Option<(u32, u32)> {
    rustix::process::geteuid().is_root().then_some((65534, 65534))
}

fn img() -> Img {
    Img::new(Sandbox { identity: identity(), ..Sandbox::default() })
}

/// A folder that the sandbox's user cannot enter.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    folder
}

fn hand_over(path: &Path) {
    if let Some((uid, gid)) = identity() {
        chown(path, Some(uid), Some(gid)).unwrap();
    }
}

fn qemu_img(arguments: &[&str], path: &Path, last: &[&str]) {
    let status = Command::new("qemu-img").args(arguments).arg(path).args(last).status().unwrap();
    assert!(status.success());
}

fn raw(path: &Path, mebibytes: usize) -> Vec<u8> {
    let content: Vec<u8> = (0..mebibytes << 20).map(|i| (i / 997 % 251) as u8).collect();
    std::fs::write(path, &content).unwrap();
    hand_over(path);
    content
}

#[tokio::test]
async fn a_blank_a_resize_and_a_check() {
    let folder = folder();
    let path = folder.path().join("a, b=c.qcow2");
    let img = img();
    img.create_blank(&path, 10 << 20).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let own = Img::new(Sandbox::default());
    let source = Source::own(&path, Format::Qcow2);
    let info = own.info(&source).await.unwrap();
    assert_eq!((info.format.as_str(), info.virtual_size_bytes), ("qcow2", 10 << 20));
    assert!(matches!(img.create_blank(&path, 10 << 20).await, Err(Error::File { action: "make", .. })));
    own.resize(&path, Format::Qcow2, 20 << 20).await.unwrap();
    assert!(matches!(own.resize(&path, Format::Qcow2, 10 << 20).await, Err(Error::Invalid { .. })));
    assert_eq!(own.info(&source).await.unwrap().virtual_size_bytes, 20 << 20);
    assert!(own.check(&source).await.unwrap().is_sound());
    for size_bytes in [0, 511, u64::MAX / 512 * 512] {
        assert!(matches!(img.create_blank(&path, size_bytes).await, Err(Error::Invalid { .. })));
    }
}

#[tokio::test]
async fn an_overlay_knows_its_backing_and_is_flattened_by_convert() {
    let folder = folder();
    let own = Img::new(Sandbox::default());
    let base = folder.path().join("base,.raw");
    let content = raw(&base, 3);
    let overlay = folder.path().join("overlay.qcow2");
    own.create_overlay(&overlay, &base, Format::Raw, Some(5 << 20)).await.unwrap();
    let source = Source::own(&overlay, Format::Qcow2);
    let info = own.info(&source).await.unwrap();
    assert_eq!(info.virtual_size_bytes, 5 << 20);
    assert_eq!(info.backing_filename.as_deref(), base.to_str());
    assert_eq!(info.backing_filename_format.as_deref(), Some("raw"));
    assert!(own.create_overlay(&folder.path().join("x"), &base, Format::Raw, Some(1 << 20)).await.is_err());

    let flat = folder.path().join("flat.raw");
    own.convert(&source, &flat, Output::Raw, &|_| {}).await.unwrap();
    let found = std::fs::read(&flat).unwrap();
    assert_eq!(found.len(), 5 << 20);
    assert!(found[..content.len()] == content && found[content.len()..].iter().all(|byte| *byte == 0));

    // To a stranger's image the same is forbidden.
    hand_over(&overlay);
    let foreign = Source::foreign(&overlay, Format::Qcow2);
    let target = folder.path().join("stolen.qcow2");
    for error in [
        img().info(&foreign).await.unwrap_err(),
        img().measure(&foreign, Output::Raw).await.unwrap_err(),
        img().check(&foreign).await.unwrap_err(),
        img().convert(&foreign, &target, Output::Raw, &|_| {}).await.unwrap_err(),
    ] {
        assert!(matches!(&error, Error::Refused { reason, .. } if reason.contains("backing")), "{error:?}");
    }
    assert!(!target.exists());
}

#[tokio::test]
async fn every_format_converts_and_reports_progress() {
    let folder = folder();
    let plain = folder.path().join("plain");
    let content = raw(&plain, 8);
    let img = img();
    for (format, options) in [
        (Format::Raw, ""),
        (Format::Qcow2, "compat=0.10"),
        (Format::Vmdk, "subformat=monolithicSparse"),
        (Format::Vmdk, "subformat=streamOptimized"),
        (Format::Vhd, "subformat=dynamic,force_size=on"),
        (Format::Vhd, "subformat=fixed,force_size=on"),
        (Format::Vhdx, "subformat=dynamic"),
        (Format::Vdi, ""),
    ] {
        let foreign = folder.path().join("foreign");
        let mut arguments = vec!["convert", "-O", format.driver(), plain.to_str().unwrap()];
        if !options.is_empty() {
            arguments.splice(1..1, ["-o", options]);
        }
        qemu_img(&arguments, &foreign, &[]);
        hand_over(&foreign);
        let source = Source::foreign(&foreign, format);
        assert_eq!(img.info(&source).await.unwrap().virtual_size_bytes, 8 << 20, "{format:?} {options}");
        if options != "subformat=streamOptimized" {
            let measure = img.measure(&source, Output::Qcow2 { compress: false }).await.unwrap();
            assert!(
                measure.required_bytes >= 8 << 20 && measure.fully_allocated_bytes >= measure.required_bytes
            );
        }
        for output in [Output::Raw, Output::Qcow2 { compress: false }, Output::Qcow2 { compress: true }] {
            let target = folder.path().join("target");
            let seen = Mutex::new(Vec::new());
            let length = img
                .convert(&source, &target, output, &|fraction| seen.lock().unwrap().push(fraction))
                .await
                .unwrap();
            assert_eq!(length, std::fs::metadata(&target).unwrap().len());
            let seen = seen.into_inner().unwrap();
            assert!(seen.is_sorted() && seen.first() == Some(&0.0) && seen.last() == Some(&1.0), "{seen:?}");
            let back = folder.path().join("back");
            qemu_img(&["convert", "-f", output.driver(), "-O", "raw", target.to_str().unwrap()], &back, &[]);
            assert!(std::fs::read(&back).unwrap() == content, "{format:?} {options} to {output:?}");
            std::fs::remove_file(&target).unwrap();
        }
        std::fs::remove_file(&foreign).unwrap();
    }
}

#[tokio::test]
async fn names_that_look_like_protocols_are_names() {
    let folder = folder();
    let img = img();
    for name in ["nbd:localhost:10809", "json:{}", "file.qcow2,file.driver=nbd", "-U"] {
        let path = folder.path().join(name);
        qemu_img(
            &["create", "-q", "-f", "qcow2", "--object", "secret,id=x,data=x"],
            &folder.path().join("q"),
            &["1M"],
        );
        std::fs::rename(folder.path().join("q"), &path).unwrap();
        hand_over(&path);
        let info = img.info(&Source::foreign(&path, Format::Qcow2)).await.unwrap();
        assert_eq!(info.virtual_size_bytes, 1 << 20);
        assert_eq!(
            Img::new(Sandbox::default()).info(&Source::own(&path, Format::Qcow2)).await.unwrap(),
            info
        );
    }
}

#[tokio::test]
async fn references_of_every_kind_are_refused() {
    let folder = folder();
    let img = img();
    let data = folder.path().join("data");
    let image = folder.path().join("image");
    qemu_img(
        &["create", "-q", "-f", "qcow2", "-o", &format!("data_file={}", data.display())],
        &image,
        &["1M"],
    );
    hand_over(&image);
    hand_over(&data);
    let error = img.info(&Source::foreign(&image, Format::Qcow2)).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. } | Error::Failed { .. }), "{error:?}");

    let descriptor = "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n\
                      createType=\"monolithicFlat\"\nRW 2048 FLAT \"nbd:127.0.0.1:1\" 0\n";
    std::fs::write(&image, descriptor).unwrap();
    hand_over(&image);
    let error = img.info(&Source::foreign(&image, Format::Vmdk)).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");

    let error = img.info(&Source::foreign("/dev/zero", Format::Raw)).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    let error = img.info(&Source::foreign(folder.path().join("none"), Format::Raw)).await.unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error:?}");
}

#[tokio::test]
async fn a_wrong_format_is_told_by_the_images_own_name() {
    let folder = folder();
    let path = folder.path().join("disk");
    raw(&path, 1);
    let error = img().info(&Source::foreign(&path, Format::Vhdx)).await.unwrap_err();
    let Error::Failed { detail, .. } = &error else { panic!("{error:?}") };
    assert!(!detail.contains("/proc/"), "{detail}");
}

#[tokio::test]
async fn an_image_in_use_is_told() {
    let folder = folder();
    let own = Img::new(Sandbox::default());
    let path = folder.path().join("disk.qcow2");
    own.create_blank(&path, 1 << 20).await.unwrap();
    let mut writer = Command::new("qemu-io")
        .args(["-f", "qcow2"])
        .arg(&path)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let source = Source::own(&path, Format::Qcow2);
    let start = Instant::now();
    let error = loop {
        match own.convert(&source, &folder.path().join("copy"), Output::Raw, &|_| {}).await {
            Ok(_) => std::fs::remove_file(folder.path().join("copy")).unwrap(),
            Err(error) => break error,
        }
        assert!(start.elapsed() < Duration::from_secs(60));
    };
    assert!(matches!(error, Error::InUse { .. }), "{error:?}");
    assert!(own.info(&source).await.is_ok(), "metadata may be asked of an image in use");
    writer.stdin.take().unwrap().write_all(b"quit\n").unwrap();
    writer.wait().unwrap();
}

/// A program in place of qemu-img.
fn script(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("fake-qemu-img");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Processes that sleep for so long: a child of the child cannot tell its number in a file, which it may not write.
fn sleepers(seconds: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let command = |entry: std::fs::DirEntry| std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
    processes.map(command).filter(|command| command == format!("sleep\0{seconds}\0").as_bytes()).count()
}

async fn all_gone(seconds: &str) {
    let start = Instant::now();
    while sleepers(seconds) > 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "a child of the child lives on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_sandbox_holds() {
    let folder = folder();
    let image = folder.path().join("image");
    raw(&image, 1);
    let source = Source::foreign(&image, Format::Raw);
    let sandbox = Sandbox { identity: identity(), probe_timeout_ms: 1000, ..Sandbox::default() };
    let fake = |text: &str| Img::new(sandbox.clone()).with_program(script(folder.path(), text));

    // A child of the child ends too: on time-out, and when nobody waits any more.
    let seconds = format!("{}", 100_000 + std::process::id());
    let img = fake(&format!("sleep {seconds} & wait"));
    let error = img.info(&source).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    all_gone(&seconds).await;
    let mut work = Box::pin(img.info(&source));
    while sleepers(&seconds) == 0 {
        assert!(tokio::time::timeout(Duration::from_millis(10), &mut work).await.is_err());
    }
    drop(work);
    all_gone(&seconds).await;

    let error =
        fake("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done").info(&source).await;
    assert!(
        matches!(error, Err(Error::Limit { limit: "output", .. }) | Err(Error::Timeout { .. })),
        "{error:?}"
    );

    let report = "{ id -u; id -G; ulimit -v; ulimit -f; grep NoNewPrivs /proc/self/status; \
                  grep CapEff /proc/self/status; ls /proc/self/fd | wc -l; } >&2; exit 1";
    let error =
        fake(&report.replace(" >&2; exit 1", " | tr '\\n' ' ' >&2; exit 1")).info(&source).await.unwrap_err();
    let Error::Failed { detail, .. } = &error else { panic!("{error:?}") };
    let words: Vec<_> = detail.split_whitespace().collect();
    if let Some((uid, gid)) = identity() {
        assert_eq!(words[..2], [uid.to_string(), gid.to_string()], "{detail}");
        assert_eq!(words[7].trim_start_matches('0'), "", "{detail}");
    }
    assert_eq!(words[2..6], ["1048576", "0", "NoNewPrivs:", "1"], "{detail}");

    let missing = Img::new(sandbox).with_program("/nonexistent/qemu-img");
    assert!(matches!(missing.info(&source).await, Err(Error::NotInstalled { .. })));
}

#[tokio::test]
async fn a_dropped_conversion_leaves_nothing() {
    let folder = folder();
    let image = folder.path().join("image");
    raw(&image, 1);
    let target = folder.path().join("target");
    // The answer to `info`, and then nothing.
    let fake = r#"case "$1" in info) echo '{"format":"raw","virtual-size":1048576}';; *) sleep 1000;; esac"#;
    let img = Img::new(Sandbox { identity: identity(), ..Sandbox::default() })
        .with_program(script(folder.path(), fake));
    let source = Source::foreign(&image, Format::Raw);
    let work = img.convert(&source, &target, Output::Raw, &|_| {});
    assert!(tokio::time::timeout(Duration::from_millis(500), work).await.is_err());
    assert!(!target.exists());
}

#[tokio::test]
async fn mutated_images_never_do_harm() {
    let folder = folder();
    let img = img();
    for format in [Format::Qcow2, Format::Vmdk, Format::Vhd, Format::Vhdx, Format::Vdi] {
        let good = folder.path().join("good");
        qemu_img(&["create", "-q", "-f", format.driver()], &good, &["8M"]);
        let bytes = std::fs::read(&good).unwrap();
        std::fs::remove_file(&good).unwrap();
        for seed in 0..6usize {
            let mut bytes = bytes.clone();
            for i in 0..8 {
                let at = (seed * 7919 + i * 104_729) % bytes.len().min(512);
                bytes[at] ^= (seed * 31 + i * 17 + 1) as u8;
            }
            let path = folder.path().join("mutated");
            std::fs::write(&path, &bytes).unwrap();
            hand_over(&path);
            let target = folder.path().join("target");
            let start = Instant::now();
            if img.convert(&Source::foreign(&path, format), &target, Output::Raw, &|_| {}).await.is_ok() {
                std::fs::remove_file(&target).unwrap();
            }
            assert!(!target.exists());
            assert!(start.elapsed() < Duration::from_secs(60));
        }
    }
}
