//! Automation of the project: `cargo xtask COMMAND`.

mod bench;
mod console;
mod demo;
mod run;
mod setup;
mod test;
mod tidy;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask setup    install what building, testing and the demo need
cargo xtask demo     from a clone to a running Debian guest
cargo xtask test     everything that has to hold: format, lints, house rules, tests, end-to-end tests
cargo xtask tidy     the house rules alone
cargo xtask e2e      the end-to-end tests alone, with real guests
cargo xtask soak     tests with more guests, and for longer, than each run has time for
cargo xtask console  build the web console, for the next `cargo build`
cargo xtask browser  the tests of the web console alone, with Chromium and real guests
cargo xtask screenshots  the pictures of the README
cargo xtask bench    figures as JSON, with peers where they are installed
cargo xtask dist     the release binary";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Err(error) = dispatch(&arguments) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let [command, rest @ ..] = arguments else {
        println!("{HELP}");
        return Ok(());
    };
    if rest.iter().any(|argument| argument == "--help" || argument == "-h") {
        println!("{HELP}");
        return Ok(());
    }
    if !rest.is_empty() && !matches!(command.as_str(), "demo" | "bench") {
        bail!("{command} takes no more words\n{HELP}");
    }
    match command.as_str() {
        "setup" => setup::for_tests(),
        "demo" => demo::run(rest),
        "test" => test::all(),
        "tidy" => tidy::run(),
        "e2e" => test::end_to_end(),
        "soak" => test::soak(),
        "bench" => bench::run(rest),
        "console" => console::build(),
        "browser" => test::browser(),
        "screenshots" => {
            setup::for_tests()?;
            console::screenshots()
        }
        "dist" => {
            console::build()?;
            run::cargo(&["build", "--release", "--package", "tabane"])
        }
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(())
        }
        other => bail!("there is no command {other:?}\n{HELP}"),
    }
}
