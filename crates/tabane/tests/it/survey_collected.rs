//! What is made of a collection besides traces, and what a run says of subnets, by the command line.

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

    let many = run(&["127.0.0.0/20", "127.1.0.0/20"]);
    assert!(many.all_text().contains("more than 4096 addresses together"), "{}", many.all_text());
    std::fs::write(folder.path().join("list"), "127.0.0.1 # this one\n  root@10.0.0.0/8 # all\n").unwrap();
    let refused = run(&["--list", "list"]);
    assert!(
        refused.all_text().contains("list, line 2, column 3: 10.0.0.0/8 has more than 4096 addresses"),
        "{}",
        refused.all_text()
    );
}

/// Servers of a collection, by their inventories.
fn collection(folder: &Path, servers: &[(&str, &str)]) {
    for (name, inventory) in servers {
        let place = folder.join("survey/servers").join(name);
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("inventory.txt"), inventory).unwrap();
    }
}

/// Days of two servers that are not busy, with these columns in `servers.csv`.
fn traces(folder: &Path, head: &str, rows: &[&str]) {
    let servers: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let name = |row: &str| row.split(',').next().unwrap().to_owned();
    let values = ",100".repeat(48);
    let cpu: String = rows.iter().map(|row| format!("{}{values}\n", name(row))).collect();
    let files = [
        ("servers.csv", format!("server,cores,cpu_cap_mhz,mem_cap_mib{head}\n{servers}")),
        ("cpu_mhz.csv", format!("# first_bin_unix=1700000000 step_s=3600 columns=server,v0..v47\n{cpu}")),
        ("hosts.toml", "[[host_type]]\nname = \"r1\"\ncpu_cores = 16\ncpu_mhz = 40000\nmemory_mib = 65536\nprice = 5000\n".into()),
    ];
    files.iter().for_each(|(name, text)| std::fs::write(folder.join(name), text).unwrap());
}

fn plan(folder: &Path, more: &[&str]) -> serde_json::Value {
    let files =
        ["plan", "make", "--traces", ".", "--hosts", "hosts.toml", "--time-limit", "2", "--out", "plan.json"];
    let made = tabane(folder, &[&files[..], more].concat());
    assert!(made.status.success(), "{}", made.all_text());
    let proved = tabane(folder, &["plan", "verify", "plan.json", "--traces", "."]);
    assert!(proved.status.success(), "{}", proved.all_text());
    serde_json::from_str(&std::fs::read_to_string(folder.join("plan.json")).unwrap()).unwrap()
}

#[test]
fn servers_that_talk_to_each_other_are_proposed_to_move_together() {
    let folder = tempfile::tempdir().unwrap();
    collection(
        folder.path(),
        &[
            (
                "web1",
                "part listening\nLISTEN 0 1 0.0.0.0:443 0.0.0.0:*\npart connections\n0 0 10.0.0.1:50001 10.0.0.2:5432\n",
            ),
            (
                "db1",
                "part listening\nLISTEN 0 1 0.0.0.0:5432 0.0.0.0:*\npart connections\n0 0 10.0.0.2:5432 10.0.0.1:50001\n",
            ),
            ("alone", "part listening\nLISTEN 0 1 0.0.0.0:80 0.0.0.0:*\n"),
            ("off", ""),
        ],
    );
    let ask = |more: &[&str]| tabane(folder.path(), &[&["survey", "dependencies", "survey"], more].concat());
    let told = ask(&[]).stdout_text();
    assert!(told.contains("group-1: db1, web1") && told.contains("nothing is known of off"), "{told}");
    assert!(told.contains("3 servers, 1 group"), "{told}");
    let json: serde_json::Value = serde_json::from_str(&ask(&["-o", "json"]).stdout_text()).unwrap();
    assert_eq!(
        json["links"][0],
        serde_json::json!({ "client": "web1", "server": "db1", "port": 5432, "connections": 1 })
    );

    let policy = ask(&["--toml"]);
    assert!(policy.status.success());
    std::fs::write(folder.path().join("policy.toml"), policy.stdout_text()).unwrap();
    traces(folder.path(), "", &["web1,8,20000,8192", "db1,8,20000,8192", "alone,8,20000,8192"]);
    let plan = plan(
        folder.path(),
        &["--policy", "policy.toml", "--set", "phases.pilot_servers=1", "--set", "phases.wave_servers=2"],
    );
    assert_eq!(
        plan["assumptions"]["policy"]["phases"]["dependency"][0]["servers"],
        serde_json::json!(["db1", "web1"])
    );
    let waves: Vec<Vec<&str>> = plan["waves"]
        .as_array()
        .unwrap()
        .iter()
        .map(|wave| wave["servers"].as_array().unwrap().iter().filter_map(|name| name.as_str()).collect())
        .collect();
    assert!(waves.iter().any(|wave| wave.contains(&"db1") && wave.contains(&"web1")), "{waves:?}");

    let refused = ask(&["--hub-share", "2"]);
    assert!(refused.all_text().contains("write a share above 0"), "{}", refused.all_text());
}

#[test]
fn licences_are_proposed_and_counted_only_where_it_is_plain_of_what() {
    let folder = tempfile::tempdir().unwrap();
    traces(
        folder.path(),
        ",os,application",
        &[
            "w1,8,20000,8192,Microsoft Windows Server 2022 Standard,Microsoft SQL Server",
            "r1,8,20000,8192,Red Hat Enterprise Linux 9.4,",
            "d1,8,20000,8192,Debian GNU/Linux 12,nginx",
        ],
    );
    let proposed = tabane(folder.path(), &["survey", "licences", "."]);
    assert!(proposed.status.success(), "{}", proposed.all_text());
    std::fs::write(folder.path().join("policy.toml"), proposed.stdout_text()).unwrap();
    let catalogues = format!("{}/../../data/licences", env!("CARGO_MANIFEST_DIR"));
    // There are no prices of RHEL, so somebody has to give them.
    let prices = "[[price]]\nproduct = \"rhel\"\nedition = \"vm-pair\"\nprice = { amount = \"100.00\", currency = \"USD\", term = \"perpetual\", date = \"2026-01-01\", source = { title = \"offer\", publisher = \"us\", standing = \"knowledge\" } }\n";
    std::fs::write(folder.path().join("prices.toml"), prices).unwrap();
    let more = ["--policy", "policy.toml", "--licences", &catalogues, "--prices", "prices.toml"];
    let made = plan(folder.path(), &more);
    let products = |plan: &serde_json::Value| -> Vec<String> {
        let products = plan["licences"]["products"].as_array().unwrap();
        products.iter().map(|product| product["product"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(products(&made), ["windows-server", "rhel"]);
    // Whoever has looked which edition it is takes the marks away; the catalogue knows the product.
    let text = proposed.stdout_text();
    let entry = text.split("# One of these").nth(1).unwrap().lines().skip(1).take(3);
    let mut entry: Vec<&str> = entry.map(|line| line.trim_start_matches("# ")).collect();
    entry.push("editions = [\"core-per-vm\"]");
    std::fs::write(folder.path().join("policy.toml"), format!("{text}\n{}\n", entry.join("\n"))).unwrap();
    assert_eq!(products(&plan(folder.path(), &more)), ["windows-server", "rhel", "sql-server-standard"]);
}
