//! Sizes as people write them: `512MiB`, `1.5 GiB`, `20G`, `1000000`.

/// A number of bytes.
pub type Bytes = u64;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    #[error("{0:?} is no size; write a number and a unit, for example 512MiB or 20GiB")]
    Form(String),
    #[error("{0:?} is larger than any machine; the most is 8 EiB")]
    TooLarge(String),
}

/// Reads a size. Units of two letters with `i` and of a single letter are powers of 1,024 (IEC 80000-13; the single
/// letter as in QEMU); `kB`, `MB`, `GB`, `TB` are powers of 1,000. A plain number is in bytes.
pub fn parse_bytes(text: &str) -> Result<Bytes, QuantityError> {
    let shown = || text.chars().take(40).collect::<String>();
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "K" | "k" | "Ki" | "KiB" => 1 << 10,
        "M" | "Mi" | "MiB" => 1 << 20,
        "G" | "Gi" | "GiB" => 1 << 30,
        "T" | "Ti" | "TiB" => 1 << 40,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(QuantityError::Form(shown())),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole
            .checked_mul(factor)
            .filter(|v| *v < 1 << 63)
            .ok_or_else(|| QuantityError::TooLarge(shown()));
    }
    let value: f64 = number.parse().map_err(|_| QuantityError::Form(shown()))?;
    let bytes = value * factor as f64;
    if bytes >= (1u64 << 63) as f64 {
        return Err(QuantityError::TooLarge(shown()));
    }
    Ok(bytes.round() as u64)
}

/// Writes a size with the largest unit that keeps it readable: `1.5 GiB`.
pub fn format_bytes(bytes: Bytes) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = if value.fract() < 0.05 || value >= 100.0 { 0 } else { 1 };
    format!("{value:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1024),
            ("1K", 1024),
            ("512MiB", 512 << 20),
            ("1.5 GiB", 3 << 29),
            ("20G", 20 << 30),
            ("1 kB", 1000),
            ("2TB", 2_000_000_000_000),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for bad in ["", "GiB", "-1", "1.2.3", "1 XB", "1e9", "99999999999TiB", "18446744073709551616"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn writes_what_people_read() {
        assert_eq!(format_bytes(1023), "1023 B");
        assert_eq!(format_bytes(1 << 30), "1 GiB");
        assert_eq!(format_bytes(3 << 29), "1.5 GiB");
    }
}
