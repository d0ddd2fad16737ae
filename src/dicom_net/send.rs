//! One object to one archive, by C-STORE (PS3.4 Annex B) or STOW-RS (PS3.18 10.5).
//!
//! In: a DICOM file and an [`Archive`]. Out: that the archive has it, or a [`SendFault`] that says whose fault it is and so what
//! becomes of the object ([`Fate`]). Never: an object said to be sent that the archive did not confirm, a wait beyond the
//! configured times, a word of the archive's in a fault (it may name the patient: codes alone are passed on).

use super::socket::{Channel, Unreached};
use super::wire::WireFault;
use super::{scu, stow};
use dicom_object::FileMetaTable;
use rustls::ClientConfig;
use std::fmt;
use std::io;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An archive.
#[derive(Clone)]
pub struct Archive {
    /// Name or address of its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What is trusted under TLS; none for a plain connection.
    pub tls: Option<Arc<ClientConfig>>,
    /// How it is spoken to.
    pub service: Service,
    /// Longest wait for a connection and an association.
    pub connect: Duration,
    /// Longest that the transfer of an object may take, its answer included.
    pub answer: Duration,
}

/// How an archive is spoken to.
#[derive(Clone)]
pub enum Service {
    /// C-STORE.
    CStore {
        /// Its AE title.
        called: String,
        /// Ours.
        calling: String,
    },
    /// STOW-RS.
    Stow {
        /// Path of the service, without a slash at its end.
        path: String,
        /// What stands in the field Authorization.
        authorization: Option<String>,
    },
}

/// Whether the archive has the object because of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It took it.
    Now,
    /// It says that it had it.
    Before,
}

/// What becomes of an object that was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The archive was not reached: it is tried again with this object when the archive may be back.
    Away,
    /// The transfer failed: others are tried first, after a pause.
    Failed,
    /// This object is not wanted: others are tried at once.
    Refused,
}

/// Why an object was not sent. Its text begins with a word for the kind of fault and a colon.
#[derive(Debug)]
pub enum SendFault {
    /// The host has no address.
    Address(io::Error),
    /// Nothing answers there in time.
    Connect(io::Error),
    /// The connection was not made secure.
    Tls(io::Error),
    /// The association was rejected, or not answered; why.
    Association(String),
    /// The archive does not take objects of this SOP class.
    Class(String),
    /// The transfer broke off.
    Broken(String),
    /// The archive answered with this status of C-STORE or failure reason of STOW-RS, about this element where it names one.
    Status(u16, Option<(u16, u16)>),
    /// The archive answered with this status of HTTP.
    Http(u16),
    /// What is to be sent is no DICOM file.
    Object,
}

impl SendFault {
    /// What becomes of the object.
    pub fn fate(&self) -> Fate {
        match self {
            Self::Address(_) | Self::Connect(_) | Self::Tls(_) | Self::Association(_) => Fate::Away,
            Self::Class(_) | Self::Object => Fate::Refused,
            Self::Broken(_) => Fate::Failed,
            Self::Status(status, _) => match meaning(*status) {
                Meaning::Refused => Fate::Refused,
                _ => Fate::Failed,
            },
            // Of the others the address, the credentials or the archive's health are the cause.
            Self::Http(400 | 406 | 409 | 410 | 411 | 413 | 415 | 422) => Fate::Refused,
            Self::Http(_) => Fate::Failed,
        }
    }
}

impl fmt::Display for SendFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(e) => write!(f, "address: {e}"),
            Self::Connect(e) => write!(f, "connect: {e}"),
            Self::Tls(e) => write!(f, "tls: {e}"),
            Self::Association(why) => write!(f, "association: {why}"),
            Self::Class(uid) => write!(f, "class: {uid}"),
            Self::Broken(why) => write!(f, "broken: {why}"),
            Self::Status(status, None) => write!(f, "status: {status:04X}"),
            Self::Status(status, Some((group, element))) => write!(f, "status: {status:04X} ({group:04X},{element:04X})"),
            Self::Http(status) => write!(f, "http: {status}"),
            Self::Object => write!(f, "object: it cannot be read"),
        }
    }
}

impl From<WireFault> for SendFault {
    fn from(fault: WireFault) -> Self {
        Self::Broken(fault.to_string())
    }
}

/// What a status of C-STORE says of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Kept(Kept),
    /// The archive may take it another time.
    Later,
    Refused,
}

