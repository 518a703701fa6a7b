//! What disks and nics are limited to, measured in guests. A machine that is busy makes everything slower and nothing
//! faster: so what is limited must take its time, and what is not must take much less.

use std::process::Command;

use crate::world::World;

/// How long a script takes in the guest, by the guest's clock.
fn seconds(world: &World, vm: &str, script: &str) -> f64 {
    let text =
        world.exec(vm, &format!("read a _ </proc/uptime; {script}; read b _ </proc/uptime; echo $a $b"));
    let times: Vec<f64> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
    assert_eq!(times.len(), 2, "{text}");
    times[1] - times[0]
}

/// 300 requests of 4 KiB.
fn requests(world: &World, vm: &str, disk: &str) -> f64 {
    seconds(world, vm, &format!("dd if=/dev/{disk} of=/dev/null bs=4k count=300 iflag=direct 2>/dev/null"))
}

fn read(world: &World, vm: &str) -> f64 {
    seconds(world, vm, "dd if=/dev/vda of=/dev/null bs=1M count=16 iflag=direct 2>/dev/null")
}

fn write(world: &World, vm: &str) -> f64 {
    // Behind the file system that the image has.
    seconds(world, vm, "dd if=/dev/zero of=/dev/vda bs=1M count=16 seek=512 oflag=direct 2>/dev/null")
}

fn limit(world: &World, vm: &str, device: &str, more: &[&str]) {
    let wait = ["--wait", "observed", "--timeout", "60"];
    world.ok(&[&["vm", "limit", vm, device], more, &wait[..]].concat());
}

#[test]
fn e2e_disks_are_limited_from_the_first_request_on() {
    let mut world = World::with_tiny();
    world.ok(&["vm", "create", "web", "--image", "tiny", "--memory", "192MiB", "--disk", "1GiB"]);
    world.ok(&["vm", "limit", "web", "root", "--iops", "100"]);
    world.ok(&["vm", "start", "web", "--wait", "agent", "--timeout", "240"]);
    let limited = requests(&world, "web", "vda");
    limit(&world, "web", "root", &["--iops", "none"]);
    let free = requests(&world, "web", "vda");
    eprintln!("300 requests: {limited:.2} s at 100 a second, {free:.2} s without limit");
    assert!(limited > 2.0 && free < limited / 2.0, "{limited} {free}");

    limit(&world, "web", "root", &["--bandwidth", "4MiB/s"]);
    let (slow_read, slow_write) = (read(&world, "web"), write(&world, "web"));
    limit(&world, "web", "root", &["--write-bandwidth", "4MiB/s"]);
    let (fast_read, still_slow) = (read(&world, "web"), write(&world, "web"));
    eprintln!(
        "16 MiB at 4 MiB/s: read {slow_read:.2} s, written {slow_write:.2} s; of writes alone: read {fast_read:.2} s, written {still_slow:.2} s"
    );
    assert!(slow_read > 2.5 && slow_write > 2.5 && still_slow > 2.5, "{slow_read} {slow_write} {still_slow}");
    assert!(fast_read < slow_read / 2.0, "{fast_read}");

    // Snapshots put new layers below the limit.
    limit(&world, "web", "root", &["--write-bandwidth", "none", "--iops", "100"]);
    world.ok(&["snapshot", "create", "web", "s"]);
    // Another agent, another disk, another QEMU.
    world.kill_up();
    world.up();
    let adopted = requests(&world, "web", "vda");
    world.ok(&["vm", "attach", "web", "--as", "data", "--size", "64MiB", "--wait", "observed"]);
    let plugged_free = requests(&world, "web", "vdb");
    limit(&world, "web", "data", &["--iops", "100"]);
    let plugged = requests(&world, "web", "vdb");
    world.ok(&["vm", "detach", "web", "data", "--wait", "observed"]);
    world.ok(&["snapshot", "revert", "s", "--yes", "--wait", "agent", "--timeout", "240"]);
    let reverted = requests(&world, "web", "vda");
    eprintln!(
        "300 requests at 100 a second: adopted {adopted:.2} s, plugged {plugged:.2} s (before {plugged_free:.2} s), reverted {reverted:.2} s"
    );
    assert!(adopted > 2.0 && plugged > 2.0 && reverted > 2.0, "{adopted} {plugged} {reverted}");
    assert!(plugged_free < plugged / 2.0, "{plugged_free}");
    let refused = world.refused(&["vm", "limit", "web", "root", "--iops", "1"]);
    assert!(refused.contains("spec.disks[0].limits.iops"), "{refused}");
}

/// How long 2 MiB take from one guest to the other.
fn transfer(world: &World, from: &str, to: &str) -> f64 {
    let address = world.get("vm", to)["spec"]["nics"][0]["address"].as_str().unwrap().to_owned();
    // Its input stays open, or it would end at once. Nothing that goes on may hold the pipes of the command.
    world.exec(to, "killall nc 2>/dev/null; (sleep 900 | nc -l -p 9999) >/dev/null 2>&1 & sleep 1");
    let script = format!("dd if=/dev/zero bs=64k count=32 2>/dev/null | nc {address} 9999");
    seconds(world, from, &script)
}

#[test]
fn e2e_nics_are_limited_each_way() {
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if !root {
        eprintln!("not root: taps cannot be made, so nothing is tested");
        return;
    }
    let world = World::with_tiny();
    world.ok(&["network", "create", "lan", "--cidr", "10.97.13.0/24"]);
    world.tiny_vm("a", &["--network", "lan"]);
    world.tiny_vm("b", &["--network", "lan"]);
    world.answers("a");
    let free = transfer(&world, "a", "b");
    limit(&world, "a", "nic0", &["--send", "128KiB/s"]);
    let sent = transfer(&world, "a", "b");
    let back = transfer(&world, "b", "a");
    limit(&world, "a", "nic0", &["--bandwidth", "none"]);
    limit(&world, "b", "nic0", &["--receive", "128KiB/s"]);
    let received = transfer(&world, "a", "b");
    limit(&world, "b", "nic0", &["--bandwidth", "none"]);
    let lifted = transfer(&world, "a", "b");
    eprintln!(
        "2 MiB: free {free:.2} s, sent at 128 KiB/s {sent:.2} s (back {back:.2} s), received at 128 KiB/s {received:.2} s, lifted {lifted:.2} s"
    );
    assert!(sent > 8.0 && received > 8.0, "{sent} {received}");
    assert!(free < sent / 2.0 && back < sent / 2.0 && lifted < received / 2.0, "{free} {back} {lifted}");

    // Where nothing could limit it, it is not promised.
    world.ok(&["vm", "create", "c", "--memory", "128MiB"]);
    let refused = world.refused(&["vm", "limit", "c", "nic0", "--bandwidth", "128KiB/s"]);
    assert!(refused.contains("kind user") && refused.contains("kind nat"), "{refused}");
}
