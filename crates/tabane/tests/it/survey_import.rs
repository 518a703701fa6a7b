//! What other tools have measured becomes traces that plans are made of, by the command line.
//!
//! Real traces are not part of this repository. The tests that need them read the folder that the environment variable
//! `TABANE_TRACES` names, with `bitbrains-2013-07` and `planetlab` in it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tabane_survey::Matrix;

use crate::world::{BINARY, Texts};

const BITBRAINS_HEAD: &str = "Timestamp [ms];\tCPU cores;\tCPU capacity provisioned [MHZ];\tCPU usage [MHZ];\tCPU usage [%];\t\
    Memory capacity provisioned [KB];\tMemory usage [KB];\tDisk read throughput [KB/s];\tDisk write throughput [KB/s];\t\
    Network received throughput [KB/s];\tNetwork transmitted throughput [KB/s]\n";

fn import(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(["survey", "import"]).args(arguments).current_dir(folder).output().unwrap()
}

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) {
    std::fs::write(folder.join(name), text).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Makes a plan of the traces and proves it.
fn plan(folder: &Path, traces: &str) -> String {
    let hosts =
        "[[host_type]]\nname = \"r1\"\ncpu_cores = 16\ncpu_mhz = 40000\nmemory_mib = 65536\nprice = 5000\n";
    write(folder, "hosts.toml", hosts);
    let run = |arguments: &[&str]| {
        let output = Command::new(BINARY).arg("plan").args(arguments).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{}", output.all_text());
        output.stdout_text()
    };
    let made =
        ["make", "--traces", traces, "--hosts", "hosts.toml", "--out", "plan.json", "--time-limit", "2"];
    let told = run(&made);
    assert!(run(&["verify", "plan.json", "--traces", traces]).starts_with("proved: "));
    told
}

/// Days of a VM that is busy at one hour, each five minutes.
fn bitbrains_vm(busy_hour: u32, days: u32) -> String {
    let line = |at: u32| {
        let mhz = if at / 12 % 24 == busy_hour { 9_000 } else { 100 };
        let time = 1_700_000_100 + at * 300;
        format!("{time};\t4;\t10000;\t{mhz}.5;\t1;\t8388608;\t2097152;\t1;\t2;\t3;\t4\n")
    };
    BITBRAINS_HEAD.to_owned() + &(0..days * 288).map(line).collect::<String>()
}

#[test]
fn a_plan_is_made_of_what_was_imported() {
    let folder = tempfile::tempdir().unwrap();
    for vm in 0..4 {
        write(folder.path(), &format!("vm{vm}.csv"), bitbrains_vm(vm * 5, 6));
    }
    let files = ["vm0.csv", "vm1.csv", "vm2.csv", "vm3.csv"];
    let imported = import(folder.path(), &[&["bitbrains"], &files[..], &["--to", "traces"]].concat());
    assert!(imported.status.success(), "{}", imported.all_text());
    let told = imported.stdout_text();
    assert!(told.starts_with("4 servers in 1728 bins of 300 s, cpu_mhz, mem_mib"), "{told}");
    let servers = std::fs::read_to_string(folder.path().join("traces/servers.csv")).unwrap();
    assert_eq!(servers.lines().nth(1), Some("vm0,4,10000,8192"));
    let told = plan(folder.path(), "traces");
    assert!(told.starts_with("4 servers on 1 host"), "{told}");

    // What is there is not written over, and nothing is left beside it.
    let again = import(folder.path(), &["bitbrains", "vm0.csv", "--to", "traces"]);
    assert!(!again.status.success());
    assert!(again.all_text().contains("there are traces already"), "{}", again.all_text());
    assert!(!names(folder.path()).iter().any(|name| name.ends_with(".new")));
}

#[test]
fn what_is_odd_is_one_line_for_each_kind_and_all_of_it_in_json() {
    let folder = tempfile::tempdir().unwrap();
    for vm in 0..5 {
        let text = bitbrains_vm(vm, 1).replacen("\t100.5;", "\t-1;", 3);
        write(folder.path(), &format!("vm{vm}.csv"), text);
    }
    let files = ["bitbrains", "vm0.csv", "vm1.csv", "vm2.csv", "vm3.csv", "vm4.csv", "--to"];
    let told = import(folder.path(), &[&files[..], &["a"]].concat()).stdout_text();
    let impossible: Vec<&str> = told.lines().filter(|line| line.contains("samples that cannot be")).collect();
    assert_eq!(impossible.len(), 1, "{told}");
    assert!(
        impossible[0].starts_with("15 samples that cannot be; left out (5 servers, the most 3 of vm0;"),
        "{told}"
    );
    let json = import(folder.path(), &[&files[..], &["b", "-o", "json"]].concat()).stdout_text();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let findings = json["findings"].as_array().unwrap();
    assert_eq!(findings.iter().filter(|finding| finding["kind"] == "impossible").count(), 5);
    assert_eq!(json["bins"], 288);
}

#[test]
fn bad_files_are_told_with_their_place_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let good = bitbrains_vm(1, 1);
    let cases: [(&str, Vec<u8>, &str); 5] = [
        (
            "bitbrains",
            good.replacen("100.5", "1OO.5", 1).into(),
            "bad.csv, line 2, column 4: \"1OO.5\" is no number",
        ),
        (
            "bitbrains",
            good.as_bytes()[..good.len() - 30].to_vec(),
            "bad.csv, line 289: the line has 6 fields",
        ),
        ("bitbrains", Vec::new(), "bad.csv, line 1: the file is empty"),
        ("bitbrains", vec![0xff; 100], "is neither UTF-8 nor UTF-16 nor Shift_JIS"),
        (
            "bitbrains",
            good.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            "bad.csv, line 1: byte 2 of the line is zero",
        ),
    ];
    for (form, bytes, expected) in cases {
        write(folder.path(), "bad.csv", bytes);
        let told = import(folder.path(), &[form, "bad.csv", "--to", "traces"]);
        assert!(!told.status.success(), "{expected}");
        assert!(told.all_text().contains(expected), "{expected} is not in: {}", told.all_text());
        assert_eq!(names(folder.path()), ["bad.csv"]);
    }
}

