//! Whatever bytes a file has, there is an answer and no panic: any bytes, and files of each form that were damaged.

use std::path::Path;

use proptest::prelude::*;

use super::{Form, rehearse};

const BITBRAINS: &str = "Timestamp [ms];\tCPU cores;\tCPU capacity provisioned [MHZ];\tCPU usage [MHZ];\tCPU usage [%];\t\
    Memory capacity provisioned [KB];\tMemory usage [KB];\tDisk read throughput [KB/s];\tDisk write throughput [KB/s];\t\
    Network received throughput [KB/s];\tNetwork transmitted throughput [KB/s]\n\
    86400;\t2;\t5200.1;\t87.8;\t1.5;\t2097152.0;\t1034592.8;\t160.1;\t0;\t0.2;\t1\n\
    86700;\t2;\t5200.1;\t87.8;\t1.5;\t2097152.0;\t1034592.8;\t160.1;\t0;\t0.2;\t1\n";
const PERFMON: &str = "\"(PDH-CSV 4.0) (Tokyo Standard Time)(-540)\",\"\\\\WEB1\\Processor(_Total)\\% Processor Time\",\
    \"\\\\WEB1\\Memory\\Available MBytes\",\"\\\\WEB1\\Network Interface(a)\\Bytes Received/sec\"\r\n\
    \"01/02/1970 09:00:00.000\",\" \",\"512\",\" \"\r\n\"01/02/1970 09:00:30.000\",\"50.0\",\"256\",\"1024\"\r\n";
const PROMETHEUS: &str = "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[\
    {\"metric\":{\"__name__\":\"node_network_receive_bytes_total\",\"instance\":\"web1:9100\",\"device\":\"eth0\"},\
    \"values\":[[86400,\"0\"],[86460.5,\"61440\"],[86520,\"1e3\"]]},\
    {\"metric\":{\"__name__\":\"node_cpu_seconds_total\",\"instance\":\"web1:9100\",\"cpu\":\"0\",\"mode\":\"user\"},\
    \"values\":[[86400,\"0\"],[86460,\"30\"]]}]}}";
const RVTOOLS: &str = "VM,Powerstate,Template,CPUs,Memory\nweb1,poweredOn,False,4,\"16,384\"\n";
const AZURE: &str = "*Server name,*Cores,*Memory (In MB),CPU utilization percentage\nweb1,4,8192,45\n";
const VMWARE: &str = "#TYPE Selected.VM\r\nName;NumCpu;MemoryGB;ProvisionedSpaceGB;Guest\r\nweb1;4;0,5;104,228;web1:Windows\r\n";
const HYPER_V: &str =
    "VMName,ProcessorCount,MemoryStartup,MemoryAssigned,Generation\nweb1,2,1073741824,0,2\n";

fn seed(form: Form) -> &'static [u8] {
    match form {
        Form::Bitbrains => BITBRAINS.as_bytes(),
        Form::Planetlab => b"24\n34\n29\n100\n",
        Form::Sar => include_bytes!("samples/sar.csv"),
        Form::Perfmon => PERFMON.as_bytes(),
        Form::Prometheus => PROMETHEUS.as_bytes(),
        Form::Rvtools => RVTOOLS.as_bytes(),
        Form::AzureMigrate => AZURE.as_bytes(),
        Form::VmwareInventory => VMWARE.as_bytes(),
        Form::HypervInventory => HYPER_V.as_bytes(),
    }
}

#[test]
fn what_is_damaged_here_is_good_before() {
    for form in Form::ALL {
        rehearse(form, seed(form), Path::new("a.csv"), 300)
            .unwrap_or_else(|error| panic!("{form:?}: {error}"));
    }
}

#[test]
fn a_file_that_is_cut_short_anywhere_is_no_panic() {
    for form in Form::ALL {
        let whole = seed(form);
        for end in 0..whole.len().min(1_500) {
            let _ = rehearse(form, &whole[..end], Path::new("a.csv"), 300);
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), packed in any::<bool>()) {
        let bytes = if packed { [b"PK\x03\x04".as_slice(), &bytes].concat() } else { bytes };
        for form in Form::ALL {
            let _ = rehearse(form, &bytes, Path::new("cpu_busy.json"), 300);
        }
    }

    #[test]
    fn damaged_files_are_no_panic(
        damages in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..8, "[0-9eE+;,:.\"\\-NaInf \t\n#\\\\()]{0,12}"), 1..6),
        step_s in 1u32..86_400,
    ) {
        for form in Form::ALL {
            let mut bytes = seed(form).to_vec();
            for (place, length, instead) in &damages {
                let from = place.index(bytes.len() + 1);
                let to = (from + length).min(bytes.len());
                bytes.splice(from..to, instead.bytes());
            }
            let _ = rehearse(form, &bytes, Path::new("a.csv"), step_s);
        }
    }
}
