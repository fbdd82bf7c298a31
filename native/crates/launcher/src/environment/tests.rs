use super::{Told, environment};
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;

fn sorted(inherited: &[(&str, &str)]) -> HashMap<String, String> {
    let told = Told { product: Path::new("/p"), library: Path::new("/l"), state: Path::new("/s") };
    let inherited = inherited.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let text = |text: OsString| text.into_string().expect("text");
    environment(inherited, &told).into_iter().map(|(name, value)| (text(name), text(value))).collect()
}

#[test]
fn what_steers_deno_is_set_aside_and_the_rest_kept() {
    let found =
        sorted(&[("PATH", "/bin"), ("DENO_V8_FLAGS", "--x"), ("NODE_OPTIONS", "--y"), ("DENO_DIR", "/d")]);
    assert_eq!(found["PATH"], "/bin");
    assert_eq!(found["DENO_DIR"], "/s");
    assert!(!found.contains_key("DENO_V8_FLAGS") && !found.contains_key("NODE_OPTIONS"));
    assert_eq!(found["STASIS_ASIDE"], r#"{"DENO_DIR":"/d","DENO_V8_FLAGS":"--x","NODE_OPTIONS":"--y"}"#);
}

#[test]
fn variables_of_an_outer_start_do_not_leak_into_an_inner_one() {
    let found = sorted(&[("STASIS_SELF", "/old"), ("STASIS_ASIDE", "{\"A\":\"b\"}"), ("STASIS_HOME", "/h")]);
    assert_eq!(found["STASIS_SELF"], "/p");
    assert_eq!(found["STASIS_ASIDE"], "{}");
    assert_eq!(found["STASIS_HOME"], "/h");
}
