//! The open form of a load over time: one metric, a row for each server, a column for each bin of a common time line.
//!
//! ```text
//! # first_bin_unix=1372629600 step_s=300 columns=server,v0..v2
//! web1,120,95,
//! db1,2200,,2150
//! ```
//!
//! Values are whole numbers, or are rounded up to the next; an empty field is a bin without a sample.

use std::path::Path;

use tabane_model::{Grid, NO_SAMPLE};

use crate::{Error, Place, Result, text};

pub(crate) const FILE_BYTES_MAX: u64 = 8 << 30;
/// A year of 20 s.
const BINS_MAX: usize = 1_600_000;
const SERVERS_MAX: usize = 100_000;
const NAME_BYTES_MAX: usize = 255;

#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    pub grid: Grid,
    pub servers: Vec<String>,
    /// Row after row, [`NO_SAMPLE`] where there is none.
    pub values: Vec<u32>,
}

impl Matrix {
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_within(path, FILE_BYTES_MAX)
    }

    /// A file that is unpacked to so many bytes at most.
    pub fn read_within(path: &Path, limit_bytes: u64) -> Result<Self> {
        Self::parse(&text::read(path, limit_bytes)?, path)
    }

    pub fn row(&self, server: usize) -> &[u32] {
        &self.values[server * self.grid.bins..(server + 1) * self.grid.bins]
    }

    /// `path` is for messages.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let malformed = |line: usize, column: Option<usize>, what: String| Error::Malformed {
            place: Place { file: path.to_owned(), line, column },
            what,
        };
        let too_large = |limit: String| Error::TooLarge { file: path.to_owned(), limit };
        let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
        let (_, head) = lines.next().unwrap_or((1, ""));
        let (first_bin_unix, step_s) = head_of(head).map_err(|what| malformed(1, None, what))?;
        let mut matrix =
            Self { grid: Grid { first_bin_unix, step_s, bins: 0 }, servers: Vec::new(), values: Vec::new() };
        for (line, row) in lines {
            if row.is_empty() || row.starts_with('#') {
                continue;
            }
            let (name, values) = row.split_once(',').unwrap_or((row, ""));
            let name = name.trim_matches('"');
            if name.is_empty() || name.len() > NAME_BYTES_MAX {
                return Err(malformed(line, Some(1), "the row has no name of a server".into()));
            }
            let before = matrix.values.len();
            for (at, field) in values.split(',').enumerate() {
                if at == BINS_MAX {
                    return Err(too_large(format!("{BINS_MAX} bins")));
                }
                matrix.values.push(value_of(field).map_err(|what| malformed(line, Some(at + 2), what))?);
            }
            let bins = matrix.values.len() - before;
            if matrix.servers.is_empty() {
                matrix.grid.bins = bins;
            } else if bins != matrix.grid.bins {
                let what = format!("the row has {bins} bins, those before it have {}", matrix.grid.bins);
                return Err(malformed(line, None, what));
            }
            if matrix.servers.len() == SERVERS_MAX {
                return Err(too_large(format!("{SERVERS_MAX} servers")));
            }
            matrix.servers.push(name.to_owned());
        }
        if matrix.servers.is_empty() {
            return Err(malformed(1, None, "there is no row of a server".into()));
        }
        Ok(matrix)
    }

    /// As text of the same form.
    pub fn write(&self) -> String {
        use std::fmt::Write;
        let Grid { first_bin_unix, step_s, bins } = self.grid;
        let last = bins.saturating_sub(1);
        let mut text =
            format!("# first_bin_unix={first_bin_unix} step_s={step_s} columns=server,v0..v{last}\n");
        for (at, server) in self.servers.iter().enumerate() {
            text.push_str(server);
            for value in self.row(at) {
                text.push(',');
                if *value != NO_SAMPLE {
                    let _ = write!(text, "{value}");
                }
            }
            text.push('\n');
        }
        text
    }
}

/// `first_bin_unix` and `step_s` of the first line.
fn head_of(line: &str) -> std::result::Result<(i64, u32), String> {
    const FORM: &str = "the first line has to be `# first_bin_unix=… step_s=… columns=server,v0..`";
    let words = line.strip_prefix('#').ok_or(FORM)?.split_whitespace();
    let (mut first, mut step) = (None, None);
    for (key, value) in words.filter_map(|word| word.split_once('=')) {
        match key {
            "first_bin_unix" => first = value.parse::<i64>().ok(),
            "step_s" => step = value.parse::<u32>().ok().filter(|step| (1..=86_400).contains(step)),
            _ => {}
        }
    }
    first.zip(step).ok_or_else(|| FORM.into())
}

fn value_of(field: &str) -> std::result::Result<u32, String> {
    // Most fields are a few digits, and there are hundreds of millions of them.
    let digits = field.as_bytes();
    if !digits.is_empty() && digits.len() <= 9 && digits.iter().all(u8::is_ascii_digit) {
        return Ok(digits.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0')));
    }
    let field = field.trim().trim_matches('"');
    if field.is_empty() {
        return Ok(NO_SAMPLE);
    }
    match field.parse::<f64>() {
        Ok(value) if (0.0..f64::from(NO_SAMPLE)).contains(&value.ceil()) => Ok(value.ceil() as u32),
        Ok(value) if value < 0.0 => Err(format!("{field} is negative")),
        _ => Err(format!("{:?} is no number that a load can be", shortened(field))),
    }
}

fn shortened(field: &str) -> String {
    field.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: &str = "# first_bin_unix=1372629600 step_s=300 columns=server,v0..v2\n";

    fn parse(rows: &str) -> Result<Matrix> {
        Matrix::parse(&format!("{HEAD}{rows}"), Path::new("cpu_mhz.csv"))
    }

    #[test]
    fn a_matrix_is_read_and_written() {
        let matrix = parse("web1,120,95,\r\n\"db1\",2200.1,,4294967294\r\n").unwrap();
        assert_eq!(matrix.grid, Grid { first_bin_unix: 1_372_629_600, step_s: 300, bins: 3 });
        assert_eq!(matrix.row(0), [120, 95, NO_SAMPLE]);
        assert_eq!(matrix.row(1), [2201, NO_SAMPLE, 4_294_967_294]);
        assert_eq!(Matrix::parse(&matrix.write(), Path::new("x")).unwrap(), matrix);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let told = |rows: &str| parse(rows).unwrap_err().to_string();
        assert_eq!(
            told("a,1,2,3\nb,1,x,3\n"),
            "cpu_mhz.csv, line 3, column 3: \"x\" is no number that a load can be"
        );
        assert_eq!(told("a,1,-2,3\n"), "cpu_mhz.csv, line 2, column 3: -2 is negative");
        assert_eq!(told("a,1,2,3\nb,1\n"), "cpu_mhz.csv, line 3: the row has 1 bins, those before it have 3");
        assert_eq!(told(""), "cpu_mhz.csv, line 1: there is no row of a server");
        let headless = Matrix::parse("a,1,2\n", Path::new("x.csv")).unwrap_err().to_string();
        assert!(headless.starts_with("x.csv, line 1: the first line has to be"), "{headless}");
        for no in ["NaN", "inf", "1e30", "4294967295"] {
            assert!(parse(&format!("a,{no}\n")).is_err(), "{no}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in "\\PC{0,200}") {
            let _ = Matrix::parse(&text, Path::new("x"));
            let _ = parse(&text);
        }
    }
}
