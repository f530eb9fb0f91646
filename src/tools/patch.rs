//! Applying a unified diff of one or more files: everything or nothing.

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use diffy::patch_set::{FileMode, FileOperation, FilePatch, ParseOptions, PatchSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::save::{Change, Directories, New, commit};
use super::{LARGEST_FILE, ToolError, at, edit, look};

/// Apply a unified diff, as `diff -u` and `git diff` write it. Each hunk has to match exactly, at its line or
/// nearest to it. Paths count from the working directory and lead nowhere outside of it; directories that new files
/// need are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    pub patch: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Patched {
    pub files: Vec<Applied>,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Applied {
    pub path: String,
    /// `created`, `modified` or `deleted`; a renamed file is deleted and created.
    pub change: &'static str,
}

/// One step of a patch: what one file becomes.
struct Step<'a> {
    from: Option<PathBuf>,
    to: Option<PathBuf>,
    keeps_from: bool,
    hunks: &'a diffy::Patch<'a, str>,
    executable: Option<bool>,
}

impl Patch {
    /// The files that it names, each once.
    pub(super) fn targets(&self) -> Result<Vec<PathBuf>, ToolError> {
        let files = self.files()?;
        let mut named = Vec::new();
        for step in steps(&files)? {
            for path in step.from.into_iter().chain(step.to) {
                if !named.contains(&path) {
                    named.push(path);
                }
            }
        }
        Ok(named)
    }

    pub(super) fn carry_out(&self, base: &Path, beside: bool) -> Result<Patched, ToolError> {
        let files = self.files()?;
        let steps = steps(&files)?;
        // Everything is computed before anything is touched.
        let computed = steps.iter().map(|step| step.compute(base)).collect::<Result<Vec<_>, _>>()?;
        let mut directories = Directories::default();
        let mut changes = Vec::new();
        let mut applied = Vec::new();
        let mut note =
            |path: &Path, change| applied.push(Applied { path: path.to_string_lossy().into_owned(), change });
        for (step, (former, bytes)) in steps.iter().zip(computed) {
            if let Some(to) = &step.to {
                let modified = step.from.as_ref() == Some(to);
                let former_of_to = if modified { former.clone() } else { None };
                let target = base.join(to);
                if !modified {
                    directories.make_above(&target)?;
                }
                let executable = step.executable(base)?;
                let change = Change::prepare(&target, New { bytes, executable, former: former_of_to }, beside)?;
                if !modified && !change.is_new() {
                    return Err(bad(format!("it creates {to:?}, which exists")));
                }
                changes.push(change);
                note(to, if modified { "modified" } else { "created" });
            }
            if let (Some(from), Some(former)) = (&step.from, former)
                && step.to.as_ref() != Some(from)
                && !step.keeps_from
            {
                changes.push(Change::remove(&base.join(from), former)?);
                note(from, "deleted");
            }
        }
        commit(changes)?;
        directories.keep();
        Ok(Patched { files: applied })
    }

    fn files(&self) -> Result<Vec<FilePatch<'_, str>>, ToolError> {
        let text = &self.patch;
        if let Some(line) = stray_line(text) {
            return Err(bad(format!("line {line} belongs to no hunk: the numbers of lines before it are wrong")));
        }
        let git = text.starts_with("diff --git ") || text.contains("\ndiff --git ");
        let options = if git { ParseOptions::gitdiff() } else { ParseOptions::unidiff() };
        let files: Result<Vec<_>, _> = PatchSet::parse(text, options).collect();
        let files = files.map_err(|error| bad(error.to_string()))?;
        if files.is_empty() {
            return Err(bad("it names no file: expected a unified diff with `---` and `+++` lines".to_owned()));
        }
        Ok(files)
    }
}

fn bad(problem: String) -> ToolError {
    ToolError::BadPatch { problem }
}

