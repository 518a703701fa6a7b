//! Pools on this host: folders, how much is free in them, and what their file systems can do.

use std::path::{Path, PathBuf};

use tabane_model::{Kind, Name, Pool, PoolOnHost, PoolStatus};

use crate::{Error, Result, agent::Shared, files};

/// The folder of a pool on this host.
pub fn folder(shared: &Shared, pool: &Pool) -> PathBuf {
    match &pool.spec.path {
        Some(path) => path.into(),
        // The default pool keeps its name out of the path; others that have none stand beside it.
        None if pool.meta.name.as_str() == "local" => shared.folders.pool(),
        None => shared.folders.root().join(format!("pool-{}", pool.meta.name)),
    }
}

pub fn ensure(shared: &Shared, name: &Name) -> Result<PathBuf> {
    let pool =
        shared.objects.pool(name).ok_or_else(|| Error::NotYet(format!("waiting for the pool {name}")))?;
    let folder = folder(shared, &pool);
    files::folder(&folder, 0o711)?;
    Ok(folder)
}

/// Bytes in all, and free for us, of the file system that a path is on.
pub fn space(path: &Path) -> std::io::Result<(u64, u64)> {
    let stat = rustix::fs::statvfs(path)?;
    Ok((stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize))
}

/// Whether files here can share blocks: tried out, since file systems do not say.
fn has_reflink(folder: &Path) -> bool {
    let (from, to) = (folder.join(".reflink-from"), folder.join(".reflink-to"));
    let tried = || -> std::io::Result<()> {
        std::fs::write(&from, [0u8; 4096])?;
        let (source, target) = (std::fs::File::open(&from)?, std::fs::File::create(&to)?);
        Ok(rustix::fs::ioctl_ficlone(&target, &source)?)
    };
    let works = tried().is_ok();
    let _ = (std::fs::remove_file(&from), std::fs::remove_file(&to));
    works
}

/// Tells of every pool.
pub fn report(shared: &Shared) {
    for pool in shared.objects.pools() {
        let part = match ensure(shared, &pool.meta.name) {
            Err(error) => PoolOnHost { message: error.told(), ..PoolOnHost::default() },
            Ok(folder) => match space(&folder) {
                Err(error) => PoolOnHost { message: error.to_string(), ..PoolOnHost::default() },
                Ok((capacity_bytes, free_bytes)) => PoolOnHost {
                    ready: true,
                    message: String::new(),
                    capacity_bytes,
                    free_bytes,
                    reflink: shared.reflink(&folder, has_reflink),
                },
            },
        };
        let status = PoolStatus { hosts: [(shared.identity.name.clone(), part)].into() };
        shared.reporter.status(Kind::Pool, &pool.meta.name, pool.meta.uid, &status);
    }
}
