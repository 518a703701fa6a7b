//! vCPUs.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::qmp::Qmp;
use crate::{Error, Result};

#[derive(Debug, Deserialize)]
struct Place {
    #[serde(rename = "type")]
    driver: String,
    /// Where it is in the topology: what `device_add` wants to hear.
    props: Map<String, Value>,
    /// There only if the place is taken.
    #[serde(rename = "qom-path")]
    taken_by: Option<String>,
    #[serde(rename = "vcpus-count", default)]
    cpus: u32,
}

impl Place {
    fn order(&self) -> (u64, u64, u64) {
        let part = |key: &str| self.props.get(key).and_then(Value::as_u64).unwrap_or(0);
        (part("socket-id"), part("core-id"), part("thread-id"))
    }
}

/// How many vCPUs are plugged in.
pub async fn cpu_count(qmp: &Qmp) -> Result<u32> {
    Ok(count(&places(qmp).await?))
}

/// Plugs vCPUs in until there are `cpus`; never takes any away, since guests take that badly. Returns how many there
/// are. The guest may have to take them on line: see [`Agent::set_vcpus`](crate::agent::Agent::set_vcpus).
///
/// The lowest places are taken first, so that a restart with that number of vCPUs is the same machine.
///
/// Errors: [`Error::Exhausted`] if the machine cannot have so many.
pub async fn ensure_cpus(qmp: &Qmp, cpus: u32) -> Result<u32> {
    let mut places = places(qmp).await?;
    let mut present = count(&places);
    places.sort_by_key(Place::order);
    if places.iter().map(|place| place.cpus).sum::<u32>() < cpus {
        let hint = format!("the machine's limit is lower than {cpus}; raise it and restart the machine");
        return Err(Error::Exhausted { what: "place for a vCPU", hint });
    }
    for place in places.into_iter().filter(|place| place.taken_by.is_none()) {
        if present >= cpus {
            break;
        }
        let (socket, core, thread) = place.order();
        let mut device = place.props;
        device.insert("driver".into(), place.driver.into());
        device.insert("id".into(), format!("cpu-{socket}-{core}-{thread}").into());
        qmp.run("device_add", Value::Object(device)).await?;
        present += place.cpus;
    }
    Ok(present)
}

async fn places(qmp: &Qmp) -> Result<Vec<Place>> {
    qmp.execute("query-hotpluggable-cpus", Value::Null).await
}

fn count(places: &[Place]) -> u32 {
    places.iter().filter(|place| place.taken_by.is_some()).map(|place| place.cpus).sum()
}
