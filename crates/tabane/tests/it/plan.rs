//! Plans from files, by the command line.

use std::path::Path;

use crate::world::{BINARY, Texts};

const HOSTS: &str =
    "[[host_type]]\nname = \"r1\"\ncpu_cores = 16\ncpu_mhz = 40000\nmemory_mib = 65536\nprice = 5000\n";
const POLICY: &str = "memory = \"active\"\ntime_limit_s = 5\n";

/// Ten servers over eight days of hours, each busy two hours a day.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let head = "# first_bin_unix=1700000000 step_s=3600 columns=server,v0..v191\n";
    let (mut servers, mut cpu, mut memory) =
        ("server,cores,cpu_cap_mhz,mem_cap_mib\n".to_owned(), head.to_owned(), head.to_owned());
    for server in 0..10 {
        servers.push_str(&format!("s{server},8,20000,8192\n"));
        let busy = |bin: usize| if bin % 24 / 2 == server { 15_000 } else { 300 };
        let row = |of: &dyn Fn(usize) -> usize| {
            (0..192).map(|bin| of(bin).to_string()).collect::<Vec<_>>().join(",")
        };
        cpu.push_str(&format!("s{server},{}\n", row(&busy)));
        memory.push_str(&format!("s{server},{}\n", row(&|_| 2_000)));
    }
    let files = [
        ("servers.csv", servers.as_str()),
        ("cpu_mhz.csv", &cpu),
        ("mem_mib.csv", &memory),
        ("hosts.toml", HOSTS),
        ("policy.toml", POLICY),
    ];
    files.iter().for_each(|(name, text)| std::fs::write(folder.path().join(name), text).unwrap());
    folder
}

fn tabane(folder: &Path, arguments: &[&str]) -> std::process::Output {
    std::process::Command::new(BINARY).arg("plan").args(arguments).current_dir(folder).output().unwrap()
}

fn make(folder: &Path) -> std::process::Output {
    let files = ["--traces", ".", "--hosts", "hosts.toml", "--policy", "policy.toml", "--out", "plan.json"];
    tabane(folder, &[&["make"], &files[..]].concat())
}

fn verify(folder: &Path) -> std::process::Output {
    tabane(folder, &["verify", "plan.json", "--traces", "."])
}

#[test]
fn a_plan_is_made_and_proved_again_by_whoever_has_the_loads() {
    let folder = folder();
    let made = make(folder.path());
    assert!(made.status.success(), "{}", made.all_text());
    let told = made.stdout_text();
    assert!(told.contains("10 servers on 1 host, and 1 spare; no plan has fewer than 1 host"), "{told}");
    let proved = verify(folder.path());
    assert!(proved.status.success(), "{}", proved.all_text());
    assert!(proved.stdout_text().starts_with("proved: 10 servers on 1 host"), "{}", proved.all_text());

    // Somebody makes it look better than it is.
    let path = folder.path().join("plan.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"s3\",", "")).unwrap();
    let refused = verify(folder.path());
    assert!(!refused.status.success());
    assert!(refused.stdout_text().contains("fault: s3 is named 0 times"), "{}", refused.all_text());

    // Or the loads are not those that it was made from.
    std::fs::write(&path, text).unwrap();
    let busier =
        std::fs::read_to_string(folder.path().join("cpu_mhz.csv")).unwrap().replace("15000", "38000");
    std::fs::write(folder.path().join("cpu_mhz.csv"), busier).unwrap();
    let refused = verify(folder.path());
    assert!(!refused.status.success());
    assert!(refused.stdout_text().contains("host-001 would have to carry"), "{}", refused.all_text());
}

