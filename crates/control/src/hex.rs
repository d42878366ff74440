//! 32 bytes as 64 hexadecimal digits: how records and their names write keys and digests.

/// The digits, in lower case.
pub(crate) fn write(bytes: &[u8; 32]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// The bytes that were written.
///
/// # Errors
/// What is wrong, to follow the name of the thing. It does not quote the text, which may be a secret.
pub(crate) fn read(text: &str) -> Result<[u8; 32], String> {
    let digits = text.as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 2 * bytes.len() {
        return Err(format!("has {} hexadecimal digits, not 64", digits.len()));
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            return Err("has something else than hexadecimal digits".to_owned());
        };
        *byte = high << 4 | low;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let bytes = std::array::from_fn(|at| u8::try_from(at * 8).unwrap_or(0));
        assert_eq!(read(&write(&bytes)), Ok(bytes));
        assert_eq!(read("zz"), Err("has 2 hexadecimal digits, not 64".to_owned()));
        assert_eq!(read(&"+1".repeat(32)), Err("has something else than hexadecimal digits".to_owned()));
    }
}
