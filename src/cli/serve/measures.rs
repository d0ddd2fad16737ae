//! What the gate counts, in Prometheus' text format. No address of a client is in it.

use chexbox::http::gate::Counters;
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