#[test]
fn bad_input_is_told_with_its_place_and_leaves_the_old_plan() {
    let folder = folder();
    assert!(make(folder.path()).status.success());
    let old = std::fs::read(folder.path().join("plan.json")).unwrap();
    let good = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let cases = [
        ("cpu_mhz.csv", good("cpu_mhz.csv").replacen(",300,", ",3OO,", 1), "cpu_mhz.csv, line 2, column 4"),
        ("cpu_mhz.csv", String::new(), "the first line has to be"),
        ("servers.csv", "server,cores\na,1\n".into(), "no column is named cpu_cap_mhz"),
        ("hosts.toml", HOSTS.replace("price", "prize"), "unknown field `prize`"),
        ("hosts.toml", HOSTS.replace("40000", "0"), "host_type[0].cpu_mhz"),
        ("policy.toml", "fill_max = 2.1\n".into(), "fill_max"),
        ("policy.toml", "memory = \"some\"\n".into(), "unknown variant `some`"),
    ];
    for (name, text, expected) in cases {
        let right = good(name);
        std::fs::write(folder.path().join(name), text).unwrap();
        let told = make(folder.path());
        assert!(!told.status.success(), "{name}: {expected}");
        assert!(told.all_text().contains(expected), "{expected} is not in: {}", told.all_text());
        std::fs::write(folder.path().join(name), right).unwrap();
    }
    assert_eq!(std::fs::read(folder.path().join("plan.json")).unwrap(), old);
    assert!(make(folder.path()).status.success());
}

#[test]
fn rules_and_what_ifs_are_planned_and_proved() {
    let folder = folder();
    let policy = format!(
        "{POLICY}reserve = \"shared\"\n[[keep_apart]]\nname = \"pair\"\nservers = [\"s1\", \"s2\"]\n[[keep_together]]\nname = \"shop\"\nservers = [\"s3\", \"s4\"]\n"
    );
    std::fs::write(folder.path().join("policy.toml"), policy).unwrap();
    let made = make(folder.path());
    // The pair stays apart when a host fails, too, so there is a third.
    assert!(made.stdout_text().contains("10 servers on 2 hosts, and 1 spare"), "{}", made.all_text());
    assert!(verify(folder.path()).status.success());

    // What if load doubles?
    let files = ["--traces", ".", "--hosts", "hosts.toml", "--policy", "policy.toml", "--out", "double.json"];
    let made =
        tabane(folder.path(), &[&["make"], &files[..], &["--set", "growth.memory_percent=100"]].concat());
    assert!(made.status.success(), "{}", made.all_text());
    let proved = tabane(folder.path(), &["verify", "double.json", "--traces", "."]);
    assert!(proved.status.success(), "{}", proved.all_text());

    let clash = tabane(
        folder.path(),
        &[&["make"], &files[..], &["--set", "keep_apart=[{name=\"p\",servers=[\"s3\",\"s4\"]}]"]].concat(),
    );
    assert!(!clash.status.success());
    assert!(clash.all_text().contains("keep_together shop has both, too"), "{}", clash.all_text());
}

#[test]
fn a_plan_is_reported_in_both_languages_and_as_tables() {
    let folder = folder();
    let costs = "currency = \"EUR\"\nyears = 5\n[before]\nreplacement = 3000\nreplacement_years = 5\n[after]\nhost_software_year = 100\n";
    std::fs::write(folder.path().join("costs.toml"), costs).unwrap();
    let files = ["--traces", ".", "--hosts", "hosts.toml", "--policy", "policy.toml", "--out", "plan.json"];
    let made = tabane(folder.path(), &[&["make"], &files[..], &["--costs", "costs.toml"]].concat());
    assert!(
        made.stdout_text().contains("in 5 years: 30000 EUR as it is, 11000 EUR with the plan"),
        "{}",
        made.all_text()
    );
    assert!(made.stdout_text().contains("a pilot of 5 servers"), "{}", made.all_text());
    assert!(verify(folder.path()).status.success(), "{}", verify(folder.path()).all_text());

    let report = |arguments: &[&str]| {
        let told = tabane(folder.path(), &[&["report", "plan.json"], arguments].concat());
        assert!(told.status.success(), "{}", told.all_text());
        told.stdout_text()
    };
    assert!(
        report(&["--html"]).contains("10 servers become virtual machines on 1 host, and one host stands by.")
    );
    assert!(report(&["--language", "ja"]).contains("10 台のサーバーを仮想マシンとして 1 台のホスト"));
    assert!(report(&["--csv"]).contains("s3,host-001,r1,"));
    let plan: serde_json::Value = serde_json::from_str(&report(&["--json"])).unwrap();
    assert_eq!(plan["hosts"][0]["servers"].as_array().unwrap().len(), 10);
    assert_eq!(report(&["--html", "--out", "plan.html"]), "");
    assert!(std::fs::read_to_string(folder.path().join("plan.html")).unwrap().ends_with("</html>"));

    std::fs::write(folder.path().join("costs.toml"), costs.replace("100", "-100")).unwrap();
    let refused = tabane(folder.path(), &[&["make"], &files[..], &["--costs", "costs.toml"]].concat());
    assert!(!refused.status.success());
    assert!(refused.all_text().contains("after.host_software_year"), "{}", refused.all_text());
}

