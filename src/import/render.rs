//! The file as it is written.

use super::merge::{Cluster, OutCheck, OutGroup, OutHavip, OutNode};
use super::note::{Kind, Notes};
use super::read::{Script, Watch};
use super::{Input, Options};
use crate::config::schema;
use crate::plain::is_odd;
use havipd_core::model::ids::ClusterName;
use std::fmt::{Display, Write as _};
use std::time::Duration;

/// Comments are broken here.
const WIDTH: usize = 118;

/// A havipd.toml.
pub(super) fn toml(
    name: &ClusterName,
    cluster: &Cluster,
    inputs: &[Input],
    options: &Options,
    notes: &Notes,
) -> String {
    let mut text = head(cluster, inputs, options);
    line(&mut text, "[cluster]");
    line(&mut text, format_args!("name = {}", quote(name.as_str())));
    for node in &cluster.nodes {
        text.push_str(&of_node(node));
    }
    text.push_str("\n[heartbeat]\n");
    line(&mut text, format_args!("interval = {}", span(cluster.interval)));
    line(&mut text, format_args!("dead-multiplier = {}", cluster.multiplier));
    if let Some(wait) = cluster.cold_start {
        line(&mut text, format_args!("cold-start-wait = {}", span(wait)));
    }
    line(&mut text, "keys = [{ id = 1, file = \"heartbeat.key\" }]");
    text.push_str("\n[cloud]\n# Without it the metadata service is asked.\n#region = \"bj\"\n");
    if options.beside {
        text.push_str(
            "\n[keepalived]\n# Without it, states come by notify \"/usr/bin/havipctl notify\" of keepalived.\n",
        );
        text.push_str("#fifo = \"/run/keepalived/notify.fifo\"\n");
    }
    for group in &cluster.groups {
        text.push_str(&of_group(group, options));
    }
    cluster.checks.iter().for_each(|check| text.push_str(&of_check(check)));
    for kind in Kind::ALL {
        let all = notes.of(kind);
        if !all.is_empty() {
            let _ = write!(text, "\n# {}:\n", kind.heading());
            all.iter().for_each(|note| comment(&mut text, note));
        }
    }
    text
}

fn head(cluster: &Cluster, inputs: &[Input], options: &Options) -> String {
    let mut text = String::from("# Made by havipctl import.\n");
    for (input, node) in inputs.iter().zip(&cluster.nodes) {
        let _ = writeln!(text, "# Node {}: {}", node.name, clean(&input.path));
    }
    text.push_str(
        "#\n# Fill in what is \"...\", \"i-...\" and \"havip-...\" (the file is refused with them), make the key, and check it:\n\
         #   havipctl keygen --out /etc/havipd/heartbeat.key    # on one node; copy the key to the others\n\
         #   havipd --check-config\n# What the files of keepalived had besides stands at the end.\n",
    );
    if options.beside {
        text.push_str("# keepalived elects; havipd follows it and owns the HAVIPs.\n");
    }
    if options.observe {
        text.push_str("# Every group only observes: havipd elects, reports, and touches nothing.\n");
    }
    text.push('\n');
    text
}

fn of_node(node: &OutNode) -> String {
    let mut text = String::from("\n[[node]]\n");
    let addresses: Vec<String> = node.addresses.iter().map(|ip| quote(&ip.to_string())).collect();
    let address = match addresses.as_slice() {
        [] => "\"...\"".to_owned(),
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    };
    line(&mut text, format_args!("name = {}", quote(&node.name)));
    line(&mut text, format_args!("address = {address}"));
    line(&mut text, "instance = \"i-...\"");
    if let Some(interface) = &node.interface {
        line(&mut text, format_args!("interface = {}", quote(interface)));
    }
    line(&mut text, format_args!("priority = {}", node.priority));
    text
}

