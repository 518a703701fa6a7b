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
fn a_binary_log_of_windows_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "Load.BLG", "\u{1}\u{2}binary");
    let refused = import(folder.path(), &["perfmon", "Load.BLG", "--to", "traces"]);
    assert!(!refused.status.success());
    assert!(refused.all_text().contains("relog x.blg -f csv -o x.csv"), "{}", refused.all_text());
    assert!(!folder.path().join("traces").exists());
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
        impossible[0].starts_with("samples that cannot be; left out: 15 (5 servers, the most 3 of vm0;"),
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

/// Days of a Windows server, each five minutes, in the time of Japan.
fn perfmon_log(host: &str, days: u32) -> String {
    let head = format!(
        "\"(PDH-CSV 4.0) (Tokyo Standard Time)(-540)\",\"\\\\{host}\\Processor(_Total)\\% Processor Time\",\
         \"\\\\{host}\\Memory\\Available MBytes\",\"\\\\{host}\\PhysicalDisk(_Total)\\Disk Reads/sec\"\r\n"
    );
    let line = |at: u32| {
        let (day, hour, minute) = (at / 288 + 1, at / 12 % 24, at % 12 * 5);
        format!("\"11/{day:02}/2026 {hour:02}:{minute:02}:00.000\",\"{}\",\"4096\",\"7\"\r\n", at % 50)
    };
    head + &(0..days * 288).map(line).collect::<String>()
}

#[test]
fn an_inventory_says_what_the_servers_of_a_log_have() {
    let folder = tempfile::tempdir().unwrap();
    let inventory = "VM,Powerstate,Template,CPUs,Memory,OS according to the configuration file\n\
        web1,poweredOn,False,4,\"8,192\",Windows\ngold,poweredOff,True,2,4096,Windows\n";
    write(folder.path(), "vInfo.csv", inventory);
    let arguments = ["rvtools", "vInfo.csv", "--core-mhz", "2500", "--to", "inventory"];
    let told = import(folder.path(), &arguments);
    assert!(told.status.success(), "{}", told.all_text());
    assert!(told.stdout_text().contains("1 server without loads over time"), "{}", told.all_text());
    assert_eq!(names(&folder.path().join("inventory")), ["servers.csv"]);
    // It is no trace, and no plan is made of it.
    let plan_of_it = ["plan", "make", "--traces", "inventory", "--hosts", "hosts.toml", "--out", "plan.json"];
    write(folder.path(), "hosts.toml", "");
    let refused = Command::new(BINARY).args(plan_of_it).current_dir(folder.path()).output().unwrap();
    assert!(!refused.status.success());

    let log: Vec<u8> = perfmon_log("WEB1", 6).encode_utf16().flat_map(u16::to_le_bytes).collect();
    write(folder.path(), "log.csv", [b"\xff\xfe".as_slice(), &log].concat());
    let arguments = ["perfmon", "log.csv", "--servers", "inventory/servers.csv", "--to", "traces"];
    let told = import(folder.path(), &arguments);
    assert!(told.status.success(), "{}", told.all_text());
    let servers = std::fs::read_to_string(folder.path().join("traces/servers.csv")).unwrap();
    assert_eq!(servers.lines().nth(1), Some("web1,4,10000,8192,poweredOn,Windows"));
    assert!(plan(folder.path(), "traces").starts_with("1 server on 1 host"));
}

#[test]
fn what_is_not_known_of_servers_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "node7", "24\n34\n");
    let asked = |arguments: &[&str]| {
        let told = import(folder.path(), &[&["planetlab", "node7", "--to", "traces"], arguments].concat());
        assert!(!told.status.success());
        assert_eq!(names(folder.path()), ["node7"]);
        told.all_text()
    };
    assert!(asked(&[]).contains("say with --first-bin when they begin"));
    let first = ["--first-bin", "1299110400"];
    assert!(asked(&first).contains("node7: how many cores it has is not known: say --cores and --core-mhz"));
    let cores = [&first[..], &["--cores", "2"]].concat();
    assert!(asked(&cores).contains("node7: how fast its cores are is not known"));
    let speed = [&cores[..], &["--core-mhz", "2000"]].concat();
    assert!(asked(&speed).contains("node7: how much memory it has is not known: say --memory-mib"));
}

