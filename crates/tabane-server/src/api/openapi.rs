//! The API's description in OpenAPI 3.1. Paths of objects follow one pattern, so they are generated from the list of
//! kinds; the schemas come from the model's own types.

use tabane_model::{Kind, api};
use utoipa::{
    OpenApi, PartialSchema,
    openapi::{
        Content, HttpMethod, Info, InfoBuilder, PathItem, Ref, Required, ResponseBuilder,
        path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathsBuilder},
        request_body::RequestBodyBuilder,
        schema::{ArrayBuilder, ObjectBuilder, Schema, Type},
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};

#[derive(OpenApi)]
#[openapi(components(schemas(
    tabane_model::Vm,
    tabane_model::Image,
    tabane_model::Disk,
    tabane_model::Pool,
    tabane_model::Flavor,
    tabane_model::Network,
    tabane_model::Host,
    tabane_model::Event,
    tabane_model::Token,
    tabane_model::Snapshot,
    tabane_model::Survey,
    tabane_model::planning::Plan,
    tabane_model::planning::Wave,
    tabane_model::planning::Collection,
    tabane_model::planning::CollectionReport,
    tabane_model::planning::CollectionWishes,
    tabane_model::Plan,
    tabane_model::planning::TrialRequest,
    tabane_model::planning::Trial,
    tabane_model::planning::PlanComparison,
    tabane_model::Problem,
    api::Change,
    api::ExecRequest,
    api::ExportRequest,
    api::ExportState,
    api::HostReport,
    api::JoinRequest,
    api::JoinAnswer,
    api::NewToken,
    api::Session,
    api::UploadAnswer,
    api::CloneRequest,
    api::RevertRequest,
    api::AuditRecord,
    tabane_model::PackageRequest,
    tabane_model::PackagePlan,
    tabane_model::Metrics,
    tabane_model::UsageList,
    tabane_model::Series,
    tabane_model::Statistic,
)))]
struct Schemas;

/// The whole description.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Schemas::openapi();
    document.info = info();
    let mut paths = PathsBuilder::new();
    for kind in Kind::ALL {
        let name = schema_name(kind);
        paths = paths.path(format!("/v1/{}", kind.plural()), collection(kind, name));
        paths = paths.path(format!("/v1/{}/{{name}}", kind.plural()), member(kind, name));
    }
    for (path, method, id, summary) in ACTIONS {
        let operation = OperationBuilder::new()
            .operation_id(Some(*id))
            .summary(Some(*summary))
            .tag(path.split('/').nth(2).unwrap_or("v1"))
            .parameters(Some(named_in(path)))
            .response("200", ResponseBuilder::new().description("Done."))
            .response("default", problem());
        paths = paths.path(*path, PathItem::new(method.clone(), operation));
    }
    for kind in [Kind::Vm, Kind::Host] {
        paths = paths.path(format!("/v1/{}/{{name}}/metrics", kind.plural()), over_time(kind));
        paths = paths.path(format!("/v1/metrics/{}", kind.plural()), usage(kind));
    }
    document.paths = paths.build();
    let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    document.components.get_or_insert_default().add_security_scheme("token", scheme);
    document.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new())]);
    document
}

fn info() -> Info {
    InfoBuilder::new()
        .title("Tabane")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Objects have the form {meta, spec, status}: write the spec, watch the status. Every change can be tried \
             with `dry_run=true`, waited for with `wait`, guarded with If-Match, and repeated safely with an \
             Idempotency-Key. Errors are application/problem+json (RFC 9457).",
        ))
        .build()
}

