//! Metrics of real guests: what they do is seen, a QEMU that stands still stops nobody, and a real Prometheus reads it.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tabane_client::{Client, Target};

use crate::world::{Texts, World};

/// The last values of a series, null for gaps.
fn last(world: &World, vm: &str, series: &str, count: usize) -> Vec<Option<f64>> {
    let answer: Value = serde_json::from_str(&world.ok(&["vm", "metrics", vm, "-o", "json"])).unwrap();
    let values: Vec<Option<f64>> =
        answer["series"][series].as_array().unwrap().iter().map(Value::as_f64).collect();
    values[values.len().saturating_sub(count)..].to_vec()
}

/// The highest value of the last two minutes.
fn highest(world: &World, vm: &str, series: &str) -> f64 {
    last(world, vm, series, 12).into_iter().flatten().fold(f64::MIN, f64::max)
}

fn exposition(world: &World) -> (String, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client =
            Client::connect(Target::Local(world.path().join("server/api.sock")), None).await.unwrap();
        let began = Instant::now();
        (client.exposition().await.unwrap(), began.elapsed())
    })
}

#[test]
fn e2e_the_load_of_a_guest_is_measured() {
    let world = World::with_tiny();
    if Command::new("id").arg("-u").output().unwrap().stdout != b"0\n" {
        eprintln!("not root: bridges cannot be made, so nothing is tested");
        return;
    }
    world.ok(&["network", "create", "lan", "--cidr", "10.231.7.0/24"]);
    world.tiny_vm("a", &["--network", "lan"]);
    world.tiny_vm("b", &["--network", "lan"]);
    world.eventually("both are measured", || {
        ["a", "b"].iter().all(|vm| highest(&world, vm, "memory_used_bytes") > 10e6)
    });

    // A busy loop, a file that is written and read back, and a stream from a to b.
    world.exec("a", "(timeout 60 sh -c 'while :; do :; done') > /dev/null 2>&1 &");
    world.eventually("the loop shows", || highest(&world, "a", "cpu_ratio") > 0.4);
    let script = "dd if=/dev/zero of=/mnt/file bs=1M count=40 conv=fsync 2> /dev/null; \
                  echo 3 > /proc/sys/vm/drop_caches; cat /mnt/file > /dev/null; rm /mnt/file";
    world.exec("b", script);
    world.eventually("the disk shows", || {
        highest(&world, "b", "disk_write_bytes_per_s") > 2e6
            && highest(&world, "b", "disk_read_bytes_per_s") > 2e6
            && highest(&world, "b", "disk_write_ops_per_s") > 1.0
    });
    world.eventually("b is found by name", || {
        world.exec("a", "ping -c 1 -w 5 b > /dev/null && echo yes || true") == "yes\n"
    });
    // Its input stays open: at the end of it nc closes the connection, and the sender ends with it.
    world.exec("b", "(sleep 120 | timeout 120 nc -l -p 5000 > /dev/null) > /dev/null 2>&1 &");
    world.exec("a", "sleep 1; dd if=/dev/zero bs=64k count=128 2> /dev/null | timeout 100 nc b 5000");
    world.eventually("the traffic shows, as each of them sees it", || {
        highest(&world, "a", "net_transmit_bytes_per_s") > 3e5
            && highest(&world, "b", "net_receive_bytes_per_s") > 3e5
    });
    assert!(
        highest(&world, "a", "net_receive_bytes_per_s")
            < highest(&world, "a", "net_transmit_bytes_per_s") / 3.0
    );
    assert!(highest(&world, "b", "cpu_ratio") <= 1.0);

    // The same from the command line, and of the host.
    let top = world.ok(&["vm", "top"]);
    assert!(top.starts_with("NAME") && top.lines().count() == 3, "{top}");
    let top: Value = serde_json::from_str(&world.ok(&["host", "top", "-o", "json"])).unwrap();
    assert!(top[0]["values"]["cpu_ratio"].as_f64().unwrap() > 0.01, "{top}");
    assert!(top[0]["values"]["memory_used_bytes"].as_f64().unwrap() > 1e8, "{top}");
    // Of the last minutes alone: in a chart of an hour all this may stand in one column.
    let from = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() - 300;
    let charts = world.ok(&["vm", "metrics", "a", "--from", &from.to_string()]);
    assert!(charts.contains("cpu_ratio") && charts.contains('▁'), "{charts}");

    // A VM of the same name begins anew.
    world.ok(&["vm", "delete", "a", "--wait", "deleted"]);
    let create = ["vm", "create", "a", "--image", "tiny", "--memory", "192MiB"];
    world.ok(&create);
    assert!(last(&world, "a", "cpu_ratio", 1000).iter().all(Option::is_none));
}

#[test]
fn e2e_a_qemu_that_stands_still_stops_no_metrics() {
    let world = World::with_tiny();
    world.tiny_vm("a", &[]);
    world.tiny_vm("b", &[]);
    world.eventually("both are measured", || {
        ["a", "b"].iter().all(|vm| highest(&world, vm, "disk_read_bytes_per_s") >= 0.0)
    });
    let pid = world.vm_pid("a").to_string();
    assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
    let frozen = Instant::now();
    let mut times = Vec::new();
    while frozen.elapsed() < Duration::from_secs(55) {
        let (text, took) = exposition(&world);
        assert!(text.contains("tabane_vm_cpu_seconds_total{vm=\"b\",host=\"h1\"}"), "{text}");
        times.push(took);
        std::thread::sleep(Duration::from_millis(500));
    }
    times.sort();
    eprintln!(
        "/metrics with a frozen QEMU: median {:?}, longest {:?}",
        times[times.len() / 2],
        times.last().unwrap()
    );
    assert!(times[times.len() * 9 / 10] < Duration::from_millis(100), "{times:?}");
    // The other one was measured all the time; of the frozen one that it did nothing, and no more.
    let of_b = last(&world, "b", "disk_read_bytes_per_s", 6);
    assert!(of_b[..4].iter().all(Option::is_some), "{of_b:?}");
    let of_a = last(&world, "a", "disk_read_bytes_per_s", 5);
    assert!(of_a[..3].iter().all(Option::is_none), "{of_a:?}");
    assert_eq!(last(&world, "a", "cpu_ratio", 5)[..3], [Some(0.0); 3]);
    assert!(Command::new("kill").args(["-CONT", &pid]).status().unwrap().success());
    world.eventually("it is measured again", || {
        last(&world, "a", "disk_read_bytes_per_s", 3).iter().any(Option::is_some)
    });
}

