//! What holds for any path as text, against a model of it: checked with random input by the tests and by
//! `fuzz/`. Resolution in real trees is held to the kernel's own in `resolve_tests`.

use super::spelling::{PATH_MAX, Spelling, split};

/// Any two paths, cut at the first line end: splitting loses nothing, and the spelling that is built without
/// allocating is the one that a list of components gives.
pub(crate) fn paths(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let (base, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    for whole in [base, path] {
        let cut = split(whole);
        assert_eq!([cut.directory, cut.name, cut.slashes].concat(), whole);
        assert!(!cut.name.contains(&b'/') && cut.slashes.iter().all(|byte| *byte == b'/'));
        assert!(cut.directory.is_empty() || cut.directory.ends_with(b"/"));
    }
    let mut spelling = Spelling::new();
    let fits = spelling.push(base) && spelling.push(path);
    let mut model: Vec<&[u8]> = Vec::new();
    for component in [base, path].into_iter().flat_map(|path| path.split(|byte| *byte == b'/')) {
        match component {
            b"" | b"." => {}
            b".." => drop(model.pop()),
            name => model.push(name),
        }
    }
    let expected = [b"/".as_slice(), &model.join(&b"/"[..])].concat();
    assert!(!fits || spelling.finish() == expected, "{:?}", String::from_utf8_lossy(spelling.finish()));
    assert!(fits || base.len() + path.len() >= PATH_MAX - 2, "what fits was refused");
}

#[cfg(test)]
#[test]
fn any_input_at_all() {
    crate::sys::fuzzing::drive("paths", paths);
}
