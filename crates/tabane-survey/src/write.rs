//! A folder of traces is written: everything beside it first, synced, and then it gets its name.
//!
//! A folder that is not there yet appears whole or not at all. Into one that is there, which may be a link or a mount, files
//! are moved one by one from a folder within, and `servers.csv` last: without it, it is no folder of traces.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use tabane_model::{Metric, Source, Traces};

use crate::{Error, Matrix, Result, folder, servers};

/// What becomes of traces that are in the folder already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    Kept,
    Replaced,
}

/// Refuses a folder that has traces already. Worth asking before hours of work.
pub(crate) fn must_be_free(to: &Path) -> Result<()> {
    let files = match folder::files_of(to) {
        Ok(files) => files,
        // Whoever writes to it will say so.
        Err(Error::Read { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    let Some(file) = files.values().next() else { return Ok(()) };
    let has = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let what = format!("there are traces already ({has}); name another folder, or remove them");
    Err(Error::Folder { folder: to.to_owned(), what })
}

/// Writes traces into a folder that has none yet.
pub fn write_folder(traces: &Traces, to: &Path) -> Result<()> {
    let mut writing = Writing::begin(to, Before::Kept)?;
    let servers: Vec<String> = traces.servers.iter().map(|server| server.name.clone()).collect();
    for (metric, values) in &traces.series {
        let matrix = Matrix { grid: traces.grid, servers: servers.clone(), values: values.clone() };
        writing.matrix(*metric, &matrix)?;
    }
    writing.finish(&traces.servers)
}

/// A folder that is being written; what is not finished is taken away again.
pub(crate) struct Writing {
    to: PathBuf,
    beside: PathBuf,
    before: Before,
    files: Vec<String>,
}

impl Writing {
    pub(crate) fn begin(to: &Path, before: Before) -> Result<Self> {
        if before == Before::Kept {
            must_be_free(to)?;
        }
        let to = std::path::absolute(to).map_err(|source| failed(to, source))?;
        let (place, mut hidden) = match (to.parent(), to.file_name()) {
            _ if to.is_dir() => (to.clone(), OsString::from(".traces")),
            (Some(parent), Some(name)) => (parent.to_owned(), [OsStr::new("."), name].into_iter().collect()),
            _ => {
                let what = "this cannot be a folder of traces; name one that is not there yet".into();
                return Err(Error::Folder { folder: to, what });
            }
        };
        fs::create_dir_all(&place).map_err(|source| failed(&place, source))?;
        hidden.push(".new");
        let beside = place.join(hidden);
        // Of a process that was killed.
        if fs::symlink_metadata(&beside).is_ok() {
            fs::remove_dir_all(&beside).map_err(|source| failed(&beside, source))?;
        }
        fs::create_dir(&beside).map_err(|source| failed(&beside, source))?;
        Ok(Self { to, beside, before, files: Vec::new() })
    }

    pub(crate) fn matrix(&mut self, metric: Metric, matrix: &Matrix) -> Result<()> {
        self.file(format!("{metric}.csv"), &matrix.write())
    }

    fn file(&mut self, name: String, text: &str) -> Result<()> {
        let path = self.beside.join(&name);
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written.map_err(|source| failed(&path, source))?;
        self.files.push(name);
        Ok(())
    }

    /// Writes the servers, and gives everything its name.
    pub(crate) fn finish(mut self, servers: &[Source]) -> Result<()> {
        self.file("servers.csv".into(), &servers::write(servers))?;
        sync(&self.beside)?;
        if self.beside.parent() != Some(&self.to) {
            fs::rename(&self.beside, &self.to).map_err(|source| failed(&self.to, source))?;
            return self.to.parent().map_or(Ok(()), sync);
        }
        if self.before == Before::Kept {
            must_be_free(&self.to)?;
        }
        for name in &self.files {
            let place = self.to.join(name);
            fs::rename(self.beside.join(name), &place).map_err(|source| failed(&place, source))?;
        }
        sync(&self.to)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // After a rename there is nothing; otherwise nobody wants a part.
        let _ = fs::remove_dir_all(&self.beside);
    }
}

fn sync(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| failed(folder, source))
}

fn failed(file: &Path, source: std::io::Error) -> Error {
    Error::Write { file: file.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use tabane_model::{Grid, NO_SAMPLE};

    use super::*;
    use crate::read_folder;

    fn web() -> Source {
        let labels = vec![("os".into(), "a, \"b\"".into())];
        Source { name: "web".into(), cores: 2, cpu_cap_mhz: 4_000, mem_cap_mib: 1_024, labels }
    }

    fn matrix() -> Matrix {
        let grid = Grid { first_bin_unix: 0, step_s: 300, bins: 2 };
        Matrix { grid, servers: vec!["web".into()], values: vec![1, NO_SAMPLE] }
    }

    fn write(to: &Path, before: Before) -> Result<()> {
        let mut writing = Writing::begin(to, before)?;
        writing.matrix(Metric::CpuMhz, &matrix())?;
        writing.finish(&[web()])
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_written_is_read_and_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("a/traces");
        write(&to, Before::Kept).unwrap();
        let traces = read_folder(&to).unwrap();
        assert_eq!(traces.servers, [web()]);
        assert_eq!(traces.of(0, Metric::CpuMhz).unwrap(), [1, NO_SAMPLE]);
        assert!(write(&to, Before::Kept).unwrap_err().to_string().contains("there are traces already"));
        write(&to, Before::Replaced).unwrap();
        assert_eq!(names(&folder.path().join("a")), ["traces"]);
    }

    #[test]
    fn other_files_of_the_folder_stay() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("hosts.toml"), "x").unwrap();
        write(folder.path(), Before::Kept).unwrap();
        assert_eq!(names(folder.path()), ["cpu_mhz.csv", "hosts.toml", "servers.csv"]);
        let linked = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(linked.path(), &link).unwrap();
        write(&link, Before::Kept).unwrap();
        assert_eq!(names(linked.path()), ["cpu_mhz.csv", "servers.csv"]);
        std::fs::write(linked.path().join("a_cpu_mhz.csv"), "").unwrap();
        assert!(write(&link, Before::Kept).unwrap_err().to_string().contains("are both cpu_mhz"));
    }

    #[test]
    fn what_is_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("traces");
        fs::create_dir_all(folder.path().join(".traces.new/of a dead process")).unwrap();
        let mut writing = Writing::begin(&to, Before::Kept).unwrap();
        writing.matrix(Metric::CpuMhz, &matrix()).unwrap();
        drop(writing);
        assert!(names(folder.path()).is_empty());
    }
}
