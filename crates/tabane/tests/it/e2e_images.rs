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

/// Serves a file with ranges, slowly; counts the bytes that it sends.
fn slow_site(content: Vec<u8>) -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    use std::{
        io::{BufRead, BufReader, Write},
        sync::atomic::{AtomicUsize, Ordering},
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/disk.raw", listener.local_addr().unwrap());
    let sent = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream);
            let mut request = String::new();
            while !request.ends_with("\r\n\r\n") && reader.read_line(&mut request).is_ok_and(|n| n > 0) {}
            let range = request.lines().find_map(|l| {
                l.to_ascii_lowercase().strip_prefix("range: bytes=")?.trim_end_matches('-').parse().ok()
            });
            let first: usize = range.unwrap_or(0);
            let status = if first > 0 {
                format!("206 Partial\r\nContent-Range: bytes {first}-{}/{}", content.len() - 1, content.len())
            } else {
                "200 OK".into()
            };
            let rest = &content[first..];
            let mut stream = reader.into_inner();
            let head = format!(
                "HTTP/1.1 {status}\r\nETag: \"v1\"\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                rest.len()
            );
            let _ = stream.write_all(head.as_bytes());
            for chunk in rest.chunks(256 << 10) {
                if stream.write_all(chunk).is_err() {
                    break;
                }
                counted.fetch_add(chunk.len(), Ordering::Relaxed);
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
    });
    (url, sent)
}

fn incoming_bytes(world: &World) -> u64 {
    let entries = std::fs::read_dir(world.path().join("host/incoming")).into_iter().flatten().flatten();
    entries.filter_map(|e| Some(e.metadata().ok()?.len())).sum()
}

#[test]
fn e2e_a_download_goes_on_after_the_agent_was_killed() {
    const BYTES: usize = 32 << 20;
    let mut world = World::start();
    let content: Vec<u8> = (0..BYTES as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let file = world.path().join("disk.raw");
    std::fs::write(&file, &content).unwrap();
    let told = Command::new("sha256sum").arg(&file).output().unwrap();
    let sum = String::from_utf8(told.stdout).unwrap()[..64].to_owned();
    let (url, sent) = slow_site(content);
    world.ok(&["image", "import", "far", &url, "--sha256", &sum, "--format", "raw", "--no-wait"]);
    world.eventually("some of it is there", || incoming_bytes(&world) > 8 << 20);
    world.kill_up();
    let before = incoming_bytes(&world);
    world.up();
    world.eventually("it is ready", || world.get("image", "far")["status"]["phase"] == "ready");
    // What was on its way when the agent died is sent again, and no more.
    let sent = sent.load(std::sync::atomic::Ordering::Relaxed);
    assert!(sent < BYTES + (6 << 20), "{sent} bytes were sent, {before} had arrived");
    // It is the same image as the file itself.
    world.ok(&["image", "import", "near", text(&file), "--format", "raw"]);
    let [far, near] = ["far", "near"].map(|name| world.get("image", name)["status"]["digest"].clone());
    assert_eq!(far, near);
    world.eventually("nothing is left", || incoming_bytes(&world) == 0);
}

#[test]
fn e2e_an_upload_that_broke_off_goes_on() {
    let world = World::start();
    let file = world.path().join("large.raw");
    std::fs::File::create(&file).unwrap().set_len(2 << 30).unwrap();
    let import = ["image", "import", "large", text(&file), "--format", "raw"];
    let mut child = world.command(&import).stdout(std::process::Stdio::null()).spawn().unwrap();
    world.eventually("some of it is there", || incoming_bytes(&world) > 100 << 20);
    child.kill().unwrap();
    child.wait().unwrap();
    let before = incoming_bytes(&world);
    assert!(before < 2 << 30, "it was too fast to be broken off");
    let mut child = world.command(&import).stdout(std::process::Stdio::null()).spawn().unwrap();
    let mut least = u64::MAX;
    let status = loop {
        match incoming_bytes(&world) {
            // Taken away when it has become the image.
            0 => {}
            bytes => least = least.min(bytes),
        }
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert!(status.success());
    assert!(least >= before, "it began anew: {least} after {before}");
    assert_eq!(world.get("image", "large")["status"]["virtual_size_bytes"], 2u64 << 30);
}
