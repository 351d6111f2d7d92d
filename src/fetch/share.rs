//! What there is for all pages together, and how much of it one of them may have (requirement D9).

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One page has at most this part of what all of them have together: whatever is wrong with one, the others go on.
pub const PAGES_SHARE: usize = 2;

/// Something there is a limited number of in the whole app.
#[derive(Clone, Debug)]
pub(crate) struct Supply {
    all: Arc<Semaphore>,
    of_one: usize,
}

/// What one page may have of a [`Supply`].
#[derive(Clone, Debug)]
pub(crate) struct Share {
    own: Arc<Semaphore>,
    of_one: usize,
    all: Arc<Semaphore>,
}

/// Given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    _own: Option<OwnedSemaphorePermit>,
    _all: Option<OwnedSemaphorePermit>,
}

impl Supply {
    pub(crate) fn new(count: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(count)), of_one: count / PAGES_SHARE }
    }

    pub(crate) fn share(&self) -> Share {
        Share { own: Arc::new(Semaphore::new(self.of_one)), of_one: self.of_one, all: self.all.clone() }
    }
}

impl Share {
    /// Whether nothing of it is taken.
    pub(crate) fn is_whole(&self) -> bool {
        self.own.available_permits() == self.of_one
    }

    /// So many of it, if they are there now.
    pub(crate) fn try_take(&self, count: u32) -> Option<Taken> {
        let own = self.own.clone().try_acquire_many_owned(count).ok()?;
        let all = self.all.clone().try_acquire_many_owned(count).ok()?;
        Some(Taken { _own: Some(own), _all: Some(all) })
    }

    /// So many of it, when it is this page's turn.
    pub(crate) async fn take(&self, count: u32) -> Taken {
        // Its own first: a page that waits for itself must not stand in the others' way. Neither is ever closed.
        let own = self.own.clone().acquire_many_owned(count).await.ok();
        let all = self.all.clone().acquire_many_owned(count).await.ok();
        Taken { _own: own, _all: all }
    }
}

/// A request's place among those under way. Held by whoever makes it and by the body that the network has, and given back by
/// the last of them, or early.
#[derive(Debug)]
pub(crate) struct Place(Mutex<Option<Taken>>);

impl Place {
    pub(crate) fn new(taken: Taken) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(taken))))
    }

    pub(crate) fn give_back(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn d9_one_page_cannot_take_what_is_the_others() {
        let supply = Supply::new(8);
        let (greedy, modest) = (supply.share(), supply.share());
        let taken: Vec<_> = std::iter::from_fn(|| greedy.try_take(1)).collect();
        assert_eq!(taken.len(), 8 / PAGES_SHARE);
        let (waiting, there) = (greedy.take(1), modest.take(3));
        tokio::pin!(waiting);
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("there is none left for it"),
            taken = there => drop(taken),
        }
        drop(taken);
        waiting.await;
        assert_eq!(supply.all.available_permits(), 8, "all is given back");
    }

    #[test]
    fn d9_all_pages_together_have_no_more_than_there_is() {
        let supply = Supply::new(8);
        let pages: Vec<_> = (0..3).map(|_| supply.share()).collect();
        let taken: Vec<_> = pages.iter().map(|page| page.try_take(3)).collect();
        assert_eq!(taken.iter().filter(|taken| taken.is_some()).count(), 2);
        assert!(pages[2].try_take(2).is_some(), "what was not given is not lost");
    }
}
