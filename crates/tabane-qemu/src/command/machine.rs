//! A machine as plain values, and its command line.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::RawFd;
use std::path::PathBuf;

use serde_json::json;
use uuid::Uuid;

use super::names::PORTS_MAX;
use super::text;
use crate::{Error, Result};

/// Of the controller that q35 has.
const SATA_PORTS: u8 = 6;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    pub name: String,
    pub uuid: Uuid,
    /// With its version, such as `pc-q35-7.2`: an alias would change the guest's hardware when QEMU is upgraded.
    pub machine_type: String,
    pub accelerator: Accelerator,
    /// With flags, such as `EPYC,+svm`.
    pub cpu_model: String,
    pub cpus: u32,
    /// vCPUs that can be reached by plugging in.
    pub cpus_max: u32,
    pub memory_bytes: u64,
    /// Memory that can be reached by plugging in; equal to `memory_bytes` if none.
    pub memory_bytes_max: u64,
    /// How many memory modules can be plugged in.
    pub memory_slots: u32,
    /// A file that is the machine's memory. The guest sees no difference.
    pub memory_file: Option<MemoryFile>,
    pub firmware: Firmware,
    /// A kernel that QEMU itself loads instead of a boot loader.
    pub direct_boot: Option<DirectBoot>,
    /// The control socket of a swtpm that runs already.
    pub tpm_socket: Option<PathBuf>,
    pub disks: Vec<Disk>,
    pub nics: Vec<Nic>,
    pub drives: Vec<super::CdDrive>,
    pub passthroughs: Vec<super::Passthrough>,
    /// All ports: those of the disks and nics, and those for what comes later. At most 64.
    pub ports: u8,
    pub sockets: Sockets,
    /// Absolute pointing device, for the console.
    pub usb_tablet: bool,
    /// Changes when a machine is cloned or set back, so that the guest renews its secrets.
    pub vm_generation_id: Option<Uuid>,
    /// The system call filter. Needs a user without privileges: `elevateprivileges=deny` and `-runas` exclude each
    /// other.
    pub sandbox: bool,
    /// Leave the vCPUs stopped until `cont`.
    pub start_paused: bool,
    /// Wait for a migration that QMP's `migrate-incoming` names.
    pub incoming: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    Tcg,
    Kvm,
}

/// A file, as large as the memory, that QEMU inherits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryFile {
    /// The handle's number in QEMU.
    pub fd: RawFd,
    /// What the guest writes reaches the file. Otherwise a page becomes the machine's own when it is written to.
    pub shared: bool,
}

