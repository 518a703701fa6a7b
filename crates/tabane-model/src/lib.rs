//! The nouns of Tabane: what users ask for (spec), what hosts report (status), and the words of the API.
//!
//! Everyone reads this crate, so it does no IO, knows no clock and needs no runtime. Every object has the same
//! form, `{meta, spec, status}`, and every field has one writer: users write the spec through the API, the
//! placement controller writes `spec.host`, hosts write the status.

pub mod api;
mod catalogue;
mod clone;
mod condition;
mod devices;
mod disk;
mod event;
mod flavor;
mod generalise;
mod host;
mod image;
pub mod licence;
mod mac;
mod meta;
mod metrics;
mod moving;
mod name;
mod network;
mod package;
mod pci;
mod plan;
pub mod planning;
mod pool;
mod problem;
mod quantity;
mod resource;
mod selector;
mod snapshot;
pub mod support;
mod token;
mod trace;
mod validate;
mod vm;

pub use catalogue::{CATALOGUE, KnownProblem, known_problem};
pub use clone::{CloneOf, Identity};
pub use condition::{Condition, Progress, set_condition};
pub use devices::{
    BootDevice, CDROMS_MAX, CdDrive, CdDriveStatus, DiskBus, DiskLimits, NicLimits, NicModel, SATA_MAX,
};
pub use disk::{CloneMode, Disk, DiskPhase, DiskSpec, DiskStatus, SnapshotSource};
pub use event::{Event, EventLevel, EventSpec, EventStatus, Reference};
pub use flavor::{Flavor, FlavorSpec, FlavorStatus};
pub use generalise::{Generalise, GeneraliseStep, Generalised};
pub use host::{AccelVerdict, Host, HostPhase, HostSpec, HostStatus, PoolUse};
pub use image::{
    Image, ImageCopy, ImageDefaults, ImageFormat, ImagePhase, ImageSource, ImageSpec, ImageStatus,
};
pub use mac::Mac;
pub use meta::{Meta, Uid};
pub use metrics::{Metrics, SAMPLE_STEP_S, SAMPLES_MAX, Sample, Series, Statistic, Usage, UsageList};
pub use moving::{Arrival, Move};
pub use name::{NAME_LENGTH_MAX, Name, NameError};
pub use network::{DEFAULT_NETWORK, Network, NetworkKind, NetworkOnHost, NetworkSpec, NetworkStatus};
pub use package::{
    DigestAlgorithm, IMPORTED_FROM, NetworkChoice, PackageAnswer, PackageBus, PackageChoices,
    PackageConfiguration, PackageContent, PackageDigest, PackageDisk, PackageFile, PackageNic, PackageNote,
    PackageOrder, PackagePlan, PackageRequest, package_bounds,
};
pub use pci::{PCI_MAX, PciDevice, PciPassthrough, is_pci_address};
pub use plan::{
    Across, AfterCosts, Assumptions, BeforeCosts, Blackout, BlackoutError, ClashHosts, Comparison, Costs,
    CpuIndex, CpuModel, CpuRating, CpuTable, DataQuality, DayOfWeek, Dependency, Exhaustion, Failover, Gaps,
    Gate, GateKind, Growth, HostLicences, HostType, HostTypes, JudgedGate, KeepApart, KeepTogether, Lack,
    LicenceNeed, LicencePacks, LicencePosition, LowerBound, MemoryBasis, MigrationCosts, MoveWindow,
    Objective, Overhead, PLAN_VERSION, Phases, Pin, Plan, PlanCurve, PlanLicences, PlanNote, PlanPolicy,
    PlanProduct, PlanResource, PlannedHost, ProductLicences, Proof, Rates, Reserve, Review, ReviewedHost,
    ReviewedPeak, ServerPattern, Takeover, Tco, TcoItem, TcoPosition, TcoYear, ThinTrace, UnplacedCause,
    UnplacedServer, Verdict, Wave, WaveKind, WaveWindow, plan_schema,
};
pub use planning::Survey;
pub use pool::{Pool, PoolKind, PoolOnHost, PoolSpec, PoolStatus};
pub use problem::{Class, Fault, Problem};
pub use quantity::{Bytes, QuantityError, format_bytes, parse_bytes};
pub use resource::{Kind, Resource};
pub use selector::{FieldSelector, LabelSelector, SelectorError};
pub use snapshot::{
    Consistency, Hardware, Quiesce, Revert, SNAPSHOTS_MAX, Snapshot, SnapshotDisk, SnapshotPhase,
    SnapshotSpec, SnapshotStatus,
};
pub use token::{Role, Token, TokenSpec, TokenStatus};
pub use trace::{Finding, Grid, Metric, NO_SAMPLE, Source, Traces};
pub use validate::Faults;
pub use vm::{
    Accel, FileSystem, Firmware, Forward, Guest, Init, Nic, NicStatus, OnCrash, Pinned, Placement, Power,
    Protocol, Shutdown, Vm, VmDisk, VmDiskStatus, VmPhase, VmSpec, VmStatus,
};
