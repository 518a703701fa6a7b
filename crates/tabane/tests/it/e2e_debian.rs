//! A Debian guest with everything that a user may ask for at its creation.

use crate::world::World;

/// Of the word `tabane`, by `openssl passwd -6`.
const HASH: &str =
    "$6$saltsalt$6rxpIiFwESwGe4FSeD0Bw4Xo9TZDcLudf/XkaUGkl4h7HGJ6Yh7olMwXkMRl27J7W5Qc0I8Z8uSsuTUp.HUWa.";
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExampleEx you@there";

#[test]
fn e2e_a_debian_guest_is_as_it_was_asked_for() {
    let world = World::start();
    world.ok(&["image", "build", "debian-12"]);
    let file = |name: &str, text: &str| {
        let path = world.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let key = file("key.pub", KEY);
    let hash = file("hash", HASH);
    let data = file("user-data", "#cloud-config\nruncmd: [ [ sh, -c, 'echo ran > /root/own-user-data' ] ]\n");
    let machine = ["--memory", "1GiB", "--disk", "6GiB", "--firmware", "uefi-secure-boot", "--tpm"];
    let inside = ["--user", "ada", "--ssh-key", &key, "--password-hash", &hash, "--user-data", &data];
    let create = ["vm", "create", "deb", "--image", "debian-12", "--hostname", "engine.example.org"];
    let wait = ["--start", "--wait", "agent", "--timeout", "400"];
    world.ok(&[&create[..], &machine, &inside, &wait].concat());
    world.exec("deb", "cloud-init status --wait >/dev/null; true");

    assert_eq!(world.exec("deb", "hostname; hostname -f"), "engine\nengine.example.org\n");
    assert!(world.exec("deb", "getent shadow ada").starts_with(&format!("ada:{HASH}:")));
    assert_eq!(world.exec("deb", "cat /home/ada/.ssh/authorized_keys").trim(), KEY);
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
}
