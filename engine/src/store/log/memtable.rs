//! What was written last and is in no tree yet. It is in the write-ahead log, so on disk, and here, so that it can be read; a
//! thread beside the writer checkpoints it into the trees, sorted and much at once (`checkpoint`).
//!
//! A tree costs a page of 4 KiB and some of its branches for each message that is put into it alone. Sorted, and some
//! thousands at once, messages share them.

use std::{
    collections::{BTreeMap, btree_map},
    iter::Peekable,
    mem,
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use heed::{Database, RoRange, RoTxn, RwTxn, WithoutTls, types::Bytes};
use parking_lot::RwLockReadGuard;

use super::super::error::StoreError;

pub(in crate::store) const TABLES: usize = 11;
/// What a change takes in memory beside its key and its value, about.
const OVERHEAD: usize = 96;
/// Accounts that can be told apart by [`Touched`], about.
const BITS: usize = 1 << 18;

/// The table, the key, and its value from now on, if it has one.
pub(in crate::store) type Change<'c> = (u8, &'c [u8], Option<&'c [u8]>);
type Value = Option<Arc<[u8]>>;
type Range<'v> = btree_map::Range<'v, Arc<[u8]>, Value>;
pub(in crate::store) type Bounds<'b> = (Bound<&'b [u8]>, Bound<&'b [u8]>);
type Found<T> = Result<T, StoreError>;

/// The tables by the numbers that they have in the write-ahead log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::store) enum Id {
    Data,
    Expiries,
    Revoked,
    Hints,
    Handoffs,
    Tombstones,
    TombstonesByTime,
    Commands,
    CommandsByTime,
    Meta,
    Times,
}

/// A table: its tree, and its place among the [`Changes`].
#[derive(Clone, Copy)]
pub(in crate::store) struct Table {
    pub(in crate::store) id: Id,
    pub(in crate::store) tree: Database<Bytes, Bytes>,
}

/// New values by table and key; `None`: removed.
#[derive(Clone, Default)]
pub(in crate::store) struct Changes {
    tables: [BTreeMap<Arc<[u8]>, Value>; TABLES],
    /// How many entries each table has more.
    entries: [i64; TABLES],
    /// How many bytes the log of commands has more.
    logged: i64,
    bytes: usize,
}

impl Changes {
    pub(in crate::store) fn put(&mut self, table: u8, key: &[u8], value: Option<&[u8]>) {
        self.insert(table.into(), Arc::from(key), value.map(Arc::from));
    }

    fn insert(&mut self, table: usize, key: Arc<[u8]>, value: Value) {
        let size = |value: &Value| value.as_ref().map_or(0, |value| value.len());
        self.bytes += key.len() + size(&value) + OVERHEAD;
        let length = key.len();
        if let Some(old) = self.tables[table].insert(key, value) {
            self.bytes -= length + size(&old) + OVERHEAD;
        }
    }

    fn get(&self, table: u8, key: &[u8]) -> Option<Option<&[u8]>> {
        self.tables[usize::from(table)].get(key).map(Option::as_deref)
    }

    /// All of `newer` on top of these.
    fn merge(&mut self, newer: Self) {
        for (table, changes) in newer.tables.into_iter().enumerate() {
            changes.into_iter().for_each(|(key, value)| self.insert(table, key, value));
        }
        for (sum, more) in self.entries.iter_mut().zip(newer.entries) {
            *sum += more;
        }
        self.logged += newer.logged;
    }

    pub(in crate::store) fn is_empty(&self) -> bool {
        self.tables.iter().all(BTreeMap::is_empty)
    }

    /// What they take in memory, about.
    pub(in crate::store) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// By table, each in the order of its keys.
    pub(in crate::store) fn iter(&self) -> impl Iterator<Item = Change<'_>> {
        (0..)
            .zip(&self.tables)
            .flat_map(|(table, changes)| changes.iter().map(move |(key, value)| (table, &**key, value.as_deref())))
    }

    pub(in crate::store) fn more_entries(&self) -> impl Iterator<Item = i64> {
        self.entries.into_iter()
    }

    pub(in crate::store) const fn more_logged(&self) -> i64 {
        self.logged
    }

    fn range(&self, table: u8, (start, end): &Bounds<'_>) -> Option<Peekable<Range<'_>>> {
        let ordered = match (start, end) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
            (Bound::Excluded(start), Bound::Excluded(end)) => start < end,
            (Bound::Included(start) | Bound::Excluded(start), Bound::Included(end) | Bound::Excluded(end)) => {
                start <= end
            }
        };
        let changes = &self.tables[usize::from(table)];
        (ordered && !changes.is_empty()).then(|| changes.range::<[u8], _>((*start, *end)).peekable())
    }
}

/// What is not in the trees.
#[derive(Clone, Default)]
pub(in crate::store) struct Memtable {
    newest: Changes,
    /// Frozen: being checkpointed: in the trees, or not yet.
    frozen: Option<Arc<Changes>>,
}

