//! Words to features, fields and places.

use cpu_dumps::find_model;
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

/// A word that asks for a model finds one that is found again under the word that names its source, or is told what is near.
pub fn model_words(bytes: &[u8]) {
    let word = String::from_utf8_lossy(bytes);
    match find_model(&word) {
        Ok(found) => {
            let pinned = format!("{}:{}", found.origin.name(), found.name);
            let again = find_model(&pinned).unwrap_or_else(|error| panic!("{word:?} is {pinned}: {error}"));
            assert_eq!(again.model.features, found.model.features, "{word:?} and {pinned}");
        }
        Err(unknown) => {
            assert!(!unknown.to_string().contains(char::is_control), "{unknown:?}");
            assert!(unknown.nearest.iter().all(|name| find_model(name).is_ok()), "{unknown:?}");
        }
    }
}
