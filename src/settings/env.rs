//! Which variables of the caller's environment the command does not get.

use super::{Env, Sourced, Text};

impl Env {
    /// Is the variable one that holds a credential? Names are compared without regard to case, and
    /// an allow counts against removals of its own layer and of those below it.
    pub fn removes(&self, name: &str) -> bool {
        let covering = |list: &'_ [Sourced<Text>]| {
            let layers = list.iter().filter(|entry| covers(entry.value.as_bytes(), name.as_bytes()));
            layers.map(|entry| entry.source.layer).max()
        };
        match (covering(&self.remove), covering(&self.allow)) {
            (Some(removed), Some(allowed)) => removed > allowed,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }
}

/// `*` matches any run of characters. Time is at most the product of the lengths.
fn covers(pattern: &[u8], name: &[u8]) -> bool {
    // Most patterns differ in their last character.
    let ends = |end: Option<&u8>, of: Option<&u8>| match (end, of) {
        (Some(b'*'), _) => true,
        (Some(end), Some(of)) => end.eq_ignore_ascii_case(of),
        (end, of) => end == of,
    };
    if !ends(pattern.last(), name.last()) {
        return false;
    }
    let (mut at, mut in_name) = (0, 0);
    let mut retry = None;
    while in_name < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                retry = Some((at + 1, in_name));
                at += 1;
            }
            Some(byte) if byte.eq_ignore_ascii_case(&name[in_name]) => {
                at += 1;
                in_name += 1;
            }
            _ => match retry {
                Some((after_star, from)) => {
                    retry = Some((after_star, from + 1));
                    at = after_star;
                    in_name = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::settings::{Layer, Source};

    #[test]
    fn stars_match_any_run_of_characters() {
        let table = [
            ("*_TOKEN", "GITHUB_TOKEN", true),
            ("*_TOKEN", "github_token", true),
            ("*_TOKEN", "TOKEN", false),
            ("*_TOKEN", "MAX_TOKENS", false),
            ("npm_config_*auth*", "npm_config__authToken", true),
            ("npm_config_*auth*", "NPM_CONFIG_//host/:_authToken", true),
            ("npm_config_*auth*", "npm_config_cache", false),
            ("*SECRET*", "MY_SECRET_KEY", true),
            ("*SECRET*", "SECRET", true),
            ("PATH", "MANPATH", false),
            ("A*A", "A", false),
            ("*", "", true),
            ("", "A", false),
            ("*a*b*a*b*a*b*a*b*c", "abababababababababababababababab", false),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(covers(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn an_allow_passes_what_its_own_layer_or_a_lower_one_removes() {
        let entry = |layer, value: &str| Sourced { value: value.to_owned().into(), source: Source::from(layer) };
        let env = Env {
            remove: vec![entry(Layer::Default, "*_TOKEN"), entry(Layer::Organisation, "DEPLOY_TOKEN")],
            allow: vec![entry(Layer::User, "GH_TOKEN"), entry(Layer::User, "DEPLOY_TOKEN")],
        };
        let table = [("GH_TOKEN", false), ("DEPLOY_TOKEN", true), ("NPM_TOKEN", true), ("PATH", false)];
        for (name, expected) in table {
            assert_eq!(env.removes(name), expected, "{name}");
        }
    }
}
