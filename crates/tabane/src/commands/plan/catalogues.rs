//! Licence catalogues with a price list over them, support matrices and tables of CPUs, from files or folders of them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tabane_model::{
    CpuIndex, CpuTable, PlanProduct,
    licence::{Catalogue, PriceList},
    support::{Support, SupportMatrix},
};

/// The products of all catalogues. A product that two of them have is an error: nobody would know which one holds.
pub fn read(paths: &[PathBuf], prices: Option<&Path>) -> Result<Vec<PlanProduct>> {
    let mut catalogues: Vec<(PathBuf, Catalogue)> = Vec::new();
    for path in paths {
        for file in files(path)? {
            let catalogue: Catalogue = super::read_toml(&file)?;
            super::sound(&file, catalogue.faults())?;
            catalogues.push((file, catalogue));
        }
    }
    if let Some(path) = prices {
        apply(path, &mut catalogues)?;
    }
    let mut products: Vec<(PathBuf, PlanProduct)> = Vec::new();
    for (file, catalogue) in catalogues {
        for product in catalogue.product {
            if let Some((other, _)) = products.iter().find(|(_, known)| known.product.name == product.name) {
                bail!(
                    "{} and {} both have {}: name one of them",
                    other.display(),
                    file.display(),
                    product.name
                )
            }
            let (vendor, as_of) = (catalogue.vendor.clone(), catalogue.as_of);
            products.push((file.clone(), PlanProduct { vendor, as_of, product }));
        }
    }
    Ok(products.into_iter().map(|(_, product)| product).collect())
}

/// The entries of all support matrices.
pub fn support(paths: &[PathBuf]) -> Result<Vec<Support>> {
    let mut entries = Vec::new();
    for path in paths {
        for file in files(path)? {
            let matrix: SupportMatrix = super::read_toml(&file)?;
            super::sound(&file, matrix.faults())?;
            entries.extend(matrix.support);
        }
    }
    Ok(entries)
}

/// The entries of all tables of CPUs, in their order: the first that matches counts.
pub fn cpus(paths: &[PathBuf]) -> Result<Vec<CpuIndex>> {
    let mut entries = Vec::new();
    for path in paths {
        for file in files(path)? {
            let table: CpuTable = super::read_toml(&file)?;
            super::sound(&file, table.faults())?;
            entries.extend(table.cpu);
        }
    }
    Ok(entries)
}

/// Each price has to be of a product of some catalogue.
fn apply(path: &Path, catalogues: &mut [(PathBuf, Catalogue)]) -> Result<()> {
    let list: PriceList = super::read_toml(path)?;
    for own in list.price {
        let found = catalogues.iter_mut().find(|(_, catalogue)| catalogue.product(&own.product).is_some());
        let Some((_, catalogue)) = found else {
            bail!("{}: no catalogue has {}: name the catalogues with --licences", path.display(), own.product)
        };
        super::sound(path, PriceList { price: vec![own] }.apply(catalogue))?;
    }
    Ok(())
}

fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = || format!("cannot read {}", path.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).with_context(failed)? {
        let file = entry.with_context(failed)?.path();
        if file.is_file() && file.extension().is_some_and(|extension| extension == "toml") {
            files.push(file);
        }
    }
    if files.is_empty() {
        bail!("{} has no such file: files that end with .toml", path.display())
    }
    files.sort();
    Ok(files)
}