/// The line after a hunk that looks like one more line of it. Whoever miscounted would lose it: whatever follows a
/// hunk's last line, by its own numbers, is taken for prose.
fn stray_line(patch: &str) -> Option<usize> {
    let (mut old, mut new, mut follows) = (0, 0, false);
    for (number, line) in (1..).zip(patch.lines()) {
        if old + new > 0 {
            match line.as_bytes().first() {
                Some(b'-') => old -= usize::from(old > 0),
                Some(b'+') => new -= usize::from(new > 0),
                Some(b'\\') => {}
                _ => (old, new) = (old.saturating_sub(1), new.saturating_sub(1)),
            }
            follows = true;
        } else if let Some(counts) = counted(line) {
            (old, new) = counts;
        } else if follows {
            // The header of the next file, or the end of a mail.
            let header = ["--- ", "+++ ", "-- "].iter().any(|start| line.starts_with(start)) || line == "--";
            if line.starts_with(['+', '-']) && !header {
                return Some(number);
            }
            follows = line.starts_with([' ', '\\']);
        }
    }
    None
}

/// The numbers of lines that a hunk's header says.
fn counted(line: &str) -> Option<(usize, usize)> {
    let (old, rest) = line.strip_prefix("@@ -")?.split_once(" +")?;
    let (new, _) = rest.split_once(" @@")?;
    let count = |range: &str| range.split_once(',').map_or(Some(1), |(_, count)| count.parse().ok());
    Some((count(old)?, count(new)?))
}

