//! `askance settings`: what counts and where it comes from.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::args::{Format, PlaceFlags, SettingsCommand};
use super::flags::PolicyFlags;
use super::{Outcome, layers, print, visible};
use crate::settings::trust::Trust;
use crate::settings::{self, DEFAULTS, IgnoredBecause, Layer, Settings, Shown, Source};

/// Editing by hand went wrong; the settings are as they were.
#[derive(Debug, thiserror::Error)]
enum EditError {
    #[error("no editor: set VISUAL or EDITOR")]
    NoEditor,
    #[error("start the editor {editor:?}")]
    Start { editor: String, source: io::Error },
    #[error("the editor {editor:?} failed; the settings are as they were")]
    Failed { editor: String },
    #[error("not saved; what you wrote is in {}", .draft.display())]
    NotSaved { draft: PathBuf, source: Box<settings::edit::EditError> },
}

pub(super) fn run(command: SettingsCommand) -> Outcome {
    match command {
        SettingsCommand::Show { policy, output } => show(&policy, output),
        SettingsCommand::Paths { workspace, output } => paths(workspace.as_deref(), output),
        SettingsCommand::Schema => {
            let schema = serde_json::to_string_pretty(&settings::schema::json_schema())?;
            print(&format!("{schema}\n"))?;
            Ok(0)
        }
        SettingsCommand::Defaults => {
            print(DEFAULTS)?;
            Ok(0)
        }
        SettingsCommand::Edit { place, workspace } => edit(place, workspace.as_deref()),
    }
}

fn show(flags: &PolicyFlags, output: Format) -> Outcome {
    let (_, settings) = layers::load(flags)?;
    let text = match output {
        Format::Text => shown_as_text(&settings),
        Format::Json => format!("{:#}\n", shown_as_json(&settings)),
    };
    print(&text)?;
    Ok(0)
}

fn shown_as_text(settings: &Settings) -> String {
    let mut text = String::new();
    for Shown { key, value, source } in settings.all() {
        let value = visible(&value.to_string());
        let _ = writeln!(text, "{key}: {value}  ({})", origin(&source));
    }
    for ignored in &settings.ignored {
        let file = visible(&ignored.file.to_string_lossy());
        let _ = writeln!(text, "# {file}: {}", because(ignored.reason));
    }
    text
}

fn shown_as_json(settings: &Settings) -> Value {
    let values = settings.all().into_iter().map(|Shown { key, value, source }| {
        json!({ "key": key, "value": value, "layer": source.layer, "file": source.file, "line": source.line })
    });
    let ignored = settings
        .ignored
        .iter()
        .map(|ignored| json!({ "file": ignored.file, "layer": ignored.layer, "reason": because(ignored.reason) }));
    json!({
        "values": values.collect::<Vec<_>>(),
        "ignored": ignored.collect::<Vec<_>>(),
    })
}

/// `user, /home/u/.config/askance/settings.json:5`.
pub(super) fn origin(source: &Source) -> String {
    let layer = source.layer.word();
    match (&source.file, source.line) {
        (Some(file), Some(line)) => format!("{layer}, {}:{line}", visible(&file.to_string_lossy())),
        (Some(file), None) => format!("{layer}, {}", visible(&file.to_string_lossy())),
        (None, Some(line)) => format!("{layer}, line {line} of `askance settings defaults`"),
        (None, None) if source.layer == Layer::Runtime => format!("{layer}, a flag or variable"),
        (None, None) => format!("{layer}, built in"),
    }
}

fn because(reason: IgnoredBecause) -> &'static str {
    match reason {
        IgnoredBecause::Untrusted => {
            "only its deny and block entries count, until you look at it and run `askance trust`"
        }
        IgnoredBecause::SwitchesSandboxOff => {
            "its sandbox.enabled does not count: only the organisation, the user or a flag may switch the sandbox off"
        }
    }
}

/// Every settings file, highest layer first, with what is there.
fn paths(workspace: Option<&Path>, output: Format) -> Outcome {
    let locations = layers::locations(workspace, None)?;
    let trust = Trust::read(&locations)?;
    let mut all = vec![(Layer::Organisation, locations.organisation.clone())];
    all.extend(locations.folder_files().into_iter().map(|file| (Layer::Folder, file)));
    all.push((Layer::Project, locations.local_file()));
    all.push((Layer::Project, locations.project_file()));
    all.push((Layer::User, locations.user_file()));
    let rows = all.into_iter().map(|(layer, file)| {
        let state = state(layer, &file, &trust);
        (layer, file, state)
    });
    let text = match output {
        Format::Text => rows.fold(String::new(), |mut text, (layer, file, state)| {
            let file = visible(&file.to_string_lossy());
            let _ = writeln!(text, "{:<13}{file}  ({state})", layer.word());
            text
        }),
        Format::Json => {
            let rows = rows.map(|(layer, file, state)| json!({ "layer": layer, "file": file, "state": state }));
            format!("{:#}\n", Value::Array(rows.collect()))
        }
    };
    print(&text)?;
    Ok(0)
}

fn state(layer: Layer, file: &Path, trust: &Trust) -> &'static str {
    match settings::load::open(file) {
        Ok(None) => "absent",
        Err(_) => "malformed or unreadable",
        Ok(Some((document, content))) => match layer {
            Layer::Project | Layer::Folder if !settings::widens(&document) => "only forbids",
            Layer::Project | Layer::Folder if trust.covers(file, &content) => "trusted",
            Layer::Project | Layer::Folder => "not trusted",
            _ => "present",
        },
    }
}

/// Opens a copy in the user's editor and saves it only if it is well-formed.
fn edit(place: PlaceFlags, workspace: Option<&Path>) -> Outcome {
    let locations = layers::locations(workspace, None)?;
    let file = match place {
        PlaceFlags { project: true, .. } => locations.project_file(),
        PlaceFlags { local: true, .. } => locations.local_file(),
        _ => locations.user_file(),
    };
    let old = settings::edit::text_of(&file)?.unwrap_or_else(|| b"{\n}\n".to_vec());
    let draft = tempfile::Builder::new().prefix("askance-settings-").suffix(".jsonc").tempfile()?;
    fs::write(draft.path(), &old)?;
    open_editor(draft.path())?;
    let new = fs::read(draft.path())?;
    if new == old {
        print("nothing changed\n")?;
        return Ok(0);
    }
    if let Err(source) = settings::edit::save(&locations, &file, &old, &new) {
        let (_, draft) = draft.keep()?;
        return Err(EditError::NotSaved { draft, source: Box::new(source) }.into());
    }
    print(&format!("saved {}\n", visible(&file.to_string_lossy())))?;
    Ok(0)
}

/// Runs `$VISUAL` or `$EDITOR`, which may hold arguments, and waits for it.
fn open_editor(draft: &Path) -> Result<(), EditError> {
    let chosen = ["VISUAL", "EDITOR"].into_iter().find_map(std::env::var_os);
    let editor = chosen.and_then(|editor| editor.into_string().ok()).unwrap_or_default();
    let mut words = editor.split_whitespace();
    let program = words.next().ok_or(EditError::NoEditor)?;
    let status = Command::new(program).args(words).arg(draft).status();
    let status = status.map_err(|source| EditError::Start { editor: editor.clone(), source })?;
    if status.success() { Ok(()) } else { Err(EditError::Failed { editor }) }
}
