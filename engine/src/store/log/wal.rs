//! The write-ahead log: what is acknowledged is there before it is in the trees. `docs/on-disk-format.md` tells the format to
//! people.
//!
//! | record | bytes |
//! |---|---|
//! | epoch | 8 |
//! | end of the epoch before in its file | 8 |
//! | length of the changes | 4 |
//! | CRC-32 of all but itself | 4 |
//! | changes: each table 1, length of the key 2, length of the value 4 (all ones: removed), key, value | the rest |
//!
//! Two files by turns, each of one epoch, written from its start over what it had: once a file has its length, a record is
//! written and synced without a change of the file's own data. `meta` says which epochs are in the trees.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::super::{
    error::{StoreError, io},
    log::memtable::Changes,
};
use crate::files::open_private;

const FILES: [&str; 2] = ["redo.0", "redo.1"];
const HEAD: usize = 24;
/// The checksum is the last thing in it.
const SUMMED: usize = HEAD - 4;
const REMOVED: u32 = u32::MAX;
/// Files grow by this.
const STEP: u64 = 1 << 20;

/// An epoch that was written without syncing it.
pub(in crate::store) struct Unsynced {
    file: Arc<File>,
    path: PathBuf,
}

impl Unsynced {
    /// What is written of it is on disk when this returns.
    pub(in crate::store) fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(|error| io(&self.path, &error))
    }
}

/// The log, as its one writer has it.
pub(in crate::store) struct Wal {
    directory: PathBuf,
    files: [Arc<File>; 2],
    lengths: [u64; 2],
    epoch: u64,
    /// Where the epoch before ended.
    before: u64,
    position: u64,
    record: Vec<u8>,
    sync: bool,
}

fn too_long(_: std::num::TryFromIntError) -> StoreError {
    StoreError::Database("too much for one transaction".to_owned())
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn checksum(head: &[u8], changes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(head);
    crc.update(changes);
    crc.finalize()
}

impl Wal {
    /// `epoch`: later than any that is in the trees. `sync`: a record is on disk when it is written. What was in the files is
    /// in the trees by now, or was given up behind a gap; its epochs may have the numbers that come next, so it is erased.
    pub(in crate::store) fn open(directory: &Path, epoch: u64, sync: bool) -> Result<Self, StoreError> {
        let open = |name: &str| {
            let path = directory.join(name);
            let file = open_private(&path).map_err(|error| io(&path, &error))?;
            if file.metadata().map_err(|error| io(&path, &error))?.len() > 0 {
                file.set_len(0).and_then(|()| file.sync_all()).map_err(|error| io(&path, &error))?;
            }
            Ok::<_, StoreError>(Arc::new(file))
        };
        let files = [open(FILES[0])?, open(FILES[1])?];
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(|error| io(directory, &error))?;
        Ok(Self {
            directory: directory.to_owned(),
            files,
            lengths: [0; 2],
            epoch,
            before: 0,
            position: 0,
            record: Vec::new(),
            sync,
        })
    }

    /// Which of the two files, and sides of `Touched`, is in use.
    pub(in crate::store) const fn side(&self) -> usize {
        (self.epoch % 2) as usize
    }

    /// All of `changes`, or nothing of them.
    pub(in crate::store) fn append(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let record = &mut self.record;
        record.clear();
        record.resize(HEAD, 0);
        for (table, key, value) in changes.iter() {
            record.push(table);
            record.extend_from_slice(&u16::try_from(key.len()).map_err(too_long)?.to_be_bytes());
            let length = value.map_or(Ok(REMOVED), |value| u32::try_from(value.len())).map_err(too_long)?;
            record.extend_from_slice(&length.to_be_bytes());
            record.extend_from_slice(key);
            record.extend_from_slice(value.unwrap_or_default());
        }
        let length = u32::try_from(record.len() - HEAD).map_err(too_long)?;
        record[..8].copy_from_slice(&self.epoch.to_be_bytes());
        record[8..16].copy_from_slice(&self.before.to_be_bytes());
        record[16..SUMMED].copy_from_slice(&length.to_be_bytes());
        let crc = checksum(&record[..SUMMED], &record[HEAD..]);
        record[SUMMED..HEAD].copy_from_slice(&crc.to_be_bytes());
        let (side, end) = (self.side(), self.position + self.record.len() as u64);
        let (file, path) = (&self.files[side], || self.directory.join(FILES[side]));
        if end > self.lengths[side] {
            // Where there is no room for that, there may be for the record.
            let more = vec![0; usize::try_from((end - self.lengths[side]).next_multiple_of(STEP)).map_err(too_long)?];
            if file.write_all_at(&more, self.lengths[side]).is_ok() {
                self.lengths[side] += more.len() as u64;
            }
        }
        let written = file.write_all_at(&self.record, self.position);
        if let Err(error) = written.and_then(|()| if self.sync { file.sync_data() } else { Ok(()) }) {
            // What is refused is not to come back, whole as it may be in the file.
            drop(file.write_all_at(&[0; HEAD], self.position));
            return Err(io(&path(), &error));
        }
        self.lengths[side] = self.lengths[side].max(end);
        self.position = end;
        // One large transaction is not to be paid for ever after.
        self.record.shrink_to(STEP as usize);
        Ok(())
    }

    /// This epoch, where what is written of it may not be on disk.
    pub(in crate::store) fn unsynced(&self) -> Option<Unsynced> {
        let side = self.side();
        (!self.sync).then(|| Unsynced { file: Arc::clone(&self.files[side]), path: self.directory.join(FILES[side]) })
    }

    /// Begins the next epoch; the one that ended.
    pub(in crate::store) const fn turn(&mut self) -> u64 {
        self.epoch += 1;
        (self.before, self.position) = (self.position, 0);
        self.epoch - 1
    }

    /// All of it is in the trees.
    pub(in crate::store) fn remove(self) {
        for name in FILES {
            let path = self.directory.join(name);
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(%error, "the write-ahead log could not be removed");
            }
        }
    }
}

