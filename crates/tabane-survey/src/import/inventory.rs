//! Inventories of VMs as PowerShell writes them, by `Get-VM | Select-Object … | Export-Csv`: of VMware's PowerCLI, and of
//! Hyper-V. They have no loads over time, and do not say how fast cores are.
//!
//! Columns are properties of what `Get-VM` gives, or what somebody called them; which names are known is said here and in the
//! reference.

use super::{
    amount::{Unit, gib},
    sheet::{Row, Sheet},
    stream::{Has, Stream},
};
use crate::Result;

/// Names of columns of a form, in small letters.
struct Columns {
    name: &'static [&'static str],
    cores: &'static [&'static str],
    /// The most of them counts: what a VM begins with, and what it has got since.
    memory: &'static [(&'static str, Unit)],
    /// Space that disks may take.
    disk: &'static [(&'static str, Unit)],
    /// Space that they take now.
    used: &'static [(&'static str, Unit)],
    labels: &'static [(&'static str, &'static [&'static str])],
}

const VMWARE: Columns = Columns {
    name: &["name", "vm", "vmname"],
    cores: &["numcpu", "numcpus", "cpus", "vcpu", "vcpus"],
    memory: &[("memorymb", Unit::Mib), ("memorygb", Unit::Gib)],
    disk: &[("provisionedspacegb", Unit::Gib), ("provisionedgb", Unit::Gib), ("diskgb", Unit::Gib)],
    used: &[("usedspacegb", Unit::Gib), ("usedgb", Unit::Gib)],
    labels: &[
        ("powerstate", &["powerstate"]),
        ("firmware", &["firmware"]),
        ("host", &["vmhost", "host"]),
        ("cluster", &["cluster"]),
        ("hardware_version", &["hardwareversion", "version"]),
    ],
};

const VMWARE_OS: [&str; 6] = ["os", "guestos", "osfullname", "guestfullname", "guest", "guestid"];

const HYPER_V: Columns = Columns {
    name: &["vmname", "name"],
    cores: &["processorcount", "cpus", "vcpu", "vcpus"],
    memory: &[
        ("memorystartup", Unit::Bytes),
        ("memoryassigned", Unit::Bytes),
        ("memorymb", Unit::Mib),
        ("memorygb", Unit::Gib),
    ],
    disk: &[("diskbytes", Unit::Bytes), ("diskgb", Unit::Gib)],
    used: &[("usedbytes", Unit::Bytes), ("usedgb", Unit::Gib), ("filesizebytes", Unit::Bytes)],
    labels: &[
        ("powerstate", &["state"]),
        ("os", &["os", "guestos", "operatingsystem"]),
        ("host", &["computername", "host"]),
        ("hardware_version", &["version"]),
    ],
};

pub(super) fn vmware(sheet: &Sheet, stream: &mut Stream) -> Result<()> {
    read(sheet, stream, &VMWARE, |row, server, stream| {
        // A guest is written as the VM's name and its system.
        let os = first(row, &VMWARE_OS);
        let behind = os.strip_prefix(first(row, VMWARE.name)).and_then(|rest| rest.strip_prefix(':'));
        stream.label(server, "os", behind.unwrap_or(os));
        Ok(())
    })
}

pub(super) fn hyper_v(sheet: &Sheet, stream: &mut Stream) -> Result<()> {
    read(sheet, stream, &HYPER_V, |row, server, stream| {
        // The first generation has a BIOS, the second UEFI.
        let firmware = match row.text_of(&["generation"]) {
            "1" => "bios",
            "2" => "uefi",
            _ => "",
        };
        stream.label(server, "firmware", firmware);
        // A terabyte unless somebody has stated less, so it says nothing of what the VM has.
        if row.text_of(&["dynamicmemoryenabled"]).eq_ignore_ascii_case("true")
            && let Some(most) = gib(row, &[("memorymaximum", Unit::Bytes)])?
        {
            stream.label(server, "mem_maximum_mib", &format!("{:.0}", most * 1_024.0));
        }
        Ok(())
    })
}

