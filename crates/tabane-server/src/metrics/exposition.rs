//! What Prometheus scrapes: OpenMetrics text, from memory alone.
//!
//! Invariant: labels name VMs and hosts that exist, patterns of paths, and words of ours; nothing that a stranger makes
//! up becomes a label, so the number of series is bounded by the number of VMs and hosts.

use std::{collections::BTreeMap, fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::{Registry, Unit},
};
use tabane_model::{Host, HostPhase, Kind, Name, Resource, Sample, Vm, VmPhase};

use crate::app::App;

/// Everything, as text.
pub fn text(app: &Arc<App>) -> String {
    let mut registry = Registry::default();
    let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("tabane_build", "The version that runs", build);
    app.metrics.requests.register(&mut registry);
    registry.register_collector(Box::new(Everything(app.clone())));
    let mut text = String::new();
    text::encode(&mut text, &registry).expect("a string takes all that is written to it");
    text
}

struct Everything(Arc<App>);

impl fmt::Debug for Everything {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Everything")
    }
}

/// Whose a value is: a host's, or a VM's on a host.
struct Labels {
    vm: Option<Name>,
    host: Option<Name>,
}

impl Labels {
    fn pairs(&self) -> Vec<(&'static str, &str)> {
        let vm = self.vm.as_ref().map(|name| ("vm", name.as_str()));
        let host = self.host.as_ref().map(|name| ("host", name.as_str()));
        vm.into_iter().chain(host).collect()
    }
}

/// One family of values that is had from samples.
struct Counted {
    name: &'static str,
    help: &'static str,
    unit: Unit,
    value: fn(&Sample) -> Option<f64>,
}

fn number(value: Option<u64>) -> Option<f64> {
    value.map(|v| v as f64)
}

/// Counters, named without `tabane_vm_` or `tabane_host_` before and `_total` behind.
const COUNTERS: [Counted; 7] = [
    Counted {
        name: "cpu",
        help: "CPU time used",
        unit: Unit::Seconds,
        value: |s| Some(s.cpu_us? as f64 / 1e6),
    },
    Counted {
        name: "disk_read",
        help: "Read from disks",
        unit: Unit::Bytes,
        value: |s| number(s.disk_read_bytes),
    },
    Counted {
        name: "disk_written",
        help: "Written to disks",
        unit: Unit::Bytes,
        value: |s| number(s.disk_write_bytes),
    },
    Counted {
        name: "disk_reads",
        help: "Read operations on disks",
        unit: Unit::Other(String::new()),
        value: |s| number(s.disk_read_ops),
    },
    Counted {
        name: "disk_writes",
        help: "Write operations on disks",
        unit: Unit::Other(String::new()),
        value: |s| number(s.disk_write_ops),
    },
    Counted {
        name: "network_receive",
        help: "Received by nics; of VMs without those in networks of kind user",
        unit: Unit::Bytes,
        value: |s| number(s.net_receive_bytes),
    },
    Counted {
        name: "network_transmit",
        help: "Sent by nics; of VMs without those in networks of kind user",
        unit: Unit::Bytes,
        value: |s| number(s.net_transmit_bytes),
    },
];

impl Collector for Everything {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let app = &self.0;
        let (vms, hosts) = (app.cache.all::<Vm>(), app.cache.all::<Host>());
        phases(&mut encoder, "tabane_vms", "VMs by phase", VmPhase::WORDS, vms.iter().map(|vm| vm.phase()))?;
        phases(
            &mut encoder,
            "tabane_hosts",
            "Hosts by phase",
            HostPhase::WORDS,
            hosts.iter().map(|h| h.phase()),
        )?;

