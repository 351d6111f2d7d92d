//! Looks for secrets in everything the app wrote and everything its page keeps (requirement A1).

use otpless_test_kit::leaks::Finder;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// A secret where none may be. Never shows the secret itself: test output is kept and passed around.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hit {
    pub(crate) place: String,
    pub(crate) secret: &'static str,
    pub(crate) encoding: &'static str,
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {} ({}) in {}", self.secret, self.encoding, self.place)
    }
}

/// What was looked through, and what was found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) files: usize,
    pub(crate) bytes: usize,
    pub(crate) hits: Vec<Hit>,
}

impl Report {
    pub(crate) fn look_at(&mut self, finder: &Finder, place: &str, bytes: &[u8]) {
        self.bytes += bytes.len();
        let found = finder.find(bytes);
        self.hits.extend(found.into_iter().map(|(secret, encoding)| Hit {
            place: place.to_owned(),
            secret,
            encoding,
        }));
    }

    /// Every file below `folder` but those in `except`; `root` is left out of the places' names.
    pub(crate) fn look_through(&mut self, finder: &Finder, root: &Path, folder: &Path, except: &Path) {
        for entry in
            fs::read_dir(folder).unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()))
        {
            let path = entry.expect("an entry of a folder").path();
            let place = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            // A file's name is a place to write things down, too.
            self.look_at(finder, &format!("the name of {place}"), path.as_os_str().as_encoded_bytes());
            let kind = match fs::symlink_metadata(&path) {
                Ok(metadata) => metadata.file_type(),
                // The app lives on while it is looked at.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => panic!("cannot look at {place}: {error}"),
            };
            if path == except {
                continue;
            }
            if kind.is_dir() {
                self.look_through(finder, root, &path, except);
            } else if kind.is_file() {
                match fs::read(&path) {
                    Ok(bytes) => {
                        self.files += 1;
                        self.look_at(finder, &place, &bytes);
                    }
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => panic!("cannot read {place}: {error}"),
                }
            }
        }
    }
}
