//! How queries share the engine's memory.
//!
//! DataFusion's fair pool grants every operator that can spill the same part of the memory, and keeps it for those that hold nothing as well: where some dozens of them are
//! known, of which a few hold rows, these spill while most of the memory lies idle. Here one may go past its share, as long as enough is left for those that come to hold
//! something later, and for those that cannot spill.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use datafusion::{
    error::{DataFusionError, Result},
    execution::memory_pool::{
        MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, human_readable_size,
    },
};

/// One part in so many of the memory is not for those who have their share.
const KEPT: usize = 4;

/// So many bytes for all queries together.
#[derive(Debug)]
pub(super) struct SharedPool {
    bytes: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Who can spill, holding something or not.
    spillers: usize,
    by_spillers: usize,
    by_others: usize,
}

impl Held {
    fn all(&self) -> usize {
        self.by_spillers + self.by_others
    }

    fn of(&mut self, can_spill: bool) -> &mut usize {
        if can_spill { &mut self.by_spillers } else { &mut self.by_others }
    }
}

impl SharedPool {
    pub(super) fn new(bytes: usize) -> Self {
        Self { bytes, held: Mutex::default() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much more one may hold who can spill and holds so much.
    fn left(&self, held: &Held, own: usize) -> usize {
        let share = self.bytes.saturating_sub(held.by_others) / held.spillers.max(1);
        let all = self.bytes.saturating_sub(held.all());
        let beyond = all.saturating_sub(self.bytes / KEPT);
        beyond.max(share.saturating_sub(own).min(all))
    }
}

impl MemoryPool for SharedPool {
    fn name(&self) -> &'static str {
        "shared"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.held().spillers += usize::from(consumer.can_spill());
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.held().spillers -= usize::from(consumer.can_spill());
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        *self.held().of(reservation.consumer().can_spill()) += additional;
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        *self.held().of(reservation.consumer().can_spill()) -= shrink;
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let mut held = self.held();
        let can_spill = reservation.consumer().can_spill();
        let left = if can_spill {
            self.left(&held, reservation.size())
        } else {
            self.bytes.saturating_sub(held.all())
        };
        if additional > left {
            let message = format!(
                "`{}`, which holds {}, wants {} more, and {} are left for it",
                reservation.consumer().name(),
                human_readable_size(reservation.size()),
                human_readable_size(additional),
                human_readable_size(left)
            );
            return Err(DataFusionError::ResourcesExhausted(message));
        }
        *held.of(can_spill) += additional;
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.held().all()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes)
    }
}

impl fmt::Display for SharedPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shared, {}", human_readable_size(self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn reservation(pool: &Arc<dyn MemoryPool>, name: &str, can_spill: bool) -> MemoryReservation {
        MemoryConsumer::new(name).with_can_spill(can_spill).register(pool)
    }

    #[test]
    fn what_lies_idle_is_for_who_needs_it_and_enough_is_kept_for_others() {
        let pool: Arc<dyn MemoryPool> = Arc::new(SharedPool::new(1000));
        let one = reservation(&pool, "one", true);
        let others: Vec<_> = (0..9).map(|_| reservation(&pool, "other", true)).collect();
        one.try_grow(750).unwrap();
        let error = one.try_grow(1).unwrap_err().to_string();
        assert!(error.contains("`one`, which holds 750.0 B, wants 1.0 B more"), "{error}");
        others[0].try_grow(100).unwrap();
        assert!(others[0].try_grow(1).is_err(), "it has its share");
        others[1].try_grow(100).unwrap();
        assert!(others[2].try_grow(51).is_err(), "there is no more");
        others[2].try_grow(50).unwrap();
        one.shrink(500);
        others[0].try_grow(250).unwrap();
        assert_eq!(pool.reserved(), 750);
        drop((one, others));
        assert_eq!(pool.reserved(), 0);
    }

    #[test]
    fn who_cannot_spill_takes_what_is_there() {
        let pool: Arc<dyn MemoryPool> = Arc::new(SharedPool::new(1000));
        let (join, sort) = (reservation(&pool, "join", false), reservation(&pool, "sort", true));
        join.try_grow(900).unwrap();
        assert!(join.try_grow(101).is_err());
        sort.try_grow(100).unwrap();
        assert!(sort.try_grow(1).is_err());
        assert!(join.try_grow(1).is_err());
        sort.free();
        join.try_grow(100).unwrap();
    }
}
