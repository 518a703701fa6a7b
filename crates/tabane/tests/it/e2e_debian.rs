//! A Debian guest with everything that a user may ask for at its creation.

use std::collections::BTreeSet;

use crate::{e2e_survey::surveyed, medium::run, sshd::free_port, world::World};

/// Of the word `tabane`, by `openssl passwd -6`.
const HASH: &str =
    "$6$saltsalt$6rxpIiFwESwGe4FSeD0Bw4Xo9TZDcLudf/XkaUGkl4h7HGJ6Yh7olMwXkMRl27J7W5Qc0I8Z8uSsuTUp.HUWa.";
#[test]
fn e2e_a_debian_guest_is_as_it_was_asked_for() {
    a_debian_guest(1);
}

#[test]
fn soak_a_debian_guest_and_three_of_its_template_are_as_they_were_asked_for() {
    a_debian_guest(3);
}

fn a_debian_guest(of_its_template: usize) {
    let world = World::start();
    world.ok(&["image", "build", "debian-12"]);
    let file = |name: &str, text: &str| {
        let path = world.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let identity = world.path().join("identity").to_str().unwrap().to_owned();
    run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "you@there", "-f", &identity]);
    let key = format!("{identity}.pub");
    let public = std::fs::read_to_string(&key).unwrap();
    let port = free_port();
    let forward = format!("{port}:22");
    let hash = file("hash", HASH);
    let data = file("user-data", "#cloud-config\nruncmd: [ [ sh, -c, 'echo ran > /root/own-user-data' ] ]\n");
    let machine = ["--memory", "1GiB", "--disk", "6GiB", "--firmware", "uefi-secure-boot", "--tpm"];
    let machine = [&machine[..], &["--forward", &forward]].concat();
    let inside = ["--user", "ada", "--ssh-key", &key, "--password-hash", &hash, "--user-data", &data];
    let create = ["vm", "create", "deb", "--image", "debian-12", "--hostname", "engine.example.org"];
    let wait = ["--start", "--wait", "agent", "--timeout", "700"];
    world.ok(&[&create[..], &machine, &inside, &wait].concat());
    world.exec("deb", "cloud-init status --wait >/dev/null; true");

    assert_eq!(world.exec("deb", "hostname; hostname -f"), "engine\nengine.example.org\n");
    assert!(world.exec("deb", "getent shadow ada").starts_with(&format!("ada:{HASH}:")));
    assert_eq!(world.exec("deb", "cat /home/ada/.ssh/authorized_keys").trim(), public.trim());
    assert_eq!(world.exec("deb", "su ada -c 'sudo -n id -u'"), "0\n");
    assert_eq!(world.exec("deb", "cat /root/own-user-data"), "ran\n");
    let size: u64 = world.exec("deb", "df -BM --output=size / | tail -1 | tr -dc 0-9").parse().unwrap();
    assert!(size > 5000, "the root file system has {size} MiB");
    let secure = world.exec("deb", "od -An -t u1 -j4 /sys/firmware/efi/efivars/SecureBoot-*; ls /dev/tpm0");
    assert_eq!(secure.split_whitespace().collect::<Vec<_>>(), ["1", "/dev/tpm0"]);
    // What the agent tells comes with the next look.
    world.eventually("the host knows the guest", || {
        let guest = world.get("vm", "deb")["status"]["guest"].clone();
        let mounts = guest["file_systems"].to_string();
        guest["hostname"] == "engine"
            && guest["os"].to_string().contains("Debian")
            && mounts.contains("\"/\"")
    });
    surveyed(&world, "deb", "ada", port, &identity);
    a_template_of_it_is_another_machine(&world, of_its_template);
}

/// What no two machines may have in common: machine-id and host key.
const IDENTITY: &str = "cat /etc/machine-id; cat /etc/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f2";

