//! Answers of Prometheus to `query_range`, as JSON: one file for each query on metrics of node_exporter. What the query was is
//! told by the file's name, such as `net_rx_bytes.json`, or by the series themselves if they are counters as they are.

mod answer;
mod queries;

use std::collections::{BTreeMap, BTreeSet};

use tabane_model::Metric;

pub(super) use self::queries::rank;
use self::{
    answer::Series,
    queries::{Meaning, of_name, of_series},
};
use super::{
    Kind,
    devices::{is_disk, is_nic},
    lines::{At, Lines},
    stream::{Has, Sample, Stream},
};
use crate::Result;

/// Points that are further apart than so many times the usual say nothing of what was between.
const APART_MAX: f64 = 1.5;
/// What a CPU does when it has nothing to do.
const IDLE: [&str; 4] = ["idle", "iowait", "guest", "guest_nice"];

pub(super) fn read(mut lines: Lines, stream: &mut Stream) -> Result<()> {
    let head = lines.head()?.at;
    let answer = answer::parse(lines.text(), head)?;
    let stem = lines.stem();
    let mut rates = Rates::default();
    let mut seen = BTreeSet::new();
    for series in &answer {
        let Some(meaning) = of_series(series).or_else(|| of_name(&stem)) else {
            let what = "neither the file's name nor its series tell what was asked for; name it as the query, such as \
                        cpu_busy.json, net_rx_bytes.json; the documentation of plans lists them";
            return Err(head.wrong(what.into()));
        };
        let Some(instance) = series.metric.get("instance") else {
            let what = "a series has no label `instance`; ask with `by (instance)`";
            return Err(head.wrong(what.into()));
        };
        let server = stream.server(without_port(instance), head)?;
        let unit = match meaning {
            Meaning::Counter(metric, unit) => {
                rates.add(series, server, metric, unit, stream, head);
                continue;
            }
            Meaning::CpuSeconds => {
                rates.add_cpu(series, server, stream, head);
                continue;
            }
            Meaning::Cores | Meaning::CoreHertz | Meaning::MemTotalBytes => {
                hardware(series, server, meaning, stream, head);
                continue;
            }
            Meaning::CpuBusy => f64::from(stream.cpu_cap(server)?),
            Meaning::MemUsedBytes | Meaning::MemAvailableBytes => 1.0 / f64::from(1 << 20),
            Meaning::PerSecond(_, unit) => unit,
        };
        if !seen.insert(server) {
            let what = format!("there are two series of {instance}; add them up with `sum by (instance)`");
            return Err(head.wrong(what));
        }
        let step_ms = usual_step_ms(series);
        for (seconds, value) in &series.values {
            let to_ms = unix_ms(*seconds);
            let value = answer::number(value).map_err(|what| head.wrong(what))? * unit;
            let (metric, value) = match meaning {
                Meaning::CpuBusy => (Metric::CpuMhz, value),
                Meaning::PerSecond(metric, _) => (metric, value),
                Meaning::MemAvailableBytes => (Metric::MemMib, f64::from(stream.mem_cap(server)?) - value),
                _ => (Metric::MemMib, value),
            };
            let from_ms = to_ms - step_ms;
            stream.take(server, Sample { metric, from_ms, to_ms, value }, head)?;
        }
    }
    rates.flush(stream, head)
}

/// What a server had, the most of all times.
fn hardware(series: &Series, server: usize, meaning: Meaning, stream: &mut Stream, at: At) {
    let values = series.values.iter().filter_map(|(_, value)| answer::number(value).ok());
    let most = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
    let has = match meaning {
        Meaning::Cores => Has { cores: Some(most as u32), ..Has::default() },
        Meaning::MemTotalBytes => {
            Has { mem_cap_mib: Some((most / f64::from(1 << 20)).ceil() as u32), ..Has::default() }
        }
        // Of cores that are counted in a file that is read before.
        _ => {
            Has { cpu_cap_mhz: Some((most / 1e6 * f64::from(stream.cores(server))) as u32), ..Has::default() }
        }
    };
    stream.has(server, has, at);
}

/// Rates of counters, added up over the devices of a server at each point.
#[derive(Default)]
struct Rates {
    /// By server, metric and end; the beginning, and the sum unless one of its counters began anew.
    sums: BTreeMap<(usize, Metric, i64), (i64, Option<f64>)>,
    cpus: BTreeMap<usize, BTreeSet<String>>,
}

