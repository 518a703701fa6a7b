//! What becomes of a foreign machine here, decided before anything is made.
//!
//! ```text
//!   descriptor, manifest, names of files ─► plan: a VM, images of its disks, what to know before
//!                                             ▲ choices: name, networks, configuration, …
//! ```
//!
//! The one planner: the command line asks it on the machine where the package is, the console by way of a host.
//!
//! Invariant: a plan names files of the package alone, and makes nothing by itself.

use sha2::{Digest as _, Sha256};
use tabane_model::{
    CloneMode, DEFAULT_NETWORK, DiskBus, DiskLimits, Faults, Firmware, IMPORTED_FROM, Mac, Meta,
    NAME_LENGTH_MAX, Name, Nic, NicLimits, NicModel, PackageBus, PackageChoices, PackageContent,
    PackageDigest, PackageDisk, PackageNic, PackageNote, PackagePlan, PackageRequest, Power, Resource, Vm,
    VmDisk, VmSpec, format_bytes,
    package_bounds::{DESCRIPTOR_BYTES_MAX, FILES_MAX, MANIFEST_BYTES_MAX},
};

use crate::{
    Error, Result,
    ova::manifest::{Digests, Manifest},
    ovf::{
        self,
        machine::{Disk, Machine},
    },
};

/// Writers round capacities to their unit.
const CAPACITY_UNIT: u64 = 1 << 30;

/// The plan for a package, on a server that has these networks.
pub fn plan(request: &PackageRequest, networks: &[Name]) -> Result<PackagePlan> {
    bounded(request)?;
    let manifest = request.manifest.as_deref().map(Manifest::parse).transpose()?;
    check_descriptor(request, manifest.as_ref())?;
    let choices = &request.choices;
    let machine = ovf::machine(&request.descriptor, choices.configuration.as_deref())?;
    let name = name(&machine, choices)?;
    let mut spec = VmSpec::new(machine.cpus, machine.memory_bytes);
    spec.firmware = machine.firmware;
    spec.power = if choices.start { Power::On } else { Power::Off };
    spec.placement.host.clone_from(&choices.host);
    // Other guests have virtio drivers.
    let windows = is_windows(&machine);
    let mut disks = Vec::new();
    for (i, disk) in machine.disks.iter().enumerate() {
        let disk = disk_of(i, disk, &name, request, manifest.as_ref())?;
        spec.disks.push(vm_disk(&disk, choices, windows));
        disks.push(disk);
    }
    let mut nics = Vec::new();
    for (i, nic) in machine.nics.iter().enumerate() {
        let (network, by_default) = network(nic.network.as_deref(), choices, networks)?;
        let inside: Name = format!("nic{i}").parse().expect("a letter and digits are a name");
        spec.nics.push(Nic {
            name: inside.clone(),
            network: network.clone(),
            mac: mac(nic.mac.as_deref().filter(|_| choices.keep_macs))?,
            address: None,
            forwards: Vec::new(),
            model: if windows && !is_virtio(nic.model.as_deref()) {
                NicModel::E1000e
            } else {
                NicModel::Virtio
            },
            limits: NicLimits::default(),
        });
        let (theirs, mac, model) = (nic.network.clone(), nic.mac.clone(), nic.model.clone());
        nics.push(PackageNic { name: inside, network, theirs, mac, model, by_default });
    }
    let mut meta = Meta::new(name);
    meta.labels.clone_from(&choices.labels);
    meta.labels.insert(IMPORTED_FROM.into(), digest(&request.descriptor));
    let vm = Vm::new(meta, spec);
    fits(&vm)?;
    Ok(PackagePlan {
        vm,
        notes: notes(&machine, manifest.is_some()),
        os: machine.os,
        disks,
        nics,
        configuration: machine.configuration,
        configurations: machine.configurations,
        licences: machine.licences,
        left_out: machine.left_out,
    })
}