impl Memtable {
    pub(in crate::store) fn add(&mut self, changes: Changes) {
        self.newest.merge(changes);
    }

    pub(in crate::store) const fn bytes(&self) -> usize {
        self.newest.bytes()
    }

    /// Gives the newest to be checkpointed.
    pub(in crate::store) fn freeze(&mut self) -> Arc<Changes> {
        let changes = Arc::new(mem::take(&mut self.newest));
        self.frozen = Some(Arc::clone(&changes));
        changes
    }

    /// They are in the trees. To be dropped without the lock.
    pub(in crate::store) fn checkpointed(&mut self) -> Option<Arc<Changes>> {
        self.frozen.take()
    }
}

/// Which accounts have anything in [`Memtable`]: a read of any other need not look there, nor take its lock. A side for
/// [`Memtable::newest`] and one for what is being checkpointed, by turns.
pub(in crate::store) struct Touched([Box<[AtomicU64]>; 2]);

impl Default for Touched {
    fn default() -> Self {
        Self([(); 2].map(|()| (0..BITS / 64).map(|_| AtomicU64::new(0)).collect()))
    }
}

impl Touched {
    /// Keys and accounts are random from their second byte on; whoever chooses them to collide makes reads of these slower.
    fn bit(key: &[u8]) -> (usize, u64) {
        let mut bytes = [0; 4];
        bytes.iter_mut().zip(key.iter().skip(1)).for_each(|(byte, of_key)| *byte = *of_key);
        let bit = u32::from_le_bytes(bytes) as usize % BITS;
        (bit / 64, 1 << (bit % 64))
    }

    pub(in crate::store) fn mark(&self, side: usize, key: &[u8]) {
        let (word, bit) = Self::bit(key);
        self.0[side][word].fetch_or(bit, Ordering::Release);
    }

    pub(in crate::store) fn may_have(&self, account: &[u8; 33]) -> bool {
        let (word, bit) = Self::bit(account);
        self.0.iter().any(|side| side[word].load(Ordering::Acquire) & bit != 0)
    }

    pub(in crate::store) fn clear(&self, side: usize) {
        self.0[side].iter().for_each(|word| word.store(0, Ordering::Release));
    }
}

/// Something that tables are read from.
pub(in crate::store) trait Reads {
    /// What lies over the trees, the newest first.
    fn layers(&self) -> [Option<&Changes>; 3];
    fn trees(&self) -> &RoTxn<'_>;
}

/// Something that tables are changed in.
pub(in crate::store) trait Writes: Reads {
    fn change(&mut self, table: &Table, key: &[u8], value: Option<&[u8]>) -> Found<()>;
}

impl Reads for RoTxn<'_, WithoutTls> {
    fn layers(&self) -> [Option<&Changes>; 3] {
        [None; 3]
    }

    fn trees(&self) -> &RoTxn<'_> {
        self
    }
}

impl Reads for RwTxn<'_> {
    fn layers(&self) -> [Option<&Changes>; 3] {
        [None; 3]
    }

    fn trees(&self) -> &RoTxn<'_> {
        self
    }
}

impl Writes for RwTxn<'_> {
    fn change(&mut self, table: &Table, key: &[u8], value: Option<&[u8]>) -> Found<()> {
        match value {
            Some(value) => table.tree.put(self, key, value)?,
            None => drop(table.tree.delete(self, key)?),
        }
        Ok(())
    }
}

/// What of [`Memtable`] belongs to a view.
pub(in crate::store) enum Over<'e> {
    /// What is asked for has nothing there.
    Nothing,
    /// For a look: the writer has to wait.
    Held(RwLockReadGuard<'e, Memtable>),
    /// For a long walk.
    Copied(Box<Memtable>),
}

/// All that was written, as of one moment, and what its owner changes in it.
pub(in crate::store) struct View<'e> {
    own: Changes,
    over: Over<'e>,
    trees: RoTxn<'e, WithoutTls>,
}

impl<'e> View<'e> {
    /// The trees have to be as of a moment after that of `over`: what is checkpointed between is seen in both, not in none.
    pub(in crate::store) fn new(over: Over<'e>, trees: RoTxn<'e, WithoutTls>) -> Self {
        Self { own: Changes::default(), over, trees }
    }

    /// What was changed in it.
    pub(in crate::store) fn into_changes(self) -> Changes {
        self.own
    }

    /// What was changed in it takes in memory, about.
    pub(in crate::store) const fn bytes(&self) -> usize {
        self.own.bytes()
    }

    /// How many bytes the log of commands has more by what was changed in it.
    pub(in crate::store) const fn more_logged(&self) -> i64 {
        self.own.more_logged()
    }

    /// How many entries a table has more by what was changed in it.
    pub(in crate::store) fn more_entries(&self, table: &Table) -> i64 {
        self.own.entries[table.id as usize]
    }
}

