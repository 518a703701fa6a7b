//! What is wrong is said with the next step, and leaves nothing behind: neither objects nor files nor processes.

use std::{
    collections::BTreeSet,
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use crate::world::{BINARY, Texts, World};

/// Everything that a refused request might change: objects, files of VMs, devices of networks, and processes.
fn picture(world: &World) -> String {
    let lists = ["vm", "image", "disk", "pool", "network", "token", "host"];
    let lists: Vec<String> = lists.iter().map(|kind| names(world, kind)).collect();
    let mut files = BTreeSet::new();
    for folder in ["host/vms", "host/pool", "host/images", "host/incoming", "host/networks"] {
        list(&world.path().join(folder), &mut files);
    }
    format!("{lists:?} {files:?} {}", processes(world.path()))
}

fn names(world: &World, kind: &str) -> String {
    let list: serde_json::Value = serde_json::from_str(&world.ok(&[kind, "list", "-o", "json"])).unwrap();
    list.as_array().unwrap().iter().map(|object| format!("{} ", object["meta"]["name"])).collect()
}

fn list(folder: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().unwrap().is_dir() {
            list(&entry.path(), files);
        }
        files.insert(entry.path());
    }
}

/// Programs other than ours that work in this folder.
fn processes(folder: &Path) -> usize {
    let of_folder = |entry: &std::fs::DirEntry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let inside = std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
        !line.is_empty() && (inside || String::from_utf8_lossy(&line).contains(folder.to_str().unwrap()))
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter(of_folder).count()
}

