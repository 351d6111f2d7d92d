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
    // For reading, too, which NFS wants of whoever shares a lock.
    OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)
}
