//! What is known of hosts, VMs and the site when licences are counted.

use std::iter::Sum;

/// A host whose sockets all hold the same CPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// That are occupied.
    pub sockets: u32,
    /// That there are, with those that are empty.
    pub slots: u32,
    /// Physical, all sockets together.
    pub cores: u32,
    /// As catalogues name it: `x86`.
    pub family: String,
}

impl Host {
    /// With all sockets occupied.
    pub fn new(sockets: u32, cores: u32, family: &str) -> Self {
        Self { sockets, slots: sockets, cores, family: family.into() }
    }
}

/// A VM that needs the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vm {
    pub vcpus: u32,
    /// Physical cores that it is bound to in a way that the vendor accepts as a hard partition. That CPUs are pinned is
    /// not enough: the vendor has a list of what does it.
    pub hard_partition: Option<u32>,
}

impl Vm {
    pub fn new(vcpus: u32) -> Self {
        Self { vcpus, hard_partition: None }
    }
}

/// What is around a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pool {
    /// VMs elsewhere that need the product may move to this host. A policy that claims where software could run counts
    /// the host for it, with and without VMs of its own; so a pool's hosts can be counted one by one and added up.
    pub may_arrive: bool,
}

/// Those who use a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Site {
    pub users: u64,
}

/// Whose count is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Position {
    Contract,
    Policy,
}

/// What VMs have together, as far as counting by cores goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Crowd {
    pub vms: u64,
    pub vcpus: u64,
    /// VMs without a hard partition.
    pub loose: u64,
    /// Of hard partitions. Those that share cores count them twice; the host's number is the most.
    pub bound_cores: u64,
}

impl<'a> Sum<&'a Vm> for Crowd {
    fn sum<I: Iterator<Item = &'a Vm>>(vms: I) -> Self {
        vms.fold(Self::default(), |crowd, vm| Self {
            vms: crowd.vms + 1,
            vcpus: crowd.vcpus + u64::from(vm.vcpus),
            loose: crowd.loose + u64::from(vm.hard_partition.is_none()),
            bound_cores: crowd.bound_cores + u64::from(vm.hard_partition.unwrap_or(0)),
        })
    }
}
