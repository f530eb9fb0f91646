//! The inside of `${…}`: a name, and what is done with its value.

use super::{Operator, Parameter, Unreadable, Word};

/// Reads the text between the braces.
pub(super) fn braced(inner: &str, quoted: bool) -> Result<Parameter, Unreadable> {
    let (name, operator) = if let Some(rest) = inner.strip_prefix('!') {
        (rest, Operator::Evaluates(Word::read_expansions(rest)?))
    } else if inner.len() > 1 && inner.starts_with('#') {
        (&inner[1..], length(inner)?)
    } else {
        let name_length = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let name_length = match name_length.unwrap_or(inner.len()) {
            // One of the special parameters, or nothing that is a name at all.
            0 => inner.chars().next().map_or(0, char::len_utf8),
            length => length,
        };
        let (name, rest) = inner.split_at(name_length);
        (name, operation(rest, quoted)?)
    };
    Ok(Parameter { name: name.to_owned(), quoted, operator })
}

fn length(inner: &str) -> Result<Operator, Unreadable> {
    let counted = inner.ends_with("[@]") || inner.ends_with("[*]");
    if inner.contains('[') && !counted {
        return Ok(Operator::Computes(Word::read_expansions(inner)?));
    }
    Ok(Operator::Length)
}

/// What stands after the name.
fn operation(rest: &str, quoted: bool) -> Result<Operator, Unreadable> {
    if let Some(subscript) = rest.strip_prefix('[') {
        let end = subscript.rfind(']').ok_or(Unreadable::Unbalanced)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "@*_-".contains(c);
        let word = Word::read_expansions(rest)?;
        let evaluates = !subscript[..end].chars().all(plain) || subscript[end + 1..].contains("@P");
        return Ok(match evaluates {
            true => Operator::Evaluates(word),
            false => Operator::Computes(word),
        });
    }
    if rest.starts_with('@') {
        let word = Word::read_expansions(rest)?;
        return Ok(match rest.contains('P') {
            true => Operator::Evaluates(word),
            false => Operator::Other(word),
        });
    }
    let tested = rest.strip_prefix(':').unwrap_or(rest);
    let other = |text: &str| match quoted {
        true => Word::read_expansions(text),
        false => Word::read(text),
    };
    Ok(match tested.chars().next() {
        None => Operator::Plain,
        Some('-') => Operator::Default(other(&tested[1..])?),
        Some('=') => Operator::Assign(other(&tested[1..])?),
        Some('+') => Operator::Alternate(other(&tested[1..])?),
        Some('?') => Operator::Demand(other(&tested[1..])?),
        // In the operand of cutting and replacing quotes are live, expansions too.
        Some(_) => {
            let operand = Word::read(rest).or_else(|_| Word::read_expansions(rest))?;
            match rest.starts_with(':') {
                true => Operator::Computes(operand),
                false => Operator::Other(operand),
            }
        }
    })
}
