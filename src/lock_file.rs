//! The files that the app's processes lock: nothing is ever in them.

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
};

/// Opens the lock file, making its directory.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}
