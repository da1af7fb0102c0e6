//! Order: requests that one connection sends without waiting take effect, for one account, in the order in which they came
//! (`spec/transports` §2.1b). What concerns other accounts, or came over other connections, is not waited for.
//!
//! A transport takes a [`Ticket`] for each request while it still has them in order. Requests are decoded side by side;
//! then each enters, in the order of the tickets, the queue of every account that it names, and holds its [`Turn`] there
//! until its effect can be seen.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::types::AccountId;

/// The requests of one connection. Its size is bounded by how many requests may be under way.
#[derive(Clone, Default)]
pub struct Pipeline(Arc<Mutex<Queues>>);

#[derive(Default)]
struct Queues {
    /// Tickets given out.
    issued: u64,
    /// The first ticket that has not entered.
    next: u64,
    /// Tickets after that one that never will: their requests were refused.
    void: BTreeSet<u64>,
    /// Requests that are decoded before those that came before them.
    early: BTreeMap<u64, oneshot::Sender<()>>,
    /// Accounts with a request that has the turn, and those that wait for it.
    accounts: HashMap<AccountId, VecDeque<oneshot::Sender<()>>>,
}

impl Pipeline {
    /// The place of a request that came just now.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        let mut queues = self.0.lock();
        let number = queues.issued;
        queues.issued += 1;
        Ticket { pipeline: self.clone(), number, entered: false }
    }

    /// Whether nobody has a ticket or a turn.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl Queues {
    /// The ticket has entered, or never will.
    fn pass(&mut self, number: u64) {
        if number != self.next {
            self.void.insert(number);
            return;
        }
        self.next += 1;
        while self.void.remove(&self.next) {
            self.next += 1;
        }
        if let Some(early) = self.early.remove(&self.next) {
            let _ = early.send(());
        }
    }

    /// The turn for `account` goes to the next who still wants it.
    fn release(&mut self, account: &AccountId) {
        let Some(waiting) = self.accounts.get_mut(account) else { return };
        while let Some(next) = waiting.pop_front() {
            if next.send(()).is_ok() {
                return;
            }
        }
        self.accounts.remove(account);
    }
}

/// A request's place among those of its connection.
pub struct Ticket {
    pipeline: Pipeline,
    number: u64,
    entered: bool,
}

impl Ticket {
    /// Waits for what came before on this connection and concerns the same accounts, which `each_account` names.
    pub(super) async fn enter(mut self, each_account: impl Fn(&mut dyn FnMut(&AccountId))) -> Turn {
        let mut turn = Turn { pipeline: self.pipeline.clone(), places: Vec::new() };
        loop {
            let early = {
                let mut queues = self.pipeline.0.lock();
                if queues.next == self.number {
                    each_account(&mut |account| turn.queue(&mut queues, account));
                    queues.pass(self.number);
                    self.entered = true;
                    break;
                }
                let (first, coming) = oneshot::channel();
                queues.early.insert(self.number, first);
                coming
            };
            // Whoever drops the other end has called it.
            let _ = early.await;
        }
        for (_, place) in &mut turn.places {
            if let Some(coming) = place {
                let _ = coming.await;
            }
            *place = None;
        }
        turn
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.entered {
            self.pipeline.0.lock().pass(self.number);
        }
    }
}

/// The right to act on the accounts of one request, until it is dropped.
pub struct Turn {
    pipeline: Pipeline,
    /// Each account, and what says that its turn has come; `None` once it has.
    places: Vec<(AccountId, Option<oneshot::Receiver<()>>)>,
}

impl Turn {
    fn queue(&mut self, queues: &mut Queues, account: &AccountId) {
        if self.places.iter().any(|(known, _)| known == account) {
            return;
        }
        let place = match queues.accounts.get_mut(account) {
            None => {
                queues.accounts.insert(*account, VecDeque::new());
                None
            }
            Some(waiting) => {
                let (next, coming) = oneshot::channel();
                waiting.push_back(next);
                Some(coming)
            }
        };
        self.places.push((*account, place));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut queues = self.pipeline.0.lock();
        for (account, place) in &mut self.places {
            let has_come = match place {
                None => true,
                // Closed first: what was not sent by now is sent to somebody else.
                Some(coming) => {
                    coming.close();
                    coming.try_recv().is_ok()
                }
            };
            if has_come {
                queues.release(account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;

    fn about(key: u8) -> impl Fn(&mut dyn FnMut(&AccountId)) {
        move |name| name(&AccountId([key; 33]))
    }

    #[tokio::test]
    async fn turns_are_taken_in_the_order_of_tickets() {
        let pipeline = Pipeline::default();
        let [first, second, other, third] = std::array::from_fn(|_| pipeline.ticket());
        // Decoded early: neither passes those before.
        let mut third = Box::pin(third.enter(about(1)));
        assert!(third.as_mut().now_or_never().is_none());
        let one = first.enter(about(1)).now_or_never().unwrap();
        let mut two = Box::pin(second.enter(about(1)));
        assert!(two.as_mut().now_or_never().is_none());
        // Another account waits for nobody.
        drop(other.enter(about(2)).now_or_never().unwrap());
        assert!(third.as_mut().now_or_never().is_none());
        drop(one);
        let two = two.now_or_never().unwrap();
        assert!(third.as_mut().now_or_never().is_none());
        drop(two);
        drop(third.now_or_never().unwrap());
        assert!(pipeline.is_idle() && pipeline.0.lock().accounts.is_empty());
    }

    #[tokio::test]
    async fn who_gives_up_holds_nobody_up() {
        let pipeline = Pipeline::default();
        let [refused, one, gone, last] = std::array::from_fn(|_| pipeline.ticket());
        let one = tokio::spawn(async move { one.enter(about(1)).await });
        tokio::task::yield_now().await;
        drop(refused);
        let one = tokio::time::timeout(Duration::from_secs(10), one).await.unwrap().unwrap();
        let gone = Box::pin(gone.enter(about(1)));
        let mut last = Box::pin(last.enter(about(1)));
        let mut gone = Some(gone);
        assert!(gone.as_mut().unwrap().as_mut().now_or_never().is_none());
        assert!(last.as_mut().now_or_never().is_none());
        // It is called, and does not come.
        drop(one);
        drop(gone.take());
        drop(last.now_or_never().unwrap());
        assert!(pipeline.0.lock().accounts.is_empty());
    }
}
