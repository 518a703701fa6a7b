//! What becomes of a foreign machine here: decided and shown before anything is made.

use anyhow::{Context as _, Result, bail};
use tabane_convert::ovf::machine::{Controller, Machine};
use tabane_model::{
    CloneMode, Faults, Firmware, Mac, Meta, NAME_LENGTH_MAX, Name, Nic, Power, Resource, Vm, VmDisk, VmSpec,
    format_bytes,
};

use super::package::Package;
use crate::{
    arguments::VmImport,
    commands::{create::DEFAULT_NETWORK, upload::Content},
    output,
};

/// Carries the package's digest, on the VM and on the images on the way to it.
pub const LABEL: &str = "imported-from";
/// Writers round capacities to their unit.
const CAPACITY_UNIT: u64 = 1 << 30;

pub struct Plan {
    pub vm: Vm,
    pub disks: Vec<Disk>,
    lines: Vec<String>,
    notes: Vec<String>,
}

/// A disk that comes from a file of the package.
pub struct Disk {
    pub image: Name,
    /// In the package.
    pub file: String,
    pub content: Content,
    pub size_bytes_max: u64,
}

/// What the packer's words became.
pub fn plan(machine: &Machine, package: &Package, import: &VmImport, networks: &[Name]) -> Result<Plan> {
    let name = name(machine, import)?;
    let mut spec = VmSpec::new(machine.cpus, machine.memory_bytes);
    spec.firmware = machine.firmware;
    spec.power = if import.start { Power::On } else { Power::Off };
    spec.placement.host = import.host.clone();
    let mut notes = Vec::new();
    let mut disk_rows = Vec::new();
    let mut disks = Vec::new();
    for (i, disk) in machine.disks.iter().enumerate() {
        let inside: Name = if i == 0 { "root".parse()? } else { format!("disk{}", i + 1).parse()? };
        let image = match &disk.file {
            None => None,
            Some(file) => {
                let image = Name::new(format!("import-{name}-{inside}"))
                    .context("the VM's name is too long; give a shorter one with --name")?;
                disks.push(Disk {
                    image: image.clone(),
                    file: file.clone(),
                    content: package.content(file)?,
                    size_bytes_max: disk.capacity_bytes.next_multiple_of(CAPACITY_UNIT),
                });
                Some(image)
            }
        };
        disk_rows.push(vec![
            inside.to_string(),
            format_bytes(disk.capacity_bytes),
            disk.file.clone().unwrap_or_else(|| "(blank)".into()),
            format!("{}, {}", shown(&disk.label), controller(disk.controller)),
        ]);
        spec.disks.push(VmDisk {
            name: inside,
            disk: None,
            image,
            size_bytes: Some(disk.capacity_bytes.next_multiple_of(512)),
            pool: import.pool.clone(),
            from: None,
            clone: CloneMode::Full,
            keep: false,
            bus: Default::default(),
            limits: Default::default(),
        });
    }
    let mut nic_rows = Vec::new();
    for (i, nic) in machine.nics.iter().enumerate() {
        let network = network(nic.network.as_deref(), import, networks, &mut notes)?;
        let mac: Option<Mac> = match nic.mac.as_deref().filter(|_| import.keep_macs) {
            Some(mac) => Some(mac.parse().with_context(|| format!("the package has the MAC {mac:?}"))?),
            None => None,
        };
        let inside: Name = format!("nic{i}").parse()?;
        nic_rows.push(vec![
            inside.to_string(),
            network.to_string(),
            mac.map_or_else(|| "new".into(), |mac| mac.to_string()),
            [&nic.network, &nic.model].into_iter().flatten().cloned().collect::<Vec<_>>().join(", "),
        ]);
        spec.nics.push(Nic {
            name: inside,
            network,
            mac,
            address: None,
            forwards: Vec::new(),
            model: Default::default(),
            limits: Default::default(),
        });
    }
    notes.extend(warnings(machine, package));
    let mut lines = vec![
        format!("{:<10}{name}", "VM"),
        format!("{:<10}{}", "System", machine.os.as_deref().unwrap_or("not stated")),
        format!("{:<10}{}{}", "CPUs", machine.cpus, configurations(machine)),
        format!("{:<10}{}", "Memory", format_bytes(machine.memory_bytes)),
        format!("{:<10}{}", "Firmware", machine.firmware),
    ];
    for (headers, rows) in
        [(["DISK", "SIZE", "FROM", "WAS"], disk_rows), (["NIC", "NETWORK", "MAC", "WAS"], nic_rows)]
    {
        if !rows.is_empty() {
            lines.push(output::table(&headers, rows.into_iter()));
        }
    }
    let mut meta = Meta::new(name);
    meta.labels = import.labels.iter().cloned().collect();
    meta.labels.insert(LABEL.into(), package.digest());
    let vm = Vm::new(meta, spec);
    let mut faults = Faults::default();
    vm.validate(&mut faults);
    if !faults.is_empty() {
        let told = faults.0.iter().map(|f| format!("{}: {}; {}", f.field, f.message, f.hint));
        bail!("this machine cannot be made here:\n  {}", told.collect::<Vec<_>>().join("\n  "));
    }
    Ok(Plan { vm, disks, lines, notes })
}

