//! What an entry about one hypervisor says of another.

use tabane_model::support::{ANY_HYPERVISOR, Support, SupportStatus, TABANE};

/// An entry, seen from a hypervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnHypervisor {
    pub status: SupportStatus,
    /// The vendor speaks of another hypervisor of the same kind.
    pub by_analogy: bool,
}

/// What the entry says of this hypervisor; `None` if nothing.
pub fn on(entry: &Support, hypervisor: &str) -> Option<OnHypervisor> {
    if entry.hypervisor == hypervisor {
        return Some(OnHypervisor { status: entry.status, by_analogy: false });
    }
    let any = entry.hypervisor == ANY_HYPERVISOR;
    if hypervisor != TABANE {
        return any.then_some(OnHypervisor { status: entry.status, by_analogy: false });
    }
    if !any && !is_kvm(&entry.hypervisor) {
        return None;
    }
    // Code of the same origin below, another product above: what a vendor promises is about the product.
    let status = entry.status.max(SupportStatus::Conditional);
    Some(OnHypervisor { status, by_analogy: !any || status != entry.status })
}

/// `qemu-kvm`, and that of distributions as `rhel-kvm`.
fn is_kvm(hypervisor: &str) -> bool {
    hypervisor == "kvm" || hypervisor.ends_with("-kvm")
}
