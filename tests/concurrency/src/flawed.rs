//! Single flights as they must not be, each with one flaw that a reader might overlook.

use crate::{
    flights::Core,
    runtime::{BoxFuture, Runtime},
    single_flight::Lost,
    sync::{Mutex, watch},
};

type Flight = watch::Receiver<Option<u32>>;

#[derive(Debug)]
pub(crate) struct FlawedFlight {
    core: Core,
    current: Mutex<Option<Flight>>,
}

impl FlawedFlight {
    pub(crate) fn new(core: Core) -> Self {
        Self { core, current: Mutex::new(None) }
    }

    fn joinable(&self, flight: &Flight) -> bool {
        match self.core {
            Core::JoinsTheLanded => flight.borrow().is_some() || flight.has_changed().is_ok(),
            Core::JoinsTheLost => flight.borrow().is_none(),
            _ => flight.borrow().is_none() && flight.has_changed().is_ok(),
        }
    }

    pub(crate) fn run(
        &self,
        runtime: &dyn Runtime,
        work: BoxFuture<u32>,
    ) -> BoxFuture<std::result::Result<u32, Lost>> {
        let mut current = self.current.lock().expect("nobody panics with it");
        if let Some(flight) = current.as_ref().filter(|flight| self.joinable(flight)) {
            return Box::pin(landing(flight.clone()));
        }
        if self.core == Core::LooksThenStarts {
            drop(current);
            current = self.current.lock().expect("nobody panics with it");
        }
        let (sender, receiver) = watch::channel(None);
        *current = Some(receiver.clone());
        let fly = async move {
            let result = work.await;
            sender.send_replace(Some(result));
        };
        if self.core == Core::FliesWithItsCaller {
            return Box::pin(async move {
                fly.await;
                landing(receiver).await
            });
        }
        runtime.spawn(Box::pin(fly));
        Box::pin(landing(receiver))
    }
}

async fn landing(mut flight: Flight) -> Result<u32, Lost> {
    match flight.wait_for(Option::is_some).await {
        Ok(result) => result.ok_or(Lost),
        Err(_) => Err(Lost),
    }
}
