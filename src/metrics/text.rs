//! Prometheus' text format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>).

use super::table::{Kind, Series};
use havipd_core::model::histogram::Histogram;
use std::fmt::{Display, Write as _};

/// A page that is being written.
#[derive(Debug, Default)]
pub(super) struct Page(String);

impl Page {
    /// Begins a series; without samples nothing is written of it.
    pub(super) const fn series<'a>(&'a mut self, series: &'a Series) -> Samples<'a> {
        Samples { text: &mut self.0, series, begun: false }
    }

    /// Writes a series that has one sample and no labels.
    pub(super) fn one(&mut self, series: &Series, value: impl Display) {
        self.series(series).add(&[], value);
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// The samples of one series.
pub(super) struct Samples<'a> {
    text: &'a mut String,
    series: &'a Series,
    begun: bool,
}

impl Samples<'_> {
    /// One sample, with the values of the series' labels in their order.
    pub(super) fn add(&mut self, labels: &[&str], value: impl Display) -> &mut Self {
        self.line("", labels, None, value);
        self
    }

    /// A histogram's samples.
    pub(super) fn histogram(&mut self, labels: &[&str], histogram: &Histogram) -> &mut Self {
        for (bound, count) in histogram.cumulative() {
            self.line("_bucket", labels, Some(&bound), count);
        }
        self.line("_bucket", labels, Some(&"+Inf"), histogram.count());
        self.line("_sum", labels, None, histogram.sum().as_secs_f64());
        self.line("_count", labels, None, histogram.count());
        self
    }

    fn line(&mut self, suffix: &str, labels: &[&str], bound: Option<&dyn Display>, value: impl Display) {
        let Series { name, kind, help, .. } = *self.series;
        if !std::mem::replace(&mut self.begun, true) {
            let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {}", kind.word());
        }
        debug_assert_eq!(self.series.labels.len(), labels.len(), "{name}");
        debug_assert_eq!(kind == Kind::Histogram, !suffix.is_empty(), "{name}");
        let _ = write!(self.text, "{name}{suffix}");
        let mut open = '{';
        for (label, value) in self.series.labels.iter().zip(labels) {
            let _ = write!(self.text, "{open}{label}=\"");
            escape(self.text, value);
            self.text.push('"');
            open = ',';
        }
        if let Some(bound) = bound {
            let _ = write!(self.text, "{open}le=\"{bound}\"");
            open = ',';
        }
        if open == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

/// A label's value as it stands between quotes.
fn escape(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn samples_are_written_as_the_format_wants_them() {
        let gauge = Series { name: "x", kind: Kind::Gauge, labels: &["a", "b"], help: "Words." };
        let histogram = Series { name: "y_seconds", kind: Kind::Histogram, labels: &[], help: "Words." };
        let mut page = Page::default();
        page.series(&gauge);
        page.series(&gauge).add(&["1", "p\"q\\r\ns"], 0.5).add(&["2", ""], 7);
        let mut times = Histogram::default();
        times.observe(Duration::from_millis(40));
        page.series(&histogram).histogram(&[], &times);
        let text = page.finish();
        let begins = "# HELP x Words.\n# TYPE x gauge\nx{a=\"1\",b=\"p\\\"q\\\\r\\ns\"} 0.5\nx{a=\"2\",b=\"\"} 7\n\
                      # HELP y_seconds Words.\n# TYPE y_seconds histogram\ny_seconds_bucket{le=\"0.001\"} 0\n";
        assert!(text.starts_with(begins), "{text}");
        let ends =
            "y_seconds_bucket{le=\"30\"} 1\ny_seconds_bucket{le=\"+Inf\"} 1\ny_seconds_sum 0.04\ny_seconds_count 1\n";
        assert!(text.ends_with(ends), "{text}");
    }
}
