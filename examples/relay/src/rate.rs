//! A token bucket per client address, in bounded memory. Pure: time comes in as an argument.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

/// Addresses that are remembered; about a megabyte. Somebody with more of them at hand is no case for one process: see what the
/// README says of limits in front.
const MAX_CLIENTS: usize = 16 * 1024;

const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Who may call how often.
#[derive(Debug)]
pub(crate) struct Rate {
    burst: f64,
    per_second: f64,
    clients: HashMap<IpAddr, Bucket>,
    /// When the idle were last forgotten.
    swept: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Duration,
}

impl Rate {
    /// `burst` calls at once, and `per_minute` from then on.
    pub(crate) fn new(burst: u32, per_minute: u32) -> Self {
        Self {
            burst: f64::from(burst.max(1)),
            per_second: f64::from(per_minute.max(1)) / 60.0,
            clients: HashMap::new(),
            swept: Duration::ZERO,
        }
    }

    /// Takes a call of `client` at `now`, a monotonic time.
    ///
    /// # Errors
    ///
    /// How long the client has to wait, if it has had its share.
    pub(crate) fn take(&mut self, client: IpAddr, now: Duration) -> Result<(), Duration> {
        let client = network_of(client);
        if !self.clients.contains_key(&client) && self.clients.len() >= MAX_CLIENTS {
            // Not for every newcomer: a flood of them would have the whole table walked through for each.
            if now >= self.swept + SWEEP_INTERVAL {
                self.forget_the_idle(now);
                self.swept = now;
            }
            if self.clients.len() >= MAX_CLIENTS {
                // Everybody is busy: newcomers wait, so that a flood of addresses cannot push out what is known of others.
                return Err(Duration::from_secs_f64(1.0 / self.per_second));
            }
        }
        let (burst, per_second) = (self.burst, self.per_second);
        let bucket = self.clients.entry(client).or_insert(Bucket { left: burst, at: now });
        bucket.refill(burst, per_second, now);
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - bucket.left) / per_second))
    }

    /// A full bucket says no more than none.
    fn forget_the_idle(&mut self, now: Duration) {
        let (burst, per_second) = (self.burst, self.per_second);
        self.clients.retain(|_, bucket| {
            bucket.refill(burst, per_second, now);
            bucket.left < burst
        });
    }
}

impl Bucket {
    fn refill(&mut self, burst: f64, per_second: f64, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.left = (self.left + passed * per_second).min(burst);
        self.at = self.at.max(now);
    }
}

/// One customer of a provider has a whole /64 of IPv6 to pick from.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    #[test]
    fn a_client_gets_its_burst_then_its_rate_and_is_told_when_to_come_back() {
        let mut rate = Rate::new(3, 60);
        let now = Duration::from_secs(100);
        assert!((0..3).all(|_| rate.take(client(1), now).is_ok()));
        let wait = rate.take(client(1), now).unwrap_err();
        assert_eq!(wait, Duration::from_secs(1));
        assert!(rate.take(client(2), now).is_ok(), "others are not affected");
        assert!(rate.take(client(1), now + wait - Duration::from_millis(1)).is_err());
        assert!(rate.take(client(1), now + wait).is_ok());
        let hour = (0..3600).filter(|s| rate.take(client(1), now + wait + Duration::from_secs(*s)).is_ok());
        assert!((3598..=3600).contains(&hour.count()));
    }

    #[test]
    fn memory_is_bounded_and_a_flood_of_addresses_does_not_clear_what_is_known() {
        let mut rate = Rate::new(2, 60);
        let now = Duration::from_secs(1);
        while rate.take(client(0), now).is_ok() {}
        let taken =
            (1..u32::try_from(4 * MAX_CLIENTS).unwrap()).filter(|n| rate.take(client(*n), now).is_ok());
        assert_eq!(taken.count(), MAX_CLIENTS - 1);
        assert_eq!(rate.clients.len(), MAX_CLIENTS);
        assert!(rate.take(client(0), now).is_err());
        assert!(rate.take(client(u32::MAX), now + Duration::from_secs(2)).is_ok(), "the idle were forgotten");
        assert!(rate.clients.len() < MAX_CLIENTS);
    }

    #[test]
    fn neighbours_in_one_ipv6_network_share_a_bucket_and_a_mapped_ipv4_is_itself() {
        let mut rate = Rate::new(1, 1);
        let now = Duration::ZERO;
        assert!(rate.take("2001:db8::1".parse().unwrap(), now).is_ok());
        assert!(rate.take("2001:db8::ffff".parse().unwrap(), now).is_err());
        assert!(rate.take("2001:db8:0:1::1".parse().unwrap(), now).is_ok());
        assert!(rate.take("192.0.2.1".parse().unwrap(), now).is_ok());
        assert!(rate.take("::ffff:192.0.2.1".parse().unwrap(), now).is_err());
    }
}
