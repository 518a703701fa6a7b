//! Units as DSP0004 (annex C.1, programmatic units) has them, and as older writers spell them.

/// Bytes per unit; `None` for what is no unit of bytes.
pub fn bytes_per(unit: &str) -> Option<u64> {
    let unit: String = unit.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
    let mut factors = unit.split('*');
    let base = match factors.next()? {
        "byte" | "bytes" => 1,
        "kb" | "kilobytes" | "kib" => 1 << 10,
        "mb" | "megabytes" | "mib" => 1 << 20,
        "gb" | "gigabytes" | "gib" => 1 << 30,
        "tb" | "terabytes" | "tib" => 1 << 40,
        _ => return None,
    };
    factors.try_fold(base, |product: u64, factor| {
        let value = match factor.split_once('^') {
            Some((base, exponent)) => base.parse::<u64>().ok()?.checked_pow(exponent.parse().ok()?)?,
            None => factor.parse().ok()?,
        };
        product.checked_mul(value)
    })
}

#[cfg(test)]
mod tests {
    use super::bytes_per;

    #[test]
    fn units_of_every_writer() {
        for (text, bytes) in [
            ("byte", Some(1)),
            ("byte * 2^20", Some(1 << 20)),
            ("byte*2^30", Some(1 << 30)),
            ("bytes * 10^9", Some(1_000_000_000)),
            ("byte * 512", Some(512)),
            ("byte * 2 ^ 10 * 4", Some(4096)),
            ("MegaBytes", Some(1 << 20)),
            ("GB", Some(1 << 30)),
            ("hertz * 10^6", None),
            ("byte * 2^64", None),
            ("byte * 2^-3", None),
            ("", None),
        ] {
            assert_eq!(bytes_per(text), bytes, "{text}");
        }
    }
}