/// PS3.4 table B.2-1 and PS3.7 Annex C; the failure reasons of STOW-RS (PS3.18 table 10.5.3-1) are the same numbers.
pub(super) fn meaning(status: u16) -> Meaning {
    match status {
        // Warnings: elements coerced, discarded, or not matching the class. It is stored.
        0x0000 | 0x0001 | 0x0107 | 0x0116 | 0xB000..=0xBFFF => Meaning::Kept(Kept::Now),
        // Duplicate SOP instance.
        0x0111 => Meaning::Kept(Kept::Before),
        // Out of resources, processing failure, resource limitation, cancelled, and what no table knows.
        0xA700..=0xA7FF | 0x0110 | 0x0213 | 0xFE00 => Meaning::Later,
        // Does not match the class, cannot be understood, class not supported, not authorized and the like.
        0xA000..=0xAFFF | 0xC000..=0xCFFF | 0x0105..=0x0124 | 0x0210..=0x0212 => Meaning::Refused,
        _ => Meaning::Later,
    }
}

/// A DICOM file, taken apart.
pub(super) struct Object<'a> {
    pub(super) file: &'a [u8],
    pub(super) sop_class: String,
    pub(super) sop_instance: String,
    pub(super) transfer_syntax: String,
    pub(super) data_set: &'a [u8],
}

impl<'a> Object<'a> {
    /// `None` where it is no DICOM file.
    pub(super) fn of(file: &'a [u8]) -> Option<Self> {
        let (_, rest) = file.split_at_checked(128)?;
        let meta = FileMetaTable::from_reader(rest).ok()?;
        let trimmed = |uid: &str| uid.trim_end_matches([' ', '\0']).to_owned();
        // The magic word, and the element that holds the length of the others.
        let head = usize::try_from(meta.information_group_length).ok()?.checked_add(4 + 12)?;
        Some(Self {
            file,
            sop_class: trimmed(&meta.media_storage_sop_class_uid),
            sop_instance: trimmed(&meta.media_storage_sop_instance_uid),
            transfer_syntax: meta.transfer_syntax().to_owned(),
            data_set: rest.get(head..)?,
        })
    }
}

impl Archive {
    /// Sends a file, and returns when the archive has said what it did with it.
    ///
    /// # Errors
    /// [`SendFault`].
    pub fn send(&self, file: &[u8]) -> Result<Kept, SendFault> {
        let object = Object::of(file).ok_or(SendFault::Object)?;
        let addresses = (self.host.as_str(), self.port).to_socket_addrs().map_err(SendFault::Address)?;
        let deadline = Instant::now() + self.connect;
        let tls = self.tls.as_ref().map(|config| (config, self.host.as_str()));
        let channel = Channel::connect(&addresses.collect::<Vec<_>>(), tls, deadline).map_err(|e| match e {
            Unreached::Connect(e) => SendFault::Connect(e),
            Unreached::Tls(e) => SendFault::Tls(e),
        })?;
        match &self.service {
            Service::CStore { called, calling } => scu::store(channel, &object, called, calling, self.answer),
            Service::Stow { path, authorization } => {
                let place = stow::Place { host: &self.host, port: self.port, path, authorization: authorization.as_deref() };
                stow::store(channel, &object, &place, self.answer)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whether_the_archive_has_it_may_take_it_or_does_not_want_it() {
        for (status, wanted) in [
            (0x0000, Meaning::Kept(Kept::Now)),
            (0xB000, Meaning::Kept(Kept::Now)),
            (0xB007, Meaning::Kept(Kept::Now)),
            (0x0111, Meaning::Kept(Kept::Before)),
            (0xA700, Meaning::Later),
            (0xA701, Meaning::Later),
            (0x0110, Meaning::Later),
            (0x0122, Meaning::Refused),
            (0x0124, Meaning::Refused),
            (0xA900, Meaning::Refused),
            (0xC000, Meaning::Refused),
            (0xC123, Meaning::Refused),
            (0xFFFF, Meaning::Later),
        ] {
            assert_eq!(meaning(status), wanted, "{status:04X}");
        }
    }

    #[test]
    fn a_fault_says_its_kind_first_and_what_becomes_of_the_object() {
        for (fault, fate, text) in [
            (SendFault::Status(0xA900, Some((0x0008, 0x0018))), Fate::Refused, "status: A900 (0008,0018)"),
            (SendFault::Status(0xA700, None), Fate::Failed, "status: A700"),
            (SendFault::Http(503), Fate::Failed, "http: 503"),
            (SendFault::Http(401), Fate::Failed, "http: 401"),
            (SendFault::Http(413), Fate::Refused, "http: 413"),
            (SendFault::Class("1.2".to_owned()), Fate::Refused, "class: 1.2"),
            (SendFault::Association("x".to_owned()), Fate::Away, "association: x"),
        ] {
            assert_eq!((fault.fate(), fault.to_string().as_str()), (fate, text));
        }
    }

    #[test]
    fn what_is_no_file_is_no_object() {
        for bytes in [&[][..], &[0; 127], &[0; 132], &[b"DICM".as_slice(), &[0; 200]].concat()] {
            assert!(Object::of(bytes).is_none());
        }
    }
}