#[test]
fn licences_are_planned_by_the_catalogues_that_ship() {
    let folder = folder();
    let catalogues = format!("{}/../../data/licences", env!("CARGO_MANIFEST_DIR"));
    let policy = format!(
        "{POLICY}objective = \"cost\"\n[[licence]]\nproduct = \"windows-server\"\nservers = [\"s1\", \"s2\"]\neditions = [\"standard\", \"datacenter\"]\n"
    );
    std::fs::write(folder.path().join("policy.toml"), policy).unwrap();
    let files = ["--traces", ".", "--hosts", "hosts.toml", "--policy", "policy.toml", "--out", "plan.json"];
    let plan = |more: &[&str]| tabane(folder.path(), &[&["make"], &files[..], more].concat());
    let made = plan(&["--licences", &catalogues]);
    assert!(made.status.success(), "{}", made.all_text());
    // Two servers on one host of sixteen cores: one set of Standard, eight packs. Before, one each on its own.
    assert!(
        made.stdout_text().contains("licences in 5 years: 1176 USD; each server on its own: 2352 USD"),
        "{}",
        made.all_text()
    );
    assert!(verify(folder.path()).status.success(), "{}", verify(folder.path()).all_text());

    let price = "[[price]]\nproduct = \"windows-server\"\nedition = \"standard\"\nprice = { amount = \"100.00\", currency = \"USD\", term = \"perpetual\", date = \"2026-01-01\", source = { title = \"offer\", publisher = \"us\", standing = \"knowledge\" } }\n";
    std::fs::write(folder.path().join("prices.toml"), price).unwrap();
    let made = plan(&["--licences", &catalogues, "--prices", "prices.toml"]);
    assert!(made.stdout_text().contains("licences in 5 years: 800 USD"), "{}", made.all_text());
    std::fs::write(folder.path().join("prices.toml"), price.replace("windows-server", "windows-sever"))
        .unwrap();
    let refused = plan(&["--licences", &catalogues, "--prices", "prices.toml"]);
    assert!(refused.all_text().contains("no catalogue has windows-sever"), "{}", refused.all_text());
    assert!(
        plan(&[]).all_text().contains("no catalogue has windows-server: name the catalogues with --licences")
    );
}