/// The changes of the epochs after `checkpointed`, in order; and the last epoch of all.
pub(in crate::store) fn replay(
    directory: &Path,
    checkpointed: u64,
    mut change: impl FnMut(u8, &[u8], Option<&[u8]>) -> Result<(), StoreError>,
) -> Result<u64, StoreError> {
    let mut last = checkpointed;
    let mut logs = Vec::new();
    for name in FILES {
        let log = read(&directory.join(name))?;
        if let Some(epoch) = log.first_chunk::<8>().map(|epoch| number(epoch)).filter(|epoch| *epoch > checkpointed) {
            logs.push((epoch, log));
        }
    }
    logs.sort_by_key(|(epoch, _)| *epoch);
    let mut ended = None;
    for (epoch, log) in logs {
        let mut rest = log.as_slice();
        // A log that was not synced may have lost what came before.
        if epoch != last + 1 || ended.is_some_and(|ended| rest.get(8..16).map(number) != Some(ended)) {
            break;
        }
        while let Some((changes, after)) = record(epoch, rest) {
            each(changes, &mut change)
                .ok_or_else(|| StoreError::Damaged("a record of the write-ahead log".to_owned()))??;
            (rest, last) = (after, epoch);
        }
        ended = Some((log.len() - rest.len()) as u64);
    }
    Ok(last)
}

fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut log = Vec::new();
    match File::open(path).and_then(|mut file| file.read_to_end(&mut log)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io(path, &error)),
        _ => Ok(log),
    }
}

/// The changes of the first record, and what is after it; `None` where none was finished.
fn record(epoch: u64, log: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = log.split_at_checked(HEAD)?;
    let (changes, rest) = rest.split_at_checked(usize::try_from(number(&head[16..SUMMED])).ok()?)?;
    let crc = u64::from(checksum(&head[..SUMMED], changes));
    let whole = number(&head[..8]) == epoch && number(&head[SUMMED..]) == crc;
    whole.then_some((changes, rest))
}

