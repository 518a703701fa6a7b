//! What only a QEMU knows of its VM: disks, and what the guest says of its memory.
//!
//! Invariant: nobody waits for a QEMU. One that has not answered in time is a gap; it is asked again when it has
//! answered, so that questions never pile up before one that stands still.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tabane_qemu::qmp::Qmp;

use super::proc::Traffic;

/// How long a round waits.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a question may be under way before it is given up; then another may be asked.
const GIVE_UP_AFTER: Duration = Duration::from_secs(600);
const BALLOON: &str = "/machine/peripheral/balloon";
/// What the guest said of its memory is believed for this long.
const SAID_S_MAX: i64 = 60;

#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Read (in) and written (out).
    pub disks: Option<Traffic>,
    pub memory_used_bytes: Option<u64>,
}

/// One VM's line of questions.
#[derive(Default)]
pub struct Questions {
    under_way: Arc<AtomicBool>,
    /// The connection that was asked to have the guest tell of its memory regularly.
    polls: Arc<AtomicBool>,
}

impl Questions {
    /// Asks, and waits a moment for the answer.
    pub async fn ask(&self, qmp: Qmp, polls_s: i64) -> Told {
        if self.under_way.swap(true, Ordering::AcqRel) {
            return Told::default();
        }
        let (under_way, polls) = (self.under_way.clone(), self.polls.clone());
        let work = tokio::spawn(async move {
            let asked = tokio::time::timeout(GIVE_UP_AFTER, answers(&qmp, &polls, polls_s)).await;
            under_way.store(false, Ordering::Release);
            asked.unwrap_or_default()
        });
        match tokio::time::timeout(ANSWER_TIMEOUT, work).await {
            Ok(Ok(told)) => told,
            _ => Told::default(),
        }
    }
}

async fn answers(qmp: &Qmp, polls: &AtomicBool, polls_s: i64) -> Told {
    let disks = qmp.execute_with_timeout::<Vec<tabane_qemu::qmp::BlockStatsEntry>>(
        "query-blockstats",
        Value::Null,
        GIVE_UP_AFTER,
    );
    let disks = disks.await.ok().map(|entries| {
        // Media and firmware variables count too, seldom and little; nodes without a device are parts of others.
        let devices = entries.iter().filter(|e| e.qdev.as_deref().is_some_and(|q| !q.is_empty()));
        devices.fold(Traffic::default(), |sum, entry| {
            sum.add(Traffic {
                in_bytes: entry.stats.read_bytes,
                in_operations: entry.stats.reads,
                out_bytes: entry.stats.written_bytes,
                out_operations: entry.stats.writes,
            })
        })
    });
    if !polls.swap(true, Ordering::AcqRel) {
        let set = json!({ "path": BALLOON, "property": "guest-stats-polling-interval", "value": polls_s });
        let set = qmp.execute_with_timeout::<Value>("qom-set", set, GIVE_UP_AFTER).await;
        if set.is_err() {
            polls.store(false, Ordering::Release);
        }
    }
    let get = json!({ "path": BALLOON, "property": "guest-stats" });
    let said = qmp.execute_with_timeout::<Value>("qom-get", get, GIVE_UP_AFTER).await.unwrap_or_default();
    Told { disks, memory_used_bytes: memory_used(&said, jiff::Timestamp::now().as_second()) }
}

/// From the balloon's statistics (virtio 1.2, 5.5.6.3): a guest's word, so believed only as far as it makes sense.
fn memory_used(said: &Value, now_s: i64) -> Option<u64> {
    let at = said["last-update"].as_i64()?;
    let number = |key: &str| said["stats"][key].as_u64().filter(|v| *v < 1 << 48);
    let (total, available) = (number("stat-total-memory")?, number("stat-available-memory")?);
    let fresh = at > 0 && now_s.saturating_sub(at) <= SAID_S_MAX;
    total.checked_sub(available).filter(|_| fresh && total > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guests_word_is_believed_while_it_makes_sense() {
        let said = |at: i64, total: u64, available: u64| json!({ "last-update": at, "stats": { "stat-total-memory": total, "stat-available-memory": available } });
        assert_eq!(memory_used(&said(100, 1000, 400), 110), Some(600));
        assert_eq!(memory_used(&said(100, 1000, 400), 200), None, "old");
        assert_eq!(memory_used(&said(0, 0, 0), 10), None, "never said");
        assert_eq!(memory_used(&said(100, 400, 1000), 110), None);
        // A statistic that the guest does not have is all ones.
        assert_eq!(memory_used(&said(100, u64::MAX, u64::MAX), 110), None);
        assert_eq!(memory_used(&Value::Null, 110), None);
    }
}
