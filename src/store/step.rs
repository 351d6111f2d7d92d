//! The steps of the [`vault`](super::vault): what each expects to find in the session entry, and what it answers.

use super::{
    StoreError,
    kept::{count_of, sign_in_of, started_at_of},
    outbox::Revocation,
    record::{SessionRecord, SignInId, Unreadable},
};
use crate::{clock::Timestamp, secret::SessionId};

/// What stands in the session entry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stored {
    Nothing,
    Session(Box<SessionRecord>),
    Unreadable(Unreadable),
}

/// Both entries: the session, and of what sessions the server is to be told.
pub(crate) type Loaded = Result<(Stored, Vec<Revocation>), StoreError>;

/// What must stand in the entry for a commit to go ahead.
#[derive(Clone, Debug)]
pub(crate) enum Expect {
    /// Anything: a new sign-in replaces whatever was there, unless it comes late. `over` is the session that it has
    /// replaced here.
    Anything { over: Option<SignInId> },
    /// Nothing that another process began later, and no later rotation of this: a sign-in that could not be stored when
    /// it was new. What it has replaced here it replaces there, whatever the two say of their beginning.
    NotAfter { started_at: Timestamp, sign_in: SignInId, rotation: u64, over: Option<SignInId> },
    /// This sign-in at this rotation: somebody who rotated first has the newer tokens.
    Rotation { sign_in: SignInId, rotation: u64 },
    /// Like that, and with the same refresh token: a process that could not store counts on by itself, so that the count
    /// alone does not say whose tokens are newer.
    Renewable { sign_in: SignInId, rotation: u64 },
    /// An older rotation of this sign-in, whose latest tokens could not be stored so far.
    Older { sign_in: SignInId, rotation: u64 },
}

impl Expect {
    /// What must stand there if `record` comes late.
    pub(super) fn when_late(self, record: &SessionRecord) -> Self {
        match self {
            Self::Anything { over } => Self::NotAfter {
                started_at: record.started_at,
                sign_in: record.sign_in.clone(),
                rotation: record.rotation,
                over,
            },
            expect => expect,
        }
    }

    /// Whether `record` is of a new sign-in, and what stands there is not of it yet.
    pub(super) fn is_sign_in_after(&self, stored: &Stored, record: &SessionRecord) -> bool {
        let is_there = matches!(stored, Stored::Session(there) if there.sign_in == record.sign_in);
        matches!(self, Self::Anything { .. } | Self::NotAfter { .. }) && !is_there
    }

    /// Whether `record` may be written over what is `stored`, of which the processes were told last what `said` says.
    pub(super) fn allows(&self, stored: &Stored, record: &SessionRecord, said: Option<&str>) -> bool {
        match (self, stored) {
            // An entry of a newer version of the app goes when somebody signs in here, be it late.
            (Self::Anything { .. }, _)
            | (Self::NotAfter { .. }, Stored::Nothing | Stored::Unreadable(Unreadable::FromTheFuture)) => {
                true
            }
            (Self::NotAfter { started_at, sign_in, rotation, over }, Stored::Session(there)) => {
                if there.sign_in == *sign_in {
                    there.rotation < *rotation && !there.is_newer_than(record)
                } else {
                    there.started_at <= *started_at || over.as_ref() == Some(&there.sign_in)
                }
            }
            (Self::Rotation { sign_in, rotation }, Stored::Session(there)) => {
                there.sign_in == *sign_in && there.rotation == *rotation
            }
            (Self::Renewable { sign_in, rotation }, Stored::Session(there)) => {
                there.sign_in == *sign_in
                    && there.rotation == *rotation
                    && there.tokens.refresh_token == record.tokens.refresh_token
            }
            (Self::Older { sign_in, rotation }, Stored::Session(there)) => {
                there.sign_in == *sign_in && there.rotation < *rotation && !there.is_newer_than(record)
            }
            // Another process may have refreshed since, and a renewed session token is no loss.
            (Self::Renewable { .. }, Stored::Unreadable(Unreadable::Corrupt)) => {
                said.is_none_or(|line| count_of(line, record).is_some_and(|count| count < record.rotation))
            }
            // Our own entry, damaged by somebody else: what we hold is all there is. Or that of whoever has replaced us.
            (_, Stored::Unreadable(Unreadable::Corrupt)) => !said.is_some_and(|line| self.gives_way_to(line)),
            _ => false,
        }
    }

    /// Whether what stands in the entry, which is damaged, is of a sign-in that has taken the place of ours, if `line` was said
    /// of it last.
    pub(crate) fn gives_way_to(&self, line: &str) -> bool {
        let (Some(theirs), Some(began)) = (sign_in_of(line), started_at_of(line)) else { return false };
        match self {
            Self::Anything { .. } => false,
            Self::NotAfter { started_at, sign_in, over, .. } => {
                theirs != *sign_in && over.as_ref() != Some(&theirs) && began > *started_at
            }
            Self::Rotation { sign_in, .. }
            | Self::Renewable { sign_in, .. }
            | Self::Older { sign_in, .. } => theirs != *sign_in,
        }
    }
}

/// What an end erases.
#[derive(Clone, Debug)]
pub(crate) enum Erase {
    /// This sign-in's entry: another process may have signed in anew.
    SignIn(SignInId),
    /// Whatever is there, whose revocation is noted too, but not what another process began later than this; unless it is
    /// the one that was there then, by the word of whoever wrote it: clocks differ.
    NotAfter(Timestamp, Option<SignInId>),
    /// An entry that cannot be read, unless somebody has replaced it meanwhile.
    Damaged,
}

impl Erase {
    /// Whether `there` is what goes.
    pub(crate) fn takes(&self, there: &SessionRecord) -> bool {
        match self {
            Self::SignIn(ours) => there.sign_in == *ours,
            Self::NotAfter(at, named) => there.started_at <= *at || named.as_ref() == Some(&there.sign_in),
            Self::Damaged => false,
        }
    }

    /// Whether a damaged entry is what goes, of which `said` was said last: whose it was cannot be read any more.
    pub(super) fn takes_damaged(&self, said: Option<&str>) -> bool {
        let Some(theirs) = said.and_then(sign_in_of) else { return true };
        match self {
            Self::SignIn(ours) => theirs == *ours,
            Self::NotAfter(at, named) => {
                named.as_ref() == Some(&theirs)
                    || said.and_then(started_at_of).is_none_or(|began| began <= *at)
            }
            Self::Damaged => true,
        }
    }
}

/// What an end has found.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Ended {
    /// The session that [`Erase::NotAfter`] has found there and ended.
    pub(crate) found: Option<Revocation>,
    /// The session that was to be revoked, if somebody has signed in to it again.
    pub(crate) again: Option<SessionId>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Commit {
    /// Written, and read back the same; `replaced` stood there before.
    Written { replaced: Stored },
    /// The session ended while the write was waiting.
    Superseded,
    /// Something else stands there; nothing was written.
    Conflict(Stored),
}
