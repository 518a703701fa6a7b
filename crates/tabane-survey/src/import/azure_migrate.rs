//! Inventories in the form that Azure Migrate takes and gives as CSV. They may say how busy servers are on average; that is no
//! trace, and becomes labels.

use super::{
    Kind,
    sheet::{Row, Sheet},
    stream::{Has, Stream},
};
use crate::Result;

const LABELS: [(&str, &[&str]); 5] = [
    ("os", &["os name", "operating system"]),
    ("os_version", &["os version"]),
    ("firmware", &["boot type"]),
    ("hypervisor", &["hypervisor"]),
    ("addresses", &["ip addresses", "ip address"]),
];
/// Averages, as the columns say them.
const AVERAGES: [(&str, &[&str]); 4] = [
    ("average_cpu_percent", &["cpu utilization percentage"]),
    ("average_mem_percent", &["memory utilization percentage"]),
    ("average_net_rx_mbs", &["network in throughput", "network in throughput (mbps)"]),
    ("average_net_tx_mbs", &["network out throughput", "network out throughput (mbps)"]),
];

/// Disks whose sizes have columns of their own.
const DISKS_MAX: usize = 64;
const DISKS_TOGETHER_GIB: [&str; 4] =
    ["storage (in gb)", "storage (gb)", "total disk size (in gb)", "storage in use (in gb)"];

pub(super) fn read(sheet: &Sheet, stream: &mut Stream) -> Result<()> {
    let name = sheet.need(&["server name", "machine", "machine name"])?;
    let cores = sheet.need(&["cores"])?;
    let memory = sheet.need(&["memory (in mb)", "memory (mb)", "memory(mb)"])?;
    for row in sheet.rows() {
        let server = stream.new_server(row.text(name), row.at.column(name + 1))?;
        let has =
            Has { cores: Some(row.count(cores)?), mem_cap_mib: Some(row.count(memory)?), ..Has::default() };
        stream.has(server, has, row.at);
        for (label, columns) in LABELS {
            stream.label(server, label, row.text_of(columns));
        }
        if let Some(gib) = disk_gib(&row)? {
            stream.label(server, "disk_gib", &format!("{:.0}", gib.ceil()));
        }
        for (label, columns) in AVERAGES {
            if let Some(average) = row.number_of(columns)? {
                stream.label(server, label, &average.to_string());
                stream.note(Kind::Averages, server, row.at, || label.to_owned());
            }
        }
    }
    Ok(())
}

/// All disks that are listed, or else what is said of them together; `None` if nothing is.
fn disk_gib(row: &Row<'_, '_>) -> Result<Option<f64>> {
    let mut sum = None;
    for disk in 1..=DISKS_MAX {
        let names = [format!("disk {disk} size (in gb)"), format!("disk {disk} size (gb)")];
        if let Some(gib) = row.number_of(&names.each_ref().map(String::as_str))? {
            sum = Some(sum.unwrap_or(0.0) + gib);
        }
    }
    sum.map_or_else(|| row.number_of(&DISKS_TOGETHER_GIB), |sum| Ok(Some(sum)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::import::{Assumed, Form, hardware::Hardware, rehearse};

    #[test]
    fn averages_are_told_to_be_no_trace() {
        let text = "*Server name,IP addresses,*Cores,*Memory (In MB),*OS name,CPU utilization percentage,Memory utilization percentage\n\
            web1,10.0.0.1;10.0.0.2,4,8192,Linux,45,60\ndb1,,8,16384,Windows,,\n";
        let imported = rehearse(Form::AzureMigrate, text.as_bytes(), Path::new("a.csv"), 300).unwrap();
        assert_eq!((imported.servers, imported.bins), (2, 0));
        let told: Vec<(Kind, &str, u64)> =
            imported.findings.iter().map(|it| (it.kind, it.server.as_str(), it.count)).collect();
        assert_eq!(told, [(Kind::Averages, "web1", 2)]);
        let sized = "Server name,Cores,Memory (In MB),Number of disks,Disk 1 size (In GB),Disk 2 size (In GB),Storage (In GB)\n\
            web1,4,8192,2,64,\"1,024\",9\ndb1,8,16384,1,,,200.5\nold,1,1,,,,\n";
        let assumed = Assumed { core_mhz: Some(2_000), ..Assumed::default() };
        let mut stream = Stream::new(300, None, Hardware::read(assumed, None).unwrap());
        Form::AzureMigrate.read(sized.into(), Path::new("a.csv"), &mut stream, &|| false).unwrap();
        let servers = stream.finish(false).unwrap().servers;
        let sizes: Vec<Option<u32>> = servers.iter().map(tabane_model::Source::disk_gib).collect();
        assert_eq!(sizes, [Some(1_088), Some(201), None]);
        assert!(Kind::Averages.told().contains("no trace"));
    }
}