#[test]
fn e2e_a_server_that_was_away_leaves_no_gap() {
    let mut world = World::start();
    let token = world.ok(&["token", "create", "joiner", "--role", "join"]).trim().to_owned();
    world.join("h2", &token);
    let cpu = |world: &World| -> Vec<(i64, Option<f64>)> {
        let answer: Value =
            serde_json::from_str(&world.ok(&["host", "metrics", "h2", "-o", "json"])).unwrap();
        let times = answer["times"].as_array().unwrap().iter().map(|time| time.as_i64().unwrap());
        times.zip(answer["series"]["cpu_ratio"].as_array().unwrap().iter().map(Value::as_f64)).collect()
    };
    let known = |world: &World| cpu(world).iter().filter(|(_, value)| value.is_some()).count();
    world.eventually("the other host is measured", || known(&world) >= 2);

    // Killed, and away for longer than one missed sample would explain.
    world.listen = world.url().split("//").nth(1).unwrap().split('/').next().unwrap().to_owned();
    world.kill_up();
    let killed_at = jiff::Timestamp::now().as_second();
    std::thread::sleep(Duration::from_secs(45));
    world.up();
    world.eventually("what was measured meanwhile is there", || {
        cpu(&world).iter().any(|(time, value)| *time > killed_at + 40 && value.is_some())
    });
    let all = cpu(&world);
    let first = all.iter().position(|(_, value)| value.is_some()).unwrap();
    let last = all.iter().rposition(|(_, value)| value.is_some()).unwrap();
    assert!(last - first >= 6, "{all:?}");
    assert!(all[first..=last].iter().all(|(_, value)| value.is_some()), "{:?}", &all[first..=last]);
}

/// A Prometheus that ends with the test.
struct Prometheus(Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The answer to a query; null while Prometheus does not answer.
fn query(port: u16, query: &str) -> Value {
    let ask = || -> std::io::Result<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET /api/v1/query?query={query} HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap_or_default())?)
    };
    ask().map(|answer| answer["data"]["result"][0]["value"][1].clone()).unwrap_or_default()
}

#[test]
fn e2e_prometheus_scrapes_over_tls_with_a_token() {
    let world = World::start();
    let token = world.ok(&["token", "create", "prometheus", "--role", "viewer", "-o", "json"]);
    let token: Value = serde_json::from_str(&token).unwrap();
    let folder = world.path().join("prometheus");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("token"), token["secret"].as_str().unwrap()).unwrap();
    let url = world.url();
    let target = url.split("//").nth(1).unwrap().split('/').next().unwrap();
    let ca = Command::new("curl").args(["-sk", &format!("https://{target}/v1/ca.pem")]).output().unwrap();
    std::fs::write(folder.join("ca.pem"), &ca.stdout).unwrap();
    // As in docs/howto/monitor-with-prometheus.md.
    let configuration = format!(
        "scrape_configs:\n  - job_name: tabane\n    scheme: https\n    scrape_interval: 2s\n    \
         authorization:\n      credentials_file: {0}/token\n    tls_config:\n      ca_file: {0}/ca.pem\n    \
         static_configs:\n      - targets: [\"{target}\"]\n",
        folder.display()
    );
    std::fs::write(folder.join("prometheus.yml"), configuration).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let prometheus = Command::new("prometheus")
        .arg(format!("--config.file={}/prometheus.yml", folder.display()))
        .arg(format!("--storage.tsdb.path={}/data", folder.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("`apt install prometheus` has it");
    let _prometheus = Prometheus(prometheus);
    let number = |text: &str| query(port, text).as_str().and_then(|text| text.parse::<f64>().ok());
    world.eventually("Prometheus scrapes", || {
        assert!(!std::fs::read_to_string(folder.join("log")).unwrap().contains("level=error"));
        number("up{job=\"tabane\"}") == Some(1.0)
    });
    world.eventually("the host's CPU is there", || {
        number("tabane_host_cpu_seconds_total{host=\"h1\"}").is_some_and(|seconds| seconds > 1.0)
    });
    assert_eq!(number("tabane_host_up"), Some(1.0));
    assert_eq!(number("sum(tabane_vms)"), Some(0.0));
    assert!(number("tabane_build_info") == Some(1.0));
    world.eventually("durations are histograms", || {
        number("histogram_quantile(0.99,sum(rate(tabane_api_request_duration_seconds_bucket[1m]))by(le))")
            .is_some_and(|seconds| seconds > 0.0)
    });
    // Another one's token does not.
    let output = Command::new("curl")
        .args(["-sk", "-o", "/dev/null", "-w", "%{http_code}", &format!("https://{target}/metrics")])
        .output()
        .unwrap();
    assert_eq!(output.stdout_text(), "401");
}
