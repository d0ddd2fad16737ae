//! A data set as a DICOM file (PS3.10): preamble, file meta information, elements in explicit VR little endian.

use super::uid;
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use dicom_transfer_syntax_registry::entries::EXPLICIT_VR_LITTLE_ENDIAN;

/// Uncompressed elements, as every viewer reads them.
pub const EXPLICIT_LITTLE_UID: &str = "1.2.840.10008.1.2.1";
/// The empty preamble.
const PREAMBLE: [u8; 128] = [0; 128];

/// The data set cannot be written; what the encoder says may quote a value, so it is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the data set cannot be encoded")]
pub struct NotEncoded;

/// The file of a data set whose pixel data, if any, are coded in `transfer_syntax`: one of those whose elements are explicit
/// VR little endian.
///
/// # Errors
/// [`NotEncoded`].
pub fn file(object: &InMemDicomObject, class: &str, instance: &str, transfer_syntax: &str) -> Result<Vec<u8>, NotEncoded> {
    let meta = FileMetaTableBuilder::new()
        .media_storage_sop_class_uid(class)
        .media_storage_sop_instance_uid(instance)
        .transfer_syntax(transfer_syntax)
        .implementation_class_uid(uid::implementation_class())
        .implementation_version_name(uid::IMPLEMENTATION_VERSION_NAME)
        .build()
        .map_err(|_| NotEncoded)?;
    let mut file = PREAMBLE.to_vec();
    file.extend_from_slice(b"DICM");
    meta.write(&mut file).map_err(|_| NotEncoded)?;
    object.write_dataset_with_ts(&mut file, &EXPLICIT_VR_LITTLE_ENDIAN.erased()).map_err(|_| NotEncoded)?;
    Ok(file)
}
