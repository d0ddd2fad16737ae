//! What the gate counts, in Prometheus' text format. No address of a client is in it.

use chexbox::http::gate::Counters;
use chexbox::store::Line;
use std::fmt::Write;

/// The gate's counters.
pub fn gate(counters: &Counters) -> String {
    let mut text = String::new();
    let mut one = |name: &str, kind: &str, help: &str, value: u64| {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
    };
    one("chexbox_connections", "gauge", "Connections open.", counters.open);
    one("chexbox_exchanges", "gauge", "Requests being answered.", counters.exchanges);
    one("chexbox_held_bytes", "gauge", "Bytes of bodies and answers held.", counters.held_bytes);
    one("chexbox_accepted_total", "counter", "Connections accepted.", counters.accepted);
    one("chexbox_handed_over_total", "counter", "Requests handed over to be answered.", counters.requests);
    let name = "chexbox_gate_refused_total";
    let _ = write!(text, "# HELP {name} Connections and requests that the gate ended.\n# TYPE {name} counter\n");
    for (reason, count) in &counters.refused {
        let _ = writeln!(text, "{name}{{reason=\"{reason}\"}} {count}");
    }
    text
}

/// What waits for each archive; an archive for which nothing waits has no line.
pub fn outbox(lines: &[Line], now_ms: i64) -> String {
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, value: &dyn Fn(&Line) -> u64| {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
        for line in lines {
            let _ = writeln!(text, "{name}{{destination=\"{}\"}} {}", line.destination, value(line));
        }
    };
    let age = |line: &Line| u64::try_from(now_ms.saturating_sub(line.oldest_ms) / 1_000).unwrap_or_default();
    gauge("chexbox_forward_waiting", "Objects that wait for this archive.", &|line| line.waiting);
    gauge("chexbox_forward_refused", "Those of them that it refused the last time.", &|line| line.refused);
    gauge("chexbox_forward_oldest_seconds", "Age of the oldest reading that it lacks.", &age);
    text
}
