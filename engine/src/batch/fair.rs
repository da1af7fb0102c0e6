//! A queue in which nobody waits behind somebody else's many.

use std::collections::{HashMap, VecDeque};

/// Empty lines that are kept, and how many items they may have room for: what almost all take for a moment.
const SPARE: usize = 64;
const SHORT_LINE: usize = 8;

/// Items in lines, one for each source; lines take turns.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    lines: HashMap<u64, VecDeque<T>>,
    /// Sources that have something in line, in the order of their turns.
    turns: VecDeque<u64>,
    /// Lines that are empty, to be used again.
    spare: Vec<VecDeque<T>>,
    length: usize,
    limit: usize,
}

impl<T> FairQueue<T> {
    /// For `limit` items in all.
    #[must_use]
    pub(super) fn new(limit: usize) -> Self {
        Self { lines: HashMap::new(), turns: VecDeque::new(), spare: Vec::new(), length: 0, limit }
    }

    /// Whether there is nothing.
    #[must_use]
    pub(super) const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How many items there are.
    #[must_use]
    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// Puts `item` at the end of the line of `source`; gives it back when the queue is full.
    ///
    /// # Errors
    /// The item.
    pub(super) fn push(&mut self, source: u64, item: T) -> Result<(), T> {
        if self.length >= self.limit {
            return Err(item);
        }
        let spare = &mut self.spare;
        let line = self.lines.entry(source).or_insert_with(|| spare.pop().unwrap_or_default());
        if line.is_empty() {
            self.turns.push_back(source);
        }
        line.push_back(item);
        self.length += 1;
        Ok(())
    }

    /// Takes what has queued, at most `most`: one of each line, and again.
    pub(super) fn take(&mut self, most: usize) -> Vec<T> {
        let mut taken = Vec::with_capacity(self.length.min(most));
        while taken.len() < most {
            let Some(source) = self.turns.pop_front() else { break };
            let Some(line) = self.lines.get_mut(&source) else { continue };
            taken.extend(line.pop_front());
            if line.is_empty() {
                let line = self.lines.remove(&source);
                let has_room = self.spare.len() < SPARE;
                self.spare.extend(line.filter(|line| has_room && line.capacity() <= SHORT_LINE));
            } else {
                self.turns.push_back(source);
            }
        }
        self.length -= taken.len();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_take_turns_and_are_bounded() {
        let mut queue = FairQueue::new(6);
        for item in 0..4 {
            queue.push(1, (1, item)).unwrap();
        }
        queue.push(2, (2, 0)).unwrap();
        queue.push(3, (3, 0)).unwrap();
        assert_eq!(queue.push(4, (4, 0)), Err((4, 0)));
        assert_eq!(queue.take(4), [(1, 0), (2, 0), (3, 0), (1, 1)]);
        queue.push(2, (2, 1)).unwrap();
        assert_eq!(queue.take(64), [(1, 2), (2, 1), (1, 3)]);
        assert!(queue.is_empty() && queue.lines.is_empty() && queue.turns.is_empty());
        assert!(queue.spare.len() == 3 && queue.spare.iter().all(VecDeque::is_empty));
        for source in 0..2 * SPARE as u64 {
            queue.limit = usize::MAX;
            (0..100).for_each(|item| queue.push(source % 2 * source, (source, item)).unwrap());
        }
        assert!(queue.take(usize::MAX).len() == 200 * SPARE && queue.spare.len() <= SPARE);
        assert!(queue.spare.iter().all(|line| line.capacity() <= SHORT_LINE));
    }
}
