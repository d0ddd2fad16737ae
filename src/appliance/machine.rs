//! Which machine this is: a hash over the product UUID of its firmware and the machine id of its installation.
//!
//! Access tokens name a machine by it. The UUID is readable by root alone; the daemon gets it as a credential of systemd.
//! A machine whose firmware has none (some virtual ones) is known by its machine id alone, and its fingerprint says so.

use crate::limits::MACHINE_FILE_BYTES_MAX;
use sha2::{Digest, Sha256};
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Where Linux shows the firmware's product UUID.
pub const PRODUCT_UUID: &str = "/sys/class/dmi/id/product_uuid";

/// Where the installation's machine id stands.
pub const MACHINE_ID: &str = "/etc/machine-id";

/// Sets these hashes apart from all others.
const NAME: &[u8] = b"chexbox machine 1\0";

/// What names a machine: 32 hexadecimal digits in eight groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    text: String,
    known_by: KnownBy,
}

/// What a fingerprint is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownBy {
    /// Product UUID and machine id.
    FirmwareAndInstallation,
    /// Machine id alone: a copy of the disk is taken for the same machine.
    InstallationAlone,
}

impl Fingerprint {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it is made of.
    pub fn known_by(&self) -> KnownBy {
        self.known_by
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why a machine cannot be named.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The file exists, and this process may not read it.
    #[error("{path} cannot be read ({why}): run as root, or give the daemon the file with LoadCredential=")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// There is no machine id, or it is not one.
    #[error("{0} holds no machine id: systemd-machine-id-setup makes one")]
    NoMachineId(PathBuf),
}

/// The fingerprint of the machine that these files describe.
///
/// # Errors
/// Where a file cannot be read, or the machine id is missing. A product UUID that does not exist is none.
pub fn fingerprint(product_uuid: &Path, machine_id: &Path) -> Result<Fingerprint, MachineError> {
    let uuid = line(product_uuid)?.filter(|uuid| !uuid.is_empty());
    let id = line(machine_id)?.filter(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()));
    let id = id.ok_or_else(|| MachineError::NoMachineId(machine_id.to_owned()))?;
    let known_by = if uuid.is_some() { KnownBy::FirmwareAndInstallation } else { KnownBy::InstallationAlone };
    let sum = Sha256::new_with_prefix(NAME).chain_update(uuid.unwrap_or_default()).chain_update([0]).chain_update(id).finalize();
    let groups: Vec<String> = sum.chunks(2).take(8).map(|pair| pair.iter().map(|b| format!("{b:02x}")).collect()).collect();
    Ok(Fingerprint { text: groups.join("-"), known_by })
}

/// The file's one line, trimmed, in lower case; none where there is no file.
fn line(path: &Path) -> Result<Option<String>, MachineError> {
    let unreadable = |why| MachineError::Unreadable { path: path.to_owned(), why };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(unreadable(e)),
    };
    let mut text = String::new();
    file.take(MACHINE_FILE_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    Ok(Some(text.trim().to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(name: &str, uuid: Option<&str>, id: Option<&str>) -> Result<Fingerprint, MachineError> {
        let dir = std::env::temp_dir().join(format!("chexbox-machine-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for (file, content) in [("uuid", uuid), ("id", id)] {
            if let Some(content) = content {
                std::fs::write(dir.join(file), content).unwrap();
            }
        }
        let fingerprint = fingerprint(&dir.join("uuid"), &dir.join("id"));
        std::fs::remove_dir_all(dir).unwrap();
        fingerprint
    }

    const UUID: &str = "4C4C4544-0042-3510-8052-B4C04F4E3432\n";
    const ID: &str = "3d1219c7c4c5404aaa1f6d2a48adfda4\n";

    #[test]
    fn a_fingerprint_is_a_hash_over_both_files_whatever_their_case() {
        let one = machine("one", Some(UUID), Some(ID)).unwrap();
        // python3: sha256(b"chexbox machine 1\0" + b"4c4c4544-0042-3510-8052-b4c04f4e3432" + b"\0" + b"3d1219c7c4c5404aaa1f6d2a48adfda4")
        assert_eq!(one.as_str(), "b011-bd35-1118-14a2-ae2e-7d3f-59d6-464c");
        assert_eq!(machine("lower", Some(&UUID.to_lowercase()), Some(ID)).unwrap(), one);
        let others = [machine("uuid", Some("x"), Some(ID)), machine("id", Some(UUID), Some(&"0".repeat(32)))];
        for other in others {
            assert_ne!(other.unwrap().as_str(), one.as_str());
        }
    }

    #[test]
    fn a_machine_without_a_product_uuid_is_known_by_its_installation_and_says_so() {
        let machine = machine("bare", None, Some(ID)).unwrap();
        assert_eq!(machine.known_by(), KnownBy::InstallationAlone);
    }

    #[test]
    fn a_machine_without_a_machine_id_has_no_fingerprint() {
        for (name, id) in [("none", None), ("empty", Some("")), ("early", Some("uninitialized\n")), ("short", Some("3d12"))] {
            assert!(matches!(machine(name, Some(UUID), id), Err(MachineError::NoMachineId(_))), "{name}");
        }
    }
}