fn of_group(group: &OutGroup, options: &Options) -> String {
    let mut text = String::from("\n[[group]]\n");
    line(&mut text, format_args!("name = {}", quote(&group.name)));
    if !group.nodes.is_empty() {
        line(&mut text, format_args!("nodes = {}", list(&group.nodes)));
    }
    if options.beside {
        line(&mut text, "arbiter = \"keepalived\"");
    }
    if let Some(vrrp) = &group.vrrp {
        line(&mut text, format_args!("vrrp = {}", quote(vrrp)));
    }
    if !group.priorities.is_empty() {
        let all: Vec<String> = group.priorities.iter().map(|(node, p)| format!("{} = {p}", quote(node))).collect();
        line(&mut text, format_args!("priorities = {{ {} }}", all.join(", ")));
    }
    if group.preempt && !options.beside {
        line(&mut text, "# As keepalived has it; havipd's own default is 30s.");
        line(&mut text, format_args!("preempt-delay = {}", span(group.preempt_delay)));
    } else if !options.beside {
        line(&mut text, "preempt = false");
    }
    if options.observe {
        line(&mut text, "observe = true");
    }
    if !group.checks.is_empty() {
        line(&mut text, format_args!("checks = {}", list(&group.checks)));
    }
    for havip in &group.havips {
        text.push_str(&of_havip(havip));
    }
    if !group.hooks.is_empty() {
        text.push_str("\n[group.hooks]\n");
        for (key, argv) in &group.hooks {
            line(&mut text, format_args!("{key} = {}", list(argv)));
        }
    }
    text
}

fn of_havip(havip: &OutHavip) -> String {
    let mut text = String::from("\n[[group.havip]]\n");
    line(&mut text, format_args!("id = {}", quote(havip.id.as_deref().unwrap_or("havip-..."))));
    match havip.address {
        Some(address) => line(&mut text, format_args!("address = \"{address}\"")),
        None => line(&mut text, "# address: what the cloud says of it"),
    }
    if let Some(interface) = &havip.interface {
        line(&mut text, format_args!("interface = {}", quote(interface)));
    }
    text
}

fn of_check(check: &OutCheck) -> String {
    let mut text = String::from("\n[[check]]\n");
    line(&mut text, format_args!("name = {}", quote(&check.name)));
    match &check.watch {
        Watch::Process(name) => line(&mut text, format_args!("process = {}", quote(name))),
        Watch::File(path) => line(&mut text, format_args!("file = {}", quote(path))),
        Watch::Link(link) => line(&mut text, format_args!("link = {}", quote(link))),
        Watch::Script(script) => {
            let Script { argv, interval, timeout, rise, fall, initial } = script;
            let seconds = |seconds: u32| span(u64::from(seconds) * 1000);
            line(&mut text, format_args!("script = {}", list(argv)));
            line(&mut text, format_args!("interval = {}", seconds(*interval)));
            if let Some(timeout) = timeout {
                line(&mut text, format_args!("timeout = {}", seconds(*timeout)));
            }
            line(&mut text, format_args!("fall = {fall}\nrise = {rise}"));
            if let Some(initial) = initial {
                line(&mut text, format_args!("initial = {}", quote(initial)));
            }
        }
    }
    if !check.nodes.is_empty() {
        line(&mut text, format_args!("nodes = {}", list(&check.nodes)));
    }
    if let Some(weight) = check.weight {
        line(&mut text, format_args!("weight = {weight}"));
    }
    text
}

pub(super) fn list(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
    format!("[{}]", words.join(", "))
}

pub(super) fn line(text: &mut String, words: impl Display) {
    let _ = writeln!(text, "{words}");
}

fn span(millis: u64) -> String {
    format!("\"{}\"", schema::show(Duration::from_millis(millis)))
}

/// A basic string of TOML.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if is_odd(c) => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// Fit for a comment: TOML allows no control characters there.
fn clean(text: &str) -> String {
    crate::plain::line(text)
}

/// One note, on as many lines as it takes.
pub(super) fn comment(text: &mut String, note: &str) {
    let mut out = String::from("# -");
    for word in clean(note).split_whitespace() {
        if out.chars().count() + 1 + word.chars().count() > WIDTH {
            line(text, &out);
            out = String::from("#  ");
        }
        out.push(' ');
        out.push_str(word);
    }
    line(text, &out);
}
