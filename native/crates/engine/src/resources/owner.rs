//! Names of users, from this host's `/etc/passwd` (passwd(5)).

/// The name of a user, or the number where there is none here.
pub fn name(uid: u32) -> String {
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    named(&text, uid).map_or_else(|| uid.to_string(), str::to_owned)
}

fn named(text: &str, uid: u32) -> Option<&str> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_third_field_is_the_number() {
        let text = "root:x:0:0:root:/root:/bin/sh\n# odd\nweb:x:33:1:::\n";
        assert_eq!(super::named(text, 33), Some("web"));
        assert_eq!(super::named(text, 1), None);
    }
}