impl Reads for View<'_> {
    fn layers(&self) -> [Option<&Changes>; 3] {
        let memtable = match &self.over {
            Over::Nothing => None,
            Over::Held(memtable) => Some(&**memtable),
            Over::Copied(memtable) => Some(&**memtable),
        };
        [
            Some(&self.own),
            memtable.map(|memtable| &memtable.newest),
            memtable.and_then(|memtable| memtable.frozen.as_deref()),
        ]
    }

    fn trees(&self) -> &RoTxn<'_> {
        &self.trees
    }
}

impl Writes for View<'_> {
    fn change(&mut self, table: &Table, key: &[u8], value: Option<&[u8]>) -> Found<()> {
        if table.is_counted() {
            let before = table.get(self, key)?.map(size);
            self.own.entries[table.id as usize] += i64::from(value.is_some()) - i64::from(before.is_some());
            if table.id == Id::Commands {
                self.own.logged += value.map_or(0, size) - before.unwrap_or(0);
            }
        }
        self.own.put(table.id as u8, key, value);
        Ok(())
    }
}

impl Table {
    /// Whether it is known how many entries it has.
    pub(in crate::store) const fn is_counted(&self) -> bool {
        matches!(self.id, Id::Hints | Id::Tombstones | Id::Commands)
    }

    /// Whether its keys begin with an account.
    pub(in crate::store) const fn is_by_account(&self) -> bool {
        matches!(self.id, Id::Data | Id::Revoked | Id::Commands | Id::Times)
    }

    pub(in crate::store) fn get<'v>(&self, view: &'v impl Reads, key: &[u8]) -> Found<Option<&'v [u8]>> {
        match view.layers().into_iter().flatten().find_map(|changes| changes.get(self.id as u8, key)) {
            Some(found) => Ok(found),
            None => Ok(self.tree.get(view.trees(), key)?),
        }
    }

    pub(in crate::store) fn range<'v>(&self, view: &'v impl Reads, bounds: &Bounds<'_>) -> Found<Merged<'v>> {
        let layers = view.layers().map(|changes| changes.and_then(|changes| changes.range(self.id as u8, bounds)));
        Ok(Merged { layers, tree: self.tree.range(view.trees(), bounds)?.peekable() })
    }

    pub(in crate::store) fn iter<'v>(&self, view: &'v impl Reads) -> Found<Merged<'v>> {
        self.range(view, &(Bound::Unbounded, Bound::Unbounded))
    }

    /// The entries whose keys begin so.
    pub(in crate::store) fn prefix_iter<'v>(&self, view: &'v impl Reads, prefix: &[u8]) -> Found<Merged<'v>> {
        let mut end = prefix.to_vec();
        while end.pop_if(|last| *last == u8::MAX).is_some() {}
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        let end = if end.is_empty() { Bound::Unbounded } else { Bound::Excluded(end.as_slice()) };
        self.range(view, &(Bound::Included(prefix), end))
    }

    pub(in crate::store) fn put(&self, view: &mut impl Writes, key: &[u8], value: &[u8]) -> Found<()> {
        view.change(self, key, Some(value))
    }

    pub(in crate::store) fn delete(&self, view: &mut impl Writes, key: &[u8]) -> Found<()> {
        view.change(self, key, None)
    }
}

/// The entries of a table in the order of their keys.
pub(in crate::store) struct Merged<'v> {
    layers: [Option<Peekable<Range<'v>>>; 3],
    tree: Peekable<RoRange<'v, Bytes, Bytes>>,
}

impl<'v> Iterator for Merged<'v> {
    type Item = Found<(&'v [u8], &'v [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut least: Option<&'v [u8]> = None;
            for layer in self.layers.iter_mut().flatten() {
                if let Some((key, _)) = layer.peek() {
                    least = Some(least.map_or(&***key, |least| least.min(key)));
                }
            }
            let in_tree = match (self.tree.peek(), least) {
                (Some(Ok((key, _))), Some(least)) => *key <= least,
                (_, None) | (Some(Err(_)), _) => return self.tree.next().map(|entry| Ok(entry?)),
                (None, Some(_)) => false,
            };
            let mut found: Option<(&'v [u8], Option<&'v [u8]>)> = None;
            if in_tree && let Some(Ok((key, value))) = self.tree.next() {
                (least, found) = (Some(key), Some((key, Some(value))));
            }
            // The newest last, so that it counts.
            for layer in self.layers.iter_mut().rev().flatten() {
                if let Some((key, value)) = layer.next_if(|(key, _)| Some(&***key) == least) {
                    found = Some((key, value.as_deref()));
                }
            }
            if let Some((key, Some(value))) = found {
                return Some(Ok((key, value)));
            }
        }
    }
}

/// Bytes of a value, to be counted with.
pub(in crate::store) fn size(value: &[u8]) -> i64 {
    i64::try_from(value.len()).unwrap_or(i64::MAX)
}
