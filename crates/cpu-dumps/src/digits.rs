//! Numbers in the spellings of the formats. Nothing is guessed: a wrong digit or a missing one is `None`.

/// Exactly `digits` hexadecimal digits in either case, without prefix.
pub(crate) fn hex_exact(text: &[u8], digits: usize) -> Option<u64> {
    if text.len() == digits { hex_digits(text) } else { None }
}

/// A register of exactly 8 hexadecimal digits.
pub(crate) fn hex32(text: &[u8]) -> Option<u32> {
    hex_exact(text, 8).and_then(|value| u32::try_from(value).ok())
}

/// `0x` and up to `most` hexadecimal digits.
pub(crate) fn prefixed(text: &[u8], most: usize) -> Option<u64> {
    let digits = text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X"))?;
    if digits.len() <= most { hex_digits(digits) } else { None }
}

/// `0x` and up to 8 hexadecimal digits.
pub(crate) fn prefixed32(text: &[u8]) -> Option<u32> {
    prefixed(text, 8).and_then(|value| u32::try_from(value).ok())
}

fn hex_digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 16 {
        return None;
    }
    let mut value = 0;
    let mut all = 0;
    for byte in text {
        let digit = digit(*byte);
        all |= digit;
        value = value << 4 | u64::from(digit & 0xf);
    }
    (all & NO_DIGIT == 0).then_some(value)
}

const NO_DIGIT: u8 = 0x80;

/// The value of a hexadecimal digit, or [`NO_DIGIT`]: wrong bytes are found once per number, not once per byte.
const fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        _ => NO_DIGIT,
    }
}

/// A decimal number.
pub(crate) fn decimal(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u32, |value, byte| {
        let digit = char::from(*byte).to_digit(10)?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// `0b` and exactly `digits` binary digits, the highest bit first.
pub(crate) fn binary(text: &[u8], digits: usize) -> Option<u64> {
    let text = text.strip_prefix(b"0b").filter(|text| text.len() == digits && digits <= 64)?;
    text.iter().try_fold(0, |value: u64, byte| {
        let digit = char::from(*byte).to_digit(2)?;
        Some(value << 1 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_whole_or_not_at_all() {
        let cases: [(&str, Option<u64>); 7] = [
            ("0x0", Some(0)),
            ("0xFFffFFff", Some(0xffff_ffff)),
            ("0x", None),
            ("ff", None),
            ("0x1_0", None),
            ("0x123456789", None),
            ("0x+1", None),
        ];
        for (text, value) in cases {
            assert_eq!(prefixed(text.as_bytes(), 8), value, "{text}");
        }
        assert_eq!(hex32(b"0000001"), None);
        assert_eq!(hex32(b"0000001f"), Some(0x1f));
        assert_eq!(decimal(b"4294967295"), Some(u32::MAX));
        assert_eq!(decimal(b"4294967296"), None);
        assert_eq!(decimal(b"-1"), None);
        assert_eq!(binary(b"0b101", 3), Some(5));
        assert_eq!(binary(b"0b10x", 3), None);
        assert_eq!(binary(b"0b10", 3), None);
    }
}