impl Rates {
    fn add(
        &mut self,
        series: &Series,
        server: usize,
        metric: Metric,
        unit: f64,
        stream: &mut Stream,
        at: At,
    ) {
        let device = series.metric.get("device").map_or("", |device| device);
        let counts = match metric {
            Metric::NetRxKbs | Metric::NetTxKbs => is_nic(device),
            Metric::CpuMhz => true,
            _ => is_disk(device),
        };
        if !counts {
            return;
        }
        let usual = usual_step_ms(series) as f64;
        for pair in series.values.windows(2) {
            let [(before, from), (after, to)] = pair else { continue };
            let (from_ms, to_ms) = (unix_ms(*before), unix_ms(*after));
            let (Ok(from), Ok(to)) = (answer::number(from), answer::number(to)) else { continue };
            let apart = to_ms.saturating_sub(from_ms);
            if apart <= 0 || apart as f64 > APART_MAX * usual {
                continue;
            }
            let (_, sum) = self.sums.entry((server, metric, to_ms)).or_insert((from_ms, Some(0.0)));
            if to < from {
                *sum = None;
                stream.note(Kind::CounterReset, server, at, || {
                    format!("{metric} of {device:?}: {from}, then {to}")
                });
            } else {
                *sum = sum.map(|sum| sum + (to - from) * unit / (apart as f64 / 1_000.0));
            }
        }
    }

    fn add_cpu(&mut self, series: &Series, server: usize, stream: &mut Stream, at: At) {
        let label = |name: &str| series.metric.get(name).map_or("", |value| value);
        self.cpus.entry(server).or_default().insert(label("cpu").to_owned());
        // What guests of it do is part of `user`, too.
        if !IDLE.contains(&label("mode")) {
            self.add(series, server, Metric::CpuMhz, 1.0, stream, at);
        }
    }

    fn flush(self, stream: &mut Stream, at: At) -> Result<()> {
        for (server, cpus) in &self.cpus {
            stream.has(*server, Has { cores: Some(cpus.len() as u32), ..Has::default() }, at);
        }
        for ((server, metric, to_ms), (from_ms, sum)) in self.sums {
            let Some(sum) = sum else { continue };
            let value = match self.cpus.get(&server).filter(|_| metric == Metric::CpuMhz) {
                Some(cpus) => sum / cpus.len() as f64 * f64::from(stream.cpu_cap(server)?),
                None => sum,
            };
            stream.take(server, Sample { metric, from_ms, to_ms, value }, at)?;
        }
        Ok(())
    }
}

fn usual_step_ms(series: &Series) -> i64 {
    let times = series.values.windows(2).map(|pair| unix_ms(pair[1].0).saturating_sub(unix_ms(pair[0].0)));
    times.filter(|step| *step > 0).min().unwrap_or(0)
}

fn unix_ms(seconds: f64) -> i64 {
    (seconds * 1_000.0).round() as i64
}

