//! The codes of problems, for whoever writes programs against the API.
//!
//! Invariant: a code never changes its meaning, and one that was in a release is never taken out.

/// One kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownProblem {
    pub code: &'static str,
    /// HTTP statuses that it comes with; nearly always one.
    pub statuses: &'static [u16],
    pub meaning: &'static str,
}

const fn known(code: &'static str, statuses: &'static [u16], meaning: &'static str) -> KnownProblem {
    KnownProblem { code, statuses, meaning }
}

/// All of them, by status.
pub const CATALOGUE: &[KnownProblem] = &[
    known("bad_request", &[400], "The request is no proper HTTP for this path."),
    known(
        "invalid_body",
        &[400],
        "The body is not of the form that is expected: a field is unknown, or of another type.",
    ),
    known("invalid_object", &[400], "Fields of the object are refused; `faults` lists all of them."),
    known("invalid_query", &[400], "A parameter is unknown or not of the form that is expected."),
    known(
        "package_refused",
        &[400],
        "The package cannot be imported; the detail says what is wrong with it.",
    ),
    known("unauthenticated", &[401], "No valid token came with the request."),
    known("denied", &[403], "The token's role may not do this."),
    known("foreign_origin", &[403], "A session's cookie came from a page of another server."),
    known("no_such_path", &[404], "The API has no such path."),
    known("not_found", &[404], "There is no object of this kind and name."),
    known("method_not_allowed", &[405], "The path does not know this method."),
    known("being_deleted", &[409], "The object is being deleted and cannot be changed any more."),
    known("cannot_go_on", &[409], "Copies of the VM cannot go on where its memory stands."),
    known("collection_ended", &[409], "The collection has ended; no further collector takes it up."),
    known("export_broke_off", &[409], "The host has not sent the whole file."),
    known("gates_not_passed", &[409], "The wave's gates have not passed, or say that it must not go on."),
    known("guest_agent", &[409], "The guest agent refused."),
    known("hardware_differs", &[409], "The VM has other hardware than a saved memory fits to."),
    known("host_name_taken", &[409], "Another agent has joined with this name."),
    known("hosts_join", &[409], "Hosts are not created: their agents join."),
    known("image_not_ready", &[409], "The image is not ready, so its content cannot be had."),
    known("in_use", &[409], "Something else refers to the object."),
    known("name_taken", &[409], "An object of this kind has the name."),
    known("network_full", &[409], "The network has no free address."),
    known("no_host", &[409], "No host is connected that could do it."),
    known("no_room", &[409], "The host of the VM has not enough memory left."),
    known("not_placed", &[409], "The VM has no host yet."),
    known("not_uploading", &[409], "The image or survey does not wait for an upload."),
    known("other_collector", &[409], "Another collector is at the collection."),
    known("other_survey", &[409], "The plans are of different surveys."),
    known("plan_not_ready", &[409], "The plan is not ready, so there is no document of it."),
    known("snapshot_not_ready", &[409], "The snapshot is not taken yet, failed, or is being deleted."),
    known("stream_refused", &[409], "The host cannot serve the byte stream."),
    known(
        "taken",
        &[409],
        "Another change took the same address or name at the same moment; the same request may well succeed.",
    ),
    known("ticket_expired", &[409], "The ticket was used, is for another VM, or is too old."),
    known("too_many_snapshots", &[409], "The VM has as many snapshots as it can have."),
    known("too_many_tickets", &[409], "Too many tickets wait to be used."),
    known(
        "unfit",
        &[409],
        "The host lacks something, or the VM's state does not allow it; the detail says what.",
    ),
    known("upgrade_required", &[409, 426], "The path is a byte stream or a websocket."),
    known("upload_broke_off", &[409], "A part of an upload has not arrived as a whole; what has stays."),
    known("wait_failed", &[409], "What was waited for will not come; the object's conditions say why."),
    known("wave_state", &[409], "The wave is in a state that this does not follow."),
    known("wave_turn", &[409], "Another wave of the plan comes first, or was stopped."),
    known("resume_too_old", &[410], "The watch cannot go on from there."),
    known("changed", &[412], "The object has changed since it was read."),
    known("payload_too_large", &[413], "The body is too large."),
    known("idempotency_mismatch", &[422], "The idempotency key came with another request before."),
    known(
        "too_many_sign_ins",
        &[429],
        "Sign-ins from this address failed too often; the hint says how long to wait.",
    ),
    known("internal", &[500], "A fault of the server; its log says more."),
    known("no_fault", &[500], "A fault of the server: an object was refused without a reason."),
    known("exec_timed_out", &[503], "The command in the guest has not ended in time; it goes on."),
    known("host_away", &[503], "The host is not connected."),
    known("host_failed", &[503], "Something failed on the host; the detail says what."),
    known("host_silent", &[503], "The host did not answer in time."),
    known("not_yet", &[503], "The host waits for something that will come."),
    known("store_full", &[503], "The server's data folder is full; nothing was changed."),
    known("wait_timed_out", &[504], "What was waited for has not come in time; the work goes on."),
];

/// The catalogue's entry of a code.
pub fn known_problem(code: &str) -> Option<&'static KnownProblem> {
    CATALOGUE.iter().find(|known| known.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set it to write the document anew.
    const REFRESH: &str = "TABANE_UPDATE_DOCS";

    fn document() -> String {
        let mut text = String::from(
            "# Problems\n\nWhat the API refuses, it answers with `application/problem+json` (RFC 9457). Programs go by \
             `code`, which is stable;\npeople read `detail` and `hint`. `field` names what is wrong, `faults` lists all \
             that is.\n\n| status | code | meaning |\n|---|---|---|\n",
        );
        for KnownProblem { code, statuses, meaning } in CATALOGUE {
            let statuses: Vec<String> = statuses.iter().map(u16::to_string).collect();
            text.push_str(&format!("| {} | `{code}` | {meaning} |\n", statuses.join(", ")));
        }
        text
    }

    #[test]
    fn the_document_is_up_to_date() {
        let path = std::env::var("CARGO_MANIFEST_DIR").unwrap() + "/../../docs/reference/problems.md";
        if std::env::var_os(REFRESH).is_some() {
            std::fs::write(&path, document()).unwrap();
        }
        let told = format!("{REFRESH}=1 cargo nextest run -p tabane-model the_document_is_up_to_date");
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), document(), "run: {told}");
    }

    #[test]
    fn codes_are_there_once_in_order_and_for_machines() {
        let order: Vec<_> = CATALOGUE.iter().map(|known| (known.statuses[0], known.code)).collect();
        assert!(order.is_sorted_by(|a, b| a < b), "{order:?}");
        for known in CATALOGUE {
            assert!(known.code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{known:?}");
            assert!(known.statuses.iter().all(|status| (400..600).contains(status)), "{known:?}");
            assert_eq!(CATALOGUE.iter().filter(|other| other.code == known.code).count(), 1, "{known:?}");
        }
    }
}
