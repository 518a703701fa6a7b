//! Forms of the API beside the objects themselves. Client, server and host agent share them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{EventSpec, HostStatus, Kind, Name, Sample, Token, Uid, resource::words};

/// A page of a list, in order of names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct List<T> {
    pub items: Vec<T>,
    /// Pass it as `cursor` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The store's revision that this page shows: a watch resumes from here without missing anything.
    pub revision: u64,
}

/// What a watch says. On the wire each is one server-sent event whose `id` is the resume point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum Change {
    /// The object's present state.
    Put { kind: Kind, revision: u64, object: serde_json::Value },
    /// The object is gone, or none of the watcher's business any more.
    Gone { kind: Kind, revision: u64, name: Name },
    /// Everything up to this revision has been said.
    Synced { revision: u64 },
}

/// A host's batched report: states, not changes, so that a lost or doubled report does no harm.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostReport {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostStatus>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<StatusReport>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventSpec>,
    /// In order of time for each VM; one that was sent before does no harm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
}

/// One object's status as its host sees it. For images, pools and networks it may be the host's own part only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatusReport {
    pub kind: Kind,
    pub name: Name,
    #[schema(value_type = String)]
    pub uid: Uid,
    pub status: serde_json::Value,
}

/// Asks to become a host of this server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    pub name: Name,
    /// Identity of the agent's data folder: joining twice with the same one is the same host.
    #[schema(value_type = String)]
    pub agent: Uid,
}

#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JoinAnswer {
    pub name: Name,
    /// The host's own token, shown once.
    pub token: String,
}

/// A token just made. The secret is not kept by the server and cannot be shown again.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewToken {
    pub token: Token,
    pub secret: String,
}

/// A session of the web console.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// The name of the token that it was opened with.
    pub principal: String,
    pub role: crate::Role,
    /// Absent for who came with a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub expires_at: Option<jiff::Timestamp>,
}

/// How far an upload is after a part of it was sent as a request's body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UploadAnswer {
    /// Where the next part begins.
    pub received_bytes: u64,
    /// Everything is on the host's disk.
    pub complete: bool,
}

/// What a byte stream between a client and a host is for; the server passes it on without looking into it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamKind {
    /// The serial console: raw bytes both ways, beginning with the last part of what was said before.
    Console { vm: Name },
    /// RFB bytes of the VM's display.
    Vnc { vm: Name },
    /// A picture of the display as PNG; the host closes the stream after it.
    Screenshot { vm: Name },
    /// A command in the guest; see [`ExecFrame`].
    Exec { vm: Name, exec: ExecRequest },
    /// Content of an image for an upload that goes on at `offset_bytes`.
    Upload { image: Name, offset_bytes: u64 },
    /// An image's files as a framed archive, for a host that copies it.
    ImageFiles { digest: String },
    /// A part of a VM that moves, from the host that let go of it.
    Leaving { vm: Name, leaving: LeavingPart },
    /// A snapshot as a file for other systems; see [`export_frame`].
    Export { snapshot: Name, export: ExportRequest },
    /// What would become of a package: a [`crate::PackageOrder`] as JSON, then its end; back comes a
    /// [`crate::PackageAnswer`].
    PlanPackage,
}

words!(
    /// Forms in which a VM leaves for other systems.
    ExportFormat {
        /// The whole VM in one file: OVF descriptor, streamOptimized VMDK disks and a manifest.
        #[default]
        Ova = "ova",
        Qcow2 = "qcow2",
        Vhdx = "vhdx",
        Vmdk = "vmdk",
        Raw = "raw",
    }
);

/// Asks for a snapshot as a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportRequest {
    #[serde(default)]
    pub format: ExportFormat,
    /// Which disk, by its name inside the VM, for the formats that hold one; the first unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Name>,
    /// OVF 2.0 in place of 1.1, which more systems read.
    #[serde(default)]
    pub ovf2: bool,
    /// Made up by who asks for a plain download: by it he is told at `/v1/exports/ID` how far that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub watch: Option<Uid>,
}