/// Paths beside those of objects.
const ACTIONS: &[(&str, HttpMethod, &str, &str)] = &[
    (
        "/v1/vms/{name}/start",
        HttpMethod::Post,
        "start_vm",
        "Switch a VM on, or start it again after it ended by itself",
    ),
    (
        "/v1/vms/{name}/shutdown",
        HttpMethod::Post,
        "shutdown_vm",
        "Ask the guest to shut down; force it after its time-out",
    ),
    (
        "/v1/vms/{name}/force-off",
        HttpMethod::Post,
        "force_off_vm",
        "Cut a VM's power without asking the guest",
    ),
    ("/v1/vms/{name}/pause", HttpMethod::Post, "pause_vm", "Pause a VM"),
    ("/v1/vms/{name}/resume", HttpMethod::Post, "resume_vm", "Resume a paused VM"),
    ("/v1/vms/{name}/reset", HttpMethod::Post, "reset_vm", "Reset a VM as its reset button would"),
    (
        "/v1/vms/{name}/clone",
        HttpMethod::Post,
        "clone_vm",
        "Make copies of a VM, linked to a snapshot of it or full",
    ),
    (
        "/v1/vms/{name}/revert",
        HttpMethod::Post,
        "revert_vm",
        "Bring a VM's disks, and its memory, back to what a snapshot holds",
    ),
    (
        "/v1/vms/{name}/console",
        HttpMethod::Get,
        "console_vm",
        "Serial console as a byte stream (Upgrade: tabane-stream)",
    ),
    (
        "/v1/vms/{name}/exec",
        HttpMethod::Post,
        "exec_vm",
        "Run a command in the guest (Upgrade: tabane-stream)",
    ),
    ("/v1/vms/{name}/screenshot", HttpMethod::Get, "screenshot_vm", "Picture of the display as PNG"),
    (
        "/v1/vms/{name}/vnc-tickets",
        HttpMethod::Post,
        "ticket_vm",
        "A ticket, good once, for the display's websocket",
    ),
    ("/v1/vms/{name}/vnc", HttpMethod::Get, "vnc_vm", "The display as a websocket that carries RFB"),
    (
        "/v1/vms/{name}/console-tickets",
        HttpMethod::Post,
        "ticket_console_vm",
        "A ticket, good once, for the serial console's websocket",
    ),
    (
        "/v1/vms/{name}/console-socket",
        HttpMethod::Get,
        "console_socket_vm",
        "The serial console as a websocket that carries bytes",
    ),
    (
        "/v1/snapshots/{name}/export",
        HttpMethod::Get,
        "export_snapshot",
        "A snapshot as a file for other systems: format, disk, ovf2, watch; framed with Upgrade: tabane-stream, plain without",
    ),
    (
        "/v1/exports/{id}",
        HttpMethod::Get,
        "watch_export",
        "How far the plain download is that was asked for with `watch=ID`",
    ),
    (
        "/v1/images/{name}/content",
        HttpMethod::Put,
        "upload_image",
        "Send an image's content from `offset_bytes` on, as the body or as a stream (Upgrade: tabane-stream)",
    ),
    (
        "/v1/images/{name}/files",
        HttpMethod::Get,
        "copy_image",
        "An image's files, for hosts (Upgrade: tabane-stream)",
    ),
    (
        "/v1/surveys/{name}/files/{file}",
        HttpMethod::Put,
        "upload_survey",
        "Send a file of a survey, as the body, of the size that the survey says",
    ),
    (
        "/v1/collections/{name}/report",
        HttpMethod::Post,
        "report_collection",
        "How far a collector is: a CollectionReport for CollectionWishes; there is one collector at a time",
    ),
    (
        "/v1/plans/{name}/try",
        HttpMethod::Post,
        "try_plan",
        "What would be if servers were on other hosts: a TrialRequest for a Trial; nothing is kept",
    ),
    (
        "/v1/plans/{name}/compare/{other}",
        HttpMethod::Get,
        "compare_plans",
        "What differs between two plans of a survey: a PlanComparison",
    ),
    ("/v1/plans/{name}/document", HttpMethod::Get, "plan_document", "The plan as a document: a PlanDocument"),
    (
        "/v1/plans/{name}/report",
        HttpMethod::Get,
        "plan_report",
        "The plan as a page for people, in the language `lang`: en or ja",
    ),
    (
        "/v1/packages/plan",
        HttpMethod::Post,
        "plan_package",
        "What would become of an OVA package: a PackageRequest for a PackagePlan; nothing is made",
    ),
    ("/v1/session", HttpMethod::Post, "sign_in", "Open a session of the web console: a token for a cookie"),
    ("/v1/session", HttpMethod::Get, "session", "Who is signed in"),
    ("/v1/session", HttpMethod::Delete, "sign_out", "End the session"),
    ("/v1/watch", HttpMethod::Get, "watch", "Watch objects of all kinds in one stream of server-sent events"),
    ("/v1/audit", HttpMethod::Get, "audit", "Records of the audit log, the newest first"),
    ("/v1/join", HttpMethod::Post, "join", "Become a host"),
    (
        "/v1/hosts/{name}/watch",
        HttpMethod::Get,
        "watch_host",
        "Everything that concerns a host, for its agent",
    ),
    ("/v1/hosts/{name}/report", HttpMethod::Post, "report_host", "Statuses and events, from a host's agent"),
    (
        "/v1/hosts/{name}/streams/{id}",
        HttpMethod::Post,
        "answer_stream",
        "A host's end of a stream (Upgrade: tabane-stream)",
    ),
    (
        "/v1/hosts/{name}/streams/{id}/refusal",
        HttpMethod::Post,
        "refuse_stream",
        "Why a host opens no stream",
    ),
    (
        "/metrics",
        HttpMethod::Get,
        "exposition",
        "Metrics of VMs, hosts and the server itself as OpenMetrics text, for Prometheus",
    ),
    ("/v1/openapi.json", HttpMethod::Get, "openapi", "This description"),
    ("/v1/ca.pem", HttpMethod::Get, "ca", "The certificate authority of this server"),
    ("/v1/health", HttpMethod::Get, "health", "Whether the server can answer"),
];

