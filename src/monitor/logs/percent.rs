//! Percent-encoding of file names, whose bytes may not be UTF-8.

/// Encodes bytes as part of a path in a URL.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                encoded.push(*byte as char)
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Decodes a part of a path in a URL. Returns `None` for a percent sign without two digits after
/// it.
pub(super) fn decode(encoded: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        let (digits, after) = rest.split_first_chunk::<2>()?;
        let digit = |digit: u8| char::from(digit).to_digit(16);
        decoded.push((digit(digits[0])? * 16 + digit(digits[1])?) as u8);
        rest = after;
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_after_encoding_and_decoding() {
        for name in [&b"app.log"[..], b"a b/c%d?e#f", b"\xff\x00<\"'", "\u{e4}\u{20ac}".as_bytes()]
        {
            let link = encode(name);
            assert!(link.is_ascii() && !link.contains(['<', '"', '?', '#', ' ']), "{link}");
            assert_eq!(decode(&link).unwrap(), name);
        }
        assert_eq!(decode("%2e%2E%2f").unwrap(), b"../");
        for nonsense in ["%", "%4", "%zz", "%+1"] {
            assert_eq!(decode(nonsense), None, "{nonsense}");
        }
    }
}