#[test]
fn mhz_count_by_the_table_of_cpus_that_ships_and_by_ones_own_before_it() {
    let folder = folder();
    let table = format!("{}/../../data/cpus", env!("CARGO_MANIFEST_DIR"));
    let servers = std::fs::read_to_string(folder.path().join("servers.csv")).unwrap();
    let model = "Intel(R) Xeon(R) CPU E5-2690 v3 @ 2.60GHz";
    let labelled: String = servers
        .lines()
        .enumerate()
        .map(|(at, line)| format!("{line},{}\n", if at == 0 { "cpu_model" } else { model }))
        .collect();
    std::fs::write(folder.path().join("servers.csv"), labelled).unwrap();
    let files = ["--traces", ".", "--hosts", "hosts.toml", "--policy", "policy.toml", "--out", "plan.json"];
    let plan = |more: &[&str]| tabane(folder.path(), &[&["make"], &files[..], more].concat());
    assert!(!plan(&[]).all_text().contains("MHz of the reference"));
    let made = plan(&["--cpus", &table]);
    let told = made.stdout_text();
    assert!(told.contains(&format!("Known: {model} × 0.91 (10).")), "{}", made.all_text());
    assert!(told.contains("Types of hosts without a known CPU, counted as 1: r1."), "{told}");
    assert!(verify(folder.path()).status.success(), "{}", verify(folder.path()).all_text());
    let read = |path: &str| -> serde_json::Value {
        serde_json::from_str(&std::fs::read_to_string(folder.path().join(path)).unwrap()).unwrap()
    };
    let peak = || read("plan.json")["hosts"][0]["peaks"][0]["share"].as_f64().unwrap();
    // 15,000 and nine times 300 MHz, each times 0.91, of 40,000.
    assert!((peak() - 17_700.0 * 0.91 / 40_000.0).abs() < 1e-4, "{}", peak());

    let own = "as_of = \"2026-01-01\"\nreference = \"ours\"\n[[cpu]]\nname = \"measured here\"\nmodels = [\"*2690 v3*\"]\nindex = 0.333333333333\n";
    std::fs::write(folder.path().join("own.toml"), own).unwrap();
    let typed = format!("{HOSTS}cpu_model = \"AMD EPYC 7763 64-Core Processor\"\n");
    std::fs::write(folder.path().join("hosts.toml"), typed).unwrap();
    let made = plan(&["--cpus", "own.toml", "--cpus", &table]);
    assert!(made.stdout_text().contains("× 0.333333333333 (10)"), "{}", made.all_text());
    assert!((peak() - 17_700.0 / 3.0 / (40_000.0 * 1.19)).abs() < 1e-3, "{}", peak());
    assert_eq!(read("plan.json")["assumptions"]["host_types"][0]["cpu_index"], 1.19);
    assert!(verify(folder.path()).status.success(), "{}", verify(folder.path()).all_text());
    // A policy without a table leaves the plan's, by which its hosts are rated.
    let again = ["replan", "plan.json", "--traces", ".", "--policy", "policy.toml", "--out", "next.json"];
    let again = tabane(folder.path(), &again);
    assert!(again.status.success(), "{}", again.all_text());
    assert_eq!(
        read("next.json")["assumptions"]["policy"]["cpu"],
        read("plan.json")["assumptions"]["policy"]["cpu"]
    );
    let proved = tabane(folder.path(), &["verify", "next.json", "--traces", "."]);
    assert!(proved.status.success(), "{}", proved.all_text());
    // Whoever changes a factor afterwards is found out.
    let mut changed = read("plan.json");
    changed["assumptions"]["policy"]["cpu"][0]["index"] = 0.3.into();
    std::fs::write(folder.path().join("plan.json"), changed.to_string()).unwrap();
    assert!(!verify(folder.path()).status.success());

    std::fs::write(folder.path().join("own.toml"), own.replace("0.333333333333", "-1")).unwrap();
    let refused = plan(&["--cpus", "own.toml"]);
    assert!(
        refused.all_text().contains("own.toml: cpu[0].index: no number from 0.05 to 20"),
        "{}",
        refused.all_text()
    );
}

#[test]
fn support_is_judged_by_the_matrix_that_ships() {
    let folder = folder();
    let matrix = format!("{}/../../data/support", env!("CARGO_MANIFEST_DIR"));
    let servers = std::fs::read_to_string(folder.path().join("servers.csv")).unwrap();
    let labelled: String = servers
        .lines()
        .enumerate()
        .map(|(at, line)| {
            format!(
                "{line},{}\n",
                match at {
                    0 => "os",
                    1 => "VMware ESXi 8",
                    _ => "Windows Server 2022",
                }
            )
        })
        .collect();
    std::fs::write(folder.path().join("servers.csv"), labelled).unwrap();
    let files = ["--traces", ".", "--hosts", "hosts.toml", "--policy", "policy.toml", "--out", "plan.json"];
    let plan = |more: &[&str]| tabane(folder.path(), &[&["make"], &files[..], more].concat());
    let made = plan(&["--support", &matrix]);
    assert!(made.stdout_text().contains("Tabane itself is on no vendor's list"), "{}", made.all_text());
    let asked = plan(&["--support", &matrix, "--set", "support=require_conditional"]);
    assert!(
        asked.stdout_text().contains("without a host: s0: the policy asks for more support"),
        "{}",
        asked.all_text()
    );
    assert!(verify(folder.path()).status.success(), "{}", verify(folder.path()).all_text());
    let refused = plan(&["--set", "support=require"]);
    assert!(refused.all_text().contains("name it with --support"), "{}", refused.all_text());
}