#[test]
fn ctrl_c_leaves_nothing_half() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "vm.csv", bitbrains_vm(1, 60));
    // Hours of work.
    let files = vec!["vm.csv"; 3_000];
    let mut command = Command::new(BINARY);
    command.args(["survey", "import", "bitbrains"]).args(&files).args(["--to", "traces"]);
    command.current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(output.all_text().contains("stopped; nothing was written"), "{}", output.all_text());
    assert_eq!(names(folder.path()), ["vm.csv"]);
}

/// The folder with real traces, if there is one.
fn real(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("TABANE_TRACES").map(|folder| PathBuf::from(folder).join(name));
    if folder.is_none() {
        eprintln!("skipped: TABANE_TRACES does not name a folder with {name}");
    }
    folder
}

#[test]
fn real_bitbrains_files_give_the_known_matrices_cell_by_cell() {
    let Some(known) = real("bitbrains-2013-07") else { return };
    let folder = tempfile::tempdir().unwrap();
    let samples = known.join("original-format-sample");
    let files: Vec<String> =
        names(&samples).iter().map(|name| samples.join(name).to_string_lossy().into_owned()).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    assert!(!files.is_empty());
    let imported = import(folder.path(), &[&["bitbrains"], &files[..], &["--to", "traces"]].concat());
    assert!(imported.status.success(), "{}", imported.all_text());
    eprintln!("{}", imported.stdout_text());
    let mut cells = 0;
    for metric in ["cpu_mhz", "mem_mib", "disk_read_kbs", "disk_write_kbs", "net_rx_kbs", "net_tx_kbs"] {
        let ours = Matrix::read(&folder.path().join(format!("traces/{metric}.csv"))).unwrap();
        let theirs = Matrix::read(&known.join(format!("2013-07_{metric}.csv.gz"))).unwrap();
        assert_eq!(ours.grid, theirs.grid, "{metric}");
        for (at, name) in ours.servers.iter().enumerate() {
            let vm = name.rsplit('_').next().unwrap();
            let row = theirs.servers.iter().position(|known| known == vm).unwrap();
            assert_eq!(ours.row(at), theirs.row(row), "{metric} of {name}");
            cells += ours.grid.bins;
        }
    }
    eprintln!("{cells} cells are equal");
    assert!(plan(folder.path(), "traces").starts_with("3 servers on 1 host"));
}
