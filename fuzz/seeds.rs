//! Seeds for `image_inspect`: an image of every format that qemu-img makes, as pieces of a sparse file.

use std::{fs, path::Path, process::Command};

const SECTOR_BYTES: usize = 512;

fn main() {
    let folder = std::env::args().nth(1).expect("usage: seeds FOLDER");
    let folder = Path::new(&folder);
    fs::create_dir_all(folder).expect("the folder can be made");
    for (i, (format, options)) in [
        ("raw", ""),
        ("qcow2", "compat=v3"),
        ("qcow2", "compat=0.10"),
        ("vmdk", "subformat=monolithicSparse"),
        ("vmdk", "subformat=streamOptimized"),
        ("vpc", "subformat=dynamic"),
        ("vpc", "subformat=fixed"),
        ("vhdx", ""),
        ("vdi", ""),
    ]
    .iter()
    .enumerate()
    {
        let image = folder.join("image");
        let mut command = Command::new("qemu-img");
        command.args(["create", "-q", "-f", format]);
        if !options.is_empty() {
            command.args(["-o", options]);
        }
        assert!(command.arg(&image).arg("1M").status().expect("qemu-img runs").success());
        let content = fs::read(&image).expect("it was made");
        fs::remove_file(&image).expect("it was made");
        let mut seed = (content.len() as u64).to_le_bytes().to_vec();
        seed.push(15);
        for (sector, piece) in content.chunks(SECTOR_BYTES).enumerate() {
            let used = piece.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
            if used > 0 {
                seed.extend((sector as u32).to_le_bytes());
                seed.extend((used as u16).to_le_bytes());
                seed.extend(&piece[..used]);
            }
        }
        fs::write(folder.join(format!("seed-{i}-{format}")), seed).expect("it can be written");
    }
}
