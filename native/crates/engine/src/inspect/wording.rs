//! Words for any kind of descriptor, made from what the image says of it.
//!
//! They come from the encoded form, so that a new kind needs no words of its own: the name of the variant is the kind,
//! a path says it all where there is one, and otherwise every field is named.

use ciborium::Value;
use serde::Serialize;

/// More of a value does not help a reader.
const LONGEST: usize = 120;

/// Kind and detail of a description.
pub fn kind(kind: &impl Serialize) -> (String, String) {
    match Value::serialized(kind) {
        Ok(Value::Map(variant)) => match variant.into_iter().next() {
            Some((name, fields)) => (snake_case(&text(&name)), detail(&fields)),
            None => Default::default(),
        },
        Ok(name) => (snake_case(&text(&name)), String::new()),
        Err(_) => Default::default(),
    }
}

/// Status flags of fcntl(2) F_GETFL in words, and whether execve(2) closes the descriptor.
pub fn flags(status: i32, close_on_exec: bool) -> String {
    let access = match status & libc::O_ACCMODE {
        libc::O_RDONLY => "read",
        libc::O_WRONLY => "write",
        _ => "read-write",
    };
    let named = [
        (libc::O_APPEND, "append"),
        (libc::O_NONBLOCK, "nonblock"),
        (libc::O_DIRECT, "direct"),
        (libc::O_ASYNC, "async"),
        (libc::O_PATH, "path"),
    ];
    let set = named.into_iter().filter(|(bit, _)| status & bit != 0).map(|(_, name)| name);
    let words: Vec<_> =
        std::iter::once(access).chain(set).chain(close_on_exec.then_some("cloexec")).collect();
    words.join(",")
}

fn detail(fields: &Value) -> String {
    if let Some(path) = find(fields, "path") {
        let deleted = find(fields, "ghost").is_some_and(|ghost| !ghost.is_null());
        return format!("{}{}", text(path), if deleted { " (deleted)" } else { "" });
    }
    let mut told = Vec::new();
    tell("", fields, &mut told);
    cut(told.join(" "))
}

/// A field by name, at any depth of maps.
fn find<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let fields = value.as_map()?;
    let own = fields.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value);
    own.or_else(|| fields.iter().find_map(|(_, value)| find(value, name)))
}

/// Every field as `name=value`; what is absent is not told.
fn tell(name: &str, value: &Value, told: &mut Vec<String>) {
    match value {
        Value::Null => {}
        Value::Map(fields) => fields.iter().for_each(|(key, value)| tell(&text(key), value, told)),
        other if name.is_empty() => told.push(text(other)),
        other => told.push(format!("{name}={}", cut(text(other)))),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Integer(number) => i128::from(*number).to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Array(values) => format!("[{}]", values.iter().map(text).collect::<Vec<_>>().join(",")),
        Value::Map(_) => {
            let mut told = Vec::new();
            tell("", value, &mut told);
            told.join(" ")
        }
        _ => String::new(),
    }
}

fn cut(text: String) -> String {
    if text.chars().count() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

/// `UnixSocket` is told as `unix_socket`.
fn snake_case(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push('_');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_bytes::ByteBuf;

    #[derive(Serialize)]
    enum Kind {
        Regular { file: File },
        UnixSocket { peer: Option<u32>, queued: Vec<u32>, name: ByteBuf },
        Nothing,
    }

    #[derive(Serialize)]
    struct File {
        path: ByteBuf,
        ghost: Option<u32>,
    }

    #[test]
    fn a_path_says_it_all() {
        let file = |ghost| Kind::Regular { file: File { path: ByteBuf::from(b"/a b".to_vec()), ghost } };
        assert_eq!(kind(&file(None)), ("regular".to_owned(), "/a b".to_owned()));
        assert_eq!(kind(&file(Some(1))).1, "/a b (deleted)");
    }

    #[test]
    fn other_kinds_are_told_field_by_field() {
        let socket = Kind::UnixSocket { peer: None, queued: vec![1, 2], name: ByteBuf::from(b"x".to_vec()) };
        assert_eq!(kind(&socket), ("unix_socket".to_owned(), "queued=[1,2] name=x".to_owned()));
        assert_eq!(kind(&Kind::Nothing), ("nothing".to_owned(), String::new()));
    }

    #[test]
    fn flags_are_told_in_words() {
        assert_eq!(flags(libc::O_RDWR | libc::O_APPEND, true), "read-write,append,cloexec");
        assert_eq!(flags(libc::O_RDONLY, false), "read");
    }
}
