//! Inventories in the form that Azure Migrate takes and gives as CSV. They may say how busy servers are on average; that is no
//! trace, and becomes labels.

use super::{
    Kind,
    sheet::Sheet,
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
        for (label, columns) in AVERAGES {
            if let Some(average) = row.number_of(columns)? {
                stream.label(server, label, &average.to_string());
                stream.note(Kind::Averages, server, row.at, || label.to_owned());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::import::{Form, rehearse};

    #[test]
    fn averages_are_told_to_be_no_trace() {
        let text = "*Server name,IP addresses,*Cores,*Memory (In MB),*OS name,CPU utilization percentage,Memory utilization percentage\n\
            web1,10.0.0.1;10.0.0.2,4,8192,Linux,45,60\ndb1,,8,16384,Windows,,\n";
        let imported = rehearse(Form::AzureMigrate, text.as_bytes(), Path::new("a.csv"), 300).unwrap();
        assert_eq!((imported.servers, imported.bins), (2, 0));
        let told: Vec<(Kind, &str, u64)> =
            imported.findings.iter().map(|it| (it.kind, it.server.as_str(), it.count)).collect();
        assert_eq!(told, [(Kind::Averages, "web1", 2)]);
        assert!(Kind::Averages.told().contains("no trace"));
    }
}
