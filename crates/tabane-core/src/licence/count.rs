//! Counts the licences that one host and its VMs need of one edition.

use tabane_model::licence::{CoreFactor, Cover, Edition, Metric, PvuRate};

use super::{CountError, Host, Pool, Position, Site, Vm, facts::Crowd};

/// In units of the metric: cores, PVU, users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// What the words of the contract count.
    pub contract: u64,
    /// What the vendor's partitioning policy claims; the same where there is none.
    pub policy: u64,
}

impl Counts {
    pub fn of(&self, position: Position) -> u64 {
        match position {
            Position::Contract => self.contract,
            Position::Policy => self.policy,
        }
    }

    fn both(count: u64) -> Self {
        Self { contract: count, policy: count }
    }
}

/// The licences that a host and its VMs need. Metrics of a whole site count nothing here: see [`beyond_hosts`].
pub fn count(edition: &Edition, host: &Host, vms: &[Vm], pool: Pool) -> Result<Counts, CountError> {
    in_lots(edition, host, vms, pool, 1)
}

/// The packs that have to be bought for it. What is counted of each VM is rounded up for each VM, what is counted of a
/// host for the host.
pub fn packs(edition: &Edition, host: &Host, vms: &[Vm], pool: Pool) -> Result<Counts, CountError> {
    in_lots(edition, host, vms, pool, u64::from(edition.pack.max(1)))
}

/// The licences of a site that those of its hosts, added up, do not have yet.
pub fn beyond_hosts(metric: &Metric, site: Site, hosts: u64) -> u64 {
    match metric {
        Metric::NamedUsers { .. } => site.users.saturating_sub(hosts),
        Metric::Users => site.users,
        Metric::Site => 1,
        _ => 0,
    }
}

fn in_lots(edition: &Edition, host: &Host, vms: &[Vm], pool: Pool, lot: u64) -> Result<Counts, CountError> {
    let crowd: Crowd = vms.iter().sum();
    let licences = match whole(&edition.metric, host)? {
        Whole::Cores { set, covers, each_host } => Counts::both(covered(set, covers, crowd.vms, each_host)?),
        Whole::Claimed { set, covers, each_host, claims_pool } => {
            let contract = covered(set, covers, crowd.vms, each_host)?;
            let claimed = if claims_pool && pool.may_arrive { set } else { 0 };
            Counts { contract, policy: contract.max(claimed) }
        }
        Whole::Factor { thousandths } => by_factor(host, &crowd, pool, thousandths),
        Whole::Capped { units } => Counts::both(crowd.vcpus.min(u64::from(host.cores)) * units),
        Whole::Full { units } => Counts::both(if crowd.vms > 0 { u64::from(host.cores) * units } else { 0 }),
        Whole::EachVm { cores_min } => {
            let of = |vm: &Vm| u64::from(vm.vcpus.max(cores_min)).div_ceil(lot);
            return Ok(Counts::both(vms.iter().map(of).sum()));
        }
        Whole::VmsPerLicence(vms) => Counts::both(crowd.vms.div_ceil(vms)),
        Whole::Minimum { users } => Counts {
            contract: if crowd.vms > 0 { users } else { 0 },
            policy: if crowd.vms > 0 || pool.may_arrive { users } else { 0 },
        },
        Whole::Nothing => Counts::default(),
    };
    Ok(Counts { contract: licences.contract.div_ceil(lot), policy: licences.policy.div_ceil(lot) })
}

/// A metric with what it makes of a host, whatever its VMs: all that a search need not ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whole {
    Cores {
        set: u64,
        covers: Cover,
        each_host: bool,
    },
    Claimed {
        set: u64,
        covers: Cover,
        each_host: bool,
        claims_pool: bool,
    },
    Factor {
        thousandths: u64,
    },
    Capped {
        units: u64,
    },
    Full {
        units: u64,
    },
    EachVm {
        cores_min: u32,
    },
    VmsPerLicence(u64),
    Minimum {
        users: u64,
    },
    /// It is of the whole site.
    Nothing,
}