impl Plan {
    pub fn show(&self) {
        for line in &self.lines {
            eprintln!("{line}");
        }
        for note in &self.notes {
            eprintln!("Note: {note}");
        }
    }
}

fn name(machine: &Machine, import: &VmImport) -> Result<Name> {
    if let Some(name) = &import.name {
        return Ok(name.clone());
    }
    let theirs = machine.name.clone().unwrap_or_default();
    let mut name = String::new();
    for c in theirs.chars() {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_lowercase() || c.is_ascii_digit() => name.push(c),
            _ if !name.is_empty() && !name.ends_with('-') => name.push('-'),
            _ => {}
        }
    }
    name.truncate(NAME_LENGTH_MAX);
    Name::new(name.trim_end_matches('-')).with_context(|| {
        format!("the package calls the machine {theirs:?}; say with --name what it is to be called")
    })
}

/// What was asked for, or the network of the same name, or the default.
fn network(theirs: Option<&str>, import: &VmImport, known: &[Name], notes: &mut Vec<String>) -> Result<Name> {
    let mapped = import.networks.iter().find(|(from, _)| from.is_some() && from.as_deref() == theirs);
    let for_all = import.networks.iter().find(|(from, _)| from.is_none());
    if let Some((_, ours)) = mapped.or(for_all) {
        if !known.contains(ours) {
            bail!("there is no network {ours}; see `tabane network list`");
        }
        return Ok(ours.clone());
    }
    let theirs = theirs.unwrap_or_default();
    if let Some(same) = known.iter().find(|name| name.as_str() == theirs) {
        return Ok(same.clone());
    }
    notes.push(format!(
        "there is no network {theirs:?} here: the nic goes into {DEFAULT_NETWORK}; choose with --network {:?}",
        format!("{theirs}=NETWORK")
    ));
    Ok(DEFAULT_NETWORK.parse()?)
}

fn warnings(machine: &Machine, package: &Package) -> Vec<String> {
    let mut notes = Vec::new();
    let foreign = machine.disks.iter().any(|disk| disk.controller != Controller::Virtio);
    let windows = machine.os.as_deref().is_some_and(|os| os.to_lowercase().contains("win"));
    if foreign && windows {
        notes.push(
            "disks and nics are virtio here: install the virtio drivers in Windows before you export it"
                .into(),
        );
    } else if foreign {
        notes.push(
            "disks and nics are virtio here: names such as /dev/sda and eth0 may change in the guest".into(),
        );
    }
    if machine.firmware != Firmware::Bios {
        notes.push(
            "settings of the firmware are not taken over: the guest boots from its fallback loader".into(),
        );
    }
    if package.manifest.is_none() {
        notes.push("the package has no manifest: nobody can tell whether it was damaged".into());
    }
    notes.extend(machine.left_out.iter().map(|what| format!("left out: {what}")));
    notes
}

fn configurations(machine: &Machine) -> String {
    let Some(chosen) = &machine.configuration else { return String::new() };
    let others: Vec<&str> = machine
        .configurations
        .iter()
        .map(|configuration| configuration.id.as_str())
        .filter(|id| id != chosen)
        .collect();
    match others.is_empty() {
        true => format!(" (configuration {chosen})"),
        false => format!(" (configuration {chosen}; there are also: {})", others.join(", ")),
    }
}

fn shown(label: &str) -> &str {
    if label.is_empty() { "a disk" } else { label }
}

fn controller(controller: Controller) -> &'static str {
    match controller {
        Controller::Ide => "IDE",
        Controller::Sata => "SATA",
        Controller::Scsi => "SCSI",
        Controller::Nvme => "NVMe",
        Controller::Virtio => "virtio",
        Controller::Unknown => "bus not stated",
    }
}
