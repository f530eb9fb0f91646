//! Built-in rules that ask at every level, because the act destroys: judged on argument vectors,
//! the same before the start and at every `execve`.
//!
//! Knows programs only as far as these acts need; what a command could do otherwise is assessed elsewhere.

mod paths;

use std::collections::HashSet;

pub(super) use paths::Place;

use super::arg::{Arg, UNKNOWN, base_name};
use crate::policy::Rule;
use crate::settings::{Layer, Source};

/// An interlock that a command trips.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interlock {
    /// The rule's name, as in `interlock: recursive-removal`.
    pub name: &'static str,
    pub why: String,
}

impl Interlock {
    pub(super) fn new(name: &'static str, why: impl Into<String>) -> Interlock {
        Interlock { name, why: why.into() }
    }

    /// As a rule that decides.
    pub(super) fn rule(&self) -> Rule {
        Rule::said(format!("interlock: {}", self.name), Source::from(Layer::Default))
    }
}

const PARTITIONERS: [&str; 20] = [
    "fdisk",
    "sfdisk",
    "cfdisk",
    "gdisk",
    "sgdisk",
    "cgdisk",
    "parted",
    "gparted",
    "partx",
    "wipefs",
    "blkdiscard",
    "mke2fs",
    "mkswap",
    "mkdosfs",
    "mdadm",
    "lvremove",
    "vgremove",
    "pvremove",
    "badblocks",
    "hdparm",
];

/// Could a program of this name trip any? A quick no for nearly all.
pub(super) fn concerns(name: &str) -> bool {
    const OTHERS: [&str; 58] = [
        "tar",
        "unzip",
        "busctl",
        "dbus-send",
        "gdbus",
        "git",
        "busybox",
        "toybox",
        "coreutils",
        "rm",
        "find",
        "gfind",
        "bfs",
        "chmod",
        "chown",
        "chgrp",
        "setfacl",
        "chattr",
        "rsync",
        "shutdown",
        "reboot",
        "halt",
        "poweroff",
        "kexec",
        "init",
        "telinit",
        "systemctl",
        "loginctl",
        "cryptsetup",
        "zpool",
        "dd",
        "cp",
        "mv",
        "ln",
        "install",
        "scp",
        "link",
        "tee",
        "touch",
        "truncate",
        "shred",
        "unlink",
        "sponge",
        "rmdir",
        "mkdir",
        "ed",
        "ex",
        "vi",
        "vim",
        "nvim",
        "nano",
        "emacs",
        "sed",
        "perl",
        "ruby",
        "curl",
        "wget",
        "sort",
    ];
    name.starts_with("mkfs") || OTHERS.contains(&name) || PARTITIONERS.contains(&name)
}

/// The interlock that this command trips, if any. `argv[0]` is the program.
pub(super) fn of(argv: &[Arg], place: &Place<'_>) -> Option<Interlock> {
    let (program, args) = argv.split_first()?;
    let name = base_name(program.exact()?);
    match name {
        "busybox" | "toybox" => return of(args, place),
        "rm" => removal(args, place),
        "shred" => operands(args)
            .filter(|arg| arg.glob)
            .find_map(|arg| place.root(arg))
            .map(|what| Interlock::new("recursive-removal", format!("destroys {what}"))),
        "mv" => moving(args, place),
        "busctl" | "dbus-send" | "gdbus" => args
            .iter()
            .find(|arg| ["PowerOff", "Reboot", "Halt", "KExec"].iter().any(|verb| arg.text.ends_with(verb)))
            .map(|verb| Interlock::new("power", format!("`{name} … {}` stops the machine", verb.shown()))),
        "find" | "gfind" | "bfs" => find(args, place),
        "chmod" | "chown" | "chgrp" | "setfacl" | "chattr" => ownership(name, args, place),
        "rsync" => mirror(args, place),
        "git" => cleaning(args, place),
        "shutdown" | "reboot" | "halt" | "poweroff" | "kexec" => power(name, args),
        "init" | "telinit" => args
            .iter()
            .any(|arg| matches!(arg.exact(), Some("0" | "6" | "1" | "s" | "S")))
            .then(|| Interlock::new("power", format!("`{name}` stops the machine"))),
        "systemctl" | "loginctl" => args
            .iter()
            .find(|arg| {
                let verbs = [
                    "poweroff",
                    "reboot",
                    "halt",
                    "kexec",
                    "suspend",
                    "hibernate",
                    "rescue",
                    "emergency",
                    "soft-reboot",
                ];
                arg.exact().is_some_and(|text| verbs.contains(&text))
            })
            .map(|verb| Interlock::new("power", format!("`{name} {}` stops the machine", verb.shown()))),
        _ if name.starts_with("mkfs") || PARTITIONERS.contains(&name) => disk(name, args),
        "cryptsetup" | "zpool" => args
            .iter()
            .any(|arg| {
                arg.exact()
                    .is_some_and(|text| matches!(text, "luksFormat" | "erase" | "reencrypt" | "destroy" | "labelclear"))
            })
            .then(|| Interlock::new("disk", format!("`{name}` destroys what is on a disk"))),
        _ => None,
    }
    .or_else(|| written(name, args, place))
}

