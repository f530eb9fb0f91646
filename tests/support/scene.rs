//! A place to run in: home, workspace, a directory outside, settings and answers, all of them scratch.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::command::{Finished, Launch};
use super::requirement::skip;

/// Who runs the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// Whoever runs the tests.
    Caller,
    /// uid and gid 65534, no groups: only a root caller can become it.
    Nobody,
}

const NOBODY: u32 = 65534;

/// What every file that must not be read holds.
pub const SECRET: &str = "TOP-SECRET\n";

/// Scratch directories of one test; removed at its end.
#[derive(Debug)]
pub struct Scene {
    pub user: User,
    root: tempfile::TempDir,
    pub home: PathBuf,
    pub workspace: PathBuf,
    /// Neither workspace nor home: writes here ask.
    pub outside: PathBuf,
}

impl Scene {
    pub fn new(user: User) -> Self {
        // World-readable all the way, so that an ordinary user reaches it too.
        let root = tempfile::Builder::new()
            .prefix("askance-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .unwrap();
        let path = root.path().canonicalize().unwrap();
        let scene =
            Self { user, root, home: path.join("home"), workspace: path.join("work"), outside: path.join("outside") };
        for dir in [&scene.home, &scene.workspace, &scene.outside] {
            scene.make_dir(dir);
        }
        scene.make_dir(&scene.home.join(".ssh"));
        scene.file(&scene.secret(), SECRET);
        scene
    }

    /// A scene of an ordinary user, or a skip where the tests do not run as root.
    pub fn as_nobody() -> Option<Self> {
        if fs::metadata("/proc/self").unwrap().uid() != 0 {
            skip("as uid 65534", "the tests do not run as root");
            return None;
        }
        Some(Self::new(User::Nobody))
    }

    /// A private key in the home directory: a read denied by default.
    pub fn secret(&self) -> PathBuf {
        self.home.join(".ssh/id_x")
    }

    pub fn config_home(&self) -> PathBuf {
        self.home.join(".config")
    }

    pub fn user_settings_path(&self) -> PathBuf {
        self.config_home().join("askance/settings.json")
    }

    pub fn local_settings_path(&self) -> PathBuf {
        self.workspace.join(".askance/settings.local.json")
    }

    pub fn user_settings(&self, text: &str) -> PathBuf {
        let path = self.user_settings_path();
        self.file(&path, text);
        path
    }

    /// A scratch path beside home and workspace, for what the test itself writes.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(name)
    }

    /// Makes a directory and its parents, owned by the scene's user.
    pub fn make_dir(&self, path: &Path) {
        if !path.exists() {
            if let Some(parent) = path.parent() {
                self.make_dir(parent);
            }
            fs::create_dir(path).unwrap();
            self.give(path);
        }
    }

    /// Makes a file, owned by the scene's user.
    pub fn file(&self, path: &Path, text: impl AsRef<[u8]>) {
        self.make_dir(path.parent().unwrap());
        fs::write(path, text).unwrap();
        self.give(path);
    }

    /// Hands a path over to the scene's user.
    pub fn give(&self, path: &Path) {
        if self.user == User::Nobody {
            std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }

    /// A Git repository with one commit in the workspace.
    pub fn make_repository(&self) {
        self.bare_shell(
            "git init -q -b main . && git -c user.name=t -c user.email=t@example.com commit -q --allow-empty -m first",
        )
        .success();
    }

    /// The sandbox, ready to be configured and run.
    pub fn askance(&self) -> Launch<'_> {
        Launch::new(self, Some(vec!["run".into()]))
    }

    /// Any subcommand of askance.
    pub fn cli(&self, arguments: &[&str]) -> Finished {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Launch::new(self, Some(arguments)).finish(&[])
    }

    /// Runs a program sandboxed, with nobody to answer.
    pub fn run(&self, argv: &[&str]) -> Finished {
        self.askance().run(argv)
    }

    /// Runs a shell line sandboxed, with nobody to answer.
    pub fn shell(&self, line: &str) -> Finished {
        self.run(&["sh", "-c", line])
    }

    /// Runs a program without the sandbox in the same place and environment. A race ends when it is won.
    pub fn bare(&self, argv: &[&str]) -> Finished {
        Launch::new(self, None).env("ATTACK_UNTIL_THROUGH", "1").run(argv)
    }

    /// The same, to be started by its caller.
    pub fn bare_command(&self, argv: &[&str]) -> std::process::Command {
        Launch::new(self, None).command(argv, None)
    }

    pub fn bare_shell(&self, line: &str) -> Finished {
        self.bare(&["sh", "-c", line])
    }

    pub fn settings_text(&self, path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }
}

/// The binary under test, where the scene's user can execute it: a copy when the build directory is private.
/// `ASKANCE_BINARY` names another one, such as a release build.
pub fn binary(user: User) -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        std::env::var_os("ASKANCE_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_askance").into()).into()
    });
    if user == User::Caller || open_to_all(built) {
        return built;
    }
    COPY.get_or_init(|| open_copy(built))
}

/// Whether everybody may execute the file and pass through every directory above it.
pub fn open_to_all(path: &Path) -> bool {
    path.ancestors().all(|part| fs::metadata(part).is_ok_and(|metadata| metadata.mode() & 0o005 == 0o005))
}

/// A copy that everybody may execute, shared by all test processes of one build.
pub fn open_copy(file: &Path) -> PathBuf {
    let metadata = fs::metadata(file).unwrap();
    let dir = std::env::temp_dir().join(format!("askance-tests-{}-{}", metadata.ino(), metadata.mtime()));
    let target = dir.join(file.file_name().unwrap());
    if !target.exists() {
        fs::create_dir_all(&dir).unwrap();
        chown(&dir, Some(0), Some(0)).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        let fresh = dir.join(format!(".{}", std::process::id()));
        fs::copy(file, &fresh).unwrap();
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(&fresh, &target).unwrap();
    }
    target
}
