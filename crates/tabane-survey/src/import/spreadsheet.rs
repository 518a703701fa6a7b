//! Spreadsheets in the form of Excel. They are archives, and a few KB of them may claim to be terabytes: what is in one is
//! unpacked once without keeping it, and is looked at only if all of it is no more than it may be. Cells are read one after
//! the other, since a sheet with one cell in its last corner would be billions if it were kept as a table.

use std::{
    io::{Cursor, Read},
    path::Path,
};

use calamine::{DataRef, Reader, Xlsx};
use zip::ZipArchive;

use super::{
    lines::At,
    sheet::{ROWS_MAX, Sheet},
};
use crate::{Error, Result};

const MARK: &[u8] = b"PK\x03\x04";
const ENTRIES_MAX: usize = 4_096;
const UNPACKED_BYTES_MAX: u64 = 512 << 20;
const COLUMNS_MAX: u32 = 4_096;
const CELL_CHARS_MAX: usize = 4_096;
/// Of all rows together: cells that are between others take room, too.
const FIELDS_MAX: usize = 32 << 20;

/// Whether a file is one.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    bytes.starts_with(MARK)
}

/// The sheet whose name ends so, whatever its capitals.
pub(super) fn read<'a>(bytes: &[u8], name: &str, file: &'a Path) -> Result<Sheet<'a>> {
    must_be_bounded(bytes, file, UNPACKED_BYTES_MAX)?;
    // Whoever takes the sheet apart computes places of cells without minding that they may be any number, and is built to
    // panic then rather than to put a cell elsewhere. Nothing of it is used afterwards.
    let read = std::panic::AssertUnwindSafe(|| cells(bytes, name, file));
    std::panic::catch_unwind(read).unwrap_or_else(|_| {
        let at = At { file, line: 1, column: 0 };
        Err(at.wrong("this is no spreadsheet: something in it is larger than it can be".into()))
    })
}

fn cells<'a>(bytes: &[u8], name: &str, file: &'a Path) -> Result<Sheet<'a>> {
    let at = |line: u32| At { file, line: line as usize + 1, column: 0 };
    let wrong = |error: calamine::XlsxError| at(0).wrong(format!("this is no spreadsheet: {error}"));
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(wrong)?;
    let names = book.sheet_names();
    let Some(sheet) = names.iter().find(|known| known.to_lowercase().ends_with(name)) else {
        let there: Vec<&str> = names.iter().map(String::as_str).take(40).collect();
        return Err(at(0).wrong(format!("no sheet is named {name}; there are {}", there.join(", "))));
    };
    let mut cells = book.worksheet_cells_reader(sheet).map_err(wrong)?;
    let mut rows: Vec<(At<'a>, Vec<String>)> = Vec::new();
    let mut fields = 0;
    while let Some(cell) = cells.next_cell().map_err(wrong)? {
        let (row, column) = cell.get_position();
        let text = text_of(cell.get_value());
        if text.is_empty() {
            continue;
        }
        if row as usize >= ROWS_MAX || column >= COLUMNS_MAX {
            let limit = format!("{ROWS_MAX} rows or {COLUMNS_MAX} columns");
            return Err(Error::TooLarge { file: file.to_owned(), limit });
        }
        let line = at(row);
        match rows.last() {
            Some((last, _)) if last.line == line.line => {}
            Some((last, _)) if last.line > line.line => {
                return Err(line.wrong("the rows of the sheet are in no order".into()));
            }
            _ => rows.push((line, Vec::new())),
        }
        let (_, values) = rows.last_mut().expect("there is one now");
        let needed = column as usize + 1;
        if needed > values.len() {
            fields += needed - values.len();
            values.resize(needed, String::new());
        }
        if fields > FIELDS_MAX {
            return Err(Error::TooLarge { file: file.to_owned(), limit: format!("{FIELDS_MAX} cells") });
        }
        values[column as usize] = text;
    }
    let mut rows = rows.into_iter();
    let Some((head, columns)) = rows.next() else {
        return Err(at(0).wrong(format!("the sheet {sheet} is empty")));
    };
    // Cells at the end of a row that are empty are not in the file.
    let filled = rows.map(|(at, mut row)| {
        row.resize(row.len().max(columns.len()), String::new());
        (at, row)
    });
    let filled = filled.collect();
    Sheet::new(head, columns, filled)
}