/// `web1:9100` is web1.
fn without_port(instance: &str) -> &str {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match instance.rsplit_once(':') {
        Some((host, port)) if is_port(port) && (!host.contains(':') || host.ends_with(']')) => host,
        _ => instance,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::rehearse, *};
    use crate::import::{
        Form, Imported,
        hardware::{Assumed, Hardware},
        stream::Binned,
    };

    fn answer(series: &str) -> String {
        format!("{{\"status\":\"success\",\"data\":{{\"resultType\":\"matrix\",\"result\":[{series}]}}}}")
    }

    fn read(name: &str, text: &str) -> Result<Imported> {
        rehearse(Form::Prometheus, text.as_bytes(), Path::new(name), 60)
    }

    fn binned(files: &[(&str, String)]) -> Binned {
        let assumed = Assumed { cores: None, core_mhz: Some(1_000), memory_mib: None };
        let mut stream = Stream::new(60, None, Hardware::read(assumed, None).unwrap());
        for (name, text) in files {
            stream.begin_file();
            super::read(Lines::new(text, Path::new(name), &|| false), &mut stream).unwrap();
        }
        stream.finish(true).unwrap()
    }

    #[test]
    fn answers_to_queries_become_loads() {
        let of = |values: &str| {
            answer(&format!("{{\"metric\":{{\"instance\":\"web1:9100\"}},\"values\":[{values}]}}"))
        };
        let binned = binned(&[
            ("cores.json", of("[86400,\"4\"]")),
            ("mem_total.json", of("[86400,\"1073741824\"]")),
            ("a_cpu_busy.json", of("[86460,\"0.5\"],[86520,\"0.25\"],[86520.0,\"NaN\"]")),
            ("mem_used.json", of("[86400,\"5242880\"]")),
        ]);
        assert_eq!(binned.servers[0].name, "web1");
        assert_eq!((binned.servers[0].cpu_cap_mhz, binned.servers[0].mem_cap_mib), (4_000, 1_024));
        assert_eq!(binned.matrix(Metric::CpuMhz).values, [2_000, 1_000]);
        assert_eq!(binned.matrix(Metric::MemMib).values[0], 5);
        assert_eq!(binned.findings[0].kind, Kind::Impossible);
    }

    #[test]
    fn counters_become_rates_and_resets_are_gaps() {
        let series = |labels: &str, values: &str| {
            format!("{{\"metric\":{{{labels},\"instance\":\"web1:9100\"}},\"values\":[{values}]}}")
        };
        let name = "\"__name__\":\"node_network_receive_bytes_total\"";
        let net = answer(
            &[
                series(
                    &format!("{name},\"device\":\"eth0\""),
                    "[86400,\"0\"],[86460,\"61440\"],[86520,\"0\"],[86580,\"61440\"],[86760,\"999999\"]",
                ),
                series(
                    &format!("{name},\"device\":\"eth1\""),
                    "[86400,\"0\"],[86460,\"61440\"],[86520,\"61440\"],[86580,\"61440\"]",
                ),
                series(&format!("{name},\"device\":\"lo\""), "[86400,\"0\"],[86460,\"999999\"]"),
            ]
            .join(","),
        );
        let name = "\"__name__\":\"node_cpu_seconds_total\"";
        let cpu = answer(
            &[
                series(&format!("{name},\"cpu\":\"0\",\"mode\":\"user\""), "[86400,\"0\"],[86460,\"30\"]"),
                series(&format!("{name},\"cpu\":\"0\",\"mode\":\"idle\""), "[86400,\"0\"],[86460,\"30\"]"),
                series(&format!("{name},\"cpu\":\"1\",\"mode\":\"idle\""), "[86400,\"0\"],[86460,\"60\"]"),
            ]
            .join(","),
        );
        let total = answer(&series("\"__name__\":\"node_memory_MemTotal_bytes\"", "[86400,\"1073741824\"]"));
        let binned = binned(&[("total.json", total), ("net.json", net), ("cpu.json", cpu)]);
        const NO: u32 = tabane_model::NO_SAMPLE;
        assert_eq!(binned.matrix(Metric::NetRxKbs).values, [2, NO, 1]);
        assert_eq!(binned.matrix(Metric::CpuMhz).values, [500, NO, NO]);
        assert_eq!(binned.servers[0].cores, 2);
        assert_eq!(binned.findings.iter().filter(|it| it.kind == Kind::CounterReset).count(), 1);
    }

    #[test]
    fn answers_of_a_real_server_are_read() {
        let busy = read("cpu_busy.json", include_str!("samples/cpu_busy.json")).unwrap();
        assert_eq!((busy.servers, busy.metrics.as_slice()), (1, [Metric::CpuMhz].as_slice()));
        // Bare, as promtool writes them.
        let received = read("receive.json", include_str!("samples/receive.json")).unwrap();
        assert_eq!((received.servers, received.metrics.as_slice()), (1, [Metric::NetRxKbs].as_slice()));
        assert!(busy.findings.is_empty() && received.findings.is_empty());
    }

    #[test]
    fn what_is_wrong_is_told() {
        let told = |name: &str, text: &str| read(name, text).unwrap_err().to_string();
        let one = "{\"metric\":{\"instance\":\"a\"},\"values\":[[86400,\"1\"]]}";
        assert!(told("x.json", &answer(one)).contains("name it as the query"));
        assert!(told("mem_used.json", &answer(&format!("{one},{one}"))).contains("sum by (instance)"));
        assert!(told("mem_used.json", "{\"status\":\n\"succ").starts_with("mem_used.json, line 2, column "));
        let failed = "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"parse error\"}";
        assert!(told("mem_used.json", failed).contains("Prometheus answered with an error: parse error"));
        let instant = answer(one).replace("matrix", "vector");
        assert!(told("mem_used.json", &instant).contains("query_range"));
    }

    #[test]
    fn ports_are_not_part_of_names() {
        assert_eq!(without_port("web1:9100"), "web1");
        assert_eq!(without_port("[fd00::1]:9100"), "[fd00::1]");
        assert_eq!(without_port("fd00::1"), "fd00::1");
        assert_eq!(without_port("web1"), "web1");
    }
}