fn apply(world: &World, text: &str) -> Output {
    let mut child = world
        .command(&["apply", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// It fails, says this, and says it in the form of an error.
#[track_caller]
fn fails(output: &Output, words: &[&str]) {
    let told = output.all_text();
    assert!(!output.status.success(), "it succeeded: {told}");
    assert!(told.contains("error: "), "{told}");
    for word in words {
        assert!(told.contains(word), "{word:?} is not in: {told}");
    }
}

/// As [`Command::output`], for what might go on for ever.
fn output_soon(mut command: Command) -> Output {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > Duration::from_secs(30) {
            child.kill().unwrap();
            panic!("it goes on: {}", child.wait_with_output().unwrap().all_text());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.wait_with_output().unwrap()
}

#[test]
fn e2e_wrong_words_are_refused_and_change_nothing() {
    let world = World::start();
    world.ok(&["vm", "create", "there", "--memory", "256MiB"]);
    world.ok(&["disk", "create", "d", "--size", "1MiB"]);
    let before = picture(&world);

    let vm = |spec: &str| format!("kind: vm\nmeta: {{name: web}}\nspec: {{{spec}}}\n");
    for (document, words) in [
        (vm("cpus: 1, memory_bytes: 268435456, memroy: 1"), &["memroy"][..]),
        (vm("cpus: 1, memory_bytes: 268435456") + "extra: 1\n", &["extra"]),
        (vm("cpus: 100000, memory_bytes: 268435456"), &["spec.cpus", "hint: use 1 to 255"]),
        (vm("cpus: 1, memory_bytes: 18446744073709551615"), &["spec.memory_bytes", "hint: "]),
        (vm("cpus: -1, memory_bytes: 268435456"), &["-1"]),
        (vm("cpus: 1, memory_bytes: 268435456, nics: [{name: n, network: nowhere}]"), &["tabane network list"]),
        ("kind: vm\nmeta: {name: ../../etc}\nspec: {cpus: 1, memory_bytes: 268435456}\n".into(), &["name"]),
        ("kind: pool\nmeta: {name: p}\nspec: {path: /srv/../etc}\n".into(), &["hint: ", "leave out '..'"]),
        ("kind: planet\nmeta: {name: p}\nspec: {}\n".into(), &["no kind of object"]),
        ("kind: token\nmeta: {name: t}\nspec: {role: admin}\n".into(), &["is not made from a file"]),
        ("{\"kind\": \"vm\"".into(), &["is not understood"]),
        // A picture of itself, a thousand million times.
        ("a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n".into(), &[
            "is not understood",
        ]),
    ] {
        fails(&apply(&world, &document), words);
    }
    fails(&world.run(&["apply", "-f", "/nonexistent.yaml"]), &["cannot read /nonexistent.yaml"]);

    // What the command line itself knows to be wrong is not even sent.
    for arguments in [
        &["vm", "create", "a/b"][..],
        &["vm", "create", ".."],
        &["vm", "get", "../../etc/passwd"],
        &["vm", "create", "x", "--memory", "1 light-year"],
        &["vm", "create", "x", "--forward", "99999:1"],
        &["vm", "create", "x", "--cpus", "-1"],
        &["vm", "create", "x", "--wait", "heaven"],
        &["disk", "create", "x", "--size", "99999999999999999999GiB"],
    ] {
        let output = world.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", output.all_text());
    }
    for (arguments, words) in [
        (&["vm", "create", "x", "--memory", "16384TiB"][..], &["spec.memory_bytes", "hint: "][..]),
        (&["vm", "create", "x", "--cpus", "4000000000"], &["hint: use 1 to 255"]),
        (&["vm", "create", "x", "--image", "none"], &["hint: ", "tabane image list"]),
        (&["vm", "create", "there"], &["exists already", "hint: choose another name"]),
        (&["vm", "start", "nobody"], &["there is no vm", "tabane vm list"]),
        (&["vm", "list", "-l", "=x"], &["key=value"]),
        (&["vm", "list", "-f", "colour=red"], &["use name, phase, host"]),
        (&["vm", "list", "-o", "xml"], &["use table, json or yaml"]),
        (&["disk", "resize", "d", "1000TiB"], &["hint: "]),
        (&["network", "create", "n", "--cidr", "10.0.0.0/33"], &["10.30.0.0/24"]),
        (&["host", "remove", "nobody"], &["there is no host"]),
        (&["vm", "create", "x", "--ssh-key", "/nonexistent"], &["cannot read /nonexistent"]),
    ] {
        fails(&world.run(arguments), words);
    }
    assert_eq!(picture(&world), before);
}

#[test]
fn e2e_wrong_tokens_open_nothing() {
    let world = World::start();
    let url = world.url();
    let before = picture(&world);
    let with = |token: &str, arguments: &[&str]| {
        world.command(&[arguments, &["--url", &url, "--token", token]].concat()).output().unwrap()
    };
    let hint = "hint: send `Authorization: Bearer TOKEN`; with the CLI set TABANE_TOKEN";
    for token in ["", "x", "tbn_admin_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        fails(&with(token, &["vm", "create", "a"]), &["no valid token", hint]);
    }
    fails(&world.command(&["vm", "list", "--url", &url]).output().unwrap(), &[hint]);

    // A viewer looks, and does nothing else.
    let viewer = world.ok(&["token", "create", "v", "--role", "viewer"]).trim().to_owned();
    assert!(with(&viewer, &["vm", "list"]).status.success());
    fails(&with(&viewer, &["vm", "create", "a"]), &["may not do this", "hint: ask an administrator"]);
    // One that was deleted is nothing any more.
    world.ok(&["token", "delete", "v"]);
    fails(&with(&viewer, &["vm", "list"]), &[hint]);

    // Another server than the one that was meant.
    let wrong = format!("{}#{}", url.split('#').next().unwrap(), "0".repeat(64));
    fails(&world.command(&["vm", "list", "--url", &wrong]).output().unwrap(), &["cannot talk to the server"]);
    assert_eq!(picture(&world), before);
}

#[test]
fn e2e_two_of_a_kind_do_not_get_in_each_others_way() {
    let world = World::start();
    let before = picture(&world);
    // The same folder, and another port.
    let second = output_soon(world.command(&["up", "--listen", "127.0.0.1:0"]));
    fails(&second, &["hint: stop the other server, or give this one its own TABANE_DATA_DIR"]);
    let url = world.url();
    // The agent alone, in the folder of one that runs.
    let mut agent = world.command(&["host", "join", &url]);
    agent.env("TABANE_TOKEN", "x");
    fails(&output_soon(agent), &["hint: stop the other agent, or give this one its own TABANE_DATA_DIR"]);

    // Another folder, and the same port.
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let mut third = world.command(&["up", "--listen", &port.local_addr().unwrap().to_string()]);
    third.env("TABANE_DATA_DIR", folder.path());
    fails(&output_soon(third), &["cannot listen on", "hint: another program has this port", "--listen"]);
    assert!(!folder.path().join("host").exists(), "the agent did not begin");
    assert_eq!(processes(folder.path()), 0);
    assert_eq!(picture(&world), before);
    world.ok(&["vm", "list"]);
}

#[test]
fn e2e_a_forward_of_a_used_port_waits_for_it() {
    let world = World::with_tiny();
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let number = port.local_addr().unwrap().port();
    let forward = format!("{number}:22");
    let create =
        ["vm", "create", "a", "--image", "tiny", "--memory", "192MiB", "--forward", &forward, "--start"];
    world.ok(&create);
    let holder = format!("port {number} of 127.0.0.1 is in use by process {}", std::process::id());
    world.eventually("the VM tells who has the port", || {
        let told = world.get("vm", "a")["status"]["conditions"].to_string();
        told.contains(&holder) && told.contains("forward another port, or free this one")
    });
    assert_eq!(world.get("vm", "a")["status"]["pid"], serde_json::Value::Null);
    assert!(world.events().contains(&holder), "{}", world.events());
    let of_qemu = processes(&world.path().join("host/vms"));
    assert_eq!(of_qemu, 0, "no QEMU is there");
    drop(port);
    world.eventually("it starts by itself", || world.get("vm", "a")["status"]["phase"] == "running");
    assert!(TcpListener::bind(("127.0.0.1", number)).is_err(), "the port is the guest's");
    world.ok(&["vm", "delete", "a", "--wait", "deleted"]);
    assert_eq!(processes(&world.path().join("host/vms")), 0);
    assert!(TcpListener::bind(("127.0.0.1", number)).is_ok());
}

#[test]
fn e2e_a_host_without_qemu_says_so() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let empty = folder.path().join("bin");
    std::fs::create_dir(&empty).unwrap();
    let data = folder.path().join("data");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(BINARY);
        command.args(arguments).env_clear().env("PATH", &empty).env("TABANE_DATA_DIR", &data);
        command
    };
    let mut up = run(&["up", "--name", "bare", "--listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let told = |arguments: &[&str]| run(arguments).output().unwrap().all_text();
    let wait_for = |what: &str, arguments: &[&str], words: &[&str]| {
        let started = Instant::now();
        loop {
            let told = told(arguments);
            if words.iter().all(|word| told.contains(word)) {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "{what}: {told}");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    let tested = std::panic::catch_unwind(|| {
        wait_for(
            "the host tells",
            &["host", "get", "bare"],
            &["kind: qemu", "met: false", "qemu-system-x86_64"],
        );
        assert!(run(&["vm", "create", "a", "--disk", "1MiB", "--start"]).status().unwrap().success());
        wait_for("the VM tells", &["vm", "get", "a"], &["met: false", "apt install qemu-system-x86"]);
        assert!(!told(&["vm", "get", "a"]).contains("phase: running"));
        let doctor = run(&["doctor"]).output().unwrap();
        assert!(!doctor.status.success());
        assert!(doctor.all_text().contains("apt install qemu-system-x86"), "{}", doctor.all_text());
        assert!(run(&["vm", "delete", "a", "--wait", "deleted"]).status().unwrap().success());
        let mut left = BTreeSet::new();
        list(&data.join("host/vms"), &mut left);
        list(&data.join("host/pool"), &mut left);
        assert!(left.is_empty(), "{left:?}");
    });
    up.kill().unwrap();
    up.wait().unwrap();
    if let Err(panic) = tested {
        std::panic::resume_unwind(panic);
    }
    assert_eq!(processes(folder.path()), 0);
}

struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn e2e_a_full_store_refuses_changes_and_takes_them_again() {
    let mut world = World::start();
    world.kill_up();
    // What the server keeps goes to a file system that is soon full.
    let (server, aside) = (world.path().join("server"), world.path().join("aside"));
    std::fs::rename(&server, &aside).unwrap();
    std::fs::create_dir(&server).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "small"]).arg(&server).status();
    if !mounted.unwrap().success() {
        eprintln!("not root: a small file system cannot be mounted, so nothing is tested");
        return;
    }
    let _mount = Mount(server.clone());
    let copied = Command::new("cp").arg("-a").arg(aside.join(".")).arg(&server).status().unwrap();
    assert!(copied.success());
    world.up();
    world.ok(&["vm", "create", "first"]);
    let ballast = server.join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    drop(file);

    let mut made = BTreeSet::from(["first".to_owned()]);
    let mut refused = 0;
    for i in 0..400 {
        let name = format!("vm{i}");
        let output = world.run(&["vm", "create", &name]);
        if output.status.success() {
            // There may be room in what the store has already.
            made.insert(name);
            continue;
        }
        fails(
            &output,
            &["hint: make room on the file system of the server's data folder; nothing was changed"],
        );
        refused += 1;
        if refused == 5 {
            break;
        }
    }
    assert_eq!(refused, 5, "the store takes everything");
    let there = |world: &World| -> BTreeSet<String> {
        names(world, "vm").split_whitespace().map(|name| name.trim_matches('"').to_owned()).collect()
    };
    assert_eq!(there(&world), made);
    // It is read and told of while it is full, and takes changes as soon as there is room.
    std::fs::remove_file(&ballast).unwrap();
    world.eventually("it takes changes again", || world.run(&["vm", "create", "after"]).status.success());
    made.insert("after".to_owned());
    assert_eq!(there(&world), made);
    world.ok(&["audit", "verify"]);
    // All that was acknowledged, and nothing else, is there after a crash.
    world.kill_up();
    world.up();
    assert_eq!(there(&world), made);
    world.ok(&["audit", "verify"]);
    world.kill_up();
}
