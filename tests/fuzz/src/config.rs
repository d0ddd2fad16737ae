//! The configuration of the service: any text is refused with a sentence, or gives settings within all bounds that never
//! listen beyond the machine without tokens and TLS.

use crate::small::Target;
use chexbox::appliance::config::{ConfigError, Keys, Proxy};
use chexbox::appliance::patients::Patients;
use chexbox::limits::{BODY_BYTES_MAX, FILE_BYTES, READINGS_WAITING_MAX, WORKERS_MAX};

/// The target.
pub const TARGET: Target = Target { name: "config", property, draw };

fn property(bytes: &[u8]) -> &'static str {
    let Ok(text) = std::str::from_utf8(bytes) else { return "not UTF-8" };
    let keys = match Keys::parse(text) {
        Ok(keys) => keys,
        Err(ConfigError::Text(said)) => {
            assert!(!said.is_empty());
            return "refused as text";
        }
        Err(ConfigError::Values(_)) => panic!("values are not looked at while the text is read"),
    };
    assert_eq!(keys, Keys::parse(text).expect("the same text is accepted twice"));
    assert_eq!(Keys::default().over(keys.clone()), keys, "flags that say nothing change nothing");
    assert_eq!(keys.clone().over(Keys::parse("queue = 1").expect("a key")).queue, keys.queue.or(Some(1)));
    match keys.settings() {
        Err(ConfigError::Values(faults)) => {
            assert!(!faults.is_empty() && faults.iter().all(|f| !f.is_empty()));
            "refused for values"
        }
        Err(ConfigError::Text(_)) => panic!("the text was accepted"),
        Ok(s) => {
            for address in &s.listen {
                let safe = s.tls.is_some() || s.proxy == Proxy::AddsTls;
                let near = address.ip().to_canonical().is_loopback();
                assert!(near || (safe && !s.public_keys.is_empty()), "{address} is reached without tokens or TLS");
            }
            assert!(s.queue <= READINGS_WAITING_MAX && s.workers.is_none_or(|w| (1..=WORKERS_MAX).contains(&w)));
            assert!((1 << 20..=FILE_BYTES.max(BODY_BYTES_MAX)).contains(&s.body_bytes));
            assert!(s.connections >= 1 && (1..=s.connections).contains(&s.connections_per_peer));
            let pseudonyms = s.patients != Patients::Stated;
            assert!(!pseudonyms || (!s.keep_images && s.forward.is_empty()), "patients are kept all the same");
            assert!(s.retain_disk_percent.is_none_or(|p| (1..=100).contains(&p)));
            "accepted"
        }
    }
}

fn draw() -> Vec<(String, Vec<u8>)> {
    let files = [
        ("empty", ""),
        ("loopback", "listen = [\"127.0.0.1:8080\", \"[::1]:8080\"]\nqueue = 16\nworkers = 2\n"),
        ("tls", "listen = [\"0.0.0.0:443\"]\npublic-key = [\"k.pub\"]\ntls-cert = \"c.pem\"\ntls-key = \"k.pem\"\n"),
        ("proxy", "listen = [\"10.0.0.1:80\"]\npublic-key = [\"k.pub\"]\nplain-http-behind-proxy = true\n"),
        ("open", "listen = [\"0.0.0.0:80\"]\n"),
        ("keeping", "keep-images = true\nretain-days = 30\nretain-disk-percent = 50\nstate = \"/var/lib/chexbox\"\n"),
        ("models", "model = [\"findings25\", \"findings10\"]\nthreshold = [\"pneumothorax=0.3\"]\nthresholds = [\"a.toml\"]\n"),
        ("bounds", "queue = 256\nworkers = 64\nbody-mib = 128\nconnections = 65536\nconnections-per-peer = 1\n"),
        ("beyond", "queue = 257\nworkers = 0\nbody-mib = 0\nconnections = 0\nretain-disk-percent = 0\n"),
        ("patients", "deidentify = true\ndeidentify-key = \"k\"\nkeep-images = false\ndicom = \"systemd\"\n"),
        ("unknown", "lisen = [\"127.0.0.1:8080\"]\n"),
        ("machine", "product-uuid = \"/run/credentials/u\"\nmachine-id = \"/etc/machine-id\"\n"),
    ];
    files.into_iter().map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).collect()
}
