//! Metrics of this host and its VMs: counters, every 10 s, for the server to make rates of.
//!
//! ```text
//!   /proc, /sys ──────────────┐
//!   each QEMU, two seconds ───┴─► samples ──► buffer ──► reporter
//! ```
//!
//! Invariant: a round ends in time whatever any QEMU does. What could not be measured is left out; no value is made up.

mod buffer;
mod guest;
mod proc;

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use tabane_model::{Kind, SAMPLE_STEP_S, Sample, Uid, Vm};
use tabane_qemu::process::ProcessId;

use self::{
    guest::{Questions, Told},
    proc::{Traffic, Units},
};
use crate::{agent::Shared, network, vm::Handle};

pub use buffer::Buffer;

/// Measures for as long as the agent runs.
pub async fn run(shared: &Arc<Shared>) {
    let mut sampler = Sampler { units: Units::of_this_system(), questions: HashMap::new() };
    loop {
        // At whole steps of the clock, so that the samples of all hosts fall into the same steps.
        let step_ms = SAMPLE_STEP_S * 1000;
        let into = jiff::Timestamp::now().as_millisecond().rem_euclid(step_ms);
        tokio::time::sleep(Duration::from_millis((step_ms - into).unsigned_abs())).await;
        let round = sampler.round(shared).await;
        shared.reporter.samples(round);
    }
}

struct Sampler {
    units: Units,
    /// By the process that is asked: another QEMU has answered nothing yet.
    questions: HashMap<ProcessId, Questions>,
}

/// A VM that runs here.
struct Running {
    vm: Arc<Vm>,
    handle: Handle,
    process: ProcessId,
    cpus: u32,
}

impl Sampler {
    async fn round(&mut self, shared: &Arc<Shared>) -> Vec<Sample> {
        let running: Vec<Running> = shared
            .objects
            .vms()
            .into_iter()
            .filter_map(|vm| {
                let handle = shared.handle(&vm.meta.name)?;
                let (process, cpus) = handle.live.process()?;
                Some(Running { vm, handle, process, cpus })
            })
            .collect();
        self.questions.retain(|process, _| running.iter().any(|r| r.process == *process));
        for one in &running {
            self.questions.entry(one.process).or_default();
        }
        let at_ms = jiff::Timestamp::now().as_millisecond();
        // Files of the kernel first, all at the same moment; then all QEMUs at once.
        let nics = proc::nics(&read("/proc/net/dev"));
        let mut samples: Vec<Sample> = running
            .iter()
            .filter_map(|one| self.of_process(one, at_ms, shared.identity.agent, &nics))
            .collect();
        let host = self.of_host(shared, at_ms, &nics);
        let told = join_all(running.iter().map(async |one| {
            let (Some(live), Some(questions)) = (one.handle.live.get(), self.questions.get(&one.process))
            else {
                return (one.vm.meta.uid, Told::default());
            };
            (one.vm.meta.uid, questions.ask(live.qmp, SAMPLE_STEP_S).await)
        }));
        let mut told: HashMap<Uid, Told> = told.await.into_iter().collect();
        for sample in &mut samples {
            let told = told.remove(&sample.uid).unwrap_or_default();
            sample.memory_used_bytes = told.memory_used_bytes;
            set_disks(sample, told.disks);
        }
        samples.extend(host);
        samples
    }

    /// What is known of a VM without its QEMU's help.
    fn of_process(
        &self,
        one: &Running,
        at_ms: i64,
        agent: Uid,
        nics: &BTreeMap<String, Traffic>,
    ) -> Option<Sample> {
        let ProcessId { pid, start_time } = one.process;
        let meta = &one.vm.meta;
        let cpu_us = proc::process_cpu_us(&read(format!("/proc/{pid}/stat")), start_time, self.units)?;
        // Numbers of processes and their start times begin anew with each boot, and so do taps.
        let epoch = start_time ^ u64::from(pid) << 40;
        let mut sample = Sample::new(Kind::Vm, meta.name.clone(), meta.uid, at_ms, epoch, one.cpus.max(1));
        sample.cpu_us = Some(cpu_us);
        sample.memory_resident_bytes =
            proc::process_resident_bytes(&read(format!("/proc/{pid}/statm")), self.units);
        let taps = one.vm.spec.nics.iter().map(|nic| network::tap_name(agent, meta.uid, &nic.name));
        let found: Vec<Traffic> = taps.filter_map(|tap| nics.get(&tap).copied()).collect();
        if let Some(sum) = found.into_iter().reduce(Traffic::add) {
            // What comes in at the tap is what the guest sent.
            (sample.net_receive_bytes, sample.net_transmit_bytes) = (Some(sum.out_bytes), Some(sum.in_bytes));
        }
        Some(sample)
    }

    fn of_host(&self, shared: &Shared, at_ms: i64, nics: &BTreeMap<String, Traffic>) -> Option<Sample> {
        let host = shared.objects.host()?;
        let stat = read("/proc/stat");
        let is_cpu = |l: &&str| l.starts_with("cpu") && !l.starts_with("cpu ");
        let cpus = (stat.lines().filter(is_cpu).count() as u32).max(1);
        let epoch = stat.lines().find_map(|l| l.strip_prefix("btime ")?.trim().parse().ok()).unwrap_or(0);
        let name = host.meta.name.clone();
        let mut sample = Sample::new(Kind::Host, name, host.meta.uid, at_ms, epoch, cpus);
        sample.cpu_us = proc::busy_us(&stat, self.units);
        sample.memory_used_bytes = proc::memory_used_bytes(&read("/proc/meminfo"));
        let sys = Path::new("/sys");
        let disks = proc::disks(&read("/proc/diskstats"));
        let disks = disks.into_iter().filter(|(name, _)| proc::is_disk(name, sys)).map(|(_, t)| t);
        set_disks(&mut sample, disks.reduce(Traffic::add));
        let names: Vec<String> = nics.keys().cloned().collect();
        let uplinks = proc::uplinks(&names, sys);
        let sum = uplinks.iter().filter_map(|name| nics.get(name).copied()).reduce(Traffic::add);
        sample.net_receive_bytes = sum.map(|sum| sum.in_bytes);
        sample.net_transmit_bytes = sum.map(|sum| sum.out_bytes);
        Some(sample)
    }
}

fn set_disks(sample: &mut Sample, traffic: Option<Traffic>) {
    sample.disk_read_bytes = traffic.map(|t| t.in_bytes);
    sample.disk_read_ops = traffic.map(|t| t.in_operations);
    sample.disk_write_bytes = traffic.map(|t| t.out_bytes);
    sample.disk_write_ops = traffic.map(|t| t.out_operations);
}

/// A file of the kernel; empty if it is not there any more.
fn read(path: impl AsRef<Path>) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