pub(super) fn whole(metric: &Metric, host: &Host) -> Result<Whole, CountError> {
    if host.sockets == 0 || host.cores < host.sockets || host.slots < host.sockets {
        return Err(CountError::Host { sockets: host.sockets, cores: host.cores });
    }
    Ok(match metric {
        Metric::HostCores { cores_per_socket_min, cores_per_host_min, covers, each_host } => {
            // Cores are spread evenly over sockets, so that all sockets are above the minimum or all below.
            let by_sockets = u64::from(host.sockets) * u64::from(*cores_per_socket_min);
            let set = u64::from(host.cores.max(*cores_per_host_min)).max(by_sockets);
            Whole::Cores { set, covers: *covers, each_host: *each_host }
        }
        Metric::CoreFactor { factors } => Whole::Factor { thousandths: factor(factors, host)? },
        Metric::VmCores { cores_per_vm_min } => Whole::EachVm { cores_min: *cores_per_vm_min },
        Metric::Pvu { rates, sub_capacity } => of_cores(rate(rates, host)?, *sub_capacity),
        Metric::Vpc { sub_capacity } => of_cores(1, *sub_capacity),
        Metric::HostSockets { sockets_per_licence, sockets_max, covers, each_host, claims_pool } => {
            if let Some(most) = sockets_max.filter(|most| host.slots > *most) {
                return Err(CountError::Sockets { most, sockets: host.slots });
            }
            let set = u64::from(host.sockets.div_ceil((*sockets_per_licence).max(1)));
            Whole::Claimed { set, covers: *covers, each_host: *each_host, claims_pool: *claims_pool }
        }
        Metric::Vms { vms_per_licence } => Whole::VmsPerLicence(u64::from((*vms_per_licence).max(1))),
        Metric::NamedUsers { users_per_processor_min, factors, users_per_host_min } => {
            let mut users = u64::from(*users_per_host_min);
            if *users_per_processor_min > 0 {
                let processors = processors(u64::from(host.cores), factor(factors, host)?);
                users = users.max(processors * u64::from(*users_per_processor_min));
            }
            Whole::Minimum { users }
        }
        Metric::Users | Metric::Site => Whole::Nothing,
    })
}

fn of_cores(units: u64, sub_capacity: bool) -> Whole {
    if sub_capacity { Whole::Capped { units } } else { Whole::Full { units } }
}

/// Licences of a host in sets, each of which covers some VMs.
fn covered(set: u64, covers: Cover, vms: u64, each_host: bool) -> Result<u64, CountError> {
    if vms == 0 {
        return Ok(if each_host { set } else { 0 });
    }
    match covers {
        Cover::All => Ok(set),
        Cover::Vms(each) => set.checked_mul(vms.div_ceil(u64::from(each.max(1)))).ok_or(CountError::Overflow),
        Cover::OnePerLicence => Ok(set.max(vms)),
    }
}

/// The contract counts all processors of a host on which the software is; the policy those where it could be, and as an
/// exception from the contract only the cores of hard partitions, where every VM is in one.
fn by_factor(host: &Host, crowd: &Crowd, pool: Pool, thousandths: u64) -> Counts {
    let cores = u64::from(host.cores);
    let all = processors(cores, thousandths);
    let contract = if crowd.vms > 0 { all } else { 0 };
    let policy = if pool.may_arrive || crowd.loose > 0 {
        all
    } else {
        processors(crowd.bound_cores.min(cores), thousandths)
    };
    Counts { contract, policy }
}

pub(super) fn processors(cores: u64, thousandths: u64) -> u64 {
    (cores * thousandths).div_ceil(1000)
}

fn factor(factors: &[CoreFactor], host: &Host) -> Result<u64, CountError> {
    let found = factors.iter().find(|factor| factor.family == host.family);
    found.map(|factor| u64::from(factor.thousandths)).ok_or_else(|| unknown(host))
}

fn rate(rates: &[PvuRate], host: &Host) -> Result<u64, CountError> {
    let fits = |rate: &&PvuRate| {
        rate.family == host.family && rate.sockets_max.is_none_or(|most| host.slots <= most)
    };
    rates.iter().find(fits).map(|rate| u64::from(rate.pvu_per_core)).ok_or_else(|| unknown(host))
}

fn unknown(host: &Host) -> CountError {
    CountError::Family { family: host.family.clone(), sockets: host.slots }
}
