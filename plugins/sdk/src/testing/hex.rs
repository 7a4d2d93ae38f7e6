//! Bytes as people write them.

/// The bytes of hexadecimal text; white space may stand anywhere.
pub(super) fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let digits = text.chars().filter(|c| !c.is_whitespace()).map(|c| {
        c.to_digit(16).ok_or_else(|| format!("{c:?} in {text:?} is no hexadecimal digit"))
    });
    let digits = digits.collect::<Result<Vec<u32>, String>>()?;
    if digits.len() % 2 != 0 {
        return Err(format!("{text:?} has an odd number of digits"));
    }
    #[allow(clippy::cast_possible_truncation)] // two digits are one byte
    Ok(digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

/// Hexadecimal text of bytes.
pub(super) fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
