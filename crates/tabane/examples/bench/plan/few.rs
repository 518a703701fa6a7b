//! Few servers with licences: how often it is proved that no placement costs less, and how long that takes. Servers are drawn
//! from the VMs of the real traces; half need Windows Server, and a tenth a database that is licensed by the host's cores.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};
use serde_json::{Value, json};
use tabane_core::plan::{self, Request};
use tabane_model::{
    Gaps, Grid, HostType, HostTypes, LicenceNeed, MemoryBasis, Objective, PlanPolicy, PlanProduct,
    ServerPattern, Traces, licence::Catalogue,
};

use super::{WORKERS, rounded};
use crate::Result;

const SIZES: [usize; 5] = [10, 20, 30, 40, 50];
const DRAWS: usize = 6;
const WEEK: usize = 2_016;
const LIMIT: Duration = Duration::from_secs(20);

pub fn figures(traces: &Traces) -> Result<Value> {
    let products = products()?;
    let mut figures = Vec::new();
    for size in SIZES {
        let (mut proved, mut seconds, mut gaps, mut turns) = (0, Vec::new(), Vec::new(), Vec::new());
        for draw in 0..DRAWS {
            let mut order: Vec<usize> = (0..traces.servers.len()).collect();
            order.shuffle(&mut SmallRng::seed_from_u64((size * 100 + draw) as u64));
            let few = of(traces, &order[..size]);
            let policy = policy(&few);
            let hosts = HostTypes {
                host_type: vec![
                    host("small", 16, 41_600, 131_072, 9_000.0),
                    host("large", 32, 83_200, 262_144, 16_500.0),
                ],
            };
            let request =
                Request { hosts: &hosts, policy: &policy, costs: None, products: &products, support: &[] };
            let began = Instant::now();
            let plan =
                plan::make(&few, request, Timestamp::UNIX_EPOCH, WORKERS, &|_, _| began.elapsed() >= LIMIT)?;
            seconds.push(began.elapsed().as_secs_f64());
            let faults = plan::verify(&plan, &few);
            if let Some(fault) = faults.first() {
                return Err(format!("{fault}: this is no plan").into());
            }
            match &plan.lower_bound.exhausted {
                Some(exhausted) => {
                    proved += 1;
                    turns.push(exhausted.turns);
                }
                None => {
                    let licences = plan.licences.as_ref().map_or((0.0, 0.0), |l| (l.after, l.lower_bound));
                    gaps.push(rounded((plan.cost + licences.0) / (plan.lower_bound.cost + licences.1) - 1.0));
                }
            }
        }
        seconds.sort_by(f64::total_cmp);
        figures.push(json!({
            "servers": size,
            "plans": DRAWS,
            "proved_optimal": proved,
            "seconds_median": rounded(seconds[DRAWS / 2]),
            "seconds_max": rounded(seconds[DRAWS - 1]),
            "turns_max": turns.iter().max(),
            "above_the_bound_where_not_proved": gaps,
        }));
    }
    Ok(json!({ "limit_s": LIMIT.as_secs(), "by_servers": figures }))
}

fn products() -> Result<Vec<PlanProduct>> {
    let mut products = Vec::new();
    for file in ["microsoft", "oracle"] {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/licences");
        let text = std::fs::read_to_string(format!("{path}/{file}.toml"))?;
        let catalogue: Catalogue = toml::from_str(&text)?;
        let (vendor, as_of) = (catalogue.vendor, catalogue.as_of);
        products.extend(catalogue.product.into_iter().map(|product| PlanProduct {
            vendor: vendor.clone(),
            as_of,
            product,
        }));
    }
    Ok(products)
}

fn policy(traces: &Traces) -> PlanPolicy {
    let every = |step: usize| -> Vec<ServerPattern> {
        traces.servers.iter().step_by(step).map(|server| ServerPattern(server.name.clone())).collect()
    };
    let need = |product: &str, servers, editions: &[&str]| LicenceNeed {
        product: product.into(),
        servers,
        editions: editions.iter().map(|edition| (*edition).to_owned()).collect(),
    };
    PlanPolicy {
        memory: MemoryBasis::Active,
        gaps: Gaps::Zero,
        objective: Objective::Cost,
        spare_hosts: 0,
        licence: vec![
            need("windows-server", every(2), &["standard", "datacenter"]),
            need("database-ee", every(10), &["processor"]),
        ],
        ..PlanPolicy::default()
    }
}

fn host(name: &str, cores: u32, cpu_mhz: u32, memory_mib: u32, price: f64) -> HostType {
    HostType {
        name: name.into(),
        cpu_cores: cores,
        cpu_mhz,
        memory_mib,
        disk_gib: None,
        disk_kbs: None,
        disk_iops: None,
        net_kbs: None,
        price,
        watts: 0.0,
        count: None,
        sockets: 2,
        domain: None,
        cpu_family: "x86".into(),
        cpu_model: None,
        cpu_index: None,
    }
}

/// A week of these servers.
fn of(traces: &Traces, servers: &[usize]) -> Traces {
    let rows = |rows: &Vec<u32>| {
        let row = |server: &usize| rows[server * traces.grid.bins..][..WEEK].to_vec();
        servers.iter().flat_map(row).collect()
    };
    Traces {
        grid: Grid { bins: WEEK, ..traces.grid },
        servers: servers.iter().map(|server| traces.servers[*server].clone()).collect(),
        series: traces.series.iter().map(|(metric, all)| (*metric, rows(all))).collect(),
        findings: Vec::new(),
    }
}
