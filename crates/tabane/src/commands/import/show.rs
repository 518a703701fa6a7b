//! The plan on the terminal, before anything is made, and what was chosen there.

use tabane_model::{
    NetworkChoice, PackageBus, PackageChoices, PackageDisk, PackageNic, PackageNote, PackagePlan,
    format_bytes,
};

use crate::{arguments::VmImport, output};

pub fn choices(import: &VmImport) -> PackageChoices {
    let networks = import
        .networks
        .iter()
        .map(|(theirs, network)| NetworkChoice { theirs: theirs.clone(), network: network.clone() });
    PackageChoices {
        name: import.name.clone(),
        pool: import.pool.clone(),
        networks: networks.collect(),
        configuration: import.configuration.clone(),
        keep_macs: import.keep_macs,
        host: import.host.clone(),
        labels: import.labels.iter().cloned().collect(),
        start: import.start,
    }
}

pub fn plan(plan: &PackagePlan) {
    let spec = &plan.vm.spec;
    eprintln!("{:<10}{}", "VM", plan.vm.meta.name);
    eprintln!("{:<10}{}", "System", plan.os.as_deref().unwrap_or("not stated"));
    eprintln!("{:<10}{}{}", "CPUs", spec.cpus, configurations(plan));
    eprintln!("{:<10}{}", "Memory", format_bytes(spec.memory_bytes));
    eprintln!("{:<10}{}", "Firmware", spec.firmware);
    if !plan.disks.is_empty() {
        eprintln!("{}", output::table(&["DISK", "SIZE", "FROM", "WAS"], plan.disks.iter().map(disk)));
    }
    if !plan.nics.is_empty() {
        let macs = spec.nics.iter().map(|nic| nic.mac.map_or_else(|| "new".into(), |mac| mac.to_string()));
        let rows = plan.nics.iter().zip(macs).map(|(nic, mac)| self::nic(nic, mac));
        eprintln!("{}", output::table(&["NIC", "NETWORK", "MAC", "WAS"], rows));
    }
    for nic in plan.nics.iter().filter(|nic| nic.by_default) {
        let theirs = nic.theirs.as_deref().unwrap_or_default();
        eprintln!(
            "Note: there is no network {theirs:?} here: the nic goes into {}; choose with --network {:?}",
            nic.network,
            format!("{theirs}=NETWORK")
        );
    }
    for note in &plan.notes {
        eprintln!("Note: {}", told(*note));
    }
    for what in &plan.left_out {
        eprintln!("Note: left out: {what}");
    }
}

pub fn licences(licences: &[String]) {
    eprintln!("\nThe package comes with this licence:");
    for licence in licences {
        let lines = licence.lines().map(|line| line.replace(|c: char| c.is_control() && c != '\t', " "));
        eprintln!("\n{}", lines.collect::<Vec<_>>().join("\n"));
    }
}

fn disk(disk: &PackageDisk) -> Vec<String> {
    let label = if disk.label.is_empty() { "a disk" } else { &disk.label };
    let bus = match disk.bus {
        PackageBus::Unknown => "bus not stated",
        bus => bus.as_str(),
    };
    vec![
        disk.name.to_string(),
        format_bytes(disk.capacity_bytes),
        disk.content.as_ref().map_or_else(|| "(blank)".into(), |content| content.file.clone()),
        format!("{label}, {bus}"),
    ]
}

fn nic(nic: &PackageNic, mac: String) -> Vec<String> {
    let was = [&nic.theirs, &nic.model].into_iter().flatten().cloned().collect::<Vec<_>>().join(", ");
    vec![nic.name.to_string(), nic.network.to_string(), mac, was]
}

fn told(note: PackageNote) -> &'static str {
    match note {
        PackageNote::WindowsDrivers => {
            "Windows gets SATA disks and e1000e nics, which it has drivers for; virtio ones are faster"
        }
        PackageNote::VirtioNames => {
            "disks and nics are virtio here: names such as /dev/sda and eth0 may change in the guest"
        }
        PackageNote::FirmwareSettings => {
            "settings of the firmware are not taken over: the guest boots from its fallback loader"
        }
        PackageNote::NoManifest => "the package has no manifest: nobody can tell whether it was damaged",
    }
}

fn configurations(plan: &PackagePlan) -> String {
    let Some(chosen) = &plan.configuration else { return String::new() };
    let others: Vec<&str> =
        plan.configurations.iter().map(|one| one.id.as_str()).filter(|id| id != chosen).collect();
    match others.is_empty() {
        true => format!(" (configuration {chosen})"),
        false => format!(" (configuration {chosen}; there are also: {})", others.join(", ")),
    }
}
