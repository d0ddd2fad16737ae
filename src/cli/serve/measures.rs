//! What the gate, the DICOM provider and the outbox count, in Prometheus' text format. No address of a client is in it.

use chexbox::dicom_net::scp::Counts;
use chexbox::http::gate::Counters;
use chexbox::store::Line;
use std::fmt::Write;

/// The gate's counters.
pub fn gate(counters: &Counters) -> String {
    let mut text = String::new();
    let mut one = |name: &str, kind: &str, help: &str, value: u64| single(&mut text, name, kind, help, value);
    one("chexbox_connections", "gauge", "Connections open.", counters.open);
    one("chexbox_exchanges", "gauge", "Requests being answered.", counters.exchanges);
    one("chexbox_held_bytes", "gauge", "Bytes of bodies and answers held.", counters.held_bytes);
    one("chexbox_accepted_total", "counter", "Connections accepted.", counters.accepted);
    one("chexbox_handed_over_total", "counter", "Requests handed over to be answered.", counters.requests);
    by_reason(&mut text, "chexbox_gate_refused_total", "Connections and requests that the gate ended.", &counters.refused);
    text
}

/// The provider's counts.
pub fn dicom(counts: &Counts) -> String {
    let mut text = String::new();
    let mut one = |name: &str, kind: &str, help: &str, value: u64| single(&mut text, name, kind, help, value);
    one("chexbox_dicom_associations", "gauge", "DICOM associations open.", counts.open);
    one("chexbox_dicom_held_bytes", "gauge", "Bytes of films that are being received.", counts.held_bytes);
    one("chexbox_dicom_associations_total", "counter", "DICOM associations accepted.", counts.accepted);
    one("chexbox_dicom_aborted_total", "counter", "DICOM associations that ended by a fault or a deadline.", counts.aborted);
    one("chexbox_dicom_stored_total", "counter", "Films that came by C-STORE and were acknowledged.", counts.stored);
    let refused = "DICOM associations that were not accepted.";
    by_reason(&mut text, "chexbox_dicom_rejected_total", refused, &counts.rejected);
    by_reason(&mut text, "chexbox_dicom_failed_total", "Films that came by C-STORE and were not acknowledged.", &counts.failed);
    text
}

fn single(text: &mut String, name: &str, kind: &str, help: &str, value: u64) {
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
}

fn by_reason(text: &mut String, name: &str, help: &str, counts: &[(&'static str, u64)]) {
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} counter\n");
    for (reason, count) in counts {
        let _ = writeln!(text, "{name}{{reason=\"{reason}\"}} {count}");
    }
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