/// The name of the memory of all q35 machines: one that is loaded finds it by this.
const MEMORY: &str = "pc.ram";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Firmware {
    Bios,
    Uefi {
        code: PathBuf,
        /// The machine's own copy of the variables.
        vars: PathBuf,
        /// The firmware guards its variables from the guest, by system management mode.
        secure_boot: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectBoot {
    pub kernel: PathBuf,
    pub initramfs: Option<PathBuf>,
    pub command_line: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFormat {
    Raw,
    Qcow2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskBus {
    /// Fast; can be plugged; needs a driver in the guest. A cdrom sits on a virtio SCSI bus.
    Virtio,
    /// For guests without virtio drivers; cannot be plugged. At most six.
    Sata,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    pub id: String,
    pub path: PathBuf,
    pub format: DiskFormat,
    pub bus: DiskBus,
    /// A removable read-only medium. A cloud-init seed may be this or simply a read-only raw disk.
    pub cdrom: bool,
    pub read_only: bool,
    /// Shown to the guest, at most 20 characters.
    pub serial: Option<String>,
    /// Lower boots first.
    pub boot_index: Option<u32>,
    /// Let the guest give space back.
    pub discard: bool,
    /// `None` takes the first free port, in the order nics, disks. On SATA one of the six ports there.
    pub port: Option<u8>,
    /// Which of the disk's layers `path` is.
    pub layer: u32,
    /// The layers below it, from the top. What the lowest one stands on is found by its header.
    pub below: Vec<(u32, PathBuf)>,
}

impl Disk {
    /// A disk that can be written to.
    pub fn new(id: impl Into<String>, path: impl Into<PathBuf>, format: DiskFormat) -> Self {
        Disk {
            id: id.into(),
            path: path.into(),
            format,
            bus: DiskBus::Virtio,
            cdrom: false,
            read_only: false,
            serial: None,
            boot_index: None,
            discard: true,
            port: None,
            layer: 0,
            below: Vec::new(),
        }
    }

    pub(crate) fn needs_port(&self) -> bool {
        self.bus == DiskBus::Virtio && !self.cdrom
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    pub id: String,
    pub model: NicModel,
    pub mac: String,
    pub backend: Backend,
    /// What the guest is told to use.
    pub mtu: Option<u16>,
    /// Boots from the network at this place in the order; otherwise the card has no boot ROM.
    pub boot_index: Option<u32>,
    /// `None` takes the first free port, in the order nics, disks.
    pub port: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NicModel {
    Virtio,
    /// For guests without virtio drivers.
    E1000e,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// QEMU's own network stack: needs no rights, reaches out, is reached by forwards only.
    User(UserNetwork),
    Tap {
        source: TapSource,
        vhost: Vhost,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TapSource {
    /// QEMU opens the interface, for which it needs the right.
    Name(String),
    /// An open tap handle that QEMU inherits under this number.
    Fd(RawFd),
    /// An open tap handle given to the running QEMU under this name by `Qmp::pass_fd`.
    Passed(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vhost {
    Off,
    /// QEMU opens `/dev/vhost-net`, and ends if it cannot: look first.
    On,
    /// An open `/dev/vhost-net` that QEMU inherits under this number.
    Fd(RawFd),
    /// As [`TapSource::Passed`].
    Passed(String),
}

/// Settings of the user network; the defaults are QEMU's (10.0.2.0/24).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserNetwork {
    pub forwards: Vec<Forward>,
    /// Cuts the guest off from everything but the forwards.
    pub restrict: bool,
    /// As address and length of the prefix.
    pub network: Option<(Ipv4Addr, u8)>,
    pub dhcp_start: Option<Ipv4Addr>,
    pub dns: Option<Ipv4Addr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Tcp,
    Udp,
}

/// A port of the host that leads into the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    pub protocol: Protocol,
    pub host_address: IpAddr,
    pub host_port: u16,
    pub guest_port: u16,
}

/// Names of the sockets and the serial log, all in the machine's folder, which is QEMU's working directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sockets {
    pub qmp: String,
    pub agent: String,
    pub serial: String,
    pub serial_log: String,
    pub vnc: String,
}

impl Default for Sockets {
    fn default() -> Self {
        Sockets {
            qmp: "qmp.sock".into(),
            agent: "agent.sock".into(),
            serial: "serial.sock".into(),
            serial_log: "serial.log".into(),
            vnc: "vnc.sock".into(),
        }
    }
}

impl Machine {
    /// A machine with one vCPU under TCG, without disks and nics, with 16 ports.
    pub fn new(
        name: impl Into<String>,
        uuid: Uuid,
        machine_type: impl Into<String>,
        memory_bytes: u64,
    ) -> Self {
        Machine {
            name: name.into(),
            uuid,
            machine_type: machine_type.into(),
            accelerator: Accelerator::Tcg,
            cpu_model: "qemu64".into(),
            cpus: 1,
            cpus_max: 1,
            memory_bytes,
            memory_bytes_max: memory_bytes,
            memory_slots: 0,
            memory_file: None,
            firmware: Firmware::Bios,
            direct_boot: None,
            tpm_socket: None,
            disks: Vec::new(),
            nics: Vec::new(),
            drives: Vec::new(),
            passthroughs: Vec::new(),
            ports: 16,
            sockets: Sockets::default(),
            usb_tablet: false,
            vm_generation_id: None,
            sandbox: true,
            start_paused: false,
            incoming: false,
        }
    }

    /// The arguments after the program's name. Errors: [`Error::Invalid`], [`Error::Exhausted`].
    pub fn arguments(&self) -> Result<Vec<OsString>> {
        self.check()?;
        let mut line = Line::default();
        self.base(&mut line)?;
        self.processor_and_memory(&mut line)?;
        self.firmware_and_kernel(&mut line)?;
        self.channels(&mut line)?;
        self.fixed_devices(&mut line);
        self.tpm(&mut line)?;
        self.ports(&mut line);
        self.nics_and_disks(&mut line)?;
        if self.sandbox {
            let deny = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";
            line.pair("-sandbox", deny);
        }
        if self.start_paused {
            line.flag("-S");
        }
        if self.incoming {
            line.pair("-incoming", "defer");
        }
        Ok(line.arguments)
    }

    fn check(&self) -> Result<()> {
        let wrong = |field, reason: &str| Err(Error::invalid(field, reason));
        if self.cpus == 0 || self.cpus > self.cpus_max || self.cpus_max > 1024 {
            return wrong(
                "cpus",
                "there must be at least 1 and no more than cpus_max, which is at most 1024",
            );
        }
        if self.memory_bytes < 1 << 20 || !self.memory_bytes.is_multiple_of(1 << 20) {
            return wrong("memory_bytes", "it is not a positive multiple of 1 MiB");
        }
        if self.memory_bytes_max < self.memory_bytes || !self.memory_bytes_max.is_multiple_of(1 << 20) {
            return wrong("memory_bytes_max", "it is not a multiple of 1 MiB from memory_bytes up");
        }
        if (self.memory_bytes_max > self.memory_bytes) != (self.memory_slots > 0) || self.memory_slots > 256 {
            return wrong("memory_slots", "slots (at most 256) and a greater memory_bytes_max go together");
        }
        if self.ports > PORTS_MAX {
            return wrong("ports", "there are at most 64");
        }
        if self.name.is_empty() || self.name.len() > 128 {
            return wrong("name", "it has 1 to 128 bytes");
        }
        Ok(())
    }

    fn base(&self, line: &mut Line) -> Result<()> {
        line.pair("-name", format!("guest={},debug-threads=on", text::option("name", &self.name)?));
        line.pair("-uuid", self.uuid.hyphenated().to_string());
        line.flag("-no-user-config");
        line.flag("-nodefaults");
        line.pair("-msg", "timestamp=on");
        let mut machine = text::word("machine_type", &self.machine_type, "")?.to_owned();
        machine.push_str(",usb=off,vmport=off");
        if let Firmware::Uefi { secure_boot, .. } = &self.firmware {
            machine.push_str(",pflash0=firmware-code,pflash1=firmware-vars");
            if *secure_boot {
                machine.push_str(",smm=on");
            }
        }
        if self.memory_file.is_some() {
            machine.push_str(&format!(",memory-backend={MEMORY}"));
        }
        line.pair("-machine", machine);
        line.pair("-boot", "strict=on");
        // A guest that shuts down or panics leaves a stopped QEMU, which tells what happened to whoever asks, however
        // late; without this, a guest that shut itself down and a QEMU that died look the same.
        line.pair("-action", "shutdown=pause,panic=pause");
        // Guests that suspend themselves look like guests that hang.
        line.pair("-global", "ICH9-LPC.disable_s3=1");
        line.pair("-global", "ICH9-LPC.disable_s4=1");
        Ok(())
    }

    fn processor_and_memory(&self, line: &mut Line) -> Result<()> {
        match self.accelerator {
            Accelerator::Kvm => {
                line.pair("-accel", "kvm");
                // Ticks that were missed are made up for, or Windows' clock runs slow.
                line.pair("-rtc", "base=utc,driftfix=slew");
            }
            Accelerator::Tcg => {
                let thread = if self.cpus_max > 1 { "multi" } else { "single" };
                line.pair("-accel", format!("tcg,thread={thread}"));
                line.pair("-rtc", "base=utc");
            }
        }
        line.pair("-cpu", text::word("cpu_model", &self.cpu_model, ",+=")?);
        // One socket, since some guests' licences count sockets.
        let (now, most) = (self.cpus, self.cpus_max);
        line.pair("-smp", format!("cpus={now},maxcpus={most},sockets=1,cores={most},threads=1"));
        let mut memory = format!("size={}M", self.memory_bytes >> 20);
        if self.memory_slots > 0 {
            memory.push_str(&format!(",slots={},maxmem={}M", self.memory_slots, self.memory_bytes_max >> 20));
        }
        line.pair("-m", memory);
        if let Some(file) = &self.memory_file {
            line.json(
                "-object",
                &json!({
                    "qom-type": "memory-backend-file", "id": MEMORY, "size": self.memory_bytes,
                    "mem-path": format!("/proc/self/fd/{}", file.fd), "share": file.shared,
                }),
            );
        }
        Ok(())
    }

    fn firmware_and_kernel(&self, line: &mut Line) -> Result<()> {
        if let Firmware::Uefi { code, vars, secure_boot } = &self.firmware {
            for (name, path, read_only) in [("firmware-code", code, true), ("firmware-vars", vars, false)] {
                let path = text::path("firmware", path)?;
                line.json(
                    "-blockdev",
                    &json!({
                        "driver": "raw", "node-name": name, "read-only": read_only,
                        "file": {"driver": "file", "filename": path},
                    }),
                );
            }
            if *secure_boot {
                line.pair("-global", "driver=cfi.pflash01,property=secure,value=on");
            }
        }
        if let Some(boot) = &self.direct_boot {
            line.pair("-kernel", text::path("kernel", &boot.kernel)?);
            if let Some(initramfs) = &boot.initramfs {
                line.pair("-initrd", text::path("initramfs", initramfs)?);
            }
            line.pair("-append", text::plain("command_line", &boot.command_line)?);
        }
        Ok(())
    }

    fn channels(&self, line: &mut Line) -> Result<()> {
        let sockets = &self.sockets;
        let server = |id: &str, field, name: &str| -> Result<String> {
            let path = text::option(field, text::relative(field, name)?)?;
            Ok(format!("socket,id={id},path={path},server=on,wait=off"))
        };
        line.pair("-chardev", server("qmp", "qmp socket", &sockets.qmp)?);
        line.pair("-mon", "chardev=qmp,mode=control");
        let log = text::option("serial log", text::relative("serial log", &sockets.serial_log)?)?;
        let serial = server("serial0", "serial socket", &sockets.serial)?;
        line.pair("-chardev", format!("{serial},logfile={log},logappend=on"));
        line.json("-device", &json!({"driver": "isa-serial", "id": "serial0", "chardev": "serial0"}));
        line.pair("-chardev", server("agent", "agent socket", &sockets.agent)?);
        line.json(
            "-device",
            &json!({"driver": "virtio-serial-pci", "id": "channels", "bus": "pcie.0", "addr": "02.0"}),
        );
        line.json(
            "-device",
            &json!({
                "driver": "virtserialport", "id": "agent", "bus": "channels.0", "nr": 1,
                "chardev": "agent", "name": "org.qemu.guest_agent.0",
            }),
        );
        let vnc = text::option("vnc socket", text::relative("vnc socket", &sockets.vnc)?)?;
        line.pair("-display", "none");
        line.pair("-vnc", format!("unix:{vnc}"));
        Ok(())
    }

    fn fixed_devices(&self, line: &mut Line) {
        let mut device = |value| line.json("-device", &value);
        device(json!({"driver": "VGA", "id": "vga", "bus": "pcie.0", "addr": "01.0"}));
        device(json!({"driver": "virtio-rng-pci", "id": "rng", "bus": "pcie.0", "addr": "03.0"}));
        device(json!({
            "driver": "virtio-balloon-pci", "id": "balloon", "bus": "pcie.0", "addr": "04.0",
            "free-page-reporting": true, "deflate-on-oom": true,
        }));
        device(json!({"driver": "pvpanic", "id": "pvpanic"}));
        if let Some(id) = self.vm_generation_id {
            device(json!({"driver": "vmgenid", "id": "generation", "guid": id.hyphenated().to_string()}));
        }
        if self.disks.iter().any(|disk| disk.cdrom && disk.bus == DiskBus::Virtio) {
            device(json!({"driver": "virtio-scsi-pci", "id": "scsi", "bus": "pcie.0", "addr": "05.0"}));
        }
        if self.usb_tablet {
            device(json!({"driver": "qemu-xhci", "id": "usb", "bus": "pcie.0", "addr": "06.0"}));
            device(json!({"driver": "usb-tablet", "id": "tablet", "bus": "usb.0"}));
        }
    }

    fn tpm(&self, line: &mut Line) -> Result<()> {
        let Some(path) = &self.tpm_socket else { return Ok(()) };
        let path = text::option("tpm_socket", text::path("tpm_socket", path)?)?;
        line.pair("-chardev", format!("socket,id=tpm,path={path}"));
        line.pair("-tpmdev", "emulator,id=tpm0,chardev=tpm");
        line.json("-device", &json!({"driver": "tpm-crb", "id": "tpm", "tpmdev": "tpm0"}));
        Ok(())
    }

    fn ports(&self, line: &mut Line) {
        for port in 0..self.ports {
            line.json(
                "-device",
                &json!({
                    "driver": "pcie-root-port", "id": super::port_id(port), "bus": "pcie.0",
                    "addr": format!("{:02x}.{}", 0x10 + port / 8, port % 8),
                    "chassis": port + 1, "multifunction": port % 8 == 0,
                }),
            );
        }
    }

    fn nics_and_disks(&self, line: &mut Line) -> Result<()> {
        let mut places = Places::new(self)?;
        for nic in &self.nics {
            let port = places.port(nic.port)?;
            line.json("-netdev", &super::netdev(nic)?);
            line.json("-device", &super::nic_device(nic, port)?);
        }
        for disk in &self.disks {
            for node in super::blockdevs(disk)? {
                line.json("-blockdev", &node);
            }
            let bus = if disk.needs_port() {
                super::port_id(places.port(disk.port)?)
            } else if disk.bus == DiskBus::Virtio {
                "scsi.0".into()
            } else {
                places.sata(disk.port)?
            };
            line.json("-device", &super::disk_device(disk, &bus)?);
        }
        for drive in &self.drives {
            if let Some(medium) = &drive.medium {
                line.json("-blockdev", &super::medium_blockdev(&drive.id, medium)?);
            }
            let bus = places.sata(drive.port)?;
            line.json("-device", &super::drive_device(drive, &bus)?);
        }
        for device in &self.passthroughs {
            let port = places.port(device.port)?;
            line.json("-device", &super::passthrough_device(device, port)?);
        }
        Ok(())
    }
}

/// Who sits where.
struct Places {
    free: Vec<u8>,
    sata_free: Vec<u8>,
}

impl Places {
    /// Takes the places that are asked for by number; refuses ids and places that are there twice.
    fn new(machine: &Machine) -> Result<Self> {
        let disks = machine.disks.iter();
        let mut ids: Vec<String> = machine.nics.iter().map(|nic| super::nic_device_id(&nic.id)).collect();
        ids.extend(disks.clone().map(|disk| super::disk_device_id(&disk.id)));
        ids.extend(machine.passthroughs.iter().map(|device| super::passthrough_device_id(&device.id)));
        ids.extend(machine.drives.iter().map(|drive| super::drive_device_id(&drive.id)));
        ids.sort_unstable();
        if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::invalid("id", format!("{} is there twice", pair[0])));
        }
        let mut free: Vec<u8> = (0..machine.ports).collect();
        let wanted = machine
            .nics
            .iter()
            .map(|nic| nic.port)
            .chain(machine.passthroughs.iter().map(|device| device.port))
            .chain(disks.clone().filter(|disk| disk.needs_port()).map(|disk| disk.port));
        take(&mut free, wanted)?;
        let mut sata_free: Vec<u8> = (0..SATA_PORTS).collect();
        let drives = machine.drives.iter().map(|drive| drive.port);
        take(&mut sata_free, disks.filter(|disk| disk.bus == DiskBus::Sata).map(|d| d.port).chain(drives))?;
        Ok(Places { free, sata_free })
    }

    fn port(&mut self, fixed: Option<u8>) -> Result<u8> {
        if let Some(port) = fixed {
            return Ok(port);
        }
        if self.free.is_empty() {
            return Err(Error::Exhausted { what: "port", hint: "the machine needs more of them".into() });
        }
        Ok(self.free.remove(0))
    }

    fn sata(&mut self, fixed: Option<u8>) -> Result<String> {
        let port = match fixed {
            Some(port) => port,
            None if self.sata_free.is_empty() => {
                return Err(Error::Exhausted { what: "SATA port", hint: "use virtio disks".into() });
            }
            None => self.sata_free.remove(0),
        };
        Ok(format!("ide.{port}"))
    }
}

/// Takes those out of the free places that are asked for by number.
fn take(free: &mut Vec<u8>, wanted: impl Iterator<Item = Option<u8>>) -> Result<()> {
    for port in wanted.flatten() {
        let Some(at) = free.iter().position(|other| *other == port) else {
            return Err(Error::invalid("port", format!("port {port} is taken twice or does not exist")));
        };
        free.remove(at);
    }
    Ok(())
}

#[derive(Default)]
struct Line {
    arguments: Vec<OsString>,
}

impl Line {
    fn flag(&mut self, flag: &str) {
        self.arguments.push(flag.into());
    }

    fn pair(&mut self, flag: &str, value: impl Into<OsString>) {
        self.arguments.extend([flag.into(), value.into()]);
    }

    fn json(&mut self, flag: &str, value: &serde_json::Value) {
        self.pair(flag, value.to_string());
    }
}