fn bounded(request: &PackageRequest) -> Result<()> {
    let too_long = |what: &str, bytes: usize, max: u64| {
        let hint = format!("{} is the most; real ones are much shorter", format_bytes(max));
        Error::unfit("descriptor", format!("a {what} of {} is too long", format_bytes(bytes as u64)), hint)
    };
    let manifest = request.manifest.as_deref().unwrap_or_default();
    if request.descriptor.len() as u64 > DESCRIPTOR_BYTES_MAX {
        return Err(too_long("descriptor", request.descriptor.len(), DESCRIPTOR_BYTES_MAX));
    }
    if manifest.len() as u64 > MANIFEST_BYTES_MAX {
        return Err(too_long("manifest", manifest.len(), MANIFEST_BYTES_MAX));
    }
    if request.files.len() > FILES_MAX {
        let what = format!("a package of {} files is none", request.files.len());
        return Err(Error::unfit("files", what, format!("{FILES_MAX} is the most")));
    }
    Ok(())
}

fn check_descriptor(request: &PackageRequest, manifest: Option<&Manifest>) -> Result<()> {
    let name = &request.descriptor_name;
    let Some(manifest) = manifest else { return Ok(()) };
    let mut digests = Digests::new(Some(manifest.of(name).ok_or_else(|| unstated(name))?));
    digests.update(request.descriptor.as_bytes());
    digests.finish().map(drop).map_err(|found| changed(name, &found))
}

/// A file of which the manifest says nothing.
pub fn unstated(name: &str) -> Error {
    let what = format!("the manifest says nothing of {name:?}: somebody may have put it in afterwards");
    Error::unfit("manifest", what, "fetch the package again from where it comes")
}

/// A file whose digest is not the manifest's.
pub fn changed(name: &str, found: &str) -> Error {
    let what = format!("{name:?} is not what the manifest says (its digest is {found})");
    Error::unfit("manifest", what, "it was damaged or changed: fetch the package again from where it comes")
}

fn disk_of(
    i: usize,
    disk: &Disk,
    vm: &Name,
    request: &PackageRequest,
    manifest: Option<&Manifest>,
) -> Result<PackageDisk> {
    let inside = if i == 0 { "root".into() } else { format!("disk{}", i + 1) };
    let name: Name = inside.parse().expect("letters and digits are a name");
    let content = match &disk.file {
        None => None,
        Some(file) => {
            let found = request.files.iter().find(|known| known.name == *file).ok_or_else(|| {
                let hint = "pack the descriptor with all its disks, or fetch the package again";
                Error::unfit("files", format!("the package lacks its file {file:?}"), hint)
            })?;
            let image = Name::new(format!("import-{vm}-{name}")).map_err(|error| {
                Error::unfit("choices.name", error.to_string(), "choose a shorter name for the VM")
            })?;
            let digest = match manifest {
                None => None,
                Some(manifest) => {
                    let stated = manifest.of(file).ok_or_else(|| unstated(file))?;
                    let hexadecimal = stated.hexadecimal.clone();
                    Some(PackageDigest { algorithm: stated.algorithm, hexadecimal })
                }
            };
            Some(PackageContent {
                file: file.clone(),
                file_bytes: found.size_bytes,
                image,
                virtual_size_bytes_max: disk.capacity_bytes.next_multiple_of(CAPACITY_UNIT),
                digest,
            })
        }
    };
    Ok(PackageDisk {
        name,
        capacity_bytes: disk.capacity_bytes,
        label: disk.label.clone(),
        bus: disk.controller,
        content,
    })
}

/// `known`: on a bus that every guest has a driver for.
fn vm_disk(disk: &PackageDisk, choices: &PackageChoices, known: bool) -> VmDisk {
    VmDisk {
        name: disk.name.clone(),
        disk: None,
        image: disk.content.as_ref().map(|content| content.image.clone()),
        size_bytes: Some(disk.capacity_bytes.next_multiple_of(512)),
        pool: choices.pool.clone(),
        from: None,
        clone: CloneMode::Full,
        keep: false,
        bus: if known && disk.bus != PackageBus::Virtio { DiskBus::Sata } else { DiskBus::Virtio },
        limits: DiskLimits::default(),
    }
}

