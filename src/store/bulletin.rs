//! A line of text that the app's processes leave for each other in a file. Nothing in it is secret, and nothing is lost
//! with it: who cannot read it goes on with what it knows.

use std::{
    fs::{self, File},
    io::Read as _,
    path::PathBuf,
    process,
    sync::atomic::{AtomicUsize, Ordering},
};

/// The longest line that is read, in bytes; ours have two thirds of it.
const MAX_BYTES: u64 = 256;

/// Lines that are being written, each in a file of its own.
static WRITING: AtomicUsize = AtomicUsize::new(0);

/// The line. Without a path there is only this process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bulletin(Option<PathBuf>);

impl Bulletin {
    pub(crate) fn at(path: Option<PathBuf>) -> Self {
        Self(path)
    }

    /// What was posted last, by whomever. Nothing if it cannot be read.
    pub(crate) fn read(&self) -> Option<String> {
        let path = self.0.as_ref()?;
        // Others can write here: a pipe would hold us up, and a link lead anywhere.
        if !fs::symlink_metadata(path).is_ok_and(|entry| entry.is_file()) {
            return None;
        }
        let mut text = String::new();
        File::open(path).ok()?.take(MAX_BYTES + 1).read_to_string(&mut text).ok()?;
        let line = text.strip_suffix('\n')?;
        (text.len() as u64 <= MAX_BYTES && !line.contains('\n')).then(|| line.to_owned())
    }

    pub(crate) fn post(&self, line: &str) {
        let Some(path) = &self.0 else { return };
        // Said again and again while a keychain refuses what it is about.
        if self.read().as_deref() == Some(line) {
            return;
        }
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            // A moment in which there is no line would look as if nothing had been said: through a file of its own.
            let number = WRITING.fetch_add(1, Ordering::Relaxed);
            let new = path.with_extension(format!("{}-{number}", process::id()));
            let moved = fs::write(&new, format!("{line}\n")).and_then(|()| fs::rename(&new, path));
            moved.inspect_err(|_| {
                // It may not be there at all.
                let _ = fs::remove_file(&new);
            })
        });
        if let Err(error) = written {
            tracing::debug!(%error, "other processes of this app could not be told");
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
