//! A table whose first line names its columns, as inventories are: of a CSV file, or of a spreadsheet.

use super::lines::{At, Lines};
use crate::{
    Error, Result,
    servers::{fields, is_open},
};

const COLUMNS_MAX: usize = 4_096;
pub(super) const ROWS_MAX: usize = 200_000;
const LINES_OF_ROW_MAX: usize = 1_000;

/// Rows that have as many fields as there are columns.
pub(super) struct Sheet<'a> {
    head: At<'a>,
    columns: Vec<String>,
    rows: Vec<(At<'a>, Vec<String>)>,
    has_semicolons: bool,
}

/// Windows PowerShell writes what its objects are before it names the columns.
const TYPE: &str = "#TYPE ";

pub(super) struct Row<'s, 'a> {
    sheet: &'s Sheet<'a>,
    pub at: At<'a>,
    fields: &'s [String],
}

impl<'a> Sheet<'a> {
    /// Of a text with commas or, as spreadsheets of many countries write, semicolons.
    pub fn read(mut lines: Lines<'a>) -> Result<Self> {
        let mut head = lines.head()?;
        if head.text.starts_with(TYPE) {
            head = lines.head()?;
        }
        let is_semicolons = head.text.matches(';').count() > head.text.matches(',').count();
        let commas = |text: &str| {
            if is_semicolons { text.replace(',', "\u{1}").replace(';', ",") } else { text.to_owned() }
        };
        let plain = |field: String| if is_semicolons { field.replace('\u{1}', ",") } else { field };
        let columns = fields(&commas(head.text));
        let mut rows = Vec::new();
        while let Some(line) = lines.next()? {
            let mut text = commas(line.text);
            // Notes have several lines, within quotes.
            for _ in 0..LINES_OF_ROW_MAX {
                if !is_open(&text) {
                    break;
                }
                let next =
                    lines.next()?.ok_or_else(|| line.at.wrong("a quote of the line has no end".into()))?;
                text = text + " " + &commas(next.text);
            }
            let row: Vec<String> = fields(&text).into_iter().map(plain).collect();
            if rows.len() == ROWS_MAX {
                return Err(Error::TooLarge { file: line.at.file.into(), limit: format!("{ROWS_MAX} rows") });
            }
            rows.push((line.at, row));
        }
        Ok(Self { has_semicolons: is_semicolons, ..Self::new(head.at, columns, rows)? })
    }

    pub fn new(head: At<'a>, columns: Vec<String>, mut rows: Vec<(At<'a>, Vec<String>)>) -> Result<Self> {
        if columns.len() > COLUMNS_MAX {
            return Err(head.wrong(format!("there are more than {COLUMNS_MAX} columns")));
        }
        let columns: Vec<String> =
            columns.iter().map(|name| name.trim().trim_start_matches('*').to_lowercase()).collect();
        for (at, row) in &mut rows {
            let (has, all) = (row.len(), columns.len());
            if has < all {
                let what =
                    format!("the line has {has} fields, the first one has {all}; the file may be cut short");
                return Err(at.wrong(what));
            }
            // Some tools end each line with a separator.
            if row[all..].iter().any(|field| !field.trim().is_empty()) {
                return Err(at.wrong(format!("the line has {has} fields, the first one has {all}")));
            }
            row.truncate(all);
        }
        Ok(Self { head, columns, rows, has_semicolons: false })
    }

    /// The place of a column that has one of these names.
    pub fn find(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.columns.iter().position(|column| column == name))
    }

    pub fn need(&self, names: &[&str]) -> Result<usize> {
        self.find(names).ok_or_else(|| {
            let there: Vec<&str> = self.columns.iter().map(String::as_str).take(12).collect();
            self.head.wrong(format!("no column is named {:?}; there are {}", names[0], there.join(", ")))
        })
    }

    pub fn rows(&self) -> impl Iterator<Item = Row<'_, 'a>> {
        self.rows.iter().map(|(at, fields)| Row { sheet: self, at: *at, fields })
    }
}

impl Row<'_, '_> {
    pub fn text(&self, column: usize) -> &str {
        self.fields[column].trim()
    }