fn text_of(value: &DataRef) -> String {
    let text = match value {
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => number.to_string(),
        DataRef::String(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(truth) => truth.to_string(),
        _ => String::new(),
    };
    text.trim().chars().take(CELL_CHARS_MAX).collect()
}

/// What an archive says of its own size is not believed.
fn must_be_bounded(bytes: &[u8], file: &Path, limit_bytes: u64) -> Result<()> {
    let failed = |source: std::io::Error| Error::Read { file: file.to_owned(), source };
    let too_large = |limit: String| Error::TooLarge { file: file.to_owned(), limit };
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| failed(error.into()))?;
    if archive.len() > ENTRIES_MAX {
        return Err(too_large(format!("{ENTRIES_MAX} parts")));
    }
    let mut left = limit_bytes;
    for entry in 0..archive.len() {
        let entry = archive.by_index(entry).map_err(|error| failed(error.into()))?;
        let unpacked = std::io::copy(&mut entry.take(left + 1), &mut std::io::sink()).map_err(failed)?;
        left = left
            .checked_sub(unpacked)
            .ok_or_else(|| too_large(format!("{} MiB when it is unpacked", limit_bytes >> 20)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;
    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;

    fn packed(parts: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in parts {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    /// The least that a spreadsheet has.
    fn book(sheet: &str, rows: &str) -> Vec<u8> {
        let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
        let kinds = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
        let relations = "http://schemas.openxmlformats.org/package/2006/relationships";
        let workbook = format!(
            "<workbook xmlns=\"{main}\" xmlns:r=\"{kinds}\"><sheets><sheet name=\"{sheet}\" sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>"
        );
        let links = format!(
            "<Relationships xmlns=\"{relations}\"><Relationship Id=\"rId1\" Type=\"{kinds}/worksheet\" Target=\"worksheets/sheet1.xml\"/></Relationships>"
        );
        let begin = format!(
            "<Relationships xmlns=\"{relations}\"><Relationship Id=\"rId1\" Type=\"{kinds}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
        );
        let cells = format!("<worksheet xmlns=\"{main}\"><sheetData>{rows}</sheetData></worksheet>");
        packed(&[
            ("_rels/.rels", begin.as_bytes()),
            ("xl/workbook.xml", workbook.as_bytes()),
            ("xl/_rels/workbook.xml.rels", links.as_bytes()),
            ("xl/worksheets/sheet1.xml", cells.as_bytes()),
        ])
    }

    fn text(place: &str, text: &str) -> String {
        format!("<c r=\"{place}\" t=\"inlineStr\"><is><t>{text}</t></is></c>")
    }

    #[test]
    fn a_sheet_is_read() {
        let rows = format!(
            "<row r=\"1\">{}{}{}</row><row r=\"3\">{}<c r=\"B3\"><v>16</v></c></row>",
            text("A1", "VM"),
            text("B1", "CPUs"),
            text("C1", "Note"),
            text("A3", "web1")
        );
        let bytes = book("vInfo", &rows);
        assert!(is_one(&bytes));
        let sheet = read(&bytes, "vinfo", Path::new("a.xlsx")).unwrap();
        let row = sheet.rows().next().unwrap();
        assert_eq!((row.text(0), row.count(1).unwrap(), row.text(2), row.at.line), ("web1", 16, "", 3));
        let told = read(&bytes, "vhost", Path::new("a.xlsx")).err().unwrap().to_string();
        assert!(told.ends_with("no sheet is named vhost; there are vInfo"), "{told}");
    }

    #[test]
    fn what_would_fill_the_memory_is_refused() {
        let told = |bytes: &[u8]| read(bytes, "vinfo", Path::new("a.xlsx")).err().unwrap().to_string();
        let corner = format!("<row r=\"1\">{}{}</row>", text("A1", "VM"), text("XFD1", "x"));
        assert_eq!(told(&book("vInfo", &corner)), "a.xlsx has more than 200000 rows or 4096 columns");
        let zeros = vec![0; 1 << 20];
        let bomb = packed(&[("a", &zeros), ("b", &zeros), ("c", &zeros)]);
        assert!(bomb.len() < 1 << 14);
        let refused = must_be_bounded(&bomb, Path::new("a.xlsx"), 2 << 20).unwrap_err().to_string();
        assert_eq!(refused, "a.xlsx has more than 2 MiB when it is unpacked");
        must_be_bounded(&bomb, Path::new("a.xlsx"), 3 << 20).unwrap();
        assert!(told(&packed(&[])).contains("a.xlsx"));
        let good = book("vInfo", &corner);
        for end in 0..good.len() {
            assert!(read(&good[..end], "vinfo", Path::new("a.xlsx")).is_err());
        }
    }

    #[test]
    fn a_cell_that_is_nowhere_is_told() {
        for place in ["ZZZZZZZZZZZZ1", "A99999999999", "A4294967296"] {
            let rows = format!("<row r=\"1\">{}{}</row>", text("A1", "VM"), text(place, "x"));
            let told = read(&book("vInfo", &rows), "vinfo", Path::new("a.xlsx")).err().unwrap().to_string();
            assert!(told.starts_with("a.xlsx"), "{told}");
        }
    }

    proptest! {
        /// Behind the sums of the archive, which random bytes do not get past.
        #[test]
        fn damaged_sheets_are_no_panic(
            damages in proptest::collection::vec(
                (any::<prop::sample::Index>(), 0usize..9, "[0-9A-Z<>/=\" a-z&;.-]{0,16}"),
                1..5,
            ),
        ) {
            let good = format!(
                "<row r=\"1\">{}{}</row><row r=\"2\"><c r=\"A2\" s=\"1\"><v>1e3</v></c><c r=\"B2\" t=\"s\"><v>0</v></c></row>",
                text("A1", "VM"),
                text("B1", "CPUs")
            );
            let mut rows: Vec<u8> = good.into_bytes();
            for (place, length, instead) in &damages {
                let from = place.index(rows.len() + 1);
                let to = (from + length).min(rows.len());
                rows.splice(from..to, instead.bytes());
            }
            let _ = read(&book("vInfo", &String::from_utf8_lossy(&rows)), "vinfo", Path::new("a.xlsx"));
        }
    }
}
