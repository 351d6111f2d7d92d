//! Any bytes in the keychain: a record, corrupt or from the future, and a record is written as it was read (A4).

use ring::digest::{SHA256, digest};
use tauri_plugin_otpless::engine::{SessionRecord, Unreadable};

pub fn run(data: &[u8]) {
    read(data);
    // No fuzzer guesses a digest, so the bytes are tried in a good frame as well.
    read(&framed("session", data));
    #[cfg(fuzzing)]
    for bytes in [data, &framed("revocations", data)] {
        tauri_plugin_otpless::fuzzing::revocations(bytes);
    }
}

fn read(bytes: &[u8]) {
    match SessionRecord::from_bytes(bytes) {
        Ok(record) => {
            let written = record.to_bytes();
            assert_eq!(SessionRecord::from_bytes(&written).as_ref(), Ok(&record));
            // For ever: a record does not change by being read.
            assert_eq!(SessionRecord::from_bytes(&written).map(|again| again.to_bytes()), Ok(written));
        }
        Err(Unreadable::FromTheFuture) => assert!(bytes.starts_with(b"otpless-session/")),
        Err(Unreadable::Corrupt) => {}
    }
}

fn framed(name: &str, body: &[u8]) -> Vec<u8> {
    let short: String =
        digest(&SHA256, body).as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let mut framed = format!("otpless-{name}/1 {} {short}\n", body.len()).into_bytes();
    framed.extend_from_slice(body);
    framed
}
