//! Built images boot, in a real QEMU without KVM. Names begin with `e2e_`: they need the network and take minutes.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tabane_host::image::build::{self, Built};

/// Emulated machines on a busy host take their time.
const PATIENCE: Duration = Duration::from_secs(600);

async fn build(recipe: &str, folder: &Path) -> Built {
    let start = Instant::now();
    let last = std::sync::Mutex::new((0.0, String::new()));
    let report = |progress: build::Progress<'_>| {
        let mut last = last.lock().unwrap();
        assert!(progress.fraction >= last.0, "from {last:?} back to {progress:?}");
        let text = format!("{} {}", progress.step, progress.detail);
        if text != last.1 {
            println!("{:6.1} s {:3.0} % {text}", start.elapsed().as_secs_f32(), progress.fraction * 100.0);
        }
        *last = (progress.fraction, text);
    };
    let built =
        build::run(recipe, folder, &report).await.unwrap_or_else(|error| panic!("{error}: {}", error.hint()));
    println!("{recipe} built in {:?}: {:?}", start.elapsed(), built.files);
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut expected: Vec<_> = built.files.iter().map(|file| file.name.clone()).collect();
    expected.sort();
    assert_eq!(names, expected, "nothing else is left");
    built
}

struct Machine {
    child: Child,
    folder: tempfile::TempDir,
    start: Instant,
    agent: Option<BufReader<UnixStream>>,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Machine {
    fn start(memory: &str, arguments: &[String]) -> Machine {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let child = Command::new("qemu-system-x86_64")
            .args([
                "-machine",
                "q35",
                "-accel",
                "tcg",
                "-cpu",
                "qemu64",
                "-m",
                memory,
                "-nodefaults",
                "-no-user-config",
            ])
            .args(["-display", "none", "-no-reboot", "-device", "virtio-rng-pci"])
            .args(["-serial", &format!("file:{}", path("serial"))])
            .args(["-qmp", &format!("unix:{},server=on,wait=off", path("qmp"))])
            .args(["-chardev", &format!("socket,id=agent,server=on,wait=off,path={}", path("agent"))])
            .args(["-device", "virtio-serial-pci", "-device"])
            .arg("virtserialport,chardev=agent,name=org.qemu.guest_agent.0")
            .args(["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net"])
            .args(arguments)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Machine { child, folder, start: Instant::now(), agent: None }
    }

    fn serial(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.path().join("serial")).unwrap_or_default())
            .into_owned()
    }

    fn check_time(&self, what: &str) {
        if self.start.elapsed() > PATIENCE {
            let serial = self.serial();
            panic!(
                "{what} did not come; the console ends with:\n{}",
                &serial[serial.len().saturating_sub(3000)..]
            );
        }
    }

    /// Asks the agent until it answers. Returns how long that took.
    fn wait_for_agent(&mut self) -> Duration {
        loop {
            self.check_time("the guest agent");
            if self.agent.is_none() {
                self.agent = UnixStream::connect(self.folder.path().join("agent")).ok().map(BufReader::new);
            }
            match self.agent.as_ref() {
                None => std::thread::sleep(Duration::from_millis(50)),
                Some(agent) => {
                    agent.get_ref().set_read_timeout(Some(Duration::from_millis(300))).unwrap();
                    if self.try_ask(&json!({ "execute": "guest-ping" })).is_some() {
                        let after = self.start.elapsed();
                        // Answers to the pings before it.
                        while self.line().is_some() {}
                        return after;
                    }
                }
            }
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.agent.as_mut().unwrap().read_line(&mut line);
        (read.is_ok_and(|n| n > 0) && line.ends_with('\n')).then_some(line)
    }

    fn try_ask(&mut self, request: &Value) -> Option<Value> {
        let agent = self.agent.as_mut().unwrap().get_mut();
        agent.write_all(format!("{request}\n").as_bytes()).ok()?;
        serde_json::from_str(&self.line()?).ok()
    }

    fn ask(&mut self, command: &str, arguments: Value) -> Value {
        self.agent.as_ref().unwrap().get_ref().set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let answer =
            self.try_ask(&json!({ "execute": command, "arguments": arguments })).expect("the agent answers");
        assert!(answer.get("error").is_none(), "{command}: {answer}");
        answer["return"].clone()
    }

    /// Runs a shell command in the guest.
    fn shell(&mut self, script: &str) -> String {
        let arguments = json!({ "path": "/bin/sh", "arg": ["-c", script], "capture-output": true });
        let pid = self.ask("guest-exec", arguments)["pid"].clone();
        loop {
            self.check_time(script);
            let status = self.ask("guest-exec-status", json!({ "pid": pid }));
            if status["exited"] == true {
                return decode(status["out-data"].as_str().unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn wait_for(&mut self, script: &str, expected: &str) -> String {
        loop {
            let found = self.shell(script);
            if found.contains(expected) {
                return found;
            }
            self.check_time(&format!("{expected:?} from {script:?} (at last {found:?})"));
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    fn power_button(&self) {
        let mut qmp = UnixStream::connect(self.folder.path().join("qmp")).unwrap();
        qmp.write_all(b"{\"execute\":\"qmp_capabilities\"}{\"execute\":\"system_powerdown\"}").unwrap();
        let mut lines = BufReader::new(qmp).lines();
        assert!(lines.any(|line| line.unwrap().contains("POWERDOWN")));
    }

    fn wait_for_end(&mut self) -> Duration {
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            self.check_time("the end");
            std::thread::sleep(Duration::from_millis(20));
        }
        start.elapsed()
    }
}

struct Tpm {
    child: Child,
    socket: PathBuf,
}

impl Drop for Tpm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Tpm {
    fn start(folder: &Path) -> Self {
        let (state, socket) = (folder.join("tpm"), folder.join("tpm.sock"));
        std::fs::create_dir(&state).unwrap();
        let child = Command::new("swtpm")
            .args(["socket", "--tpm2", "--tpmstate"])
            .arg(format!("dir={}", state.display()))
            .arg("--ctrl")
            .arg(format!("type=unixio,path={}", socket.display()))
            .spawn()
            .unwrap();
        while !socket.exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, socket }
    }
}

fn decode(text: &str) -> String {
    let mut bits = 0u32;
    let mut count = 0;
    let mut bytes = Vec::new();
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        bits = bits << 6 | alphabet.iter().position(|other| *other == byte).unwrap() as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn drive(path: &Path, format: &str, id: &str) -> Vec<String> {
    vec![
        "-drive".into(),
        format!("if=none,id={id},format={format},snapshot=on,file={}", path.display()),
        "-device".into(),
        format!("virtio-blk-pci,drive={id}"),
    ]
}

/// A NoCloud seed on FAT.
fn seed(folder: &Path, user_data: &str) -> PathBuf {
    let path = folder.join("seed");
    std::fs::write(&path, vec![0; 2 << 20]).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        assert!(Command::new(program).args(arguments).status().unwrap().success(), "{program}");
    };
    let text = path.display().to_string();
    run("mkfs.vfat", &["-n", "CIDATA", &text]);
    for (name, content) in
        [("meta-data", "instance-id: i1\nlocal-hostname: seeded\n"), ("user-data", user_data)]
    {
        std::fs::write(folder.join(name), content).unwrap();
        run("mcopy", &["-i", &text, &folder.join(name).display().to_string(), &format!("::{name}")]);
    }
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e2e_tiny_boots_and_obeys() {
    let folder = tempfile::tempdir().unwrap();
    let built = build("tiny", folder.path()).await;
    let file = |name: &str| folder.path().join(name).display().to_string();
    let command_line = built.command_line.unwrap();
    assert_eq!(std::fs::read_to_string(file("cmdline")).unwrap().trim(), command_line);
    let kernel = |extra: &str| -> Vec<String> {
        let append = format!("{command_line} {extra}");
        ["-kernel", &file("kernel"), "-initrd", &file("initramfs"), "-append", &append].map(Into::into).into()
    };

    let disk = drive(&folder.path().join("disk.qcow2"), "qcow2", "disk");
    let mut machine = Machine::start("256M", &[kernel("tabane.hostname=web1"), disk].concat());
    let after = machine.wait_for_agent();
    println!("tiny: the agent answers after {after:?}");
    assert_eq!(machine.ask("guest-get-host-name", json!({}))["host-name"], "web1");
    assert_eq!(machine.ask("guest-get-osinfo", json!({}))["id"], "tiny");
    let found = machine.wait_for("ip -4 addr; cat /etc/resolv.conf; df /mnt; ip route", "10.0.2.15/24");
    assert!(found.contains("nameserver 10.0.2.3") && found.contains("default via 10.0.2.2"), "{found}");
    assert!(found.contains("/dev/vda"), "{found}");
    let filesystems = machine.ask("guest-get-fsinfo", json!({})).to_string();
    assert!(filesystems.contains("/mnt"), "{filesystems}");
    assert_eq!(machine.ask("guest-fsfreeze-freeze", json!({})), 1);
    assert_eq!(machine.ask("guest-fsfreeze-thaw", json!({})), 1);
    let serial = machine.serial();
    println!(
        "{}",
        serial.lines().find(|line| line.contains("tiny: ready")).expect("it says that it is ready")
    );
    machine.wait_for("pidof acpid", "\n");
    machine.power_button();
    println!("tiny: off {:?} after the power button", machine.wait_for_end());

    // Without a disk but with a seed; ended by the agent.
    let seed = seed(folder.path(), "#cloud-config\n{}\n");
    let mut machine = Machine::start("256M", &[kernel(""), drive(&seed, "raw", "seed")].concat());
    machine.wait_for_agent();
    machine.wait_for("hostname", "seeded");
    let request = json!({ "execute": "guest-shutdown" });
    machine.try_ask(&request);
    println!("tiny: off {:?} after guest-shutdown", machine.wait_for_end());
}

/// Builds a Debian image. Returns a disk on it that is larger.
async fn debian(recipe: &str, folder: &Path) -> PathBuf {
    let built = build(recipe, folder).await;
    assert_eq!((built.os.as_str(), built.default_user.as_deref()), (recipe, Some("debian")));
    let larger = folder.join("larger.qcow2");
    let create = ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"];
    let disk = folder.join("disk.qcow2");
    assert!(
        Command::new("qemu-img").args(create).arg(&disk).arg(&larger).arg("6G").status().unwrap().success()
    );
    larger
}

/// Boots it by BIOS, without a seed.
fn boot_by_bios(recipe: &str, id: &str, larger: &Path) {
    let mut machine = Machine::start("1024M", &drive(larger, "qcow2", "disk"));
    println!("{recipe}, BIOS: the agent answers after {:?}", machine.wait_for_agent());
    assert_eq!(machine.ask("guest-get-osinfo", json!({}))["version-id"], id);
    machine.wait_for("ip -4 addr; resolvectl dns", "10.0.2.15/24");
    println!("{recipe}, BIOS: the address is there after {:?}", machine.start.elapsed());
    let status = machine.wait_for("cloud-init status --long", "done");
    println!("{recipe}, BIOS: cloud-init is done after {:?}: {status}", machine.start.elapsed());
    machine.wait_for("df -BM --output=size /", "M");
    let size = machine.shell("df -BM --output=size / | tail -1");
    let size: u64 = size.trim().trim_end_matches('M').parse().unwrap();
    assert!(size > 5000, "the root file system has {size} MiB");
    machine.wait_for("systemctl is-active ssh", "active");
    let keys = machine.shell("ls /etc/ssh/ssh_host_*_key; cat /etc/machine-id");
    assert!(keys.contains("ed25519") && keys.lines().last().is_some_and(|id| id.len() == 32), "{keys}");
    let sources = machine.shell("cat /etc/apt/sources.list /etc/apt/sources.list.d/*");
    assert!(sources.contains("deb.debian.org") && sources.contains("security"), "{sources}");
    println!(
        "{}",
        machine.shell("systemd-analyze; systemd-analyze blame | head; systemctl --failed --no-legend")
    );
    assert_eq!(machine.shell("systemctl --failed --no-legend").trim(), "");
    assert!(machine.serial().contains("login:"), "a login on the serial console");
    machine.power_button();
    println!("{recipe}, BIOS: off {:?} after the power button", machine.wait_for_end());
}

/// Boots it by UEFI with Secure Boot and a TPM, and with a seed.
fn boot_by_uefi(recipe: &str, folder: &Path, larger: &Path) {
    let vars = folder.join("vars.fd");
    std::fs::copy("/usr/share/OVMF/OVMF_VARS_4M.ms.fd", &vars).unwrap();
    let user_data = "#cloud-config\nssh_authorized_keys: [ \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExampleEx test\" ]\n";
    let seed = seed(folder, user_data);
    let tpm = Tpm::start(folder);
    let firmware = vec![
        "-machine".into(),
        "smm=on".into(),
        "-global".into(),
        "driver=cfi.pflash01,property=secure,value=on".into(),
        "-chardev".into(),
        format!("socket,id=tpm,path={}", tpm.socket.display()),
        "-tpmdev".into(),
        "emulator,id=tpm0,chardev=tpm".into(),
        "-device".into(),
        "tpm-crb,tpmdev=tpm0".into(),
        "-drive".into(),
        "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.ms.fd".into(),
        "-drive".into(),
        format!("if=pflash,format=raw,file={}", vars.display()),
    ];
    let arguments = [firmware, drive(larger, "qcow2", "disk"), drive(&seed, "raw", "seed")].concat();
    let mut machine = Machine::start("1024M", &arguments);
    println!("{recipe}, UEFI: the agent answers after {:?}", machine.wait_for_agent());
    machine.wait_for("cloud-init status", "done");
    println!("{recipe}, UEFI: cloud-init is done after {:?}", machine.start.elapsed());
    let found =
        machine.shell("hostname; ls -d /sys/firmware/efi; cat /home/debian/.ssh/authorized_keys; ip -4 addr");
    for expected in ["seeded", "/sys/firmware/efi", "ssh-ed25519", "10.0.2.15"] {
        assert!(found.contains(expected), "{found}");
    }
    // The last byte of the variable is its value; the firmware's keys are Microsoft's, the loader is Debian's.
    let secure = machine.shell("od -An -t u1 -j4 /sys/firmware/efi/efivars/SecureBoot-*; ls /dev/tpm0");
    assert_eq!(secure.split_whitespace().collect::<Vec<_>>(), ["1", "/dev/tpm0"], "{secure}");
}

/// That it boots by UEFI is seen each time by who makes VMs of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_debian_12_boots_by_bios_and_uefi() {
    let folder = tempfile::tempdir().unwrap();
    let larger = debian("debian-12", folder.path()).await;
    boot_by_bios("debian-12", "12", &larger);
    boot_by_uefi("debian-12", folder.path(), &larger);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e2e_debian_13_boots_by_bios_and_uefi() {
    let folder = tempfile::tempdir().unwrap();
    let larger = debian("debian-13", folder.path()).await;
    boot_by_bios("debian-13", "13", &larger);
    boot_by_uefi("debian-13", folder.path(), &larger);
}

#[tokio::test]
async fn an_unknown_recipe_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let error = build::run("gentoo", folder.path(), &|_| {}).await.unwrap_err();
    assert!(error.to_string().contains("debian-12"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e2e_an_abandoned_build_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (recipe, wait_ms) in [("tiny", 1500), ("debian-12", 12_000)] {
        let work = build::run(recipe, folder.path(), &|_| {});
        assert!(tokio::time::timeout(Duration::from_millis(wait_ms), work).await.is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(folder.path().to_str().unwrap()), "{mounts}");
    }
}