#[test]
fn answers_of_prometheus_are_read_in_the_order_that_they_need() {
    let folder = tempfile::tempdir().unwrap();
    let answer = |value: &dyn Fn(u32) -> String| {
        let values: Vec<String> =
            (0..6 * 288).map(|at| format!("[{},\"{}\"]", 1_700_000_100 + at * 300, value(at))).collect();
        let series = |host: &str| {
            format!("{{\"metric\":{{\"instance\":\"{host}:9100\"}},\"values\":[{}]}}", values.join(","))
        };
        format!(
            "{{\"status\":\"success\",\"data\":{{\"resultType\":\"matrix\",\"result\":[{},{}]}}}}",
            series("web1"),
            series("db1")
        )
    };
    write(folder.path(), "cpu_busy.json", answer(&|at| format!("0.{:02}", at % 60)));
    write(folder.path(), "cores.json", answer(&|_| "4".into()));
    write(folder.path(), "core_hertz.json", answer(&|_| "2500000000".into()));
    write(folder.path(), "mem_total.json", answer(&|_| "8589934592".into()));
    write(folder.path(), "mem_used.json", answer(&|_| "2.147483648e+09".into()));
    let files = ["cpu_busy.json", "mem_used.json", "core_hertz.json", "mem_total.json", "cores.json"];
    let told = import(folder.path(), &[&["prometheus"], &files[..], &["--to", "traces"]].concat());
    assert!(told.status.success(), "{}", told.all_text());
    let servers = std::fs::read_to_string(folder.path().join("traces/servers.csv")).unwrap();
    assert_eq!(servers, "server,cores,cpu_cap_mhz,mem_cap_mib\nweb1,4,10000,8192\ndb1,4,10000,8192\n");
    assert!(plan(folder.path(), "traces").starts_with("2 servers on 1 host"));
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

#[test]
fn real_planetlab_files_give_what_their_percentages_are() {
    const CAP: u32 = 3_000;
    let Some(known) = real("planetlab") else { return };
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(known.join("20110303.csv")).unwrap();
    let mut machines: Vec<(&str, Vec<u32>)> = Vec::new();
    for line in text.lines() {
        let (name, row) = line.split_once(',').unwrap();
        machines.push((name, row.split(',').map(|percent| percent.parse().unwrap()).collect()));
    }
    // As the originals are: a file for each machine.
    std::fs::create_dir(folder.path().join("day")).unwrap();
    for (name, row) in &machines {
        let lines: String = row.iter().map(|percent| format!("{percent}\n")).collect();
        write(folder.path(), &format!("day/{name}"), lines);
    }
    let files: Vec<String> = machines.iter().map(|(name, _)| format!("day/{name}")).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let known = ["--first-bin", "1299110400", "--cores", "1", "--core-mhz", "3000", "--memory-mib", "1024"];
    let told = import(folder.path(), &[&["planetlab"], &files[..], &known, &["--to", "traces"]].concat());
    assert!(told.status.success(), "{}", told.all_text());
    let matrix = Matrix::read(&folder.path().join("traces/cpu_mhz.csv")).unwrap();
    assert_eq!((matrix.servers.len(), matrix.grid.first_bin_unix), (machines.len(), 1_299_110_400));
    for (at, (name, row)) in machines.iter().enumerate() {
        let expected: Vec<u32> = row.iter().map(|percent| (percent * CAP).div_ceil(100)).collect();
        assert_eq!((&matrix.servers[at], matrix.row(at)), (&(*name).to_owned(), expected.as_slice()));
    }
    eprintln!("{} cells are equal; {}", matrix.values.len(), told.stdout_text());
}

#[test]
fn an_inventory_of_powershell_says_what_the_servers_of_a_trace_have() {
    let folder = tempfile::tempdir().unwrap();
    let vms = "#TYPE Selected.VMware.VimAutomation.ViCore.Impl.V1.VM.UniversalVirtualMachineImpl\r\n\"Name\";\"NumCpu\";\"MemoryGB\";\
        \"ProvisionedSpaceGB\";\"Notes\";\"Guest\"\r\n\"web1\";\"4\";\"8\";\"100,25\";\"of the shop;\r\nask Anna\";\"web1:Debian GNU/Linux 12 (64-bit)\"\r\n";
    let wide: Vec<u8> =
        std::iter::once(0xfeff).chain(vms.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    write(folder.path(), "vms.csv", wide);
    let inventory =
        import(folder.path(), &["vmware-inventory", "vms.csv", "--core-mhz", "2500", "--to", "inventory"]);
    assert!(inventory.status.success(), "{}", inventory.all_text());
    let servers = std::fs::read_to_string(folder.path().join("inventory/servers.csv")).unwrap();
    assert_eq!(
        servers,
        "server,cores,cpu_cap_mhz,mem_cap_mib,disk_gib,os\nweb1,4,10000,8192,101,Debian GNU/Linux 12 (64-bit)\n"
    );
    write(folder.path(), "web1.csv", bitbrains_vm(3, 8));
    let traces = ["bitbrains", "web1.csv", "--servers", "inventory/servers.csv", "--to", "traces"];
    let traces = import(folder.path(), &traces);
    assert!(traces.status.success(), "{}", traces.all_text());
    let told = plan(folder.path(), "traces");
    assert!(told.contains("1 server on 1 host"), "{told}");
    let ambiguous = vms.replace("100,25", "1.024");
    write(folder.path(), "vms.csv", ambiguous);
    let refused =
        import(folder.path(), &["vmware-inventory", "vms.csv", "--core-mhz", "2500", "--to", "other"]);
    assert!(
        refused.all_text().contains("vms.csv, line 3, column 4: \"1.024\" may be thousands"),
        "{}",
        refused.all_text()
    );
    assert!(!folder.path().join("other").exists());
}
