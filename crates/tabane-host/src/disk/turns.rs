//! One at a time works on the files of a disk.
//!
//! A disk may be known before the VM that it belongs to. It then belongs to nobody for a moment, and is made as such;
//! when the VM comes to be known, its driver wants to make the disk as well.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tabane_model::Uid;
use tokio::sync::OwnedMutexGuard;

/// Held while a disk is made, grown or removed, and until that is reported.
#[derive(Default)]
pub struct Turns(Mutex<HashMap<Uid, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits for whoever works on this disk now.
    pub async fn take(&self, disk: Uid) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().expect("no holder of this lock panics");
            // Nobody works on those that only the map holds.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            turns.entry(disk).or_default().clone()
        };
        turn.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_works_on_a_disk_and_others_on_other_disks() {
        let turns = Arc::new(Turns::default());
        let [one, other] = [Uid::now_v7(), Uid::now_v7()];
        let held = turns.take(one).await;
        let _beside = turns.take(other).await;
        let (waiting, disk) = (turns.clone(), one);
        let mut second = tokio::spawn(async move { drop(waiting.take(disk).await) });
        let early = tokio::time::timeout(std::time::Duration::from_millis(50), &mut second).await;
        assert!(early.is_err(), "two at a time");
        drop(held);
        second.await.unwrap();
        drop(turns.take(one).await);
        assert!(turns.0.lock().unwrap().len() <= 2, "turns that are over are forgotten");
    }
}
