//! Which known key an unknown one looks like.

/// Longer words are not compared: no key is that long.
const LONGEST: usize = 40;

/// The known key that is fewest changes away from this word, if few are enough.
pub(super) fn nearest(word: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    if word.len() > LONGEST {
        return None;
    }
    let near =
        known.map(|key| (distance(word.as_bytes(), key.as_bytes()), key)).filter(|(distance, key)| *distance * 3 <= key.len().max(3));
    near.min_by_key(|(distance, _)| *distance).map(|(_, key)| key)
}

/// How many bytes must be changed, put in or taken out to make one word of the other (Levenshtein).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, x) in a.iter().enumerate() {
        let mut left = at + 1;
        let mut next = vec![left];
        for (y, above) in b.iter().zip(row.windows(2)) {
            let &[diagonal, above] = above else { continue };
            left = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_compared_by_their_changes() {
        for (a, b, expected) in
            [("", "", 0), ("", "abc", 3), ("leaves", "leaves", 0), ("leafs", "leaves", 2), ("msr", "msrs", 1), ("ab", "ba", 2)]
        {
            assert_eq!((distance(a.as_bytes(), b.as_bytes()), distance(b.as_bytes(), a.as_bytes())), (expected, expected), "{a} {b}");
        }
    }

    #[test]
    fn only_what_is_near_is_named() {
        let keys = || ["leaf", "leaves", "msrs", "unrecorded"].into_iter();
        let cases = [("leavse", Some("leaves")), ("Leaf", Some("leaf")), ("unrecoded", Some("unrecorded")), ("future", None), ("", None)];
        for (word, expected) in cases {
            assert_eq!(nearest(word, keys()), expected, "{word}");
        }
        assert_eq!(nearest(&"m".repeat(1000), keys()), None);
    }
}
