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
    hex_up_to(text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X"))?, most)
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

/// Up to `most` hexadecimal digits without prefix.
pub(crate) fn hex_up_to(text: &[u8], most: usize) -> Option<u64> {
    if text.len() <= most { hex_digits(text) } else { None }
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

/// Up to `width` digits `0`, `1` and `x`, the highest bit first, with or without `0b`; `_` may stand anywhere, missing digits are `x`.
/// Which bits are given, and their values.
pub(crate) fn three_state(text: &[u8], width: u32) -> Option<(u64, u64)> {
    let text = text.strip_prefix(b"0b").unwrap_or(text);
    let (mut count, mut filter, mut value) = (0, 0_u64, 0_u64);
    for byte in text.iter().filter(|byte| **byte != b'_') {
        let (given, bit) = match byte {
            b'0' => (1, 0),
            b'1' => (1, 1),
            b'x' => (0, 0),
            _ => return None,
        };
        count += 1;
        (filter, value) = (filter << 1 | given, value << 1 | bit);
    }
    (0 < count && count <= width && width <= 64).then_some((filter, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_states_are_bits_that_are_given_and_their_values() {
        let cases: [(&str, Option<(u64, u64)>); 9] = [
            ("0b01x", Some((0b110, 0b010))),
            ("01x", Some((0b110, 0b010))),
            ("0b1_0_x1", Some((0b1101, 0b1001))),
            ("1", Some((1, 1))),
            ("0b1111x", None),
            ("0b1X", None),
            ("0b", None),
            // Not hexadecimal: three digits, of which one is open.
            ("0x1", Some((0b101, 0b001))),
            ("0b12", None),
        ];
        for (text, bits) in cases {
            assert_eq!(three_state(text.as_bytes(), 4), bits, "{text}");
        }
        assert_eq!(three_state("1".repeat(64).as_bytes(), 64), Some((u64::MAX, u64::MAX)));
    }

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