fn read(
    sheet: &Sheet,
    stream: &mut Stream,
    columns: &Columns,
    more: impl Fn(&Row<'_, '_>, usize, &mut Stream) -> Result<()>,
) -> Result<()> {
    let (name, cores) = (sheet.need(columns.name)?, sheet.need(columns.cores)?);
    let memory: Vec<&str> = columns.memory.iter().map(|(name, _)| *name).collect();
    let memory = sheet.need(&memory)?;
    for row in sheet.rows() {
        let server = stream.new_server(row.text(name), row.at.column(name + 1))?;
        let mut most = None;
        for column in columns.memory {
            most = gib(&row, &[*column])?.into_iter().chain(most).reduce(f64::max);
        }
        let mib =
            most.map(|gib| (gib * 1_024.0).ceil()).filter(|mib| (1.0..f64::from(u32::MAX)).contains(mib));
        let mib = mib.ok_or_else(|| row.at.column(memory + 1).wrong("the server has no memory".into()))?;
        let has = Has { cores: Some(row.count(cores)?), mem_cap_mib: Some(mib as u32), ..Has::default() };
        stream.has(server, has, row.at);
        for (label, names) in columns.labels {
            stream.label(server, label, first(&row, names));
        }
        for (label, columns) in [("disk_gib", columns.disk), ("disk_used_gib", columns.used)] {
            if let Some(gib) = gib(&row, columns)? {
                stream.label(server, label, &format!("{:.0}", gib.ceil()));
            }
        }
        more(&row, server, stream)?;
    }
    Ok(())
}

