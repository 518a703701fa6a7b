//! The servers and what they have: `servers.csv`.

use std::path::Path;

use tabane_model::Source;

use crate::{Error, Place, Result, folder, text};

const FILE_BYTES_MAX: u64 = 256 << 20;

/// Servers of a file whose first line names its columns: at least `server` (or `vm`), `cores`, `cpu_cap_mhz` and
/// `mem_cap_mib`, in any order.
pub fn read(path: &Path) -> Result<Vec<Source>> {
    parse(&text::read(path, FILE_BYTES_MAX)?, path)
}

/// Servers of `servers.csv`, or of the one in a folder of traces.
pub fn read_servers(path: &Path) -> Result<Vec<Source>> {
    if !path.is_dir() {
        return read(path);
    }
    let files = folder::files_of(path)?;
    let file = folder::SERVERS.iter().find_map(|name| files.get(*name));
    file.map_or_else(
        || Err(Error::Folder { folder: path.to_owned(), what: "there is no servers.csv".into() }),
        |file| read(file),
    )
}

fn parse(text: &str, path: &Path) -> Result<Vec<Source>> {
    let malformed = |line: usize, column: Option<usize>, what: String| Error::Malformed {
        place: Place { file: path.to_owned(), line, column },
        what,
    };
    let rows = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    let mut rows = rows.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let Some((line, head)) = rows.next() else {
        return Err(malformed(1, None, "the file is empty".into()));
    };
    let columns: Vec<String> = fields(head).into_iter().map(|name| name.trim().to_lowercase()).collect();
    let column = |names: &[&str]| {
        columns.iter().position(|column| names.contains(&column.as_str())).ok_or_else(|| {
            malformed(
                line,
                None,
                format!("no column is named {}; there are {}", names.join(" or "), columns.join(", ")),
            )
        })
    };
    let name = column(&["server", "vm"])?;
    let numbers = [column(&["cores"])?, column(&["cpu_cap_mhz"])?, column(&["mem_cap_mib"])?];
    let mut servers: Vec<Source> = Vec::new();
    let mut known = std::collections::HashMap::new();
    for (line, row) in rows {
        let fields = fields(row);
        if fields.len() != columns.len() {
            let what = format!("the line has {} fields, the first one has {}", fields.len(), columns.len());
            return Err(malformed(line, None, what));
        }
        let number = |column: usize| -> Result<u32> {
            let value = fields[column].trim().parse::<f64>().ok().map(f64::ceil);
            let value = value.filter(|value| (0.0..f64::from(u32::MAX)).contains(value));
            value.map(|value| value as u32).ok_or_else(|| {
                malformed(line, Some(column + 1), format!("{:?} is no {}", fields[column], columns[column]))
            })
        };
        let server = Source {
            name: fields[name].trim().to_owned(),
            cores: number(numbers[0])?,
            cpu_cap_mhz: number(numbers[1])?,
            mem_cap_mib: number(numbers[2])?,
            labels: (0..columns.len())
                .filter(|at| *at != name && !numbers.contains(at))
                .map(|at| (columns[at].clone(), fields[at].trim().to_owned()))
                .collect(),
        };
        if server.name.is_empty() {
            return Err(malformed(line, Some(name + 1), "the server has no name".into()));
        }
        if let Some(first) = known.insert(server.name.clone(), line) {
            let what = format!("the server {} is in line {first} already", server.name);
            return Err(malformed(line, Some(name + 1), what));
        }
        servers.push(server);
    }
    Ok(servers)
}

/// Servers as such a file; what is known of some of them only is empty for the others.
pub fn write(servers: &[Source]) -> String {
    let mut labels: Vec<&str> = Vec::new();
    for (key, _) in servers.iter().flat_map(|server| &server.labels) {
        if !labels.contains(&key.as_str()) {
            labels.push(key);
        }
    }
    let head = ["server", "cores", "cpu_cap_mhz", "mem_cap_mib"];
    let head: Vec<String> = head.iter().chain(&labels).map(|column| quoted(column)).collect();
    let mut text = head.join(",") + "\n";
    for server in servers {
        let numbers = [server.cores, server.cpu_cap_mhz, server.mem_cap_mib].map(|number| number.to_string());
        let known = labels.iter().map(|label| {
            let value = server.labels.iter().find(|(key, _)| key == label);
            quoted(value.map_or("", |(_, value)| value))
        });
        let row: Vec<String> = [quoted(&server.name)].into_iter().chain(numbers).chain(known).collect();
        text.push_str(&(row.join(",") + "\n"));
    }
    text
}

fn quoted(field: &str) -> String {
    let field: String = field.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if field.contains([',', '"']) || field.starts_with('#') {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field
    }
}

/// Whether a line ends within quotes, so that its last field goes on in the next one.
pub fn is_open(line: &str) -> bool {
    // As `fields` sees it: a quote within a field that has none before is a letter of it.
    let (mut quoted, mut is_empty) = (false, true);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                is_empty = false;
            }
            '"' if quoted || is_empty => quoted = !quoted,
            ',' if !quoted => is_empty = true,
            _ => is_empty = false,
        }
    }
    quoted
}

/// The fields of a line, as RFC 4180 has them; one that was quoted may have commas and doubled quotes.
pub fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let field = fields.last_mut().expect("there is always one");
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' if quoted || field.is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => field.push(letter),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::result::Result<Vec<Source>, String> {
        parse(text, Path::new("servers.csv")).map_err(|error| error.to_string())
    }

    #[test]
    fn columns_come_in_any_order() {
        let servers =
            read("cores,VM,note,mem_cap_mib,cpu_cap_mhz\r\n4,web1,\"a, \"\"b\"\"\",8192,9600.5\r\n").unwrap();
        let labels = vec![("note".into(), "a, \"b\"".into())];
        let web = Source { name: "web1".into(), cores: 4, cpu_cap_mhz: 9601, mem_cap_mib: 8192, labels };
        assert_eq!(servers, [web]);
    }

    #[test]
    fn a_line_is_open_where_its_last_field_goes_on() {
        for open in ["a,\"b", "\"a", "\"a\"\"", "a,\"b,c", "\"a\",\""] {
            assert!(is_open(open), "{open}");
        }
        // Also where a quote is a letter, as of 19 inches.
        for whole in ["", "a,b", "\"a\",b", "19\" rack,b", "\"a\"\"b\"", "\"a,b\"", "\"\""] {
            assert!(!is_open(whole), "{whole}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let head = "server,cores,cpu_cap_mhz,mem_cap_mib\n";
        let told = |rows: &str| read(&format!("{head}{rows}")).unwrap_err();
        assert_eq!(told("a,1,2\n"), "servers.csv, line 2: the line has 3 fields, the first one has 4");
        assert_eq!(told("a,1,x,2\n"), "servers.csv, line 2, column 3: \"x\" is no cpu_cap_mhz");
        assert_eq!(
            told("a,1,2,3\na,1,2,3\n"),
            "servers.csv, line 3, column 1: the server a is in line 2 already"
        );
        assert_eq!(read("").unwrap_err(), "servers.csv, line 1: the file is empty");
        let told = read("host,cores\n").unwrap_err();
        assert_eq!(told, "servers.csv, line 1: no column is named server or vm; there are host, cores");
    }
}