    pub fn find(&self, name: &str) -> Option<usize> {
        self.sheet.find(&[name])
    }

    /// Whether fields are told apart by semicolons, as where a comma is in numbers.
    pub fn has_semicolons(&self) -> bool {
        self.sheet.has_semicolons
    }

    /// The text of a column, if there is such a column.
    pub fn text_of(&self, names: &[&str]) -> &str {
        self.sheet.find(names).map_or("", |column| self.text(column))
    }

    /// A number that may be grouped in thousands; `None` if there is nothing.
    pub fn number(&self, column: usize) -> Result<Option<f64>> {
        let text = self.text(column);
        if text.is_empty() {
            return Ok(None);
        }
        let value = ungrouped(text).parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0);
        value.map(Some).ok_or_else(|| {
            let text: String = text.chars().take(40).collect();
            self.at.column(column + 1).wrong(format!("{text:?} is no {}", self.sheet.columns[column]))
        })
    }

    pub fn number_of(&self, names: &[&str]) -> Result<Option<f64>> {
        self.sheet.find(names).map_or(Ok(None), |column| self.number(column))
    }

    /// A number that has to be there and be more than nothing.
    pub fn count(&self, column: usize) -> Result<u32> {
        let value =
            self.number(column)?.map(f64::ceil).filter(|value| (1.0..f64::from(u32::MAX)).contains(value));
        value.map(|value| value as u32).ok_or_else(|| {
            let what = format!("the server has no {}", self.sheet.columns[column]);
            self.at.column(column + 1).wrong(what)
        })
    }
}

/// `16,384`, `16 384` and `16'384` are 16384.
fn ungrouped(text: &str) -> String {
    let parts: Vec<&str> = text.split([',', ' ', '\u{a0}', '\u{202f}', '\'']).collect();
    let digits = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_grouped =
        parts.len() > 1 && parts.iter().all(digits) && parts[1..].iter().all(|part| part.len() == 3);
    if is_grouped { parts.concat() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn sheet(text: &'static str) -> Result<Sheet<'static>> {
        Sheet::read(Lines::new(text, Path::new("a.csv"), &|| false))
    }

    #[test]
    fn tables_are_read_with_commas_and_semicolons() {
        for text in ["*Name,CPUs\n\"a,b\",\"16,384\"\n", "name;cpus;\na,b;16 384;\n"] {
            let sheet = sheet(text).unwrap();
            let column = sheet.need(&["name"]).unwrap();
            let row = sheet.rows().next().unwrap();
            assert_eq!(row.text(column), "a,b");
            assert_eq!(row.count(sheet.need(&["cpus"]).unwrap()).unwrap(), 16_384);
        }
    }

    #[test]
    fn a_field_in_quotes_may_have_several_lines() {
        let read = |text: &'static str| -> Result<Vec<String>> {
            let sheet = sheet(text)?;
            let (name, cpus) = (sheet.need(&["name"])?, sheet.need(&["cpus"])?);
            Ok(sheet.rows().map(|row| format!("{} {}", row.text(name), row.text(cpus))).collect())
        };
        assert_eq!(read("name,note,cpus\na,\"first\n\nlast, \"\"x\"\"\",4\nb,,2\n").unwrap(), ["a 4", "b 2"]);
        assert_eq!(read("name;note;cpus\n\"a\";\"x;\ny\";\"4\"\nb;19\" rack;2\n").unwrap(), ["a 4", "b 2"]);
        let told = read("name,note,cpus\na,1,2\nb,\"never,4\nc,1,2\n").unwrap_err().to_string();
        assert_eq!(told, "a.csv, line 3: a quote of the line has no end");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let told = sheet("a,b\n1\n").err().map(|error| error.to_string()).unwrap();
        assert!(told.starts_with("a.csv, line 2: the line has 1 fields"), "{told}");
        let sheet = sheet("a,b\n1,x\n").unwrap();
        assert!(
            sheet.need(&["c"]).unwrap_err().to_string().contains("no column is named \"c\"; there are a, b")
        );
        let row = sheet.rows().next().unwrap();
        assert_eq!(row.number(1).unwrap_err().to_string(), "a.csv, line 2, column 2: \"x\" is no b");
    }
}
