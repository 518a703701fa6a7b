//! What each command says of itself, as people see it.

use std::process::Command;

use crate::world::{BINARY, Texts};

fn help(path: &[&str], document: &mut String) {
    // Nothing from outside plays a part: neither settings that help would show, nor the width of a terminal.
    let output = Command::new(BINARY).args(path).arg("--help").env_clear().output().unwrap();
    assert!(output.status.success(), "{path:?}: {}", output.all_text());
    let text = output.stdout_text();
    let text: Vec<&str> = text.lines().map(str::trim_end).collect();
    document.push_str(
        &format!("$ tabane {} --help\n{}\n\n", path.join(" "), text.join("\n"))
            .replace("  --help", " --help"),
    );
    let commands =
        text.iter().skip_while(|line| **line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    for command in commands.filter_map(|line| line.strip_prefix("  ").filter(|l| !l.starts_with(' '))) {
        let name = command.split_whitespace().next().unwrap();
        help(&[path, &[name]].concat(), document);
    }
}

#[test]
fn the_help_of_every_command_is_as_it_was() {
    let mut document = String::new();
    help(&[], &mut document);
    assert!(document.matches("$ tabane ").count() > 60, "all commands are found");
    insta::assert_snapshot!(document);
}