/// What is made from a template of the guest has its files, and nothing that is its own.
fn a_template_of_it_is_another_machine(world: &World, count: usize) {
    world.exec(
        "deb",
        "logger mark-$((40+2)) && echo ls > /root/.bash_history && echo kept > /root/kept && rm /root/own-user-data && sync",
    );
    world.ok(&["template", "create", "golden", "--vm", "deb", "--remove-user", "ada"]);
    // The machine that it was made of is as it was.
    let mut seen: BTreeSet<String> = world.exec("deb", IDENTITY).lines().map(String::from).collect();
    assert!(world.exec("deb", "getent passwd ada").starts_with("ada:"));
    world.ok(&["vm", "force-off", "deb"]);

    let how_many = count.to_string();
    let many = [
        "vm",
        "create",
        "web",
        "--template",
        "golden",
        "--count",
        &how_many,
        "--hostname",
        "node{n}.example.org",
    ];
    world.ok(&[&many[..], &["--start", "--wait", "agent", "--timeout", "900"]].concat());
    for number in 1..=count {
        let vm = format!("web-{number}");
        world.exec(&vm, "cloud-init status --wait >/dev/null; true");
        let own = world.exec(&vm, IDENTITY);
        assert!(own.lines().all(|line| line.len() >= 32 && seen.insert(line.to_owned())), "{vm}: {own}");
        assert_eq!(world.exec(&vm, "hostname -f").trim(), format!("node{number}.example.org"));
        assert_eq!(world.exec(&vm, "cat /root/kept"), "kept\n");
        let left = "ls /home/ada /root/.bash_history 2>/dev/null; getent passwd ada; grep -rl 'mark-4[2]' /var/log/; true";
        assert_eq!(world.exec(&vm, left), "", "something of the first machine is left");
        let spec = world.get("vm", &vm)["spec"].clone();
        assert_eq!(
            (&spec["firmware"], &spec["memory_bytes"]),
            (&"uefi-secure-boot".into(), &(1u64 << 30).into())
        );
    }
    assert_eq!(seen.len(), 2 * (count + 1), "each machine has two things of its own");
}

#[test]
fn e2e_instant_clones_of_a_debian_are_other_machines_at_once() {
    instant_clones_of_a_debian(&World::start());
}

#[test]
fn soak_instant_clones_of_a_debian_are_other_machines_also_after_they_boot() {
    let world = World::start();
    let before = instant_clones_of_a_debian(&world);
    // The disks know it, too, and cloud-init does not take this for another first boot.
    world.ok(&["vm", "shutdown", "go-1", "--wait", "stopped", "--timeout", "400"]);
    world.ok(&["vm", "start", "go-1", "--wait", "agent", "--timeout", "700"]);
    world.exec("go-1", "cloud-init status --wait >/dev/null; true");
    world.eventually("it has its address", || shown(&world, "go-1").lines().count() == 4);
    assert_eq!(shown(&world, "go-1"), before);
    assert_eq!(world.exec("go-1", "cat /dev/shm/tuned 2>/dev/null; true"), "", "it has booted");
}

/// Identity, name and address.
fn shown(world: &World, vm: &str) -> String {
    let nic = "ip -4 -o addr show scope global | tr -s ' ' | cut -d' ' -f4 | cut -d/ -f1";
    world.exec(vm, &format!("{IDENTITY}; hostname; {nic}"))
}

/// Two, `go-1` and `go-2`. Returns what is shown of the first.
fn instant_clones_of_a_debian(world: &World) -> String {
    world.ok(&["image", "build", "debian-12"]);
    world.ok(&["network", "create", "lan", "--cidr", "10.94.0.0/24"]);
    let create = ["vm", "create", "deb", "--image", "debian-12", "--memory", "512MiB", "--firmware", "uefi"];
    let wait = ["--network", "lan", "--start", "--wait", "agent", "--timeout", "700"];
    world.ok(&[&create[..], &wait].concat());
    world.exec(
        "deb",
        "cloud-init status --wait >/dev/null; echo kept > /root/kept; echo tuned > /dev/shm/tuned",
    );
    let mut seen: BTreeSet<String> = world.exec("deb", IDENTITY).lines().map(String::from).collect();
    let clone = ["vm", "clone", "deb", "go", "--instant", "--count", "2"];
    world.ok(&[&clone[..], &["--wait", "identity", "--timeout", "900"]].concat());
    let mut before = Vec::new();
    for vm in ["go-1", "go-2"] {
        assert_eq!(world.exec(vm, "cat /dev/shm/tuned /root/kept"), "tuned\nkept\n", "it went on");
        let text = shown(world, vm);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[..2].iter().all(|line| seen.insert((*line).to_owned())), "{vm}: {text}");
        assert_eq!(lines[2], vm);
        let address = world.get("vm", vm)["spec"]["nics"][0]["address"].clone();
        assert_eq!(Some(lines[3]), address.as_str(), "its own address and no other: {text}");
        world.exec(vm, "ping -c 1 -W 10 10.94.0.1");
        before.push(text);
    }
    let keys = "ssh-keyscan -t ed25519 localhost 2>/dev/null | cut -d' ' -f3";
    assert_eq!(world.exec("go-1", keys).trim(), before[0].lines().nth(1).unwrap(), "what sshd shows");
    before.swap_remove(0)
}
