//! The cloud-init seed (NoCloud): an ISO 9660 image with `user-data`, `meta-data` and `network-config`, made for each VM.
//!
//! The image is written here, without tools: three small files in one folder, in plain ISO 9660 (ECMA-119) with Rock
//! Ridge names (SUSP/RRIP `NM`), which is what Linux guests read.

use serde::Serialize;
use serde_yaml_ng::Value;
use tabane_model::Vm;

/// What of the image is of interest to cloud-init.
pub struct Defaults<'a> {
    pub user: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct MetaData<'a> {
    instance_id: String,
    local_hostname: &'a str,
}

/// The three files.
pub fn files(vm: &Vm, defaults: &Defaults<'_>) -> Vec<(&'static str, Vec<u8>)> {
    let hostname = vm.spec.init.hostname.as_deref().unwrap_or(vm.meta.name.as_str());
    let meta = MetaData { instance_id: vm.meta.uid.to_string(), local_hostname: hostname };
    let yaml = |value: &Value| serde_yaml_ng::to_string(value).expect("plain values are YAML").into_bytes();
    let meta = serde_yaml_ng::to_string(&meta).expect("plain values are YAML").into_bytes();
    vec![
        ("meta-data", meta),
        ("user-data", user_data(vm, hostname, defaults)),
        ("network-config", yaml(&network(vm))),
    ]
}

fn user_data(vm: &Vm, hostname: &str, defaults: &Defaults<'_>) -> Vec<u8> {
    let init = &vm.spec.init;
    let mut config = serde_yaml_ng::Mapping::new();
    let mut set = |key: &str, value: Value| drop(config.insert(key.into(), value));
    set("hostname", hostname.split('.').next().unwrap_or(hostname).into());
    if hostname.contains('.') {
        set("fqdn", hostname.into());
    }
    set("preserve_hostname", false.into());
    // So that the name, the long one too, is known in the guest without a name server.
    set("manage_etc_hosts", "localhost".into());
    if let Some(user) = init.user.as_deref().or(defaults.user) {
        let mut entry = serde_yaml_ng::Mapping::new();
        entry.insert("name".into(), user.into());
        entry.insert("shell".into(), "/bin/bash".into());
        entry.insert("sudo".into(), "ALL=(ALL) NOPASSWD:ALL".into());
        if !init.ssh_keys.is_empty() {
            entry.insert("ssh_authorized_keys".into(), init.ssh_keys.clone().into());
        }
        if let Some(hash) = &init.password_hash {
            entry.insert("passwd".into(), hash.as_str().into());
            entry.insert("lock_passwd".into(), false.into());
        }
        set("users", Value::Sequence(vec![Value::Mapping(entry)]));
    } else if !init.ssh_keys.is_empty() {
        set("ssh_authorized_keys", init.ssh_keys.clone().into());
    }
    let own = serde_yaml_ng::to_string(&config).expect("plain values are YAML");
    let own = format!("#cloud-config\n{own}");
    match init.user_data.as_deref() {
        None => own.into_bytes(),
        Some(theirs) => multipart(&own, theirs).into_bytes(),
    }
}

/// Two parts (RFC 2046), the user's own last, so that it wins where both say something.
fn multipart(own: &str, theirs: &str) -> String {
    let mut boundary = String::from("tabane-part");
    while own.contains(&boundary) || theirs.contains(&boundary) {
        boundary.push('-');
    }
    let kind = match theirs.lines().next().unwrap_or_default() {
        first if first.starts_with("#!") => "text/x-shellscript",
        first if first.starts_with("#include") => "text/x-include-url",
        first if first.starts_with("#cloud-boothook") => "text/cloud-boothook",
        _ => "text/cloud-config",
    };
    format!(
        "Content-Type: multipart/mixed; boundary=\"{boundary}\"\nMIME-Version: 1.0\n\n\
         --{boundary}\nContent-Type: text/cloud-config\n\n{own}\n\
         --{boundary}\nContent-Type: {kind}\nMerge-Type: dict(recurse_array)+list(append)\n\n{theirs}\n\
         --{boundary}--\n"
    )
}

/// Version 2: every nic by its MAC address, by DHCP, which hands out the addresses that we have allocated.
fn network(vm: &Vm) -> Value {
    let mut ethernets = serde_yaml_ng::Mapping::new();
    for nic in &vm.spec.nics {
        let Some(mac) = nic.mac else { continue };
        let mut matched = serde_yaml_ng::Mapping::new();
        matched.insert("macaddress".into(), mac.to_string().into());
        let mut entry = serde_yaml_ng::Mapping::new();
        entry.insert("match".into(), Value::Mapping(matched));
        entry.insert("dhcp4".into(), true.into());
        ethernets.insert(nic.name.as_str().into(), Value::Mapping(entry));
    }
    let mut config = serde_yaml_ng::Mapping::new();
    config.insert("version".into(), 2.into());
    config.insert("ethernets".into(), Value::Mapping(ethernets));
    Value::Mapping(config)
}

const SECTOR: usize = 2048;

