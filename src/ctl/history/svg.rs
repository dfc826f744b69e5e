//! A move as a drawing.

use super::{length, spans};
use crate::journal::Entry;
use std::fmt::Write as _;

/// One move as a drawing, as `node` saw it.
pub(super) fn svg(entry: &Entry, node: &str) -> String {
    const ROW: usize = 22;
    let height = (entry.steps.len() + 3) * ROW;
    let scale = 480.0 / length(entry).max(f64::MIN_POSITIVE);
    let Entry { group, from, to, cause, .. } = entry;
    let title = format!("{} {group} on {node}: {from} to {to} ({cause}), {:.1} ms", entry.shown_time(), length(entry));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1000\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"16\" font-weight=\"bold\">{}</text>\n",
        escaped(&title)
    );
    for (row, (step, took)) in spans(&entry.steps).enumerate() {
        let y = (row + 1) * ROW + 8;
        let (x, width) = (90.0 + step.ms * scale, (took * scale).max(2.0));
        let _ = writeln!(
            svg,
            "<text x=\"80\" y=\"{}\" text-anchor=\"end\">{:.1} ms</text>\
             <rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"14\" fill=\"#3b6ea5\"/>\
             <text x=\"585\" y=\"{}\">{}</text>",
            y + 11,
            step.ms,
            y + 11,
            escaped(&step.what)
        );
    }
    let legend = "Left: when a step came, counted from the first one. A bar lasts from its step until the next.";
    let _ = writeln!(svg, "<text x=\"10\" y=\"{}\" fill=\"#555\">{legend}</text>", height - 8);
    svg.push_str("</svg>\n");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
