//! Rust source with comments and literals blanked out, so that rules see code alone.
//!
//! It knows just enough of the language to find where a comment, a string or a character begins
//! and ends; line breaks are kept, so that line numbers stay right.

/// The code of `source`: same length in lines, comments and literals gone.
pub(crate) fn code(source: &str) -> String {
    let mut rest = source;
    let mut out = String::with_capacity(source.len());
    while let Some(first) = rest.chars().next() {
        let length = token(rest, &out);
        if length == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (gone, left) = rest.split_at(length);
        out.push(' ');
        out.extend(gone.chars().filter(|&character| character == '\n'));
        rest = left;
    }
    out
}

/// Bytes of the comment or literal `rest` begins with, or 0.
fn token(rest: &str, before: &str) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return rest.find("*/").map_or(rest.len(), |end| end + 2);
    }
    if rest.starts_with('"') {
        return quoted(rest, '"');
    }
    if rest.starts_with('\'') {
        return character(rest);
    }
    let in_word = before.ends_with(|last: char| last.is_alphanumeric() || last == '_');
    if !in_word && rest.starts_with('r') { raw(rest) } else { 0 }
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A character literal; a lifetime has no second quote where one would end.
fn character(rest: &str) -> usize {
    let mut characters = rest.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), _) => quoted(rest, '\''),
        (_, Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

fn raw(rest: &str) -> usize {
    let hashes = rest[1..].chars().take_while(|&character| character == '#').count();
    if !rest[1 + hashes..].starts_with('"') {
        return 0;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let body = 2 + hashes;
    rest[body..].find(&close).map_or(rest.len(), |end| body + end + close.len())
}

/// Identifiers of a line of code.
pub(crate) fn identifiers(line: &str) -> impl Iterator<Item = &str> {
    line.split(|character: char| !character.is_alphanumeric() && character != '_')
        .filter(|word| word.starts_with(|first: char| first.is_alphabetic() || first == '_'))
}

#[test]
fn comments_and_literals_are_blanked_and_lines_kept() {
    let check = |source: &str, expected: &str| assert_eq!(code(source), expected, "{source}");
    check("a // b\nc", "a  \nc");
    check("a /* b\n */ c", "a  \n c");
    check(r#"f("x \" // y", z)"#, "f( , z)");
    check("r#\"a\"b\"# + bar\"c\"", "  + bar ");
    check("('a', '\\'', &'a str)", "( ,  , &'a str)");
}