/// An ISO 9660 image with label `CIDATA` and these files.
pub fn image(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    // Sectors: 0-15 system area, 16 primary descriptor, 17 terminator, 18 and 19 path tables, 20 root folder, files.
    const ROOT: usize = 20;
    let mut next = ROOT + 1;
    let mut places = Vec::new();
    for (_, content) in files {
        places.push(next);
        next += content.len().div_ceil(SECTOR).max(1);
    }
    let mut image = vec![0; next * SECTOR];
    let mut at = |sector: usize, bytes: &[u8]| image[sector * SECTOR..][..bytes.len()].copy_from_slice(bytes);

    let mut root = folder_record(&[0], ROOT, SECTOR, true, &[SUSP_START, RRIP_ER].concat());
    root.extend(folder_record(&[1], ROOT, SECTOR, true, &[]));
    for (i, ((name, content), place)) in files.iter().zip(&places).enumerate() {
        let short = format!("F{i}.;1");
        root.extend(folder_record(short.as_bytes(), *place, content.len(), false, &rock_ridge_name(name)));
        at(*place, content);
    }
    at(ROOT, &root);
    at(16, &primary_descriptor(next, ROOT));
    at(17, b"\xffCD001\x01");
    // A path table holds the root alone: length of name, no attributes, place, parent, name 0, padding.
    let table = |place: [u8; 4], parent: [u8; 2]| [&[1, 0][..], &place, &parent, &[0, 0]].concat();
    at(18, &table((ROOT as u32).to_le_bytes(), 1u16.to_le_bytes()));
    at(19, &table((ROOT as u32).to_be_bytes(), 1u16.to_be_bytes()));
    image
}

/// SUSP 5.3: says that system use fields are here.
const SUSP_START: &[u8] = b"SP\x07\x01\xbe\xef\x00";
/// SUSP 5.5: says that they are those of the Rock Ridge protocol.
const RRIP_ER: &[u8] = b"ER\x12\x01\x0a\x00\x00\x01RRIP_1991A";

/// RRIP 4.1.4.
fn rock_ridge_name(name: &str) -> Vec<u8> {
    let mut field = vec![b'N', b'M', 5 + name.len() as u8, 1, 0];
    field.extend(name.as_bytes());
    field
}

fn both_endian_32(value: usize) -> [u8; 8] {
    let (little, big) = ((value as u32).to_le_bytes(), (value as u32).to_be_bytes());
    [little[0], little[1], little[2], little[3], big[0], big[1], big[2], big[3]]
}

/// ECMA-119, 9.1. The times stay zero: the same VM gives the same image.
fn folder_record(name: &[u8], place: usize, size_bytes: usize, folder: bool, system_use: &[u8]) -> Vec<u8> {
    let padded_name = name.len() + (name.len() + 1) % 2;
    let mut length = 33 + padded_name + system_use.len();
    length += length % 2;
    let mut record = vec![length as u8, 0];
    record.extend(both_endian_32(place));
    record.extend(both_endian_32(size_bytes));
    record.extend([70, 1, 1, 0, 0, 0, 0]);
    record.push(if folder { 2 } else { 0 });
    record.extend([0, 0, 1, 0, 0, 1]);
    record.push(name.len() as u8);
    record.extend(name);
    record.resize(33 + padded_name, 0);
    record.extend(system_use);
    record.resize(length, 0);
    record
}

/// ECMA-119, 8.4.
fn primary_descriptor(sectors: usize, root: usize) -> Vec<u8> {
    let mut d = vec![0; SECTOR];
    let mut put = |at: usize, bytes: &[u8]| d[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"\x01CD001\x01");
    put(8, &[b' '; 32]);
    put(40, format!("{:32}", "CIDATA").as_bytes());
    put(80, &both_endian_32(sectors));
    put(120, &[1, 0, 0, 1]);
    put(124, &[1, 0, 0, 1]);
    put(128, &[0, 8, 8, 0]);
    put(132, &both_endian_32(10));
    put(140, &18u32.to_le_bytes());
    put(148, &19u32.to_be_bytes());
    put(156, &folder_record(&[0], root, SECTOR, true, &[]));
    put(190, &[b' '; 623]);
    // Four times that are not given: sixteen digits zero and a zone of zero (8.4.26.1).
    for time in 0..4 {
        put(813 + 17 * time, &[b'0'; 16]);
    }
    put(881, &[1]);
    d
}

#[cfg(test)]
mod tests {
    use tabane_model::{Meta, Resource, VmSpec};

    use super::*;

    fn vm() -> Vm {
        let mut vm = Vm::new(Meta::new("web1".parse().unwrap()), VmSpec::new(1, 256 << 20));
        vm.spec.init.ssh_keys = vec!["ssh-ed25519 AAAA you@there".into()];
        vm
    }

    #[test]
    fn other_tools_read_the_image() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seed.iso");
        let files = files(&vm(), &Defaults { user: Some("debian") });
        std::fs::write(&path, image(&files)).unwrap();
        let run = |arguments: &[&str]| {
            let output = std::process::Command::new("isoinfo").args(arguments).arg("-i").arg(&path).output();
            String::from_utf8(output.expect("isoinfo (genisoimage) is installed").stdout).unwrap()
        };
        assert!(run(&["-d"]).contains("Volume id: CIDATA"));
        let list = run(&["-R", "-f"]);
        for (name, content) in &files {
            assert!(list.contains(&format!("/{name}")), "{list}");
            assert_eq!(run(&["-R", "-x", &format!("/{name}")]).as_bytes(), content);
        }
    }

    #[test]
    fn own_user_data_comes_last_and_cannot_end_the_parts() {
        let mut vm = vm();
        vm.spec.init.user_data = Some("#cloud-config\nruncmd: [\"echo --tabane-part--\"]\n".into());
        let text = String::from_utf8(user_data(&vm, "web1", &Defaults { user: None })).unwrap();
        assert!(text.contains("boundary=\"tabane-part-"), "{text}");
        assert!(text.find("ssh_authorized_keys").unwrap() < text.find("runcmd").unwrap());
    }
}
