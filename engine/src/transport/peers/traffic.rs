//! Counts of what nodes ask each other, by command and by what became of it.

use bytes::Bytes;

use crate::{
    metrics::Stripes,
    replicate::{MemberAnswer, PeerError, RECONCILE},
};

/// Commands between nodes, as OMQ names them. Everything else is counted as one.
const COMMANDS: [&str; 10] = [
    "sn.ping",
    "sn.onion_request",
    "sn.storage_cc",
    "sn.data",
    "sn.data_ready",
    "sn.storage_test",
    RECONCILE,
    "liveness.tell",
    "liveness.time",
    "other",
];

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Another node asked this one.
    In,
    /// This one asked another.
    Out,
}

impl Direction {
    const ALL: [Self; 2] = [Self::In, Self::Out];

    const fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Answered.
    Answered,
    /// Answered with an error.
    Refused,
    /// Not taken up: too much is under way already.
    Busy,
    /// No answer.
    Unanswered,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Answered, Self::Refused, Self::Busy, Self::Unanswered];

    const fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Busy => "busy",
            Self::Unanswered => "unanswered",
        }
    }

    /// From the parts of an answer: an error has its code before its text (`spec/transports` §2.4), which is also the form
    /// of every answer to an onion request.
    pub(crate) fn of(command: &str, parts: &[Bytes]) -> Self {
        match parts {
            [answer] if command == "sn.data_ready" && answer.as_ref() != b"OK" => Self::Refused,
            [code, _] if code.len() == 3 && code.iter().all(u8::is_ascii_digit) && !code.starts_with(b"2") => {
                if code.as_ref() == b"503" { Self::Busy } else { Self::Refused }
            }
            _ => Self::Answered,
        }
    }

    /// From what another node made of a client's command.
    pub(crate) fn of_member(told: &Result<MemberAnswer, PeerError>) -> Self {
        match told {
            Ok(MemberAnswer::Refused { code, .. }) if code == "503" => Self::Busy,
            Ok(MemberAnswer::Refused { .. }) | Err(PeerError::Refused(_)) => Self::Refused,
            Ok(MemberAnswer::Done(_) | MemberAnswer::Bad) => Self::Answered,
            Ok(MemberAnswer::TimedOut) | Err(PeerError::Timeout) => Self::Unanswered,
            Err(PeerError::Congested) => Self::Busy,
        }
    }

    /// From what came of a request to another node.
    pub(crate) fn of_answer(command: &str, answer: &Result<Vec<Bytes>, PeerError>) -> Self {
        match answer {
            Ok(parts) => Self::of(command, parts),
            Err(PeerError::Refused(_)) => Self::Refused,
            Err(PeerError::Congested) => Self::Busy,
            Err(PeerError::Timeout) => Self::Unanswered,
        }
    }
}

/// One count of what nodes ask each other: direction, command, outcome, number.
pub type TrafficCount = (&'static str, &'static str, &'static str, u64);

/// What nodes ask each other.
#[derive(Debug)]
pub struct Traffic(Stripes);

impl Default for Traffic {
    fn default() -> Self {
        Self(Stripes::new(Direction::ALL.len() * COMMANDS.len() * Outcome::ALL.len()))
    }
}

impl Traffic {
    fn place(direction: Direction, command: usize, outcome: Outcome) -> usize {
        (direction as usize * COMMANDS.len() + command) * Outcome::ALL.len() + outcome as usize
    }

    /// One more of `command`, which may be anything.
    pub(crate) fn add(&self, direction: Direction, command: &str, outcome: Outcome) {
        let command = COMMANDS.iter().position(|name| *name == command).unwrap_or(COMMANDS.len() - 1);
        self.0.add(Self::place(direction, command, outcome), 1);
    }

    /// All that there were.
    #[must_use]
    pub fn read(&self) -> Vec<TrafficCount> {
        let mut told = Vec::new();
        for direction in Direction::ALL {
            for (number, command) in COMMANDS.into_iter().enumerate() {
                for outcome in Outcome::ALL {
                    let count = self.0.sum(Self::place(direction, number, outcome));
                    if count > 0 {
                        told.push((direction.name(), command, outcome.name(), count));
                    }
                }
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_asked_there_is_one_count_of_what_nobody_knows() {
        let traffic = Traffic::default();
        for number in 0..1000 {
            traffic.add(Direction::In, &format!("sn.{number}"), Outcome::Refused);
        }
        traffic.add(Direction::Out, "sn.data", Outcome::Answered);
        assert_eq!(traffic.read(), [("in", "other", "refused", 1000), ("out", "sn.data", "answered", 1)]);
    }

    #[test]
    fn answers_tell_what_became_of_a_request() {
        let parts = |texts: &[&'static str]| -> Vec<Bytes> {
            texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect()
        };
        let of = |texts: &[&'static str]| Outcome::of_answer("sn.data", &Ok(parts(texts)));
        let failed = |error| Outcome::of_answer("sn.data", &Err(error));
        assert_eq!(of(&[]), Outcome::Answered);
        assert_eq!(of(&["pong"]), Outcome::Answered);
        assert_eq!(of(&["200", "body"]), Outcome::Answered);
        assert_eq!(of(&["503", "busy"]), Outcome::Busy);
        assert_eq!(of(&["406", "no"]), Outcome::Refused);
        assert_eq!(Outcome::of("sn.data_ready", &parts(&["not yet"])), Outcome::Refused);
        assert_eq!(Outcome::of("sn.data_ready", &parts(&["OK"])), Outcome::Answered);
        assert_eq!(failed(PeerError::Congested), Outcome::Busy);
        assert_eq!(failed(PeerError::Timeout), Outcome::Unanswered);
        assert_eq!(failed(PeerError::Refused("UNKNOWNCOMMAND".to_owned())), Outcome::Refused);
    }
}
