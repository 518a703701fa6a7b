//! Loads and inventories that other tools have written become a folder of traces.
//!
//! ```text
//!   file ─► text ─► its form: bitbrains, planetlab, sar, … ─► stream: server, metric, time, value
//!                                                                │ what is odd: findings
//!                                                                ▼
//!                                             rows: the most of each bin ─► matrices ─► write
//! ```
//!
//! Inventories say what there is instead of what it does. They take the same way, without samples, and give `servers.csv`.
//!
//! Invariants: a form only says what its files say; whether a sample can be, which bins it belongs to, and what is odd about
//! it is judged in one place, the stream. What cannot be is left out and told. A bin without a sample stays without one.

mod amount;
mod azure_migrate;
mod bitbrains;
mod devices;
mod findings;
mod form;
mod hardware;
#[cfg(test)]
mod hostile;
mod inventory;
mod lines;
mod perfmon;
mod planetlab;
mod prometheus;
mod request;
mod rows;
mod rvtools;
mod sar;
mod sheet;
mod spreadsheet;
mod stream;

use std::path::Path;

use tabane_model::Metric;

pub use self::{
    findings::{Finding, Group, Kind, grouped},
    form::Form,
    hardware::Assumed,
    request::Request,
};
use self::{hardware::Hardware, stream::Stream};
use crate::{
    Error, Result, text,
    write::{self, Before, Writing},
};

const CELLS_REHEARSED: usize = 1 << 16;

/// What became of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    pub servers: usize,
    pub bins: usize,
    pub metrics: Vec<Metric>,
    pub findings: Vec<Finding>,
}

/// Who follows the work: is told what is done, and says when it is to end.
pub struct Watch<'a> {
    pub tell: &'a dyn Fn(String),
    pub stopped: &'a dyn Fn() -> bool,
}

impl Watch<'_> {
    fn go_on(&self) -> Result<()> {
        if (self.stopped)() { Err(Error::Stopped) } else { Ok(()) }
    }
}

/// Reads the files and writes the folder; there is all of it afterwards, or nothing.
pub fn import(request: &Request, watch: &Watch) -> Result<Imported> {
    write::must_be_free(&request.to)?;
    let hardware = Hardware::read(request.assumed, request.servers.as_deref())?;
    let mut stream = Stream::new(request.bin_s, request.first_bin_unix, hardware);
    let (form, all) = (request.form, request.files.len());
    for (at, file) in form.in_order(&request.files).iter().enumerate() {
        watch.go_on()?;
        if file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("blg")) {
            let what =
                "this is a binary log of Windows; on Windows make text of it: relog x.blg -f csv -o x.csv";
            return Err(Error::Folder { folder: file.clone(), what: what.into() });
        }
        (watch.tell)(format!("reading {} of {all}: {}", at + 1, file.display()));
        form.read(text::read_bytes(file, form.file_bytes_max())?, file, &mut stream, watch.stopped)?;
    }
    let mut traces = stream.finish(!form.is_inventory())?;
    let mut writing = Writing::begin(&request.to, Before::Kept)?;
    for metric in traces.metrics() {
        watch.go_on()?;
        (watch.tell)(format!("writing {metric}.csv: {} servers", traces.servers.len()));
        writing.matrix(metric, &traces.matrix(metric))?;
    }
    watch.go_on()?;
    let metrics = traces.metrics();
    writing.finish(&traces.servers)?;
    let findings = std::mem::take(&mut traces.findings);
    Ok(Imported { servers: traces.servers.len(), bins: traces.grid.bins, metrics, findings })
}

/// Everything of an import but the files: for whoever wants to know what bytes do to it. `step_s` is the length of a bin.
pub fn rehearse(form: Form, bytes: &[u8], name: &Path, step_s: u32) -> Result<Imported> {
    let assumed = Assumed { cores: Some(4), core_mhz: Some(2_000), memory_mib: Some(8_192) };
    let first = (form == Form::Planetlab).then_some(0);
    let mut stream = Stream::new(step_s, first, Hardware::read(assumed, None)?);
    form.read(bytes.to_vec(), name, &mut stream, &|| false)?;
    let mut traces = stream.finish(!form.is_inventory())?;
    let metrics = traces.metrics();
    // Times that are years apart make large matrices, and nothing that small ones do not show.
    if traces.servers.len().saturating_mul(traces.grid.bins) <= CELLS_REHEARSED {
        for metric in &metrics {
            let matrix = traces.matrix(*metric);
            assert_eq!(matrix.values.len(), traces.servers.len() * traces.grid.bins);
        }
    }
    let findings = std::mem::take(&mut traces.findings);
    Ok(Imported { servers: traces.servers.len(), bins: traces.grid.bins, metrics, findings })
}
