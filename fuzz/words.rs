//! Words to features, fields and places.

use cpuid_db::{Found, LookupError, Named, lookup as find, nearest};

/// No word panics; what is found is found again under its own name, and so is what is suggested.
pub fn lookup(bytes: &[u8]) {
    let word = String::from_utf8_lossy(bytes);
    match find(&word) {
        Ok(found) => assert_eq!(find(&name_of(found)), Ok(found), "{word:?} by its own name {}", name_of(found)),
        Err(LookupError::Ambiguous(list)) => ambiguous(&word, &list),
        Err(error) => unknown(&word, &error),
    }
}

fn name_of(found: Found) -> String {
    match found {
        Found::Named(named) => named.name().to_owned(),
        Found::Reserved(location) => location.to_string(),
        Found::Msr(index) => format!("{index:#x}"),
    }
}

/// An ambiguous word lists several different things, each of which has a name.
fn ambiguous(word: &str, list: &[Option<Named>]) {
    let listed: Vec<Named> = list.iter().flatten().copied().collect();
    assert!(listed.len() > 1, "{word:?}: {listed:?}");
    for (rank, named) in listed.iter().enumerate() {
        assert!(!listed[..rank].contains(named), "{word:?} lists {named} twice");
        assert_eq!(find(named.name()), Ok(Found::Named(*named)), "{word:?}");
    }
}

/// A word without meaning has a message, and suggestions that do mean something.
fn unknown(word: &str, error: &LookupError) {
    assert!(!error.to_string().is_empty());
    // A search compares the word with every spelling: one in sixteen words pays for it.
    if word.bytes().fold(0, u8::wrapping_add) % 16 != 0 {
        return;
    }
    for name in nearest(word).into_iter().flatten() {
        assert!(matches!(find(name), Ok(Found::Named(named)) if named.name() == name), "{word:?} suggests {name}");
    }
}
