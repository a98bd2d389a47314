//! The table of docs/bad-input.md is true: each input gets exactly the message that stands beside it.

/// The text between the first and the last backtick of a cell; doubled backticks stand for single ones.
fn code(cell: &str) -> String {
    let cell = cell.trim().strip_prefix('`').and_then(|cell| cell.strip_suffix('`')).unwrap();
    cell.replace("``", "`")
}

/// Turns `\n` and `\x7f` into what they stand for.
fn unescape(text: &str) -> Vec<u8> {
    text.replace("\\n", "\n").replace("\\x7f", "\x7f").into_bytes()
}

#[test]
fn every_documented_input_gets_its_documented_message() {
    let page = include_str!("../../../docs/bad-input.md");
    let rows: Vec<Vec<&str>> = page.lines().map(|line| line.trim_matches('|').split(" | ").collect()).collect();
    let rows: Vec<_> = rows.iter().filter(|row| row.len() == 3 && row[1].trim().starts_with('`')).collect();
    assert!(rows.len() >= 15, "only {} rows", rows.len());
    for row in rows {
        let input = if row[1].trim() == "``" { Vec::new() } else { unescape(&code(row[1])) };
        let said = match cpu_dumps::read("a.txt", &input) {
            Ok(machines) => format!("read as {machines:?}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(said, code(row[2]), "{}", row[0]);
    }
}