/// A target of a redirection that is opened for writing.
pub(super) fn of_write(target: &Arg, place: &Place<'_>) -> Option<Interlock> {
    place.guarded(target).map(|what| Interlock::new("protected-write", format!("writes to {what}")))
}

/// Is this short option in a cluster, or the long one in any abbreviation of at least `shortest` letters?
fn has_option(args: &[Arg], shorts: &[char], long: &str, shortest: usize) -> bool {
    args.iter().take_while(|arg| !arg.is_exactly("--")).any(|arg| {
        let text = &arg.text;
        match text.strip_prefix("--") {
            Some(name) => name.len() >= shortest && long.starts_with(name),
            None => text.strip_prefix('-').is_some_and(|cluster| cluster.contains(shorts)),
        }
    })
}

/// What is not an option.
fn operands(args: &[Arg]) -> impl Iterator<Item = &Arg> {
    let end = args.iter().position(|arg| arg.is_exactly("--")).unwrap_or(args.len());
    args.iter()
        .enumerate()
        .filter(move |(at, arg)| *at > end || (*at < end && !(arg.text.len() > 1 && arg.text.starts_with('-'))))
        .map(|(_, arg)| arg)
}

/// Each argument once: for rules to which the number and the order do not matter.
fn different<'a>(args: impl Iterator<Item = &'a Arg>) -> impl Iterator<Item = &'a Arg> {
    let mut seen = HashSet::new();
    args.filter(move |arg| seen.insert(*arg))
}

fn removal(args: &[Arg], place: &Place<'_>) -> Option<Interlock> {
    if has_option(args, &[], "no-preserve-root", 2) {
        return Some(Interlock::new("recursive-removal", "`rm --no-preserve-root`"));
    }
    if !has_option(args, &['r', 'R'], "recursive", 1) {
        return None;
    }
    different(operands(args))
        .find_map(|arg| place.root(arg))
        .map(|what| Interlock::new("recursive-removal", format!("removes {what}")))
}

/// `mv` of such a root to somewhere else.
fn moving(args: &[Arg], place: &Place<'_>) -> Option<Interlock> {
    let explicit = args.iter().any(|arg| arg.is_exactly("-t") || arg.text.starts_with("--target-directory"));
    let operands: Vec<&Arg> = operands(args).collect();
    let sources = operands.len().saturating_sub(usize::from(!explicit));
    let sources = operands[..sources].iter().filter(|arg| !arg.glob && !arg.text.contains(UNKNOWN));
    different(sources.copied())
        .find_map(|arg| place.root(arg))
        .map(|what| Interlock::new("recursive-removal", format!("moves {what} away")))
}

/// `find ROOT … -delete`, or `-exec rm`. With a test that narrows it down it is a clean-up, except from `/`.
fn find(args: &[Arg], place: &Place<'_>) -> Option<Interlock> {
    let start = args.iter().position(|arg| {
        let text = &arg.text;
        (text.starts_with('-') && !matches!(text.as_str(), "-H" | "-L" | "-P") && !text.starts_with("-O"))
            || matches!(text.as_str(), "(" | "!")
    });
    let (roots, expression) = args.split_at(start.unwrap_or(args.len()));
    let (branch, changes) = match branch_with(expression, &REMOVERS) {
        Some(branch) => (branch, "deletes what is in"),
        None => (branch_with(expression, &OWNERS)?, "changes the owner or the mode of what is in"),
    };
    let narrow = is_narrow(branch);
    let here = Arg::literal(".");
    let mut roots = roots.iter().filter(|arg| !arg.text.starts_with('-')).peekable();
    let default = roots.peek().is_none().then_some(&here);
    different(roots.chain(default)).find_map(|root| {
        let what = place.root(root)?;
        let path = place.absolute(&root.text);
        let whole_system = path.as_deref().is_some_and(|path| path.parent().is_none());
        // Modes of all files of the work are set by type: that is a clean-up.
        let own = path.is_some_and(|path| path.starts_with(place.workspace));
        let minds = !own || changes.starts_with("deletes");
        ((!narrow || whole_system) && minds)
            .then(|| Interlock::new("recursive-removal", format!("`find` {changes} {what}")))
    })
}

