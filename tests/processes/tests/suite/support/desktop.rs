//! A session bus and a gnome-keyring in fresh directories, to be locked, killed and started again.

use std::{
    fs::{self, DirBuilder},
    io::{self, Read, Write},
    os::unix::{fs::DirBuilderExt, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{PATIENCE, crash::Crash};

const PASSWORD: &[u8] = b"throw-away";
const LOGIN: &str = "/org/freedesktop/secrets/collection/login";
const SECRETS: &str = "/org/freedesktop/secrets";

/// Whether unlock prompts can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Display {
    None,
    /// The one that the tests run on; nobody sits at it.
    Unattended,
}

/// Everything it started ends when it is dropped, also by a failing test.
#[derive(Debug)]
pub(crate) struct Desktop {
    keyring: Option<Daemon>,
    bus: Option<Daemon>,
    display: Display,
    directory: TempDir,
}

#[derive(Debug)]
struct Daemon {
    program: &'static str,
    child: Child,
    crash: Crash,
}

impl Daemon {
    fn new(program: &'static str, child: Child) -> Self {
        Self { program, child, crash: Crash::of_this_scene() }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Ok(Some(status)) = self.child.try_wait() {
            // Seen only where the test fails, and then worth knowing.
            eprintln!("{} had ended by itself: {status}", self.program);
            self.crash.note(status);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Desktop {
    /// With an unlocked keychain.
    pub(crate) fn start(display: Display) -> Self {
        let mut desktop = Self::without_keyring(display);
        desktop.start_keyring();
        desktop
    }

    /// A bus, and nobody on it who keeps secrets.
    pub(crate) fn without_keyring(display: Display) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        for name in ["home", "run", "data", "config", "cache", "services", "app"] {
            DirBuilder::new().mode(0o700).create(directory.path().join(name)).expect("a private directory");
        }
        let mut desktop = Self { keyring: None, bus: None, display, directory };
        desktop.start_bus();
        desktop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The address of the bus, whether or not there is one.
    pub(crate) fn address(&self) -> String {
        format!("unix:path={}", self.path("bus").display())
    }

    /// Where the app keeps its files.
    pub(crate) fn app_directory(&self) -> PathBuf {
        self.path("app")
    }

    /// Gives `set` the environment of a program on this desktop; `None` means a variable that must not be there.
    pub(crate) fn dress(&self, mut set: impl FnMut(&str, Option<PathBuf>)) {
        for (variable, name) in [
            ("HOME", "home"),
            ("XDG_RUNTIME_DIR", "run"),
            ("XDG_DATA_HOME", "data"),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_CACHE_HOME", "cache"),
        ] {
            set(variable, Some(self.path(name)));
        }
        set("DBUS_SESSION_BUS_ADDRESS", Some(self.address().into()));
        set("GNOME_KEYRING_CONTROL", None);
        if self.display == Display::None {
            set("DISPLAY", None);
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        self.dress(|variable, value| match value {
            Some(value) => drop(command.env(variable, value)),
            None => drop(command.env_remove(variable)),
        });
        // They complain about what a throw-away home does not have.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn start_bus(&mut self) {
        // Not the usual services: activation would bring a keychain back that a test has killed.
        let prompter = "org.gnome.keyring.SystemPrompter.service";
        if self.display == Display::Unattended {
            let usual = Path::new("/usr/share/dbus-1/services").join(prompter);
            fs::copy(usual, self.path("services").join(prompter))
                .expect("the service file of gcr's prompter");
        }
        let configuration = format!(
            r#"<busconfig><type>session</type><listen>{}</listen><auth>EXTERNAL</auth>
            <servicedir>{}</servicedir><policy context="default"><allow send_destination="*" eavesdrop="true"/>
            <allow eavesdrop="true"/><allow own="*"/></policy></busconfig>"#,
            self.address(),
            self.path("services").display(),
        );
        fs::write(self.path("bus.conf"), configuration).expect("the bus's configuration");
        let mut command = self.command("dbus-daemon");
        command.args(["--nofork", "--nopidfile", "--config-file"]).arg(self.path("bus.conf"));
        self.bus = Some(Daemon::new("dbus-daemon", command.spawn().expect("dbus-daemon starts")));
        let socket = self.path("bus");
        self.until("the bus", || UnixStream::connect(&socket).is_ok());
    }

    /// The bus goes away, and everybody on it loses the connection.
    pub(crate) fn kill_bus(&mut self) {
        self.bus = None;
    }

    /// A keychain over the same files as the one before, unlocked.
    pub(crate) fn start_keyring(&mut self) {
        self.spawn_keyring(true);
        self.until("an unlocked keychain", || self.is_locked() == Some(false));
    }

    /// A keychain over the same files as the one before, which nobody has unlocked.
    pub(crate) fn start_locked_keyring(&mut self) {
        self.spawn_keyring(false);
        self.until("a locked keychain", || self.is_locked() == Some(true));
    }

    fn spawn_keyring(&mut self, unlock: bool) {
        let mut command = self.command("gnome-keyring-daemon");
        command.args(["--foreground", "--components=secrets"]).stdin(Stdio::piped());
        if unlock {
            command.arg("--unlock");
        }
        let mut daemon = command.spawn().expect("gnome-keyring-daemon starts");
        let mut input = daemon.stdin.take().expect("a pipe");
        if unlock {
            input.write_all(PASSWORD).expect("the password is handed over");
        }
        self.keyring = Some(Daemon::new("gnome-keyring-daemon", daemon));
    }

    /// With SIGKILL.
    pub(crate) fn kill_keyring(&mut self) {
        self.keyring = None;
        self.until("the keychain's end", || self.is_locked().is_none());
    }

    /// As it crashes by itself.
    pub(crate) fn crash_keyring(&mut self) {
        let keyring = self.keyring.as_ref().expect("a keychain service").child.id().to_string();
        self.command("sh").args(["-c", "kill -s TRAP \"$0\"", &keyring]).status().expect("a shell");
        self.until("the keychain's end", || self.is_locked().is_none());
    }

    /// As a person does in the keychain application, or the screen lock.
    pub(crate) fn lock(&self) {
        self.ask(SECRETS, "org.freedesktop.Secret.Service.Lock", &[&format!("['{LOGIN}']")])
            .expect("it locks");
        self.until("a locked keychain", || self.is_locked() == Some(true));
    }

    /// As PAM does when somebody logs in: over the daemon's control socket, without a prompt.
    pub(crate) fn unlock(&self) {
        self.tell_control().expect("the keychain's control socket");
        self.until("an unlocked keychain", || self.is_locked() == Some(false));
    }

    fn tell_control(&self) -> io::Result<()> {
        const UNLOCK: u32 = 1;
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut packet = UNLOCK.to_be_bytes().to_vec();
        packet.extend(length(PASSWORD).to_be_bytes());
        packet.extend(PASSWORD);
        let mut control = UnixStream::connect(self.path("run/keyring/control"))?;
        control.set_read_timeout(Some(PATIENCE))?;
        // The first byte carries the credentials of whoever sends it.
        control.write_all(&[0])?;
        control.write_all(&(length(&packet) + 4).to_be_bytes())?;
        control.write_all(&packet)?;
        control.read_exact(&mut [0; 8])
    }

    fn is_locked(&self) -> Option<bool> {
        let arguments = ["org.freedesktop.Secret.Collection", "Locked"];
        let answer = self.ask(LOGIN, "org.freedesktop.DBus.Properties.Get", &arguments)?;
        Some(answer.contains("true"))
    }

    fn ask(&self, object: &str, method: &str, arguments: &[&str]) -> Option<String> {
        let mut command = self.command("gdbus");
        command.args(["call", "--address", &self.address(), "--dest=org.freedesktop.secrets", "--timeout=5"]);
        command.args(["--object-path", object, "--method", method]).args(arguments);
        let output = command.stdout(Stdio::piped()).output().expect("gdbus runs");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Whether the program that shows prompts runs: the first one starts it.
    pub(crate) fn has_prompter(&self) -> bool {
        self.prompter().is_some()
    }

    fn prompter(&self) -> Option<String> {
        let answer = self.ask_bus("org.freedesktop.DBus.GetConnectionUnixProcessID")?;
        answer.trim().strip_prefix("(uint32 ")?.strip_suffix(",)").map(str::to_owned)
    }

    /// The prompt goes without an answer. Says whether there was one.
    pub(crate) fn dismiss_prompt(&self) -> bool {
        let Some(prompter) = self.prompter() else { return false };
        let mut kill = self.command("sh");
        kill.args(["-c", "kill -s KILL \"$0\"", &prompter]).status().expect("a shell");
        self.until("the end of the prompter", || self.prompter().as_ref() != Some(&prompter));
        true
    }

    fn ask_bus(&self, method: &str) -> Option<String> {
        let mut command = self.command("gdbus");
        command.args(["call", "--address", &self.address(), "--dest=org.freedesktop.DBus", "--timeout=5"]);
        command.args(["--object-path=/org/freedesktop/DBus", "--method", method]);
        let output = command.arg("org.gnome.keyring.SystemPrompter").stdout(Stdio::piped()).output();
        let output = output.expect("gdbus runs");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// How many prompts the keychain has at this moment.
    pub(crate) fn prompts(&self) -> usize {
        let method = "org.freedesktop.DBus.Introspectable.Introspect";
        let answer = self.ask("/org/freedesktop/secrets/prompt", method, &[]).unwrap_or_default();
        answer.matches("<node name=").count()
    }

    fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