fn schema_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Vm => "Vm",
        Kind::Image => "Image",
        Kind::Disk => "Disk",
        Kind::Pool => "Pool",
        Kind::Flavor => "Flavor",
        Kind::Network => "Network",
        Kind::Host => "Host",
        Kind::Event => "Event",
        Kind::Token => "Token",
        Kind::Snapshot => "Snapshot",
        Kind::Survey => "Survey",
        Kind::Plan => "Plan",
        Kind::Wave => "Wave",
        Kind::Collection => "Collection",
    }
}

fn json(name: &str) -> Content {
    Content::new(Some(Ref::from_schema_name(name)))
}

fn problem() -> ResponseBuilder {
    ResponseBuilder::new()
        .description("What went wrong and what to do next.")
        .content("application/problem+json", json("Problem"))
}

fn parameter(name: &str, place: ParameterIn, kind: Type, description: &str) -> Parameter {
    let required = if matches!(place, ParameterIn::Path) { Required::True } else { Required::False };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(kind)))
        .build()
}

/// What was measured of one VM or host.
fn over_time(kind: Kind) -> PathItem {
    use ParameterIn::Query;
    let mut parameters = vec![
        parameter("name", ParameterIn::Path, Type::String, "Name of the object."),
        parameter(
            "from",
            Query,
            Type::String,
            "Seconds since 1970 or RFC 3339; an hour before `to` unless stated.",
        ),
        parameter("to", Query, Type::String, "Seconds since 1970 or RFC 3339; now unless stated."),
        parameter(
            "step_s",
            Query,
            Type::Integer,
            "Length of a step; as short as is kept, and as makes 1,000 steps at most, unless stated.",
        ),
    ];
    parameters.push(schema_parameter(
        "statistic",
        "Statistic",
        "What of a step is told: its mean unless stated.",
    ));
    let operation = OperationBuilder::new()
        .operation_id(Some(format!("metrics_of_{}", kind.singular())))
        .summary(Some(format!("What was measured of a {}, over time", kind.singular())))
        .tag(kind.plural())
        .parameters(Some(parameters))
        .response(
            "200",
            ResponseBuilder::new()
                .description("A value for each step and series.")
                .content("application/json", json("Metrics")),
        )
        .response("default", problem());
    PathItem::new(HttpMethod::Get, operation)
}

/// What all VMs or hosts use now.
fn usage(kind: Kind) -> PathItem {
    let parameters = vec![
        schema_parameter("sort", "Series", "The most of this first: cpu_ratio unless stated."),
        parameter("limit", ParameterIn::Query, Type::Integer, "1,000 unless stated."),
    ];
    let operation = OperationBuilder::new()
        .operation_id(Some(format!("usage_of_{}", kind.plural())))
        .summary(Some(format!("What {} use now, the busiest first", kind.plural())))
        .tag("metrics")
        .parameters(Some(parameters))
        .response(
            "200",
            ResponseBuilder::new()
                .description("Those that were measured lately.")
                .content("application/json", json("UsageList")),
        )
        .response("default", problem());
    PathItem::new(HttpMethod::Get, operation)
}

fn schema_parameter(name: &str, schema: &str, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .description(Some(description))
        .schema(Some(Ref::from_schema_name(schema)))
        .build()
}

fn named_in(path: &str) -> Vec<Parameter> {
    let known = [
        ("{name}", "name", "Name of the object."),
        ("{id}", "id", "Identity of the stream or export."),
        ("{file}", "file", "Name of the file."),
        ("{other}", "other", "Name of the other plan."),
    ];
    let named = known.into_iter().filter(|(pattern, ..)| path.contains(pattern));
    named.map(|(_, name, told)| parameter(name, ParameterIn::Path, Type::String, told)).collect()
}

fn change_parameters() -> Vec<Parameter> {
    use ParameterIn::{Header, Query};
    vec![
        parameter("dry_run", Query, Type::Boolean, "Answer with what would change, and change nothing."),
        parameter(
            "wait",
            Query,
            Type::String,
            "running, agent, identity, stopped, paused, ready, observed or deleted.",
        ),
        parameter("timeout_s", Query, Type::Integer, "How long to wait: 60 unless stated, 3600 at most."),
        parameter("If-Match", Header, Type::String, "Only if the object still has this ETag."),
    ]
}