words!(ExportPhase {
    /// Nobody has asked for it yet.
    #[default]
    Waiting = "waiting",
    /// The host makes the file.
    Making = "making",
    Sending = "sending",
    Done = "done",
    Failed = "failed",
});

/// How far a plain download of an export is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExportState {
    pub phase: ExportPhase,
    /// Of making it, from 0 to 1.
    pub fraction: f32,
    pub sent_bytes: u64,
    /// Known when it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<crate::Problem>,
}

/// Frames of an export: one byte for what it is, the payload's length as `u32`, big endian, and the payload.
pub mod export_frame {
    /// How far making the file is, from 0 to 1, as an `f32`, big endian.
    pub const PROGRESS: u8 = 0;
    /// Before the first data: the length of the file as `u64`, big endian.
    pub const LENGTH: u8 = 1;
    pub const DATA: u8 = 2;
    /// The last frame: BLAKE3 of the file.
    pub const DIGEST: u8 = 3;
    /// The last frame instead: a [`crate::Problem`] as JSON.
    pub const PROBLEM: u8 = 4;
    pub const LENGTH_MAX: usize = 1 << 20;
}

/// Asks for a part of a VM that moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LeavingPart {
    /// Of the move.
    #[schema(value_type = String)]
    pub id: Uid,
    pub part: Part,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// What was chosen at its first start, firmware variables, TPM.
    State,
    /// What a linked clone stands on.
    Image { digest: String },
    /// A disk's file from a byte on, and its digest at the end.
    Disk { disk: Name, offset_bytes: u64 },
}

/// Asks for copies of a VM. They are made from one snapshot, and differ in name, MACs and addresses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloneRequest {
    /// Names of the new VMs, 100 at most.
    pub names: Vec<Name>,
    /// `full` copies all data; a linked clone stands on the snapshot, which stays for as long as it does.
    #[serde(default)]
    pub clone: crate::CloneMode,
    /// A snapshot of the VM; one is taken unless it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Name>,
    /// They go on where the memory of the VM, or of the snapshot, stands, in place of booting.
    #[serde(default)]
    pub instant: bool,
    /// Whether the guest agent makes the copies machines of their own.
    #[serde(default)]
    pub identity: crate::Identity,
    /// Switch them on.
    #[serde(default)]
    pub start: bool,
}

/// Asks for a VM to be as a snapshot of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevertRequest {
    pub snapshot: Name,
    /// Start from the disks alone, although the snapshot has the memory.
    #[serde(default)]
    pub disks_only: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecRequest {
    /// Program and arguments; no shell in between.
    pub command: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<String>,
    /// Whether the client sends standard input before the command starts.
    #[serde(default)]
    pub stdin: bool,
    #[serde(default)]
    pub timeout_s: Option<u32>,
}

/// The server asks a host to dial back for a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StreamOrder {
    #[schema(value_type = String)]
    pub id: Uid,
    pub stream: StreamKind,
}

/// Frames of exec streams: one byte of channel, four bytes of length (big endian), then the bytes.
pub mod exec_frame {
    pub const STDIN: u8 = 0;
    pub const STDOUT: u8 = 1;
    pub const STDERR: u8 = 2;
    /// The last frame: exit code as `i32`, big endian; a signal is 128 plus its number.
    pub const EXIT: u8 = 3;
    /// The last frame instead: a [`crate::Problem`] as JSON.
    pub const PROBLEM: u8 = 4;
    pub const LENGTH_MAX: usize = 1 << 20;
}

/// One record of the audit log; `hash` is over everything else, so each record vouches for all before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditRecord {
    pub sequence: u64,
    #[schema(value_type = String)]
    pub at: jiff::Timestamp,
    /// Who: a token's name, `root` on the local socket, or the server itself.
    pub principal: String,
    pub from: String,
    pub verb: String,
    pub kind: Kind,
    pub name: String,
    pub revision: u64,
    /// BLAKE3 of the object as it was written; empty when deleted.
    pub digest: String,
    pub previous: String,
    pub hash: String,
}