const REMOVERS: [&str; 4] = ["rm", "unlink", "shred", "rmdir"];
const OWNERS: [&str; 5] = ["chmod", "chown", "chgrp", "chattr", "setfacl"];

/// The part between two `-o` outside of brackets that runs one of these programs on files, or deletes them.
fn branch_with<'a>(expression: &'a [Arg], programs: &[&str]) -> Option<&'a [Arg]> {
    let mut depth = 0usize;
    let branches = expression.split(|arg| {
        match arg.text.as_str() {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && matches!(arg.text.as_str(), "-o" | "-or" | ",")
    });
    let removes = |arg: &Arg| arg.exact().is_some_and(|text| programs.contains(&base_name(text)));
    let deletes = |branch: &[Arg]| {
        branch.iter().enumerate().any(|(at, arg)| {
            let runs = matches!(arg.text.as_str(), "-exec" | "-execdir" | "-ok" | "-okdir");
            (arg.is_exactly("-delete") && programs.contains(&"rm"))
                || (runs && branch[at..].iter().take_while(|arg| !arg.is_exactly(";")).any(removes))
        })
    };
    let mut branches = branches;
    branches.find(|branch| deletes(branch))
}

/// Does a test that is not negated pick some files by name, age, size or owner?
fn is_narrow(branch: &[Arg]) -> bool {
    const TESTS: [&str; 30] = [
        "-name",
        "-iname",
        "-path",
        "-ipath",
        "-wholename",
        "-iwholename",
        "-regex",
        "-iregex",
        "-lname",
        "-ilname",
        "-mtime",
        "-atime",
        "-ctime",
        "-mmin",
        "-amin",
        "-cmin",
        "-newer",
        "-anewer",
        "-cnewer",
        "-size",
        "-empty",
        "-user",
        "-group",
        "-uid",
        "-gid",
        "-perm",
        "-inum",
        "-samefile",
        "-nouser",
        "-nogroup",
    ];
    branch.iter().enumerate().any(|(at, arg)| {
        let negated = at > 0 && matches!(branch[at - 1].text.as_str(), "!" | "-not");
        let everything =
            branch.get(at + 1).is_some_and(|value| matches!(value.text.as_str(), "*" | "./*" | "**" | ".*" | "?*"));
        TESTS.contains(&arg.text.as_str()) && !negated && !everything
    })
}

fn ownership(name: &str, args: &[Arg], place: &Place<'_>) -> Option<Interlock> {
    if !has_option(args, &['R'], "recursive", 3) {
        return None;
    }
    different(operands(args))
        .find_map(|arg| place.root(arg))
        .map(|what| Interlock::new("recursive-permissions", format!("`{name}` changes all of {what}")))
}

/// `rsync --delete` onto such a root empties it first.
fn mirror(args: &[Arg], place: &Place<'_>) -> Option<Interlock> {
    args.iter().find(|arg| arg.text.starts_with("--del"))?;
    let target = operands(args).last()?;
    place.root(target).map(|what| {
        Interlock::new("recursive-removal", format!("`rsync --delete` removes what it does not bring from {what}"))
    })
}

/// `git clean -fd DIRECTORY`, where the directory is such a root outside of the workspace.
fn cleaning(args: &[Arg], place: &Place<'_>) -> Option<Interlock> {
    let verb = args.iter().position(|arg| arg.is_exactly("clean"))?;
    let (before, args) = (&args[..verb], &args[verb + 1..]);
    if !has_option(args, &['f'], "force", 1) || has_option(args, &['n'], "dry-run", 2) {
        return None;
    }
    let outside = |arg: &&Arg| place.absolute(&arg.text).is_some_and(|path| !path.starts_with(place.workspace));
    // `git -C DIRECTORY clean` cleans all of it.
    let elsewhere = before.iter().position(|arg| arg.is_exactly("-C")).and_then(|at| before.get(at + 1));
    let elsewhere = elsewhere.filter(|_| operands(args).next().is_none());
    operands(args)
        .chain(elsewhere)
        .filter(outside)
        .find_map(|arg| place.root(arg))
        .map(|what| Interlock::new("recursive-removal", format!("`git clean` removes what is in {what}")))
}

/// Only asks what a tool can do: `fdisk -l`, `mkfs --help`.
fn only_looks(args: &[Arg]) -> bool {
    args.iter().any(|arg| {
        matches!(
            arg.text.as_str(),
            "--help" | "--version" | "-V" | "-l" | "--list" | "-lu" | "--show" | "--list-types" | "--detail" | "-I"
        )
    })
}

