//! Amounts as PowerShell writes them: in the way of the country that it runs in, without separators between thousands.

use super::sheet::Row;
use crate::Result;

/// A unit of memory or disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    Mib,
    Gib,
}

impl Unit {
    fn in_gib(self) -> f64 {
        match self {
            Self::Bytes => 1.0 / f64::from(1 << 30),
            Self::Mib => 1.0 / 1_024.0,
            Self::Gib => 1.0,
        }
    }
}

/// What the first of these columns says that says anything, in GiB.
pub(super) fn gib(row: &Row<'_, '_>, columns: &[(&str, Unit)]) -> Result<Option<f64>> {
    for (name, unit) in columns {
        if let Some(amount) = amount(row, name)? {
            return Ok(Some(amount * unit.in_gib()));
        }
    }
    Ok(None)
}

/// A comma is a decimal one where fields are told apart by semicolons, or where it can be nothing else. What may be both is not guessed.
fn amount(row: &Row<'_, '_>, name: &str) -> Result<Option<f64>> {
    let Some(column) = row.find(name) else { return Ok(None) };
    let text = row.text(column);
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |what: String| Err(row.at.column(column + 1).wrong(what));
    let shown: String = text.chars().take(40).collect();
    let separators: Vec<char> = text.chars().filter(|letter| [',', '.'].contains(letter)).collect();
    let decimal = if row.has_semicolons() { ',' } else { '.' };
    let after = text.rsplit([',', '.']).next().unwrap_or_default().len();
    let plain = match separators[..] {
        [] => text.to_owned(),
        [one] if one == decimal || after != 3 => text.replace(',', "."),
        [_] => {
            return wrong(format!("{shown:?} may be thousands or a fraction: write it without a separator"));
        }
        _ => return wrong(format!("{shown:?} is no {name}: write it without separators between thousands")),
    };
    match plain.parse::<f64>().ok().filter(|amount| amount.is_finite() && *amount >= 0.0) {
        Some(amount) => Ok(Some(amount)),
        None => wrong(format!("{shown:?} is no {name}")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::import::{lines::Lines, sheet::Sheet};

    fn read(text: &'static str) -> std::result::Result<Option<f64>, String> {
        let sheet = Sheet::read(Lines::new(text, Path::new("a.csv"), &|| false)).unwrap();
        let row = sheet.rows().next().unwrap();
        gib(&row, &[("gb", Unit::Gib), ("mb", Unit::Mib), ("bytes", Unit::Bytes)])
            .map_err(|error| error.to_string())
    }

    #[test]
    fn amounts_are_read_as_countries_write_them() {
        assert_eq!(read("name,GB\na,12.125\n"), Ok(Some(12.125)));
        assert_eq!(read("name,GB\na,\"12,5\"\n"), Ok(Some(12.5)));
        assert_eq!(read("name;GB\na;12,125\n"), Ok(Some(12.125)));
        assert_eq!(read("name,GB,MB\na,,2048\n"), Ok(Some(2.0)));
        assert_eq!(read("name,Bytes\na,1073741824\n"), Ok(Some(1.0)));
        assert_eq!(read("name,GB\na,\n"), Ok(None));
        assert_eq!(read("name,other\na,1\n"), Ok(None));
    }

    #[test]
    fn what_may_be_two_amounts_is_neither() {
        assert!(
            read("name,GB\na,\"1,024\"\n")
                .unwrap_err()
                .starts_with("a.csv, line 2, column 2: \"1,024\" may be")
        );
        assert!(read("name;GB\na;1.024\n").unwrap_err().contains("may be thousands or a fraction"));
        assert!(read("name,GB\na,\"1,024.5\"\n").unwrap_err().contains("without separators"));
        for text in [
            "name,GB\na,-1\n",
            "name,GB\na,NaN\n",
            "name,GB\na,inf\n",
            "name,GB\na,1e999\n",
            "name,GB\na,12 GB\n",
        ] {
            assert!(read(text).unwrap_err().contains("is no gb"), "{text}");
        }
    }
}