/// Identifies what the package describes.
fn digest(descriptor: &str) -> String {
    Sha256::digest(descriptor.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn name(machine: &Machine, choices: &PackageChoices) -> Result<Name> {
    if let Some(name) = &choices.name {
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
    Name::new(name.trim_end_matches('-')).map_err(|_| {
        let what = format!("the package calls the machine {theirs:?}, of which no name can be made");
        Error::unfit("choices.name", what, "choose a name for the VM")
    })
}

fn mac(theirs: Option<&str>) -> Result<Option<Mac>> {
    let parsed = theirs.map(str::parse).transpose();
    parsed.map_err(|_| {
        let what = format!("the package has the MAC {:?}", theirs.unwrap_or_default());
        Error::unfit("choices.keep_macs", what, "let the nics have new ones")
    })
}

/// What was asked for, or the network of the same name, or the default; and whether it is that.
fn network(theirs: Option<&str>, choices: &PackageChoices, known: &[Name]) -> Result<(Name, bool)> {
    let mapped = choices.networks.iter().find(|c| c.theirs.is_some() && c.theirs.as_deref() == theirs);
    let for_all = choices.networks.iter().find(|c| c.theirs.is_none());
    if let Some(choice) = mapped.or(for_all) {
        if !known.contains(&choice.network) {
            let what = format!("there is no network {}", choice.network);
            return Err(Error::unfit("choices.networks", what, "see `tabane network list`"));
        }
        return Ok((choice.network.clone(), false));
    }
    if let Some(same) = known.iter().find(|name| Some(name.as_str()) == theirs) {
        return Ok((same.clone(), false));
    }
    Ok((DEFAULT_NETWORK.parse().expect("it is a name"), true))
}

fn fits(vm: &Vm) -> Result<()> {
    let mut faults = Faults::default();
    vm.validate(&mut faults);
    if faults.is_empty() {
        return Ok(());
    }
    let told = faults.0.iter().map(|f| format!("{}: {}; {}", f.field, f.message, f.hint));
    let told = told.collect::<Vec<_>>().join("\n  ");
    Err(Error::unfit("descriptor", "this machine cannot be made here", told))
}

fn is_windows(machine: &Machine) -> bool {
    machine.os.as_deref().is_some_and(|os| os.to_lowercase().contains("win"))
}

fn is_virtio(model: Option<&str>) -> bool {
    model.is_some_and(|model| model.to_lowercase().contains("virtio"))
}

fn notes(machine: &Machine, manifest: bool) -> Vec<PackageNote> {
    let mut notes = Vec::new();
    let foreign = machine.disks.iter().any(|disk| disk.controller != PackageBus::Virtio);
    if foreign {
        notes.push(if is_windows(machine) { PackageNote::WindowsDrivers } else { PackageNote::VirtioNames });
    }
    if machine.firmware != Firmware::Bios {
        notes.push(PackageNote::FirmwareSettings);
    }
    if !manifest {
        notes.push(PackageNote::NoManifest);
    }
    notes
}

#[cfg(test)]
mod tests {
    use tabane_model::{DigestAlgorithm, NetworkChoice, PackageFile};

    use super::*;

    const VMWARE: &str = include_str!("ovf/tests/vmware.ovf");
    const VIRTUALBOX: &str = include_str!("ovf/tests/virtualbox.ovf");

    fn request(descriptor: &str, files: &[&str]) -> PackageRequest {
        let files = files.iter().map(|name| PackageFile { name: (*name).into(), size_bytes: 7 });
        PackageRequest {
            descriptor_name: "x.ovf".into(),
            descriptor: descriptor.into(),
            files: files.collect(),
            ..PackageRequest::default()
        }
    }

    fn networks() -> Vec<Name> {
        ["default", "lan"].map(|name| name.parse().unwrap()).to_vec()
    }

    fn sha256(text: &str) -> String {
        Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_plan_says_what_is_made_of_what() {
        let plan = plan(&request(VMWARE, &["erp-disk1.vmdk"]), &networks()).unwrap();
        assert_eq!(plan.vm.meta.name.as_str(), "erp-server-2019");
        assert_eq!(plan.vm.meta.labels[IMPORTED_FROM].len(), 32);
        assert_eq!((plan.vm.spec.cpus, plan.vm.spec.power), (4, Power::Off));
        let content = plan.disks[0].content.as_ref().unwrap();
        assert_eq!((content.image.as_str(), content.file_bytes), ("import-erp-server-2019-root", 7));
        assert_eq!(plan.vm.spec.disks[0].image.as_ref(), Some(&content.image));
        assert_eq!(plan.vm.spec.disks[0].bus, DiskBus::Sata, "Windows has no driver for virtio");
        assert_eq!(plan.vm.spec.nics[0].model, NicModel::E1000e);
        assert_eq!((plan.disks[1].content.as_ref(), plan.disks[1].name.as_str()), (None, "disk2"));
        assert_eq!((plan.nics[0].network.as_str(), plan.nics[0].by_default), ("default", true));
        let notes = [PackageNote::WindowsDrivers, PackageNote::FirmwareSettings, PackageNote::NoManifest];
        assert_eq!(plan.notes, notes);
        assert_eq!(plan.configurations.len(), 2);
        assert_eq!(plan.licences, ["Use it well."]);
    }

    #[test]
    fn choices_are_followed_or_refused_with_their_field() {
        let mut request = request(VMWARE, &["erp-disk1.vmdk"]);
        let choice = |theirs: Option<&str>, network: &str| NetworkChoice {
            theirs: theirs.map(Into::into),
            network: network.parse().unwrap(),
        };
        request.choices.networks = vec![choice(None, "default"), choice(Some("VM Network"), "lan")];
        request.choices.name = Some("erp".parse().unwrap());
        request.choices.configuration = Some("small".into());
        request.choices.start = true;
        let made = plan(&request, &networks()).unwrap();
        assert_eq!((made.nics[0].network.as_str(), made.nics[0].by_default), ("lan", false));
        assert_eq!((made.vm.spec.cpus, made.vm.spec.power), (2, Power::On));
        request.choices.networks = vec![choice(None, "none")];
        let refused = plan(&request, &networks()).unwrap_err().problem();
        assert_eq!(
            (refused.code.as_str(), refused.field.as_deref()),
            ("package_refused", Some("choices.networks"))
        );
        request.choices.networks.clear();
        request.choices.name = Some("n".repeat(60).parse().unwrap());
        let refused = plan(&request, &networks()).unwrap_err().problem();
        assert_eq!(refused.field.as_deref(), Some("choices.name"));
    }

    #[test]
    fn what_the_manifest_does_not_vouch_for_is_refused() {
        let mut request = request(VIRTUALBOX, &["wiki-disk001.vmdk"]);
        let disk = "0".repeat(40);
        request.manifest =
            Some(format!("SHA256(x.ovf)= {}\nSHA1(wiki-disk001.vmdk)= {disk}\n", sha256(VIRTUALBOX)));
        let made = plan(&request, &networks()).unwrap();
        let digest = made.disks[0].content.as_ref().unwrap().digest.clone().unwrap();
        assert_eq!((digest.algorithm, digest.hexadecimal), (DigestAlgorithm::Sha1, disk));
        let told = |request: &PackageRequest| plan(request, &networks()).unwrap_err().to_string();
        request.descriptor.push(' ');
        assert!(told(&request).contains("is not what the manifest says"), "{}", told(&request));
        request.descriptor.pop();
        request.manifest = Some(format!("SHA256(x.ovf)= {}\n", sha256(VIRTUALBOX)));
        assert!(told(&request).contains("says nothing of \"wiki-disk001.vmdk\""), "{}", told(&request));
        request.manifest = None;
        request.files.clear();
        assert!(told(&request).contains("lacks its file"), "{}", told(&request));
        request.descriptor = " ".repeat(DESCRIPTOR_BYTES_MAX as usize + 1);
        assert!(told(&request).contains("too long"), "{}", told(&request));
    }
}
