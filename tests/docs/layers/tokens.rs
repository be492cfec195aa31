//! A lexer for Rust that is exact enough to find paths.

/// The words, `::` and single marks of a source, each with its line; no comments, strings or lifetimes.
pub(super) fn tokens(source: &str) -> Vec<(usize, String)> {
    let (mut tokens, mut rest, mut line) = (Vec::new(), source, 1);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => string(rest),
            '\'' if rest.starts_with("'\\") => {
                rest[2..].char_indices().skip(1).find(|(_, c)| *c == '\'').map_or(2, |(end, _)| end + 3)
            }
            '\'' => rest.char_indices().nth(2).filter(|(_, c)| *c == '\'').map_or(1, |(end, _)| end + 1),
            _ if is_word(first) => {
                let word = &rest[..rest.find(|character| !is_word(character)).unwrap_or(rest.len())];
                let fence = &rest[word.len()..][..rest[word.len()..].find(|c| c != '#').unwrap_or(0)];
                if matches!(word, "r" | "br" | "cr") && rest[word.len() + fence.len()..].starts_with('"') {
                    let body = word.len() + fence.len() + 1;
                    rest[body..].find(&format!("\"{fence}")).map_or(rest.len(), |end| body + end + 1 + fence.len())
                } else {
                    tokens.push((line, word.to_owned()));
                    word.len()
                }
            }
            _ => {
                let mark = if rest.starts_with("::") { "::" } else { &rest[..first.len_utf8()] };
                if !mark.trim().is_empty() {
                    tokens.push((line, mark.to_owned()));
                }
                mark.len()
            }
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// The length of the string literal that `text` begins with.
fn string(text: &str) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, character)| {
        let ends = *character == '"' && !escaped;
        escaped = *character == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(end, _)| end + 1)
}

pub(super) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
