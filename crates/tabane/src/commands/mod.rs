//! What each command does.

mod apply;
mod audit;
mod collection;
mod console;
mod create;
mod device;
mod doctor;
mod drain;
mod exec;
mod export;
mod image;
mod import;
mod metrics;
mod objects;
mod plan;
mod serve;
mod snapshot;
mod survey;
mod template;
mod token;
mod upload;
mod vm;
mod wave;

use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory;
use tabane_model::{
    Disk, DiskSpec, Event, Flavor, FlavorSpec, Host, Meta, Network, NetworkSpec, Pool, PoolSpec, Resource,
};

use crate::{
    arguments::{
        Arguments, AuditCommand, Command, DiskCommand, EventCommand, FlavorCommand, FlavorCreate,
        HostCommand, ImageCommand, List, NetworkCommand, PoolCommand,
    },
    context::Context,
    output,
};

const DONE: ExitCode = ExitCode::SUCCESS;

pub async fn run(arguments: Arguments) -> Result<ExitCode> {
    let context = Context { global: arguments.global };
    match arguments.command {
        Command::Up(up) => serve::up(&context, up).await?,
        Command::Server(up) => serve::server(&context, up).await?,
        Command::Vm(command) => return vm::run(&context, command).await,
        Command::Image(command) => match command {
            ImageCommand::Import(import) => image::import(&context, import).await?,
            ImageCommand::Build(build) => image::build(&context, build).await?,
            ImageCommand::List(list) => objects::list::<tabane_model::Image>(&context, &list).await?,
            ImageCommand::Get(named) => objects::get::<tabane_model::Image>(&context, &named.name).await?,
            ImageCommand::Delete(named) => objects::delete::<tabane_model::Image>(&context, &named).await?,
            ImageCommand::Catalogue => image::catalogue()?,
        },
        Command::Template(command) => template::run(&context, command).await?,
        Command::Flavor(command) => flavor(&context, command).await?,
        Command::Disk(command) => disk(&context, command).await?,
        Command::Snapshot(command) => snapshot::run(&context, command).await?,
        Command::Pool(command) => pool(&context, command).await?,
        Command::Network(command) => network(&context, command).await?,
        Command::Host(command) => host(&context, command).await?,
        Command::Survey(command) => survey::run(&context, command).await?,
        Command::Collection(command) => collection::run(&context, command).await?,
        Command::Plan(command) => return plan::run(&context, command).await,
        Command::Wave(command) => wave::run(&context, command).await?,
        Command::Event(EventCommand::List { about, watch }) => {
            let fields = about.map(|about| format!("about={about}"));
            objects::list::<Event>(&context, &List { labels: None, fields, watch }).await?;
        }
        Command::Token(command) => token::run(&context, command).await?,
        Command::Audit(AuditCommand::Verify) => return audit::verify(&context).await,
        Command::Apply(apply) => apply::run(&context, &apply).await?,
        Command::Doctor => return doctor::run(&context).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "tabane", &mut std::io::stdout());
        }
        Command::Man { folder } => man(&folder)?,
    }
    Ok(DONE)
}

async fn flavor(context: &Context, command: FlavorCommand) -> Result<()> {
    match command {
        FlavorCommand::Create(FlavorCreate { name, cpus, memory, disk, description }) => {
            let spec = FlavorSpec { cpus, memory_bytes: memory, disk_bytes: disk, description };
            objects::create(context, Flavor::new(Meta::new(name), spec), &Default::default()).await
        }
        FlavorCommand::List(list) => objects::list::<Flavor>(context, &list).await,
        FlavorCommand::Get(named) => objects::get::<Flavor>(context, &named.name).await,
        FlavorCommand::Delete(named) => objects::delete::<Flavor>(context, &named).await,
    }
}

async fn disk(context: &Context, command: DiskCommand) -> Result<()> {
    match command {
        DiskCommand::Create(create) => {
            let spec = DiskSpec {
                pool: create.pool,
                size_bytes: create.size,
                image: create.image,
                from: None,
                clone: create.clone,
                vm: None,
                host: None,
                moving: None,
            };
            objects::create(context, Disk::new(Meta::new(create.name), spec), &create.change).await
        }
        DiskCommand::List(list) => objects::list::<Disk>(context, &list).await,
        DiskCommand::Get(named) => objects::get::<Disk>(context, &named.name).await,
        DiskCommand::Resize(resize) => {
            let patch = serde_json::json!({ "spec": { "size_bytes": resize.size } });
            let disk: Disk = context
                .client()
                .await?
                .patch(resize.name.as_str(), &patch, &objects::call(&resize.change))
                .await?;
            output::one(context.form()?, &disk)
        }
        DiskCommand::Delete(named) => objects::delete::<Disk>(context, &named).await,
    }
}

async fn pool(context: &Context, command: PoolCommand) -> Result<()> {
    match command {
        PoolCommand::Create { name, path } => {
            let spec = PoolSpec { path, ..PoolSpec::default() };
            objects::create(context, Pool::new(Meta::new(name), spec), &Default::default()).await
        }
        PoolCommand::List(list) => objects::list::<Pool>(context, &list).await,
        PoolCommand::Get(named) => objects::get::<Pool>(context, &named.name).await,
        PoolCommand::Delete(named) => objects::delete::<Pool>(context, &named).await,
    }
}

async fn network(context: &Context, command: NetworkCommand) -> Result<()> {
    match command {
        NetworkCommand::Create { name, kind, cidr, dns, domain } => {
            let cidr = cidr.map(|text| text.parse()).transpose();
            let cidr =
                cidr.map_err(|_| anyhow::anyhow!("--cidr is no IPv4 range; write for example 10.30.0.0/24"))?;
            let spec = NetworkSpec { kind, cidr, dns, domain };
            objects::create(context, Network::new(Meta::new(name), spec), &Default::default()).await
        }
        NetworkCommand::List(list) => objects::list::<Network>(context, &list).await,
        NetworkCommand::Get(named) => objects::get::<Network>(context, &named.name).await,
        NetworkCommand::Delete(named) => objects::delete::<Network>(context, &named).await,
    }
}

async fn host(context: &Context, command: HostCommand) -> Result<()> {
    let set = |spec: serde_json::Value| serde_json::json!({ "spec": spec });
    match command {
        HostCommand::Join(join) => serve::join(context, join).await,
        HostCommand::List(list) => objects::list::<Host>(context, &list).await,
        HostCommand::Devices(named) => device::of_host(context, &named.name).await,
        HostCommand::Get(named) => objects::get::<Host>(context, &named.name).await,
        HostCommand::Top(top) => metrics::top::<Host>(context, &top).await,
        HostCommand::Metrics(of) => metrics::over_time::<Host>(context, &of).await,
        HostCommand::Cordon(named) => {
            objects::patch::<Host>(context, &named, set(serde_json::json!({ "cordoned": true }))).await
        }
        HostCommand::Uncordon(named) => {
            let spec = serde_json::json!({ "cordoned": false, "drain": false });
            objects::patch::<Host>(context, &named, set(spec)).await
        }
        HostCommand::Drain(drain) => drain::drain(context, &drain).await,
        HostCommand::Remove(named) => objects::delete::<Host>(context, &named).await,
    }
}

/// A page for each command, as `man` wants them.
fn man(folder: &std::path::Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Arguments::command(), folder)?;
    eprintln!("the manual pages are in {}", folder.display());
    Ok(())
}
