//! havipd(8) and havipctl(8): the command line as clap has it, in a frame written by hand.

use crate::roff::fill;
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use havipd::control::protocol::Code;
use std::fmt::Write as _;
use std::io;

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) fn havipd() -> String {
    let command = havipd::daemon::Arguments::command();
    page(include_str!("../../packaging/man/havipd.8.in"), command, &[])
}

pub(crate) fn havipctl() -> String {
    let command = havipd::ctl::Arguments::command();
    let commands = commands(&command);
    page(include_str!("../../packaging/man/havipctl.8.in"), command, &[("COMMANDS", &commands)])
}

pub(crate) fn havipd_lab() -> String {
    let command = havipd_lab::Arguments::command();
    let commands = commands(&command);
    page(include_str!("../../packaging/man/havipd-lab.8.in"), command, &[("COMMANDS", &commands)])
}

/// Every command of a program, as sections.
fn commands(command: &Command) -> String {
    let mut built = command.clone();
    built.build();
    let mut commands = String::new();
    for verb in built.get_subcommands().filter(|verb| verb.get_name() != "help" && !verb.is_hide_set()) {
        commands.push_str(&subsection(verb));
    }
    commands
}

fn page(template: &str, command: Command, more: &[(&str, &str)]) -> String {
    let man = Man::new(command.clone());
    let synopsis = synopsis(&command);
    let options = body(|w| man.render_options_section(w));
    let exit = exit_codes();
    let mut marks = vec![("VERSION", VERSION), ("SYNOPSIS", &*synopsis), ("OPTIONS", &*options), ("EXIT", &*exit)];
    marks.extend(more);
    fill(template, &marks)
}

/// One command of `havipctl`: how it is called, what it does, its own options.
fn subsection(verb: &Command) -> String {
    let own = verb.clone().mut_args(|arg| {
        let common = arg.is_global_set() || arg.get_id() == "help";
        arg.hide(common)
    });
    let more = own.get_after_help().map(ToString::to_string);
    let has_options = own.get_arguments().any(|arg| !arg.is_hide_set());
    let mut text = format!(".SS {}\n{}\n", verb.get_name(), synopsis(&own));
    let man = Man::new(own.disable_help_flag(true));
    let _ = writeln!(text, ".PP\n{}", body(|w| man.render_description_section(w)).trim_end());
    if has_options {
        text.push_str(&body(|w| man.render_options_section(w)));
    }
    if let Some(more) = more {
        let lines: Vec<String> = more.lines().map(crate::roff::literal).collect();
        let _ = writeln!(text, ".PP\n.nf\n{}\n.fi", lines.join("\n"));
    }
    text
}

/// How a command is called, with the values that its options take.
fn synopsis(command: &Command) -> String {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut words = vec![format!("\\fB{}\\fR", crate::roff::literal(name))];
    let shown = || command.get_arguments().filter(|arg| !arg.is_hide_set());
    for arg in shown().filter(|arg| !arg.is_positional()).chain(shown().filter(|arg| arg.is_positional())) {
        let mut call = match (arg.get_long(), arg.get_short()) {
            (Some(long), _) => format!("\\fB{}\\fR", crate::roff::literal(&format!("--{long}"))),
            (None, Some(short)) => format!("\\fB{}\\fR", crate::roff::literal(&format!("-{short}"))),
            (None, None) => String::new(),
        };
        if arg.get_action().takes_values() {
            let own = [arg.get_id().as_str().to_uppercase()];
            let values: Vec<String> = match arg.get_value_names() {
                Some(names) => names.iter().map(ToString::to_string).collect(),
                None => own.into(),
            };
            let many = arg.get_num_args().is_some_and(|n| n.max_values() > values.len());
            let values = crate::roff::literal(&values.join(" "));
            let gap = if call.is_empty() { "" } else { " " };
            call = format!("{call}{gap}\\fI{values}\\fR{}", if many { " ..." } else { "" });
        }
        words.push(if arg.is_required_set() { call } else { format!("[{call}]") });
    }
    if command.get_subcommands().next().is_some() {
        words.push("\\fICOMMAND\\fR ...".to_owned());
    }
    words.join(" ")
}

/// A section without its heading and without what only matters at the start of a file.
fn body(render: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> String {
    let mut text = Vec::new();
    render(&mut text).expect("memory can be written");
    // Its apostrophe is a string that only the head of a whole page defines.
    let text = String::from_utf8(text).expect("a page is text").replace("\\*(Aq", "\\(aq");
    let kept =
        text.lines().filter(|line| !line.starts_with(".SH ") && !line.starts_with(".ie ") && !line.starts_with(".el "));
    kept.map(|line| format!("{line}\n")).collect()
}

fn exit_codes() -> String {
    let mut text = String::new();
    for number in 0..=u8::MAX {
        let Ok(code) = Code::try_from(number) else { continue };
        let meaning = match code {
            Code::Done => "Done.",
            Code::No => "A plain no: it was understood, and did not work.",
            Code::Usage => "Wrong arguments.",
            Code::Unreachable => "The daemon, or the cloud, cannot be reached.",
            Code::TryAgain => "Not now; try again.",
            Code::Permission => "Not allowed.",
            Code::Configuration => "The configuration is wrong.",
        };
        let _ = writeln!(text, ".TP\n.B {number}\n{meaning}");
    }
    text
}