/// What each file becomes; no file may stand in two steps.
fn steps<'a>(files: &'a [FilePatch<'a, str>]) -> Result<Vec<Step<'a>>, ToolError> {
    let strip = usize::from(files.iter().all(has_prefix));
    let steps = files.iter().map(|file| step(file, strip)).collect::<Result<Vec<_>, _>>()?;
    let mut seen = HashSet::new();
    for step in &steps {
        let from = step.from.iter().filter(|from| step.to.as_ref() != Some(from));
        for path in from.chain(&step.to) {
            if !seen.insert(path) {
                return Err(bad(format!("{path:?} stands in it twice")));
            }
        }
    }
    Ok(steps)
}

/// Do its paths begin with `a/` and `b/`, as Git writes them?
fn has_prefix(file: &FilePatch<'_, str>) -> bool {
    let (from, to) = match file.operation() {
        FileOperation::Delete(from) => (Some(from), None),
        FileOperation::Create(to) => (None, Some(to)),
        FileOperation::Modify { original, modified } => (Some(original), Some(modified)),
        // The lines of a rename have none.
        FileOperation::Rename { .. } | FileOperation::Copy { .. } => (None, None),
    };
    from.is_none_or(|from| from.starts_with("a/")) && to.is_none_or(|to| to.starts_with("b/"))
}

fn step<'a>(file: &'a FilePatch<'a, str>, strip: usize) -> Result<Step<'a>, ToolError> {
    let Some(hunks) = file.patch().as_text() else {
        return Err(bad("binary files cannot be patched".to_owned()));
    };
    for mode in file.old_mode().into_iter().chain(file.new_mode()) {
        if matches!(mode, FileMode::Symlink | FileMode::Gitlink) {
            return Err(bad("links and submodules cannot be patched".to_owned()));
        }
    }
    let executable = file.new_mode().map(|mode| *mode == FileMode::Executable);
    let plain = |from: Option<&str>, to: Option<&str>, keeps_from| {
        let (from, to) = (from.map(inside).transpose()?, to.map(inside).transpose()?);
        if from == to && hunks.hunks().is_empty() && executable.is_none() {
            return Err(bad(format!(
                "it says no change of {:?}: expected hunks (`@@ -1,2 +1,3 @@`)",
                to.unwrap_or_default()
            )));
        }
        Ok(Step { from, to, keeps_from, hunks, executable })
    };
    match file.operation() {
        FileOperation::Rename { from, to } => plain(Some(from), Some(to), false),
        FileOperation::Copy { from, to } => plain(Some(from), Some(to), true),
        other => match other.strip_prefix(strip) {
            FileOperation::Delete(from) => plain(Some(&from), None, false),
            FileOperation::Create(to) => plain(None, Some(&to), false),
            FileOperation::Modify { original, modified } if original == modified => {
                plain(Some(&original), Some(&modified), false)
            }
            FileOperation::Modify { original, modified } => one_of(&original, &modified).and_then(|path| {
                let path = path.to_owned();
                plain(Some(&path), Some(&path), false)
            }),
            FileOperation::Rename { from, to } | FileOperation::Copy { from, to } => {
                plain(Some(&from), Some(&to), false)
            }
        },
    }
}

/// `diff -u f.orig f`: two names of one file, as `patch` reads them.
fn one_of<'a>(original: &'a str, modified: &'a str) -> Result<&'a str, ToolError> {
    match original.strip_suffix(".orig") == Some(modified) {
        true => Ok(modified),
        false => Err(bad(format!("{original:?} becomes {modified:?}: only Git's `rename from` renames files"))),
    }
}

/// A path that leads nowhere outside of the working directory by its letters; links are the sandbox's to judge.
fn inside(path: &str) -> Result<PathBuf, ToolError> {
    if path.contains('\0') {
        return Err(ToolError::Nul);
    }
    let clean: PathBuf = Path::new(path).components().filter(|part| *part != Component::CurDir).collect();
    match clean.components().all(|part| matches!(part, Component::Normal(_))) && !clean.as_os_str().is_empty() {
        true => Ok(clean),
        false => Err(bad(format!("{path:?} leads outside of the working directory"))),
    }
}

impl Step<'_> {
    /// What the patch says of the mode; a file that moves is as executable as it was.
    fn executable(&self, base: &Path) -> Result<Option<bool>, ToolError> {
        match &self.from {
            Some(from) if self.executable.is_none() && self.to.as_ref() != Some(from) => {
                let path = base.join(from);
                let mode = path.metadata().map_err(at(&path))?.permissions().mode();
                Ok(Some(mode & 0o100 != 0))
            }
            _ => Ok(self.executable),
        }
    }

    /// What the file held and what it will hold.
    fn compute(&self, base: &Path) -> Result<(Option<Vec<u8>>, Vec<u8>), ToolError> {
        let former = self.from.as_ref().map(|from| look::whole(&base.join(from))).transpose()?;
        let path = self.to.as_ref().or(self.from.as_ref()).map_or(String::new(), |path| path.display().to_string());
        let old = former.as_deref().unwrap_or_default();
        let text = std::str::from_utf8(old).map_err(|_| bad(format!("{path:?} is no UTF-8 text")))?;
        let new = diffy::apply(text, self.hunks).map_err(|error| self.mismatch(&path, old, &error))?;
        if self.to.is_none() && !new.is_empty() {
            return Err(bad(format!("it deletes {path:?} but not all of its lines")));
        }
        if new.len() as u64 > LARGEST_FILE {
            return Err(ToolError::TooLarge { path: path.into(), most: LARGEST_FILE });
        }
        Ok((former, new.into_bytes()))
    }

    fn mismatch(&self, path: &str, old: &[u8], error: &diffy::ApplyError) -> ToolError {
        let number = error.to_string().rsplit('#').next().and_then(|number| number.parse().ok()).unwrap_or(1);
        let lines = self.hunks.hunks().iter().flat_map(diffy::Hunk::lines);
        let text: String = lines
            .filter_map(|line| match line {
                diffy::Line::Context(text) | diffy::Line::Delete(text) => Some(*text),
                diffy::Line::Insert(_) => None,
            })
            .collect();
        ToolError::Mismatch { path: path.to_owned(), hunk: number, hint: edit::hint(old, &text) }
    }
}
