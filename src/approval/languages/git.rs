//! Git's ways to run programs that a repository or an option configures.

use crate::approval::options::Weighed;

/// Settings that choose no program, as `-c` arguments. A trailing dot stands for all below.
const HARMLESS: [&str; 40] = [
    "advice.",
    "color.",
    "column.",
    "core.abbrev",
    "core.quotepath",
    "core.filemode",
    "core.autocrlf",
    "core.eol",
    "core.ignorecase",
    "core.precomposeunicode",
    "core.commentchar",
    "core.whitespace",
    "diff.algorithm",
    "diff.colormoved",
    "diff.context",
    "diff.noprefix",
    "diff.mnemonicprefix",
    "diff.renames",
    "diff.renamelimit",
    "diff.submodule",
    "diff.statgraphwidth",
    "diff.wserrorhighlight",
    "diff.indentheuristic",
    "diff.orderfile",
    "format.pretty",
    "gc.auto",
    "grep.",
    "i18n.",
    "init.defaultbranch",
    "log.",
    "blame.",
    "merge.conflictstyle",
    "protocol.version",
    "push.default",
    "status.",
    "tag.sort",
    "branch.sort",
    "user.name",
    "user.email",
    "versionsort.suffix",
];

/// Settings that are harmless with exactly these values.
const HARMLESS_VALUES: [(&str, &[&str]); 8] = [
    ("core.pager", &["", "cat", "less", "more", "false"]),
    ("pager.", &["false", "0", "no", "cat", ""]),
    ("core.fsmonitor", &["false", "0", "no", ""]),
    ("core.hookspath", &["/dev/null"]),
    ("commit.gpgsign", &["false", "0", "no"]),
    ("tag.gpgsign", &["false", "0", "no"]),
    ("log.showsignature", &["false", "0", "no"]),
    ("diff.external", &[""]),
];

/// Does an option make Git run a program, or read another repository's configuration? `here` knows directories
/// whose repository is the request's own.
pub(in crate::approval) fn configured(weighed: &Weighed, here: impl Fn(&str) -> bool) -> Option<String> {
    for (name, value) in &weighed.options {
        let text = value.as_ref().and_then(|value| value.exact());
        match name.as_str() {
            "-c" => match text {
                Some(setting) if is_harmless(setting) => {}
                Some(setting) => return Some(format!("`git -c {setting}` may name a program")),
                None => {
                    return Some("`git -c` with a setting that is not known before it runs".into());
                }
            },
            "-C" if !text.is_some_and(&here) => {
                return Some("the configuration of a repository in another directory may name programs".into());
            }
            _ => {}
        }
    }
    None
}

fn is_harmless(setting: &str) -> bool {
    let (key, value) = setting.split_once('=').unwrap_or((setting, "true"));
    let key = key.to_ascii_lowercase();
    let covers = |known: &str| {
        if known.ends_with('.') { key.starts_with(known) } else { key == known }
    };
    // `log.showSignature` runs gpg.
    let listed = HARMLESS.iter().any(|known| covers(known)) && key != "log.showsignature";
    listed || HARMLESS_VALUES.iter().any(|(known, values)| covers(known) && values.contains(&value))
}

/// The first setting in a repository's own configuration that makes Git run a program while it only reads.
pub(crate) fn running_key(config: &str) -> Option<String> {
    let mut section = String::new();
    for line in config.lines() {
        let line = line.trim();
        let mut rest = line;
        if let Some(header) = line.strip_prefix('[') {
            let (name, after) = header.split_once(']').unwrap_or((header, ""));
            section = name.split(['"', '\\']).next().unwrap_or(name).trim().to_ascii_lowercase();
            rest = after.trim();
        }
        let (key, value) = rest.split_once('=').map_or((rest, "true"), |(key, value)| (key.trim(), value.trim()));
        let key = key.trim().to_ascii_lowercase();
        if key.is_empty() || key.starts_with(['#', ';']) {
            continue;
        }
        if runs(&section, &key, value) {
            return Some(format!("{section}.{key}"));
        }
    }
    None
}

fn runs(section: &str, key: &str, value: &str) -> bool {
    let section = section.split('.').next().unwrap_or(section);
    match (section, key) {
        // The monitor and hooks are switched off by `QUIET`.
        ("core", "fsmonitor" | "hookspath") => false,
        (
            "core",
            "pager"
            | "editor"
            | "sshcommand"
            | "gitproxy"
            | "askpass"
            | "alternaterefscommand"
            | "worktree"
            | "attributesfile",
        ) => true,
        ("diff", "external" | "command" | "textconv" | "tool" | "guitool") => true,
        ("difftool" | "mergetool", "cmd" | "path") => true,
        ("filter", "clean" | "smudge" | "process") => !value.starts_with("git-lfs "),
        ("pager", _) => !matches!(value, "false" | "true" | "no" | "yes" | "0" | "1"),
        ("gpg", "program") | ("log", "showsignature") => true,
        ("include" | "includeif", "path") => true,
        ("interactive", "difffilter")
        | ("sequence", "editor")
        | ("man", _)
        | ("browser", "cmd")
        | ("web", "browser") => true,
        ("extensions", key) => !matches!(
            key,
            "objectformat"
                | "partialclone"
                | "worktreeconfig"
                | "refstorage"
                | "compatobjectformat"
                | "noop"
                | "preciousobjects"
                | "relativeworktrees"
        ),
        ("remote", "uploadpack" | "receivepack" | "vcs" | "promisor" | "proxy") => true,
        ("credential", "helper") | ("ssh", _) | ("uploadpack", "packobjectshook") => true,
        ("trailer", "command" | "cmd") | ("merge", "driver" | "tool") => false,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_run_programs_are_found() {
        let table = [
            ("[core]\n\tbare = false\n[user]\n\tname = x\n", None),
            ("[core]\n\tfsmonitor = ./evil\n", None),
            ("[diff]\n\texternal = ./evil\n", Some("diff.external")),
            ("[diff \"x\"]\n  textconv = ./evil", Some("diff.textconv")),
            ("[DIFF.x] TextConv=./evil", Some("diff.x.textconv")),
            ("[filter \"lfs\"]\n\tclean = git-lfs clean -- %f\n", None),
            ("[filter \"x\"]\n\tclean = ./evil\n", Some("filter.clean")),
            ("[include] path = ../.gitconfig", Some("include.path")),
            ("[pager]\n\tlog = ./evil", Some("pager.log")),
            ("[remote \"origin\"]\n\turl = git@example.com:a/b\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n", None),
            ("[branch \"main\"]\n\tremote = origin\n\tmerge = refs/heads/main\n", None),
            ("# [diff]\n; external = x\n", None),
        ];
        for (config, expected) in table {
            assert_eq!(running_key(config).as_deref(), expected, "{config}");
        }
    }

    #[test]
    fn harmless_settings_are_told_from_others() {
        for setting in
            ["color.ui=never", "core.pager=cat", "core.quotePath=false", "user.name=A B", "core.fsmonitor=false"]
        {
            assert!(is_harmless(setting), "{setting}");
        }
        for setting in [
            "core.pager=./x",
            "diff.external=x",
            "alias.x=!id",
            "core.fsmonitor=./x",
            "log.showSignature=true",
            "core.fsmonitor",
        ] {
            assert!(!is_harmless(setting), "{setting}");
        }
    }
}
