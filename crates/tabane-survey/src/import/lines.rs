//! Lines of a foreign file, each with its place; none is longer than it may be.

use std::path::Path;

use crate::{Error, Place, Result};

/// Performance logs name thousands of counters in one line.
const LINE_BYTES_MAX: usize = 16 << 20;
/// Whoever wants to stop does not wait for longer than it takes to read so many lines.
const LINES_UNASKED: usize = 4_096;

pub(super) struct Lines<'a> {
    file: &'a Path,
    text: &'a str,
    rest: std::iter::Enumerate<std::str::Lines<'a>>,
    stopped: &'a dyn Fn() -> bool,
}

/// A place in a file, as cheap as a number: there are many millions.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    pub file: &'a Path,
    pub line: usize,
    /// 0: the whole line.
    pub column: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub at: At<'a>,
    pub text: &'a str,
}

impl<'a> Lines<'a> {
    pub fn new(text: &'a str, file: &'a Path, stopped: &'a dyn Fn() -> bool) -> Self {
        Self { file, text, rest: text.lines().enumerate(), stopped }
    }

    /// The whole text, for forms that are not made of lines.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The file's name without what tells its form, such as `.csv.gz`.
    pub fn stem(&self) -> String {
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let known = [".csv", ".txt", ".json", ".log", ".tsv"];
        known.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name).to_owned()
    }

    /// Whether the last line ends as lines do.
    pub fn is_whole(&self) -> bool {
        self.text.is_empty() || self.text.ends_with('\n')
    }

    /// The next line that is not empty.
    pub fn next(&mut self) -> Result<Option<Line<'a>>> {
        for (at, text) in self.rest.by_ref() {
            if at % LINES_UNASKED == 0 && (self.stopped)() {
                return Err(Error::Stopped);
            }
            let at = At { file: self.file, line: at + 1, column: 0 };
            if text.len() > LINE_BYTES_MAX {
                return Err(at.wrong(format!("the line is longer than {} MiB", LINE_BYTES_MAX >> 20)));
            }
            if let Some(nul) = text.find('\0') {
                let what = format!(
                    "byte {} of the line is zero, which is in no text; if it is UTF-16, it has no mark that says so",
                    nul + 1
                );
                return Err(at.wrong(what));
            }
            if !text.trim().is_empty() {
                return Ok(Some(Line { at, text }));
            }
        }
        Ok(None)
    }

    /// The first line that is not empty.
    pub fn head(&mut self) -> Result<Line<'a>> {
        let file = self.file;
        self.next()?.ok_or_else(|| At { file, line: 1, column: 0 }.wrong("the file is empty".into()))
    }
}

impl At<'_> {
    pub fn column(self, column: usize) -> Self {
        Self { column, ..self }
    }

    pub fn wrong(self, what: String) -> Error {
        let column = (self.column > 0).then_some(self.column);
        Error::Malformed { place: Place { file: self.file.to_owned(), line: self.line, column }, what }
    }

    pub fn place(self) -> Place {
        let column = (self.column > 0).then_some(self.column);
        Place { file: self.file.to_owned(), line: self.line, column }
    }
}

/// What a field says: a number, nothing, or something that no number is.
pub(super) fn number(field: &str) -> std::result::Result<Option<f64>, String> {
    let field = field.trim().trim_matches('"').trim();
    if field.is_empty() {
        return Ok(None);
    }
    let told = || format!("{:?} is no number", field.chars().take(40).collect::<String>());
    field.parse().map(Some).map_err(|_| told())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &'static str) -> Lines<'static> {
        Lines::new(text, Path::new("a/web1.csv.gz"), &|| false)
    }

    #[test]
    fn lines_know_where_they_are() {
        let mut read = lines("\r\na\r\n\n b\n");
        assert_eq!(read.stem(), "web1");
        let first = read.head().unwrap();
        assert_eq!((first.text, first.at.line), ("a", 2));
        assert_eq!(read.next().unwrap().unwrap().at.line, 4);
        assert!(read.next().unwrap().is_none());
        let told = lines(" \n").head().unwrap_err().to_string();
        assert_eq!(told, "a/web1.csv.gz, line 1: the file is empty");
        let told = lines("a\0b").next().unwrap_err().to_string();
        assert!(told.contains("line 1: byte 2 of the line is zero"), "{told}");
        assert!(matches!(Lines::new("a", Path::new("x"), &|| true).next(), Err(Error::Stopped)));
    }

    #[test]
    fn fields_are_numbers_or_nothing() {
        assert_eq!(number(" \"1.5\" "), Ok(Some(1.5)));
        assert_eq!(number("\" \""), Ok(None));
        assert!(number("NaN").unwrap().unwrap().is_nan());
        assert_eq!(number("1,5").unwrap_err(), "\"1,5\" is no number");
    }
}
