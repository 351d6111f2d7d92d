//! The activity log as a file that the device's processes share and that survives them.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};
use tauri_plugin_otpless::engine::ActivityLog;

/// A JSON object. Every change replaces the file as a whole, so a process killed in the middle leaves the old one.
#[derive(Debug)]
pub(crate) struct FileLog {
    directory: PathBuf,
}

impl FileLog {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    fn file(&self) -> PathBuf {
        self.directory.join("activity.json")
    }

    fn all(&self) -> Map<String, Value> {
        let text = fs::read(self.file()).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    fn change(&self, key: &str, value: Value) -> std::io::Result<()> {
        let lock = File::create(self.directory.join("activity.lock"))?;
        lock.lock()?;
        let mut all = self.all();
        all.insert(key.to_owned(), value);
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(Value::Object(all).to_string().as_bytes())?;
        file.persist(self.file())?;
        Ok(())
    }
}

impl ActivityLog for FileLog {
    fn get(&self, key: &str) -> Option<Value> {
        self.all().get(key).cloned()
    }

    fn put(&self, key: &str, value: Value) {
        if let Err(error) = self.change(key, value) {
            eprintln!("the activity log cannot be written: {error}");
        }
    }
}
