//! A line of text that the app's processes leave for each other in a file. Nothing in it is secret, and nothing is lost
//! with it: who cannot read it goes on with what it knows.

use std::{
    fs::{self, File},
    io::Read as _,
    path::PathBuf,
};

/// The longest line that is read, in bytes; ours have two thirds of it.
const MAX_BYTES: u64 = 256;

/// The line. Without a path there is only this process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bulletin(Option<PathBuf>);

impl Bulletin {
    pub(crate) fn at(path: Option<PathBuf>) -> Self {
        Self(path)
    }

    /// What was posted last, by whomever. Nothing if it cannot be read or is being written.
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
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            // Not through a second file and a rename: a line that is read in the middle has no end, and is passed over.
            fs::write(path, format!("{line}\n"))
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
}