/// `None` when they cannot be read, though their checksum is right.
fn each<E>(
    mut changes: &[u8],
    change: &mut impl FnMut(u8, &[u8], Option<&[u8]>) -> Result<(), E>,
) -> Option<Result<(), E>> {
    while !changes.is_empty() {
        let (head, rest) = changes.split_at_checked(7)?;
        let (key, rest) = rest.split_at_checked(usize::try_from(number(&head[1..3])).ok()?)?;
        let length = number(&head[3..]);
        let (value, rest) = if length == u64::from(REMOVED) {
            (None, rest)
        } else {
            let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            (Some(value), rest)
        };
        if let Err(error) = change(head[0], key, value) {
            return Some(Err(error));
        }
        changes = rest;
    }
    Some(Ok(()))
}

/// A log as it is found, and as changes whose checksum was right.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz_wal(bytes: &[u8]) -> usize {
    let mut size = 0;
    let mut change = |_: u8, key: &[u8], value: Option<&[u8]>| {
        size += key.len() + value.map_or(0, <[u8]>::len);
        Ok::<_, ()>(())
    };
    let _ = each(bytes, &mut change);
    let epoch = bytes.first_chunk::<8>().map_or(0, |epoch| number(epoch));
    let mut rest = bytes;
    while let Some((changes, after)) = record(epoch, rest) {
        let _ = each(changes, &mut change);
        rest = after;
    }
    assert!(size <= 2 * bytes.len());
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys that are left, and the last epoch; one record is spoilt, by its file and its number there.
    fn left(spoilt: Option<(usize, usize)>) -> (Vec<Vec<u8>>, u64) {
        let dir = tempfile::TempDir::new().unwrap();
        let mut wal = Wal::open(dir.path(), 1, false).unwrap();
        let mut ends = [Vec::new(), Vec::new()];
        for epoch in 1..=2_u8 {
            for n in 0..3_u8 {
                let mut changes = Changes::default();
                changes.put(0, &[epoch, n], Some(&[n; 40]));
                wal.append(&changes).unwrap();
                ends[wal.side()].push(wal.position);
            }
            wal.turn();
        }
        if let Some((side, number)) = spoilt {
            let file = File::options().write(true).open(dir.path().join(FILES[side])).unwrap();
            file.write_all_at(&[0xff; 8], ends[side][number] - 8).unwrap();
        }
        let mut keys = Vec::new();
        let last = replay(dir.path(), 0, |_, key, _| {
            keys.push(key.to_vec());
            Ok(())
        });
        (keys, last.unwrap())
    }

    #[test]
    fn what_was_given_up_does_not_come_back_with_its_number() {
        let dir = tempfile::TempDir::new().unwrap();
        let put = |wal: &mut Wal, n: u8| {
            let mut changes = Changes::default();
            changes.put(0, &[n], Some(&[n; 40]));
            wal.append(&changes).unwrap();
        };
        let keys = || {
            let mut keys = Vec::new();
            let last = replay(dir.path(), 0, |_, key, _| {
                keys.push(key[0]);
                Ok(())
            });
            (keys, last.unwrap())
        };
        let mut wal = Wal::open(dir.path(), 1, false).unwrap();
        (1..4).for_each(|n| put(&mut wal, n));
        drop(wal);
        // The first of three is lost, and with it the others; what comes next is as long, and has the same epoch.
        let file = File::options().write(true).open(dir.path().join(FILES[1])).unwrap();
        file.write_all_at(&[0xff; 8], HEAD as u64).unwrap();
        assert_eq!(keys(), (vec![], 0));
        put(&mut Wal::open(dir.path(), 1, false).unwrap(), 9);
        assert_eq!(keys(), (vec![9], 1));
    }

    /// A system that crashes writes pages in any order: nothing is taken of what came after something that is lost.
    #[test]
    fn nothing_counts_behind_a_gap() {
        let all: Vec<Vec<u8>> = (1..=2).flat_map(|epoch| (0..3).map(move |n| vec![epoch, n])).collect();
        assert_eq!(left(None), (all.clone(), 2));
        for number in 0..3 {
            assert_eq!(left(Some((1, number))), (all[..number].to_vec(), u64::from(number > 0)));
            assert_eq!(left(Some((0, number))), (all[..3 + number].to_vec(), 1 + u64::from(number > 0)));
        }
    }
}