/// What the first of these columns says that says anything.
fn first<'a>(row: &'a Row<'_, '_>, names: &[&str]) -> &'a str {
    names.iter().map(|name| row.text_of(&[name])).find(|text| !text.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{
        Assumed, Form,
        hardware::Hardware,
        stream::{Binned, Stream},
    };

    fn read(form: Form, bytes: Vec<u8>) -> std::result::Result<Binned, String> {
        let assumed = Assumed { core_mhz: Some(2_000), ..Assumed::default() };
        let mut stream = Stream::new(300, None, Hardware::read(assumed, None).unwrap());
        let told = |error: crate::Error| error.to_string();
        form.read(bytes, Path::new("vms.csv"), &mut stream, &|| false).map_err(told)?;
        stream.finish(false).map_err(told)
    }

    fn label<'a>(binned: &'a Binned, at: usize, key: &str) -> Option<&'a str> {
        binned.servers[at].labels.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    const POWERCLI: &str = "#TYPE Selected.VMware.VimAutomation.ViCore.Impl.V1.VM.UniversalVirtualMachineImpl\r\n\
        \"Name\",\"PowerState\",\"NumCpu\",\"MemoryGB\",\"ProvisionedSpaceGB\",\"UsedSpaceGB\",\"VMHost\",\"Guest\",\"GuestId\"\r\n\
        \"web1\",\"PoweredOn\",\"4\",\"16\",\"104.228\",\"41.5\",\"esx1.example.org\",\"web1:Microsoft Windows Server 2019 (64-bit)\",\"windows2019srv_64Guest\"\r\n\
        \"db1\",\"PoweredOff\",\"8\",\"0.5\",\"2048\",\"0\",\"esx2.example.org\",\"db1:\",\"sles15_64Guest\"\r\n";

    #[test]
    fn vms_of_powercli_are_read_in_every_encoding_and_country() {
        let european = POWERCLI
            .replace("\",\"", "\";\"")
            .replace("104.228", "104,228")
            .replace("41.5", "41,5")
            .replace("0.5", "0,5");
        let wide = |text: &str| -> Vec<u8> {
            let units = std::iter::once(0xfeff).chain(text.encode_utf16());
            units.flat_map(u16::to_le_bytes).collect()
        };
        let marked = format!("\u{feff}{european}").into_bytes();
        for bytes in [
            POWERCLI.as_bytes().to_vec(),
            wide(POWERCLI),
            european.clone().into_bytes(),
            wide(&european),
            marked,
        ] {
            let binned = read(Form::VmwareInventory, bytes).unwrap();
            let known: Vec<(&str, u32, u32, u32)> = binned
                .servers
                .iter()
                .map(|s| (s.name.as_str(), s.cores, s.cpu_cap_mhz, s.mem_cap_mib))
                .collect();
            assert_eq!(known, [("web1", 4, 8_000, 16_384), ("db1", 8, 16_000, 512)]);
            assert_eq!(label(&binned, 0, "os"), Some("Microsoft Windows Server 2019 (64-bit)"));
            assert_eq!(label(&binned, 0, "host"), Some("esx1.example.org"));
            assert_eq!(
                (binned.servers[0].disk_gib(), label(&binned, 0, "disk_used_gib")),
                (Some(105), Some("42"))
            );
            assert_eq!(binned.servers[1].disk_gib(), Some(2_048));
        }
    }

    #[test]
    fn vms_of_hyper_v_have_the_memory_that_they_begin_with_or_more() {
        let text = "#TYPE Selected.Microsoft.HyperV.PowerShell.VirtualMachine\n\
            \"VMName\",\"ComputerName\",\"State\",\"ProcessorCount\",\"DynamicMemoryEnabled\",\"MemoryStartup\",\"MemoryAssigned\",\"MemoryMaximum\",\"Generation\",\"DiskBytes\"\n\
            \"web1\",\"HV1\",\"Running\",\"2\",\"True\",\"1073741824\",\"4294967296\",\"1099511627776\",\"2\",\"136365211648\"\n\
            \"db1\",\"HV1\",\"Off\",\"4\",\"False\",\"8589934592\",\"0\",\"1099511627776\",\"1\",\"\"\n";
        let binned = read(Form::HypervInventory, text.into()).unwrap();
        let known: Vec<(&str, u32, u32)> =
            binned.servers.iter().map(|s| (s.name.as_str(), s.cores, s.mem_cap_mib)).collect();
        assert_eq!(known, [("web1", 2, 4_096), ("db1", 4, 8_192)]);
        assert_eq!(
            (label(&binned, 0, "firmware"), label(&binned, 1, "firmware")),
            (Some("uefi"), Some("bios"))
        );
        assert_eq!(
            (label(&binned, 0, "mem_maximum_mib"), label(&binned, 1, "mem_maximum_mib")),
            (Some("1048576"), None)
        );
        assert_eq!((binned.servers[0].disk_gib(), binned.servers[1].disk_gib()), (Some(127), None));
        assert_eq!(label(&binned, 0, "host"), Some("HV1"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let told = |text: &str| read(Form::VmwareInventory, text.into()).unwrap_err();
        assert!(told("Name,NumCpu\na,1\n").contains("no column is named \"memorymb\""));
        assert_eq!(
            told("Name,NumCpu,MemoryGB\na,1,\n"),
            "vms.csv, line 2, column 3: the server has no memory"
        );
        assert_eq!(
            told("#TYPE x\nName,NumCpu,MemoryGB\na,0,1\n"),
            "vms.csv, line 3, column 2: the server has no numcpu"
        );
        assert!(
            told("Name,NumCpu,MemoryMB\na,1,\"4,096\"\n")
                .contains("line 2, column 3: \"4,096\" may be thousands")
        );
        assert!(
            told("Name,NumCpu,MemoryGB\na,1,1\na,1,1\n")
                .contains("line 3, column 1: there are two servers named a")
        );
        assert_eq!(told("#TYPE x\n"), "vms.csv, line 1: the file is empty");
    }
}
