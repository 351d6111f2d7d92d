//! Somebody else's memory, looked through like a core dump.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
};

use otpless_test_kit::leaks::Counter;

const PAGE: u64 = 4096;

/// The bit of a `pagemap` entry that says that there is such a page in memory; the one below, that it was swapped out.
const PRESENT_OR_SWAPPED: u64 = 0b11 << 62;

/// How often each of `needles` stands in the writable memory of `process`, in any spelling.
pub(super) fn sightings(process: u32, needles: &[&str]) -> Vec<usize> {
    let file = |name: &str| File::open(format!("/proc/{process}/{name}")).expect("a child may be looked at");
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).expect("the process runs");
    let (memory, pagemap) = (file("mem"), file("pagemap"));
    let counter = Counter::new(needles);
    let mut found = vec![0; needles.len()];
    for (start, end) in maps.lines().filter_map(writable) {
        for (start, end) in touched(&pagemap, start, end) {
            let mut stretch = vec![0; usize::try_from(end - start).expect("an address space")];
            // A stretch that cannot be read has just been unmapped.
            if memory.read_exact_at(&mut stretch, start).is_ok() {
                for (found, here) in found.iter_mut().zip(counter.count(&stretch)) {
                    *found += here;
                }
            }
        }
    }
    found
}

/// The range of a mapping that can be written to.
fn writable(line: &str) -> Option<(u64, u64)> {
    let (range, rest) = line.split_once(' ')?;
    if !rest.starts_with("rw") {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
}

/// The stretches between `start` and `end` that hold anything: most of a thread's stack was never used.
fn touched(pagemap: &File, start: u64, end: u64) -> Vec<(u64, u64)> {
    let pages = usize::try_from((end - start) / PAGE).expect("an address space");
    let mut entries = vec![0; 8 * pages];
    if pagemap.read_exact_at(&mut entries, start / PAGE * 8).is_err() {
        return vec![(start, end)];
    }
    let mut stretches: Vec<(u64, u64)> = Vec::new();
    for (entry, at) in entries.chunks_exact(8).zip((start..end).step_by(PAGE as usize)) {
        let entry = u64::from_ne_bytes(entry.try_into().expect("eight bytes"));
        if entry & PRESENT_OR_SWAPPED == 0 {
            continue;
        }
        match stretches.last_mut() {
            Some((_, last)) if *last == at => *last += PAGE,
            _ => stretches.push((at, at + PAGE)),
        }
    }
    stretches
}
