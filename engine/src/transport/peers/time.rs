//! The time by other nodes' clocks: by theirs the node serves when its own is wrong ([`Clock`]).
//!
//! Nodes of the network are asked over connections on which they prove their keys; strangers have no say. A few are not
//! enough, and most of those asked have to agree, twice if they say otherwise than the node believes: to be led astray it
//! takes two thirds of the network, not of some sample.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::{MissedTickBehavior, interval};

use super::link::Peers;
use crate::{
    clock::{Clock, TOLERANCE},
    replicate::Reconciler,
    swarm::{Network, NodeInfo, Snapshot},
    types::{Ed25519PublicKey, Millis},
};

/// What every node of the network answers, of any make.
const COMMAND: &str = "storage.info";
/// Nodes asked at a time, and that have to answer.
const ASKED: usize = 32;
const ENOUGH: usize = 3;
/// An answer that takes longer says too little.
const LIMIT: Duration = TOLERANCE;
/// How often the own clock is looked at: whoever sets it does not say so.
const LOOK: Duration = Duration::from_secs(1);
/// How often others are asked while nothing happens, and again when too few have answered: from this, doubling.
const PERIOD: Duration = Duration::from_secs(300);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// A network that has just come, or changed, is asked so much later: its nodes may be starting themselves.
const SETTLING: Duration = Duration::from_secs(2);
/// How long whatever would expire is kept after a start in a network of which nobody answers.
const HOLD: Duration = Duration::from_secs(30);

/// Compares for ever, and lets members of the swarm be compared with when the time by which requests are judged has
/// changed: what was refused may be right now. `own` is this node's key.
pub(crate) async fn follow(
    network: Arc<Network>,
    own: Ed25519PublicKey,
    links: Arc<Peers>,
    reconciler: Option<Arc<Reconciler>>,
    clock: Clock,
) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut next, mut pause) = (Instant::now() + SETTLING, FIRST_PAUSE);
    let (mut shift, mut own_shift) = (clock.shift(), clock.own_shift());
    let (mut asked_first, mut was_wrong) = (None, false);
    let mut changes = network.changes();
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            Ok(_) = changes.changed() => if clock.ahead().is_none() { next = next.min(Instant::now() + SETTLING) },
        }
        if differ(clock.own_shift(), own_shift) {
            (own_shift, next, pause) = (clock.own_shift(), Instant::now(), FIRST_PAUSE);
        }
        if Instant::now() >= next {
            let others = others(&network.load(), own);
            if others.len() >= ENOUGH {
                let asked_first = *asked_first.get_or_insert_with(Instant::now);
                let told = confirmed(&links, &clock, &others).await;
                if let Some(told) = told {
                    clock.correct(told);
                } else if clock.ahead().is_none() && asked_first.elapsed() >= HOLD {
                    clock.trust_own();
                }
                (next, pause) = match told {
                    Some(_) => (Instant::now() + PERIOD, FIRST_PAUSE),
                    None => (Instant::now() + pause, (pause * 2).min(PERIOD)),
                };
            } else {
                // None at all: there is no network yet.
                if !network.load().nodes().is_empty() {
                    clock.trust_own();
                }
                next = Instant::now() + PERIOD;
            }
        }
        if differ(clock.shift(), shift) {
            shift = clock.shift();
            reconciler.iter().for_each(|reconciler| reconciler.want_all());
        }
        let is_wrong = clock.ahead().is_some_and(|ahead| differ(ahead, 0));
        if is_wrong != was_wrong {
            was_wrong = is_wrong;
            tell(&clock, is_wrong);
        }
    }
}

fn tell(clock: &Clock, is_wrong: bool) {
    let seconds = clock.ahead().unwrap_or(0) / 1000;
    if is_wrong {
        tracing::error!(ahead = seconds, "this machine's clock is wrong; the node goes by those of most others");
    } else {
        tracing::info!("this machine's clock agrees with those of most others again");
    }
}

fn differ(one: i64, other: i64) -> bool {
    u128::from(one.abs_diff(other)) > TOLERANCE.as_millis()
}

/// Who may be asked, in no order.
fn others(network: &Snapshot, own: Ed25519PublicKey) -> Vec<Arc<NodeInfo>> {
    let may_be_asked = |node: &&Arc<NodeInfo>| node.is_active() && node.is_reachable() && node.ed25519 != own;
    network.nodes().iter().filter(may_be_asked).map(Arc::clone).collect()
}

/// What most of `others` say ([`Clock::shift`]); what the node would not have thought, only when it is said twice.
async fn confirmed(links: &Peers, clock: &Clock, others: &[Arc<NodeInfo>]) -> Option<i64> {
    let told = ask(links, clock, others).await?;
    if !differ(told, clock.shift()) {
        return Some(told);
    }
    ask(links, clock, others).await.filter(|again| !differ(*again, told))
}

async fn ask(links: &Peers, clock: &Clock, others: &[Arc<NodeInfo>]) -> Option<i64> {
    let mut chosen = others.to_vec();
    chosen.sort_by_cached_key(|_| getrandom::u64().unwrap_or(0));
    chosen.truncate(ASKED);
    let told = join_all(chosen.iter().map(|node| ask_one(links, clock, node))).await;
    agreed(chosen.len(), told.into_iter().flatten().collect())
}

async fn ask_one(links: &Peers, clock: &Clock, node: &Arc<NodeInfo>) -> Option<i64> {
    let asked = Instant::now();
    let answer = links.request_omq(node, COMMAND, vec![Bytes::from_static(b"{}")], LIMIT).await.ok()?;
    let [body] = answer.as_slice() else { return None };
    let told: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(clock.shift_at(Millis(told.get("timestamp")?.as_u64()?), asked + asked.elapsed() / 2))
}

/// The median of what was `told` by so many as were `asked`, if enough have answered and two of three of them agree.
fn agreed(asked: usize, mut told: Vec<i64>) -> Option<i64> {
    if told.len() < ENOUGH || 2 * told.len() < asked {
        return None;
    }
    told.sort_unstable();
    let median = told[told.len() / 2];
    let agree = told.iter().filter(|other| !differ(**other, median)).count();
    (3 * agree >= 2 * told.len()).then_some(median)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOURS: i64 = 8 * 3_600_000;

    #[test]
    fn a_minority_of_liars_shifts_nobody() {
        let honest = [900, 1000, 1100, 1300, 800, 1000];
        for lie in [HOURS, -HOURS, i64::MAX, i64::MIN] {
            for liars in 0..=3 {
                let told = honest.into_iter().chain(std::iter::repeat_n(lie, liars)).collect();
                let median = agreed(honest.len() + liars, told).unwrap();
                assert!((800..=1300).contains(&median), "{lie} {liars} {median}");
            }
            // From a third on nobody is believed, until two thirds say the same.
            for (liars, believed) in [(4, false), (11, false), (12, true)] {
                let told = honest.into_iter().chain(std::iter::repeat_n(lie, liars)).collect();
                assert_eq!(agreed(honest.len() + liars, told) == Some(lie), believed, "{lie} {liars}");
            }
        }
    }

    #[test]
    fn a_few_say_nothing_nor_do_those_who_disagree() {
        assert_eq!(agreed(2, vec![HOURS, HOURS]), None);
        assert_eq!(agreed(7, vec![0, 0, 0]), None);
        assert_eq!(agreed(3, vec![HOURS, 0, 2 * HOURS]), None);
        assert_eq!(agreed(3, vec![HOURS, 0, HOURS + 1]), Some(HOURS));
    }
}
