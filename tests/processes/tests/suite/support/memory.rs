//! Somebody else's memory, looked through like a core dump.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
};

use memchr::memmem;

/// Read at once; overlapping by more than the longest needle.
const CHUNK: usize = 1 << 20;
const OVERLAP: usize = 4096;

/// How often each of `needles` stands in the writable memory of `process`, as it is or in UTF-16.
pub(super) fn sightings(process: u32, needles: &[&str]) -> Vec<usize> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).expect("the process runs");
    let memory = File::open(format!("/proc/{process}/mem")).expect("the memory of a child may be read");
    let forms: Vec<[Vec<u8>; 2]> = needles
        .iter()
        .map(|needle| {
            [needle.as_bytes().to_vec(), needle.encode_utf16().flat_map(u16::to_le_bytes).collect()]
        })
        .collect();
    let mut found = vec![0; needles.len()];
    let mut chunk = vec![0; CHUNK + OVERLAP];
    for (start, end) in maps.lines().filter_map(writable) {
        let mut at = start;
        while at < end {
            let length = chunk.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
            // A stretch that cannot be read is a guard page or has just been unmapped.
            if let Ok(read) = memory.read_at(&mut chunk[..length], at) {
                for (count, forms) in found.iter_mut().zip(&forms) {
                    for form in forms {
                        // What begins in the overlap is counted with the next chunk.
                        *count += memmem::find_iter(&chunk[..read], form).filter(|at| *at < CHUNK).count();
                    }
                }
            }
            at += CHUNK as u64;
        }
    }
    found
}

fn writable(line: &str) -> Option<(u64, u64)> {
    let (range, rest) = line.split_once(' ')?;
    if !rest.starts_with("rw") {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
}
