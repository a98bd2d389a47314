//! Answers of QEMU's QMP: the names in `query-cpu-model-expansion` and `query-cpu-definitions`.

use serde_json::Value;

use super::claim::{At, Claim, Claims, Fault, ParseError, Parsed};

/// One answer or several, with or without the `return` around them.
pub(crate) fn answers(text: &str) -> Parsed {
    let mut claims = Claims::default();
    for answer in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let answer = answer.map_err(|error| ParseError { line: error.line(), fault: Fault::Syntax(error.to_string()) })?;
        names(answer.get("return").unwrap_or(&answer), &mut claims);
    }
    claims.bits.sort_by(|a, b| a.spellings.cmp(&b.spellings));
    claims.bits.dedup_by(|a, b| a.spellings == b.spellings);
    if claims.bits.is_empty() { Err(Fault::Missing("the properties of a CPU model").at(1)) } else { Ok(claims) }
}

fn names(answer: &Value, claims: &mut Claims) {
    let mut add = |word: &str| claims.bits.push(Claim::new(1, At::Nowhere, vec![("qemu", word.to_owned())]));
    let props = answer.pointer("/model/props").or_else(|| answer.get("props")).and_then(Value::as_object);
    for (word, _) in props.into_iter().flatten().filter(|(_, value)| value.is_boolean()) {
        add(word);
    }
    let models = answer.as_array().into_iter().flatten();
    let lacking = models.filter_map(|model| model.get("unavailable-features").and_then(Value::as_array));
    // Not names of features: the accelerator or the kind of CPU cannot do the model at all.
    let special = |word: &&str| ["kvm", "type"].contains(word);
    for word in lacking.flatten().filter_map(Value::as_str).filter(|word| !special(word)) {
        add(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_both_kinds() {
        let words =
            |text: &str| answers(text).map(|claims| claims.bits.into_iter().map(|claim| claim.spellings[0].1.clone()).collect::<Vec<_>>());
        for (text, expected) in [
            (r#"{"return":{"model":{"name":"base","props":{"b":true,"a":false,"level":13,"vendor":"x"}}}}"#, vec!["a", "b"]),
            (r#"{"props":{"a":true}} {"props":{"a":true,"c":true}}"#, vec!["a", "c"]),
            (r#"{"return":[{"name":"m","unavailable-features":["z","y","kvm","type"]},{"name":"n"}]}"#, vec!["y", "z"]),
        ] {
            assert_eq!(words(text), Ok(expected.into_iter().map(str::to_owned).collect()));
        }
        assert_eq!(words("{}"), Err(Fault::Missing("the properties of a CPU model").at(1)));
        assert!(matches!(words("{\n]"), Err(ParseError { line: 2, fault: Fault::Syntax(_) })));
    }
}
