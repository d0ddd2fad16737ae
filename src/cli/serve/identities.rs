//! What the service keeps of patients: what the films' headers say, or pseudonyms alone. The key stays in memory.

use crate::cli::{Failure, WrongCommandLine, load};
use chexbox::appliance::config::Settings;
use chexbox::appliance::patients::Patients;
use chexbox::radiograph::PatientIdentity;
use chexbox::store::Store;
use std::path::{Path, PathBuf};

/// Name of the key among the credentials that systemd passes.
const CREDENTIAL: &str = "deidentify-key";

/// Makes of an identity what is kept of it.
pub enum Identities {
    /// All of it.
    Stated,
    /// A pseudonym under this key.
    Pseudonyms(Vec<u8>),
}

impl Identities {
    /// After the configuration.
    ///
    /// # Errors
    /// A key that is missing or short, with what to do.
    pub fn of(settings: &Settings) -> Result<Self, Failure> {
        let Patients::Pseudonyms { key } = &settings.patients else { return Ok(Self::Stated) };
        let passed = || std::env::var_os("CREDENTIALS_DIRECTORY").map(|folder| Path::new(&folder).join(CREDENTIAL));
        let file: Option<PathBuf> = key.clone().or_else(|| passed().filter(|file| file.exists()));
        let Some(file) = file else {
            let what = format!(
                "deidentify needs a key: set deidentify-key to a file, or pass it as systemd's credential {CREDENTIAL}; make one \
                 by: head -c 32 /dev/urandom > key / deidentify 需要密钥：请设置 deidentify-key，或以 systemd 凭据 {CREDENTIAL} 传入"
            );
            return Err(WrongCommandLine(what).into());
        };
        Ok(Self::Pseudonyms(load::hash_key("deidentify-key", &file)?))
    }

    /// What is kept of this identity.
    pub fn kept(&self, identity: PatientIdentity) -> PatientIdentity {
        match self {
            Self::Stated => identity,
            Self::Pseudonyms(key) => identity.deidentified(key),
        }
    }

    /// What is kept of the name of a film's file, which may be the patient's.
    pub fn film_name(&self, name: Option<&String>) -> Option<String> {
        match self {
            Self::Stated => name.cloned(),
            Self::Pseudonyms(_) => None,
        }
    }

    /// The pseudonym of the patient whose id is searched for.
    pub fn pseudonym(&self, id: &str) -> Option<String> {
        match self {
            Self::Stated => None,
            Self::Pseudonyms(key) => PatientIdentity::kept(None, Some(id.to_owned()), None, None).pseudonym(key),
        }
    }

    /// Whether this store may be used: where pseudonyms alone are kept, nothing in it may name a patient.
    ///
    /// # Errors
    /// How many readings do, and what to do.
    pub fn may_use(&self, store: &Store) -> Result<(), Failure> {
        match (self, store.naming()?) {
            (Self::Stated, _) | (_, 0) => Ok(()),
            (Self::Pseudonyms(_), count) => Err(format!(
                "deidentify: {count} reading(s) in the store were kept with their patients; give this service a state folder of \
                 its own (--state), or delete them / 数据目录中有 {count} 条含患者身份的记录：请使用新的数据目录或删除这些记录"
            )
            .into()),
        }
    }
}