fn collection(kind: Kind, name: &str) -> PathItem {
    use ParameterIn::{Header, Query};
    let list = Schema::Object(
        ObjectBuilder::new()
            .property("items", ArrayBuilder::new().items(Ref::from_schema_name(name)))
            .property("cursor", String::schema())
            .property("revision", u64::schema())
            .required("items")
            .required("revision")
            .build(),
    );
    let get = OperationBuilder::new()
        .operation_id(Some(format!("list_{}", kind.plural())))
        .summary(Some(format!("List or watch {}", kind.plural())))
        .tag(kind.plural())
        .parameters(Some(vec![
            parameter("limit", Query, Type::Integer, "Size of the page: 100 unless stated, 1000 at most."),
            parameter("cursor", Query, Type::String, "From the page before."),
            parameter("labels", Query, Type::String, "Label selector, such as env=prod,tier!=db,!old."),
            parameter("fields", Query, Type::String, "Field selector over name, phase, host, vm and about."),
            parameter("watch", Query, Type::Boolean, "Follow as server-sent events instead of a page."),
            parameter("resume", Query, Type::Integer, "With watch: go on behind this revision."),
            parameter("Last-Event-ID", Header, Type::String, "As resume; browsers send it by themselves."),
        ]))
        .response(
            "200",
            ResponseBuilder::new()
                .description("A page.")
                .content("application/json", Content::new(Some(list))),
        )
        .response("default", problem());
    let mut item = PathItem::new(HttpMethod::Get, get);
    if !matches!(kind, Kind::Event) {
        let mut parameters = change_parameters();
        parameters.truncate(3);
        let key = "Repeating a request with the same key repeats its answer, not its work.";
        parameters.push(parameter("Idempotency-Key", Header, Type::String, key));
        let answer = if kind == Kind::Token { "NewToken" } else { name };
        let post = OperationBuilder::new()
            .operation_id(Some(format!("create_{}", kind.singular())))
            .summary(Some(format!("Create a {}", kind.singular())))
            .tag(kind.plural())
            .parameters(Some(parameters))
            .request_body(Some(RequestBodyBuilder::new().content("application/json", json(name)).build()))
            .response(
                "201",
                ResponseBuilder::new().description("Created.").content("application/json", json(answer)),
            )
            .response("default", problem());
        item.post = Some(post.build());
    }
    item
}

fn member(kind: Kind, name: &str) -> PathItem {
    let named = || parameter("name", ParameterIn::Path, Type::String, "Name of the object.");
    let operation = |verb: &str, summary: String| {
        OperationBuilder::new()
            .operation_id(Some(format!("{verb}_{}", kind.singular())))
            .summary(Some(summary))
            .tag(kind.plural())
            .response("default", problem())
    };
    let object = || ResponseBuilder::new().description("The object.").content("application/json", json(name));
    let mut wait = change_parameters();
    wait.retain(|p| p.name == "wait" || p.name == "timeout_s");
    wait.push(named());
    let get = operation("get", format!("Read a {}, or wait for it", kind.singular())).parameters(Some(wait));
    let mut item = PathItem::new(HttpMethod::Get, get.response("200", object()));
    if kind == Kind::Event {
        return item;
    }
    let mut parameters = change_parameters();
    parameters.push(named());
    if kind != Kind::Token {
        let put = operation("put", format!("Replace labels and spec of a {}", kind.singular()))
            .parameters(Some(parameters.clone()))
            .request_body(Some(RequestBodyBuilder::new().content("application/json", json(name)).build()))
            .response("200", object());
        let patch =
            operation("patch", format!("Change a {} by JSON merge patch (RFC 7396)", kind.singular()))
                .parameters(Some(parameters.clone()))
                .request_body(Some(
                    RequestBodyBuilder::new()
                        .content("application/merge-patch+json", Content::new(Some(ObjectBuilder::new())))
                        .build(),
                ))
                .response("200", object());
        item.put = Some(put.build());
        item.patch = Some(patch.build());
    }
    let delete = operation("delete", format!("Delete a {}", kind.singular()))
        .parameters(Some(parameters))
        .response(
            "202",
            ResponseBuilder::new()
                .description("Its host cleans up; then it goes.")
                .content("application/json", json(name)),
        )
        .response("204", ResponseBuilder::new().description("Gone."));
    item.delete = Some(delete.build());
    item
}
