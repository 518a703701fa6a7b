//! What a run says of subnets, by the command line.

use std::{path::Path, process::Output};

use crate::world::{BINARY, Texts};

fn tabane(folder: &Path, arguments: &[&str]) -> Output {
    std::process::Command::new(BINARY).args(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn addresses_of_a_subnet_that_do_not_answer_are_told_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens there as soon as the port is known.
    let port = crate::sshd::free_port();
    let arguments = |sources: &[&str]| {
        let first = ["survey", "run", "--out", "x"];
        first.iter().chain(sources).map(|text| (*text).to_owned()).collect::<Vec<String>>()
    };
    let run = |sources: &[&str]| {
        std::process::Command::new(BINARY)
            .args(arguments(sources))
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    let none = run(&[&format!("root@127.0.0.8/29:{port}")]);
    assert!(!none.status.success());
    let told = none.all_text();
    assert!(told.contains(&format!("6 addresses do not answer and are left out (port {port}: ")), "{told}");
    assert!(told.contains(&format!("root@127.0.0.9:{port}, root@127.0.0.10:{port}")), "{told}");
    assert!(told.contains("there is no server to look at"), "{told}");
    assert!(!folder.path().join("x").exists(), "nobody is collected of");

    // Who is there is tried; it is no SSH server, and says so in its own way.
    let listener = std::net::TcpListener::bind(("127.0.0.10", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let log = folder.path().join("log");
    let mut going = std::process::Command::new(BINARY)
        .args(arguments(&[&format!("127.0.0.8/30:{port}")]))
        .current_dir(folder.path())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let said = || std::fs::read_to_string(&log).unwrap();
    while !said().contains("tried again in") && std::time::Instant::now() < until {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    going.kill().unwrap();
    going.wait().unwrap();
    let told = said();
    assert!(told.contains("1 address does not answer and is left out"), "{told}");
    assert!(told.contains(&format!("127.0.0.10:{port}: ")) && !told.contains("127.0.0.9: "), "{told}");
    let collected = std::fs::read_dir(folder.path().join("x/servers")).unwrap().flatten();
    let collected: Vec<String> = collected.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert_eq!(collected, [format!("127.0.0.10_{port}")]);

    std::fs::write(folder.path().join("list"), "127.0.0.1 # this one\n  root@10.0.0.0/8 # all\n").unwrap();
    let refused = run(&["--list", "list"]);
    assert!(
        refused.all_text().contains("list, line 2, column 3: 10.0.0.0/8 has more than 4096 addresses"),
        "{}",
        refused.all_text()
    );
}