        let of_vm = |vm: &Vm| Labels { vm: Some(vm.meta.name.clone()), host: vm.spec.host.clone() };
        let of_host = |host: &Host| Labels { vm: None, host: Some(host.meta.name.clone()) };
        let running = |vm: &Vm| f64::from(u8::from(vm.status.phase == VmPhase::Running));
        let ready = |host: &Host| f64::from(u8::from(host.status.phase == HostPhase::Ready));
        gauges(
            &mut encoder,
            "tabane_vm_running",
            "1 while the VM runs",
            None,
            vms.iter().map(|vm| (of_vm(vm), running(vm))),
        )?;
        let cpus = vms.iter().map(|vm| (of_vm(vm), f64::from(vm.spec.cpus)));
        gauges(&mut encoder, "tabane_vm_cpus", "CPUs that the VM is to have", None, cpus)?;
        let memory = vms.iter().map(|vm| (of_vm(vm), vm.spec.memory_bytes as f64));
        gauges(&mut encoder, "tabane_vm_memory", "Memory that the VM is to have", Some(Unit::Bytes), memory)?;
        gauges(
            &mut encoder,
            "tabane_host_up",
            "1 while the host's agent is heard",
            None,
            hosts.iter().map(|h| (of_host(h), ready(h))),
        )?;
        let cpus = hosts.iter().map(|h| (of_host(h), f64::from(h.status.cpus)));
        gauges(&mut encoder, "tabane_host_cpus", "CPUs of the host", None, cpus)?;
        let memory = hosts.iter().map(|h| (of_host(h), h.status.memory_bytes as f64));
        gauges(&mut encoder, "tabane_host_memory", "Memory of the host", Some(Unit::Bytes), memory)?;

        let hosts_of: BTreeMap<_, _> = vms.iter().map(|vm| (vm.meta.uid, vm.spec.host.clone())).collect();
        let mut samples = [("vm", Vec::new()), ("host", Vec::new())];
        for (sample, _) in app.metrics.fresh(Kind::Vm) {
            if let Some(host) = hosts_of.get(&sample.uid) {
                samples[0].1.push((Labels { vm: Some(sample.name.clone()), host: host.clone() }, sample));
            }
        }
        for (sample, _) in app.metrics.fresh(Kind::Host) {
            samples[1].1.push((Labels { vm: None, host: Some(sample.name.clone()) }, sample));
        }
        for (kind, samples) in &mut samples {
            samples.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
            measured(&mut encoder, kind, samples)?;
        }
        Ok(())
    }
}

/// What hosts measured, of VMs or of themselves.
fn measured(encoder: &mut DescriptorEncoder, kind: &str, samples: &[(Labels, Sample)]) -> fmt::Result {
    for counted in &COUNTERS {
        let unit = Some(&counted.unit).filter(|unit| !unit.as_str().is_empty());
        let name = format!("tabane_{kind}_{}", counted.name);
        let mut family = encoder.encode_descriptor(&name, counted.help, unit, MetricType::Counter)?;
        for (labels, sample) in samples {
            if let Some(value) = (counted.value)(sample) {
                ConstCounter::new(value).encode(family.encode_family(&labels.pairs())?)?;
            }
        }
    }
    let used = samples.iter().filter_map(|(l, s)| Some((l, s.memory_used_bytes? as f64)));
    let help = if kind == "vm" { "Memory in use, by the guest's word" } else { "Memory in use" };
    gauges_of(encoder, &format!("tabane_{kind}_memory_used"), help, Some(Unit::Bytes), used)?;
    if kind == "vm" {
        let resident = samples.iter().filter_map(|(l, s)| Some((l, s.memory_resident_bytes? as f64)));
        let help = "Memory of the host that the VM's process holds";
        gauges_of(encoder, "tabane_vm_memory_resident", help, Some(Unit::Bytes), resident)?;
    }
    Ok(())
}

fn gauges(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    unit: Option<Unit>,
    values: impl Iterator<Item = (Labels, f64)>,
) -> fmt::Result {
    let values: Vec<_> = values.collect();
    gauges_of(encoder, name, help, unit, values.iter().map(|(labels, value)| (labels, *value)))
}

fn gauges_of<'a>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    unit: Option<Unit>,
    values: impl Iterator<Item = (&'a Labels, f64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
    for (labels, value) in values {
        ConstGauge::new(value).encode(family.encode_family(&labels.pairs())?)?;
    }
    Ok(())
}

/// How many there are in each phase; a phase that nobody is in is 0, so that it can be drawn and watched.
fn phases(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    all: &[&'static str],
    found: impl Iterator<Item = &'static str>,
) -> fmt::Result {
    let mut counts: BTreeMap<&str, u64> = all.iter().map(|phase| (*phase, 0)).collect();
    found.for_each(|phase| *counts.entry(phase).or_default() += 1);
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (phase, count) in counts {
        ConstGauge::new(count as f64).encode(family.encode_family(&[("phase", phase)])?)?;
    }
    Ok(())
}