fn power(name: &str, args: &[Arg]) -> Option<Interlock> {
    let harmless = args
        .iter()
        .any(|arg| matches!(arg.text.as_str(), "--help" | "--version" | "-c" | "--show" | "-w" | "--wtmp-only"));
    (!harmless).then(|| Interlock::new("power", format!("`{name}` stops the machine")))
}

fn disk(name: &str, args: &[Arg]) -> Option<Interlock> {
    let reads = match name {
        "hdparm" => !args.iter().any(|arg| {
            arg.text.starts_with("--security") || arg.text.starts_with("--trim") || arg.text.starts_with("--write")
        }),
        "wipefs" => !has_option(args, &['a', 'o'], "all", 1),
        "parted" => args.iter().any(|arg| matches!(arg.exact(), Some("print" | "unit" | "-l" | "-lm"))),
        "mdadm" => !args.iter().any(|arg| {
            arg.text.starts_with("--zero") || matches!(arg.text.as_str(), "--create" | "-C" | "--stop" | "-S")
        }),
        "badblocks" => !has_option(args, &['w'], "w", 1),
        _ => args.is_empty() || args.iter().any(|arg| matches!(arg.text.as_str(), "-d" | "--dump" | "-p" | "--print")),
    };
    (!reads && !only_looks(args)).then(|| Interlock::new("disk", format!("`{name}` rewrites what is on a disk")))
}

/// Programs that write to what their operands name.
fn written(name: &str, args: &[Arg], place: &Place<'_>) -> Option<Interlock> {
    let target = match name {
        "dd" => args.iter().find_map(|arg| {
            let text = arg.text.strip_prefix("of=")?;
            place.guarded(&Arg { text: text.to_owned(), ..arg.clone() })
        }),
        "cp" | "mv" | "ln" | "install" | "rsync" | "scp" | "link" => destination(args, place),
        "tee" | "touch" | "truncate" | "shred" | "rm" | "unlink" | "chmod" | "chown" | "chgrp" | "chattr"
        | "setfacl" | "sponge" | "rmdir" | "mkdir" | "ed" | "ex" | "vi" | "vim" | "nvim" | "nano" | "emacs" => {
            different(operands(args)).find_map(|arg| place.guarded(arg))
        }
        "sed" | "perl" | "ruby" if has_option(args, &['i'], "in-place", 3) => {
            different(operands(args)).find_map(|arg| place.guarded(arg))
        }
        "curl" | "wget" | "sort" => args.iter().enumerate().find_map(|(at, arg)| {
            let long = arg.text.strip_prefix("--output=").or_else(|| arg.text.strip_prefix("--output-document="));
            let follows = matches!(arg.text.as_str(), "-o" | "-O" | "--output" | "--output-document");
            let target = if follows { args.get(at + 1)?.text.as_str() } else { long? };
            place.guarded(&Arg::literal(target))
        }),
        "tar" | "unzip" => value_of(args, &["-C", "--directory", "-d"]).and_then(|arg| place.guarded(&arg)),
        _ => None,
    };
    let directory = || value_of(args, &["-P", "--directory-prefix", "--output-dir"]);
    let target = match name {
        "wget" | "curl" => target.or_else(|| place.guarded(&directory()?)),
        _ => target,
    };
    target.map(|what| Interlock::new("protected-write", format!("`{name}` writes to {what}")))
}

/// What stands after one of these options, or after its `=`.
fn value_of(args: &[Arg], options: &[&str]) -> Option<Arg> {
    args.iter().enumerate().find_map(|(at, arg)| {
        let attached = arg.text.split_once('=').filter(|(name, _)| options.contains(name));
        match attached {
            Some((_, value)) => Some(Arg { text: value.to_owned(), ..arg.clone() }),
            None if options.contains(&arg.text.as_str()) => args.get(at + 1).cloned(),
            None => None,
        }
    })
}

/// The target of a copy: `-t DIR`, or the last operand. The sources of a move count too.
fn destination(args: &[Arg], place: &Place<'_>) -> Option<String> {
    let explicit = args.iter().enumerate().find_map(|(at, arg)| match arg.text.as_str() {
        "-t" | "--target-directory" => args.get(at + 1).cloned(),
        text => text.strip_prefix("--target-directory=").map(Arg::literal),
    });
    if let Some(what) = explicit.and_then(|arg| place.guarded(&arg)) {
        return Some(what);
    }
    operands(args).last().and_then(|arg| place.guarded(arg))
}
