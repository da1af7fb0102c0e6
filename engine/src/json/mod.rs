//! JSON that strangers send. Its shape is weighed before any of it is decoded ([`Allowance`]).

mod value;

use serde::Deserialize;

pub(crate) use value::{JsonObject, JsonValue};

use crate::allowance::{Allowance, Exceeded, MAX_DEPTH};

/// What some editors and libraries put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Bytes of a string that are looked at together.
const TOGETHER: usize = 32;

/// Bytes that are not JSON, or more than is decoded.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, or not of the wanted form.
    #[error(transparent)]
    Syntax(#[from] serde_json::Error),
    /// Nested too deep.
    #[error("nested deeper than {MAX_DEPTH}")]
    Depth,
    /// Too many values.
    #[error("too many values for its length")]
    Size,
}

impl From<Exceeded> for JsonError {
    fn from(Exceeded: Exceeded) -> Self {
        Self::Size
    }
}

/// The value that `bytes` are; a byte order mark before it is passed over, as by the reference's parser.
///
/// # Errors
/// [`JsonError`].
pub(crate) fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, JsonError> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    weigh(bytes)?;
    Ok(serde_json::from_slice(bytes)?)
}

/// Charges every value. What is not JSON is charged as it looks: decoding stops before it takes more.
fn weigh(bytes: &[u8]) -> Result<(), JsonError> {
    let mut allowance = Allowance::of_body(bytes.len());
    let (mut depth, mut rest) = (0_usize, bytes);
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => {
                let length = string_length(rest);
                allowance.string(length)?;
                rest = rest.get(length + 1..).unwrap_or_default();
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(JsonError::Depth);
                }
                allowance.item()?;
                if *byte == b'{' {
                    allowance.dict()?;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b':' => allowance.entry()?,
            b',' => allowance.item()?,
            _ => {}
        }
    }
    Ok(())
}

/// Bytes before the quotation mark that ends a string, or all.
fn string_length(bytes: &[u8]) -> usize {
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\');
    let mut at = 0;
    while let Some(rest) = bytes.get(at..) {
        // Without a way out in the middle, the compiler looks at all of them at once.
        let chunks = rest.chunks_exact(TOGETHER);
        let plain =
            chunks.take_while(|chunk| !chunk.iter().fold(false, |any, byte| any | ends(byte))).count() * TOGETHER;
        let Some(found) = rest[plain..].iter().position(ends) else { break };
        at += plain + found;
        if bytes[at] == b'"' {
            return at;
        }
        at += 2;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn weighed(text: &str) -> Result<(), JsonError> {
        parse::<Value>(text.as_bytes()).map(drop)
    }

    #[test]
    fn no_body_takes_more_than_it_pays_for() {
        for part in ["{},", r#"{"":0},"#, "[],", "0,", r#""","#] {
            let many = format!("[{}0]", part.repeat(100_000));
            assert!(matches!(weighed(&many), Err(JsonError::Size)), "{part}");
            let few = format!("[{}0]", part.repeat(1000));
            assert!(weighed(&few).is_ok(), "{part}");
        }
        assert!(matches!(weighed(&"[".repeat(1_000_000)), Err(JsonError::Depth)));
        assert!(weighed(&format!("{}0{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH))).is_ok());
        // What the largest honest request is made of.
        let hash = format!("\"{}\",", "A".repeat(43));
        assert!(weighed(&format!("[{}0]", hash.repeat(100_000))).is_ok());
        assert!(weighed(&format!("[{}0]", "1700000000000,".repeat(100_000))).is_ok());
    }

    #[test]
    fn strings_are_passed_over() {
        let brackets = "[{".repeat(1000);
        for inside in [brackets.as_str(), r#"\"[[\\"#, r"\\", ""] {
            assert!(weighed(&format!("[\"{inside}\"]")).is_ok(), "{inside}");
        }
        assert!(matches!(weighed(r#"["a\"#), Err(JsonError::Syntax(_))));
        for length in 0..3 * TOGETHER {
            let text = "a".repeat(length);
            assert_eq!(string_length(format!("{text}\"\"").as_bytes()), length);
            assert_eq!(string_length(format!("{text}\\\"b\"").as_bytes()), length + 3);
            assert_eq!(string_length(text.as_bytes()), length);
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes: Vec<u8>) {
            let _ = parse::<Value>(&bytes);
        }
    }
}