#[test]
fn a_wave_is_reviewed_by_what_was_measured_since() {
    let folder = folder();
    assert!(make(folder.path()).status.success());
    let review = |more: &[&str]| {
        let files = ["review", "plan.json", "--wave", "pilot", "--traces", ".", "--measured", "."];
        tabane(folder.path(), &[&files[..], more].concat())
    };
    let open = review(&[]);
    assert!(!open.status.success());
    assert!(open.stdout_text().contains("pilot: not passed yet"), "{}", open.all_text());
    assert!(open.stdout_text().contains("not known  migrations_failed_share = ?"), "{}", open.all_text());
    let facts = "migrations_failed_share = 0.0\nguests_answering_share = 1.0\ncritical_alerts = 0.0\nbackups_failed_share = 0.0\nsources_switched_off_share = 1.0\nsaving_realised_share = 0.95\n";
    std::fs::write(folder.path().join("facts.toml"), facts).unwrap();
    // Eight days were measured, and fourteen are asked for.
    let short = review(&["--facts", "facts.toml"]);
    assert!(
        short.stdout_text().contains("not yet  days_watched = 8.0000, wanted if >= 14"),
        "{}",
        short.all_text()
    );
    let files = ["--traces", ".", "--hosts", "hosts.toml", "--policy", "policy.toml", "--out", "plan.json"];
    let made = tabane(folder.path(), &[&["make"], &files[..], &["--set", "phases.watch_days=7"]].concat());
    assert!(made.status.success(), "{}", made.all_text());
    let passed = review(&["--facts", "facts.toml"]);
    assert!(passed.status.success(), "{}", passed.all_text());
    assert!(passed.stdout_text().contains("pilot: passed: the next wave may begin"), "{}", passed.all_text());
}

#[test]
fn a_plan_goes_on_after_a_wave_with_few_moves() {
    let folder = folder();
    let policy = format!("{POLICY}fill_max = 0.5\n[phases]\npilot_servers = 2\nwave_servers = 4\n");
    std::fs::write(folder.path().join("policy.toml"), policy).unwrap();
    assert!(make(folder.path()).status.success());
    let plan: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("plan.json")).unwrap()).unwrap();
    let pilot: Vec<&str> =
        plan["waves"][0]["servers"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let replan = |more: &[&str]| {
        let files = ["replan", "plan.json", "--traces", ".", "--out", "next.json"];
        tabane(folder.path(), &[&files[..], more].concat())
    };
    let same = replan(&["--done", "pilot"]);
    assert!(same.status.success(), "{}", same.all_text());
    assert!(same.stdout_text().contains("no server is elsewhere"), "{}", same.all_text());

    // The pilot's servers were measured since, and one of them is a quarter busier.
    let measured = folder.path().join("since");
    std::fs::create_dir(&measured).unwrap();
    for name in ["servers.csv", "cpu_mhz.csv", "mem_mib.csv"] {
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        let busier = |line: &str| {
            let is_meant = name == "cpu_mhz.csv" && line.starts_with(&format!("{},", pilot[0]));
            if is_meant { line.replace("15000", "18750") } else { line.to_owned() }
        };
        let text: String = text.lines().map(|line| busier(line) + "\n").collect();
        std::fs::write(measured.join(name), text).unwrap();
    }
    let next = replan(&["--done", "pilot", "--measured", "since", "--combined", "combined"]);
    assert!(next.status.success(), "{}", next.all_text());
    assert!(!next.stdout_text().contains("have moved already"), "{}", next.all_text());
    let proved = tabane(folder.path(), &["verify", "next.json", "--traces", "combined"]);
    assert!(proved.status.success(), "{}", proved.all_text());
    // It is not what the first traces tell.
    assert!(!tabane(folder.path(), &["verify", "next.json", "--traces", "."]).status.success());

    let compared = tabane(folder.path(), &["compare", "plan.json", "next.json", "-o", "json"]);
    let compared: serde_json::Value = serde_json::from_str(&compared.stdout_text()).unwrap();
    assert_eq!(compared["a"]["name"], "plan.json");
    let moves = compared["moved"].as_array().unwrap();
    // Four others have room beside the busier one. That those move who have not come yet costs nothing.
    assert_eq!(moves.len(), 5, "{moves:?}");
    assert!(moves.iter().all(|change| !pilot.contains(&change["server"].as_str().unwrap())), "{moves:?}");

    let mixed = tabane(folder.path(), &["compare", "plan.json", "other"]);
    assert!(mixed.all_text().contains("one is a file and the other is not"), "{}", mixed.all_text());

    let unknown = replan(&["--done", "wave-9"]);
    assert!(
        unknown.all_text().contains("there is no wave wave-9; there are pilot, wave-1"),
        "{}",
        unknown.all_text()
    );
    let again = replan(&["--done", "pilot", "--measured", "since", "--combined", "combined"]);
    assert!(again.all_text().contains("there are traces already"), "{}", again.all_text());
}
