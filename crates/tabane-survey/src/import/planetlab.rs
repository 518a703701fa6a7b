//! The traces of CoMon on PlanetLab: a file for each machine, and in it a line for each five minutes with how busy its CPU
//! was, in percent. There is no time in them, and nothing of what the machine has.

use tabane_model::Metric;

use super::{
    Kind,
    lines::{Lines, number},
    stream::{Sample, Stream},
};
use crate::Result;

const STEP_MS: i64 = 300_000;

pub(super) fn read(mut lines: Lines, stream: &mut Stream) -> Result<()> {
    let head = lines.head()?;
    let Some(first) = stream.first_bin_unix() else {
        return Err(head
            .at
            .wrong("there is no time in these files; say with --first-bin when they begin".into()));
    };
    let server = stream.server(&lines.stem(), head.at)?;
    let cap = f64::from(stream.cpu_cap(server)?);
    let mut next = Some(head);
    let mut from_ms = first * 1_000;
    let mut last = head.at;
    while let Some(line) = next {
        last = line.at;
        let percent = number(line.text).map_err(|what| line.at.column(1).wrong(what))?;
        let value = percent.unwrap_or(f64::NAN) * cap / 100.0;
        // The moment is the one that its five minutes begin at, as the first line has none before it.
        let sample = Sample { metric: Metric::CpuMhz, from_ms, to_ms: from_ms, value };
        stream.take(server, sample, line.at.column(1))?;
        from_ms += STEP_MS;
        next = lines.next()?;
    }
    if !lines.is_whole() {
        stream.note(Kind::Cut, server, last, || "no end of line".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::rehearse, *};
    use crate::import::Form;

    fn read(text: &str) -> Result<crate::import::Imported> {
        rehearse(Form::Planetlab, text.as_bytes(), Path::new("node7"), 300)
    }

    #[test]
    fn a_machine_is_read() {
        // The first bin is at zero here, which is no time.
        let imported = read("1\n24\n34\n\n200\n201\n").unwrap();
        assert_eq!((imported.servers, imported.bins), (1, 4));
        let kinds: Vec<(Kind, u64)> = imported.findings.iter().map(|it| (it.kind, it.count)).collect();
        assert_eq!(kinds, [(Kind::Gap, 1), (Kind::Impossible, 2)]);
        assert_eq!(
            read("1\n2;3\n").unwrap_err().to_string(),
            "node7, line 2, column 1: \"2;3\" is no number"
        );
    }
}
