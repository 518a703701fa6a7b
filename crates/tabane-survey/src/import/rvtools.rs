//! The inventory of VMs that RVTools writes: its sheet vInfo, as CSV or in a spreadsheet. It has no loads over time, and does
//! not say how fast cores are.

use super::{
    Kind,
    sheet::Sheet,
    stream::{Has, Stream},
};
use crate::Result;

/// Columns that become labels.
const LABELS: [(&str, &[&str]); 6] = [
    ("powerstate", &["powerstate"]),
    ("os", &["os according to the vmware tools", "os according to the configuration file"]),
    ("firmware", &["firmware"]),
    ("host", &["host"]),
    ("cluster", &["cluster"]),
    ("datacenter", &["datacenter"]),
];
const DISK_MIB: [&str; 3] = ["total disk capacity mib", "provisioned mib", "provisioned mb"];
const USED_MIB: [&str; 2] = ["in use mib", "in use mb"];
const ACTIVE_MIB: [&str; 1] = ["active memory"];

pub(super) fn read(sheet: &Sheet, stream: &mut Stream) -> Result<()> {
    let name = sheet.need(&["vm", "vm name"])?;
    let (cpus, memory) =
        (sheet.need(&["cpus", "num cpus"])?, sheet.need(&["memory", "memory mib", "memory mb"])?);
    for row in sheet.rows() {
        let is_yes = |names: &[&str]| {
            matches!(row.text_of(names).to_lowercase().as_str(), "true" | "wahr" | "yes" | "1")
        };
        let server = stream.new_server(row.text(name), row.at.column(name + 1))?;
        if is_yes(&["template"]) || is_yes(&["srm placeholder"]) {
            stream.leave_out(server, row.at, "a template or a placeholder");
            continue;
        }
        let has =
            Has { cores: Some(row.count(cpus)?), mem_cap_mib: Some(row.count(memory)?), ..Has::default() };
        stream.has(server, has, row.at);
        for (label, columns) in LABELS {
            // The first that says anything.
            let said = columns.iter().map(|column| row.text_of(&[column])).find(|text| !text.is_empty());
            stream.label(server, label, said.unwrap_or_default());
        }
        if let Some(mib) = row.number_of(&DISK_MIB)? {
            stream.label(server, "disk_gib", &format!("{:.0}", (mib / 1_024.0).ceil()));
        }
        if let Some(mib) = row.number_of(&USED_MIB)? {
            stream.label(server, "disk_used_gib", &format!("{:.0}", (mib / 1_024.0).ceil()));
        }
        if let Some(mib) = row.number_of(&ACTIVE_MIB)?.filter(|mib| *mib > 0.0) {
            stream.label(server, "momentary_mem_mib", &format!("{:.0}", mib.ceil()));
            stream.note(Kind::Averages, server, row.at, || "active memory of one moment".into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{
        Assumed, Form,
        hardware::Hardware,
        stream::{Binned, Stream},
    };
    use super::*;

    fn read(text: &str) -> Result<Binned> {
        let assumed = Assumed { core_mhz: Some(2_000), ..Assumed::default() };
        let mut stream = Stream::new(300, None, Hardware::read(assumed, None)?);
        Form::Rvtools.read(text.into(), Path::new("vInfo.csv"), &mut stream, &|| false)?;
        stream.finish(false)
    }

    #[test]
    fn vms_are_read_and_templates_left_out() {
        let text = "VM,Powerstate,Template,CPUs,Memory,Active Memory,Provisioned MiB,In Use MiB,OS according to the configuration file,\
            OS according to the VMware Tools\n\
            web1,poweredOn,False,4,\"16,384\",512,\"51,300\",1025,Debian 10,Debian 12\ngold,poweredOff,True,2,4096,0,1,1,x,\n\
            db1,poweredOff,False,8,8192,0,,,SLES 15,\n";
        let binned = read(text).unwrap();
        let known: Vec<(&str, u32, u32, u32)> =
            binned.servers.iter().map(|s| (s.name.as_str(), s.cores, s.cpu_cap_mhz, s.mem_cap_mib)).collect();
        assert_eq!(known, [("web1", 4, 8_000, 16_384), ("db1", 8, 16_000, 8_192)]);
        let label = |at: usize, key: &str| {
            binned.servers[at].labels.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
        };
        assert_eq!(label(0, "os"), Some("Debian 12"));
        assert_eq!(label(1, "os"), Some("SLES 15"));
        assert_eq!((binned.servers[0].disk_gib(), label(0, "disk_used_gib")), (Some(51), Some("2")));
        assert_eq!(binned.servers[1].disk_gib(), None);
        let kinds: Vec<(Kind, &str)> = binned.findings.iter().map(|f| (f.kind, f.server.as_str())).collect();
        assert_eq!(kinds, [(Kind::LeftOut, "gold"), (Kind::Averages, "web1")]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let told = |text: &str| read(text).unwrap_err().to_string();
        assert!(told("Host,CPUs\n").contains("no column is named \"vm\""));
        assert_eq!(told("VM,CPUs,Memory\na,x,1\n"), "vInfo.csv, line 2, column 2: \"x\" is no cpus");
        assert_eq!(told("VM,CPUs,Memory\na,0,1\n"), "vInfo.csv, line 2, column 2: the server has no cpus");
        assert!(
            told("VM,CPUs,Memory\na,1,1\na,1,1\n")
                .starts_with("vInfo.csv, line 3, column 1: there are two servers named a")
        );
        assert_eq!(told("VM,CPUs,Memory\n"), "there is no server in these files");
    }
}
