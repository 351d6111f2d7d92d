//! A line of text that the app's processes leave for each other in a file. Nothing in it is secret, and nothing is lost
//! with it: who cannot read it goes on with what it knows.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// The longest line that is read, in bytes; ours have two thirds of it.
const MAX_BYTES: usize = 256;

/// How the file is named in which a line is written.
const NEW: &str = ".new";

/// What is older than this was left behind by a process that was killed while it wrote.
const LEFT_BEHIND: Duration = Duration::from_secs(60);

/// The line. Without a path there is only this process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bulletin(Option<PathBuf>);

impl Bulletin {
    pub(crate) fn at(path: Option<PathBuf>) -> Self {
        if let Some(path) = &path {
            sweep(path);
        }
        Self(path)
    }

    /// What was posted last, by whomever. Nothing if it cannot be read.
    pub(crate) fn read(&self) -> Option<String> {
        // Looked at so often that it is one call: a file gives all it has of so little.
        let mut text = [0; MAX_BYTES + 1];
        let length = open(self.0.as_ref()?).ok()?.read(&mut text).ok()?;
        let line = str::from_utf8(&text[..length]).ok()?.strip_suffix('\n')?;
        (length <= MAX_BYTES && !line.contains('\n')).then(|| line.to_owned())
    }

    pub(crate) fn post(&self, line: &str) {
        let Some(path) = &self.0 else { return };
        // Said again and again while a keychain refuses what it is about.
        if self.read().as_deref() == Some(line) {
            return;
        }
        // A moment in which there is no line would look as if nothing had been said: through a file of its own.
        let written = match replace(path, line) {
            // A program that has the file open refuses that there: a moment is better than nothing.
            Err(_) if cfg!(windows) => fs::write(path, format!("{line}\n")),
            written => written,
        };
        if let Err(error) = written {
            tracing::debug!(%error, "other processes of this app could not be told");
        }
    }
}

/// Others can write here: a link would lead anywhere, and a pipe must not hold us up.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt as _;

    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

/// Others can write here: a link would lead anywhere.
#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    match fs::symlink_metadata(path)?.is_file() {
        true => File::open(path),
        false => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn replace(path: &Path, line: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut new = tempfile::Builder::new()
        .prefix(path.file_name().unwrap_or_default())
        .suffix(NEW)
        .tempfile_in(folder)?;
    new.write_all(format!("{line}\n").as_bytes())?;
    new.persist(path)?;
    Ok(())
}

fn sweep(path: &Path) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return;
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_ours =
            entry.file_name().to_str().is_some_and(|file| file.starts_with(name) && file.ends_with(NEW));
        let age =
            entry.metadata().and_then(|data| data.modified()).map(|at| at.elapsed().unwrap_or_default());
        if is_ours && age.is_ok_and(|age| age > LEFT_BEHIND) {
            // Another process may have done it.
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_posts_another_reads_and_half_a_line_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/bulletin");
        let (one, other) = (Bulletin::at(Some(path.clone())), Bulletin::at(Some(path.clone())));
        assert_eq!(other.read(), None);
        one.post("something");
        assert_eq!(other.read().as_deref(), Some("something"));
        for unreadable in [b"some".as_slice(), b"", b"two\nlines\n", &[0xff, b'\n'], &[b'x'; 4096]] {
            fs::write(&path, unreadable).unwrap();
            assert_eq!(other.read(), None);
        }
        assert_eq!(Bulletin::default().read(), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_not_followed_and_a_pipe_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let read = |name: &str| Bulletin::at(Some(at(name))).read();
        fs::write(at("line"), "something\n").unwrap();
        std::os::unix::fs::symlink(at("line"), at("link")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        assert_eq!(read("line").as_deref(), Some("something"));
        for name in ["link", "pipe", "."] {
            assert_eq!(read(name), None, "{name}");
        }
    }

    #[test]
    fn what_a_killed_process_left_behind_goes_and_what_is_being_written_stays() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str, age: u64| {
            let file = File::create(dir.path().join(name)).unwrap();
            file.set_modified(std::time::SystemTime::now() - Duration::from_secs(age)).unwrap();
        };
        for (name, age) in
            [("line.txtaB3.new", 90), ("line.txtcD4.new", 5), ("line.txt", 90), ("other.new", 90)]
        {
            at(name, age);
        }
        Bulletin::at(Some(dir.path().join("line.txt")));
        let mut left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["line.txt", "line.txtcD4.new", "other.new"]);
    }

    #[test]
    fn whoever_reads_while_another_posts_reads_the_one_or_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bulletin");
        let (one, other) = (Bulletin::at(Some(path.clone())), Bulletin::at(Some(path)));
        one.post("line 0");
        let posting = std::thread::spawn(move || {
            for n in 0..2_000 {
                one.post(&format!("line {}", n % 3));
            }
        });
        let mut missed = 0;
        while !posting.is_finished() {
            missed += usize::from(other.read().is_none_or(|line| !line.starts_with("line ")));
        }
        posting.join().unwrap();
        assert_eq!(missed, 0);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left lying about");
    }
}
