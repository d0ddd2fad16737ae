//! From DICOM pixel data to stored samples.
//!
//! In: pixel data whose place in the file and whose layout were checked. Out: [`Samples`] with the
//! bits of Bits Stored (0028,0101) only, High Bit (0028,0102) honoured, old overlays in the unused
//! bits removed, two's complement raised by 32,768.

use super::grey::Samples;
use super::header::named;
use super::layout::{Layout, Photometric, Planes, Sign};
use super::precheck::{DEFLATED_UID, EXPLICIT_BIG_UID, EXPLICIT_LITTLE_UID, Encoding, IMPLICIT_LITTLE_UID, PixelData, Structure};
use super::refusal::{Code, Refusal};
use super::{colour, jpeg, jpeg_ls, jpeg2000, rle};
use dicom_core::VR;
use dicom_dictionary_std::tags;
use dicom_encoding::TransferSyntaxIndex;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use std::borrow::Cow;
use std::ops::Range;

/// Stored bits of a picture as they were decoded, channels of a pixel together.
pub(super) enum Raw {
    U8(Vec<u8>),
    U16(Vec<u16>),
}

/// The transfer syntaxes whose pixels decode (the retired progressions of JPEG, of which 8 bits do, left out), uncompressed ones first, then those that lose nothing.
pub const TRANSFER_SYNTAXES: [&str; 13] = [
    EXPLICIT_LITTLE_UID,
    IMPLICIT_LITTLE_UID,
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.57",
    DEFLATED_UID,
    EXPLICIT_BIG_UID,
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.50",
];

/// How the pixels of a transfer syntax are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PixelCoding {
    Native,
    Rle,
    Jpeg,
    JpegLs,
    Jpeg2000,
}

impl PixelCoding {
    /// The coding of a transfer syntax (PS3.5 Annex A).
    ///
    /// # Errors
    /// `UnsupportedEncoding` for every other, by name and UID.
    pub(super) fn of(uid: &str) -> Result<Self, Refusal> {
        match uid {
            IMPLICIT_LITTLE_UID | EXPLICIT_LITTLE_UID | EXPLICIT_BIG_UID | DEFLATED_UID => Ok(Self::Native),
            "1.2.840.10008.1.2.5" => Ok(Self::Rle),
            // Baseline, extended, lossless, and the retired progressions, of which 8 bit decode.
            "1.2.840.10008.1.2.4.50"
            | "1.2.840.10008.1.2.4.51"
            | "1.2.840.10008.1.2.4.53"
            | "1.2.840.10008.1.2.4.55"
            | "1.2.840.10008.1.2.4.57"
            | "1.2.840.10008.1.2.4.70" => Ok(Self::Jpeg),
            "1.2.840.10008.1.2.4.80" | "1.2.840.10008.1.2.4.81" => Ok(Self::JpegLs),
            "1.2.840.10008.1.2.4.90" | "1.2.840.10008.1.2.4.91" => Ok(Self::Jpeg2000),
            other => Err(Refusal::new(
                Code::UnsupportedEncoding,
                format!("{} is {}", named(tags::TRANSFER_SYNTAX_UID), syntax_name(other)),
            )),
        }
    }
}

/// A transfer syntax by name and UID.
pub(super) fn syntax_name(uid: &str) -> String {
    match TransferSyntaxRegistry.get(uid) {
        Some(syntax) => format!("{} ({uid})", syntax.name()),
        None => uid.to_owned(),
    }
}

/// Decodes the pixels.
///
/// # Errors
/// `DamagedFile` where the data do not match the layout, `ColourPicture` where channels differ, and
/// what the codecs say.
pub(super) fn samples(structure: &Structure<'_>, layout: &Layout, coding: PixelCoding) -> Result<Samples, Refusal> {
    let raw = match (coding, &structure.pixels) {
        (PixelCoding::Native, Some(PixelData::Native { vr, bytes })) => native(structure, layout, *vr, bytes)?,
        (PixelCoding::Rle, Some(PixelData::Encapsulated { fragments })) => rle_frame(structure, layout, fragments)?,
        (PixelCoding::Jpeg, Some(PixelData::Encapsulated { fragments })) => {
            aligned(layout)?;
            jpeg::decode(&joined(structure, fragments), layout, &syntax_name(&structure.transfer_syntax))?
        }
        (PixelCoding::JpegLs, Some(PixelData::Encapsulated { fragments })) => {
            aligned(layout)?;
            jpeg_ls::decode(&joined(structure, fragments), layout)?
        }
        (PixelCoding::Jpeg2000, Some(PixelData::Encapsulated { fragments })) => {
            aligned(layout)?;
            jpeg2000::decode(&joined(structure, fragments), layout)?
        }
        _ => {
            return Err(damaged(format!(
                "{} does not lie in the file as {} has it",
                named(tags::PIXEL_DATA),
                syntax_name(&structure.transfer_syntax)
            )));
        }
    };
    if layout.channels() == 1 { Ok(stored(raw, layout)) } else { grey(raw, layout, coding) }
}

/// Uncompressed pixels; their length must be exactly what the layout says, padded to an even number.
fn native(structure: &Structure<'_>, layout: &Layout, vr: VR, bytes: &Range<usize>) -> Result<Raw, Refusal> {
    let data = structure.bytes(bytes);
    let width = usize::from(layout.bits_allocated / 8);
    let channels = if layout.photometric == Photometric::YbrFull422 { 2 } else { layout.channels() };
    let needed = layout.pixels() * channels * width;
    if data.len() != needed && data.len() != needed + needed % 2 {
        return Err(damaged(format!(
            "{} has {} bytes, {} x {} pixels of {} x {} bits take {needed}",
            named(tags::PIXEL_DATA),
            data.len(),
            layout.rows,
            layout.columns,
            channels,
            layout.bits_allocated
        )));
    }
    let cut = data.get(..needed).unwrap_or_default();
    let big = structure.encoding == Encoding::ExplicitBig;
    let raw = match (width, big) {
        (1, true) if vr == VR::OW => {
            // Bytes inside big-endian words stand in reverse; an odd last one stands behind its padding.
            let mut swapped = data.to_vec();
            swapped.as_chunks_mut::<2>().0.iter_mut().for_each(|two| two.reverse());
            swapped.truncate(needed);
            Raw::U8(swapped)
        }
        (1, _) => Raw::U8(cut.to_vec()),
        (_, true) => Raw::U16(cut.as_chunks::<2>().0.iter().map(|two| u16::from_be_bytes(*two)).collect()),
        (_, false) => Raw::U16(cut.as_chunks::<2>().0.iter().map(|two| u16::from_le_bytes(*two)).collect()),
    };
    Ok(if layout.planes == Planes::Apart && channels == 3 { together(raw, layout.pixels()) } else { raw })
}

/// Brings plane after plane together pixel by pixel.
fn together(raw: Raw, pixels: usize) -> Raw {
    fn interleaved<T: Copy + Default>(planes: &[T], pixels: usize) -> Vec<T> {
        let mut out = vec![T::default(); planes.len()];
        for (channel, plane) in planes.chunks_exact(pixels).enumerate() {
            for (to, from) in out.iter_mut().skip(channel).step_by(3).zip(plane) {
                *to = *from;
            }
        }
        out
    }
    match raw {
        Raw::U8(v) => Raw::U8(interleaved(&v, pixels)),
        Raw::U16(v) => Raw::U16(interleaved(&v, pixels)),
    }
}

fn rle_frame(structure: &Structure<'_>, layout: &Layout, fragments: &[Range<usize>]) -> Result<Raw, Refusal> {
    let [fragment] = fragments else {
        return Err(damaged(format!("the RLE frame lies in {} fragments, allowed is 1", fragments.len())));
    };
    let width = usize::from(layout.bits_allocated / 8);
    let channels = layout.channels();
    let planes = rle::byte_planes(structure.bytes(fragment), layout.pixels(), channels * width)?;
    match (planes.as_slice(), width) {
        ([high, low], 2) => Ok(Raw::U16(high.iter().zip(low).map(|(h, l)| u16::from_be_bytes([*h, *l])).collect())),
        ([grey], 1) => Ok(Raw::U8(grey.clone())),
        ([_, _, _], 1) => Ok(together(Raw::U8(planes.concat()), layout.pixels())),
        _ => Err(deep_colour()),
    }
}

/// The fragments of one frame as one piece.
fn joined<'a>(structure: &'a Structure<'_>, fragments: &[Range<usize>]) -> Cow<'a, [u8]> {
    match fragments {
        [one] => Cow::Borrowed(structure.bytes(one)),
        many => Cow::Owned(many.iter().flat_map(|f| structure.bytes(f)).copied().collect()),
    }
}

/// JPEG and JPEG 2000 store samples of their own depth; a High Bit above it would have no meaning.
fn aligned(layout: &Layout) -> Result<(), Refusal> {
    if layout.high_bit + 1 == layout.bits_stored {
        return Ok(());
    }
    Err(Refusal::new(
        Code::UnsupportedEncoding,
        format!("{} is {}, allowed in a compressed film is {}", named(tags::HIGH_BIT), layout.high_bit, layout.bits_stored - 1),
    ))
}

/// Cuts each value to its stored bits and brings it to its level.
fn stored(raw: Raw, layout: &Layout) -> Samples {
    let bits = layout.bits_stored;
    let shift = layout.high_bit + 1 - bits;
    let mask = u16::MAX >> (16 - bits);
    let level = |value: u16| -> u16 {
        let value = (value >> shift) & mask;
        match layout.sign {
            Sign::Unsigned => value,
            // Sign-extended, then raised by 32,768.
            Sign::Signed => ((value << (16 - bits)).cast_signed() >> (16 - bits)).cast_unsigned() ^ 0x8000,
        }
    };
    match raw {
        Raw::U8(values) if layout.sign == Sign::Unsigned && bits >= 8 && shift == 0 => Samples::U8(values),
        Raw::U8(values) => Samples::U16(values.iter().map(|v| level(u16::from(*v))).collect()),
        // In JPEG 2000 every depth comes in words; eight stored bits fit a byte.
        Raw::U16(values) if layout.sign == Sign::Unsigned && bits <= 8 => {
            Samples::U8(values.iter().map(|v| level(*v).to_le_bytes()[0]).collect())
        }
        Raw::U16(mut values) => {
            if layout.sign == Sign::Signed || mask != u16::MAX || shift != 0 {
                values.iter_mut().for_each(|v| *v = level(*v));
            }
            Samples::U16(values)
        }
    }
}

/// Turns three channels of eight bits grey, if they are.
fn grey(raw: Raw, layout: &Layout, coding: PixelCoding) -> Result<Samples, Refusal> {
    if layout.bits_stored != 8 || layout.sign == Sign::Signed {
        return Err(deep_colour());
    }
    let values = match raw {
        Raw::U8(values) => values,
        Raw::U16(values) => values.iter().map(|v| v.to_le_bytes()[0]).collect(),
    };
    // The JPEG decoders give red, green and blue whatever the data held.
    let photometric =
        if matches!(coding, PixelCoding::Native | PixelCoding::Rle) { layout.photometric } else { Photometric::Rgb };
    let greys = match photometric {
        Photometric::YbrFull => {
            let pixels = values.as_chunks::<3>().0;
            colour::check(pixels.iter().filter(|[_, cb, cr]| colour::is_chroma(*cb, *cr)).count(), pixels.len())?;
            pixels.iter().map(|[y, _, _]| *y).collect()
        }
        Photometric::YbrFull422 if coding == PixelCoding::Native => {
            let pairs = values.as_chunks::<4>().0;
            colour::check(pairs.iter().filter(|[_, _, cb, cr]| colour::is_chroma(*cb, *cr)).count(), pairs.len())?;
            pairs.iter().flat_map(|[y0, y1, _, _]| [*y0, *y1]).collect()
        }
        _ => colour::grey_of_rgb(&values)?,
    };
    Ok(Samples::U8(greys))
}

fn deep_colour() -> Refusal {
    Refusal::new(
        Code::UnsupportedEncoding,
        format!("a picture of three channels, allowed is {} 8 unsigned", named(tags::BITS_STORED)),
    )
}

fn damaged(detail: String) -> Refusal {
    Refusal::new(Code::DamagedFile, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(bits_allocated: u16, bits_stored: u16, high_bit: u16, sign: Sign) -> Layout {
        Layout {
            rows: 1,
            columns: 4,
            photometric: Photometric::Monochrome2,
            planes: Planes::Together,
            bits_allocated,
            bits_stored,
            high_bit,
            sign,
        }
    }

    #[test]
    fn overlays_in_unused_bits_are_removed_and_signs_are_raised() {
        for (bits_stored, high_bit, sign, raw, level) in [
            (12, 11, Sign::Unsigned, 0xF123, 0x0123),
            (12, 15, Sign::Unsigned, 0x123F, 0x0123),
            (12, 13, Sign::Unsigned, 0xC48F, 0x0123),
            (16, 15, Sign::Unsigned, 0xFFFF, 0xFFFF),
            (16, 15, Sign::Signed, 0x8000, 0x0000),
            (16, 15, Sign::Signed, 0xFFFF, 0x7FFF),
            (12, 11, Sign::Signed, 0x0800, 0x8000 - 0x0800),
            (12, 11, Sign::Signed, 0xF7FF, 0x8000 + 0x07FF),
        ] {
            let found = stored(Raw::U16(vec![raw]), &layout(16, bits_stored, high_bit, sign));
            assert!(found == Samples::U16(vec![level]), "{raw:04X} of {bits_stored} bits under {high_bit}");
        }
        assert!(stored(Raw::U8(vec![0x80, 0x7F]), &layout(8, 8, 7, Sign::Signed)) == Samples::U16(vec![0x7F80, 0x807F]));
        assert!(stored(Raw::U8(vec![0xFF]), &layout(8, 6, 5, Sign::Unsigned)) == Samples::U16(vec![0x3F]));
        assert!(stored(Raw::U16(vec![0x1FF]), &layout(16, 8, 7, Sign::Unsigned)) == Samples::U8(vec![0xFF]));
    }

    #[test]
    fn a_syntax_that_is_not_supported_is_named() {
        let refusal = PixelCoding::of("1.2.840.10008.1.2.4.201").unwrap_err();
        assert_eq!(refusal.code(), Code::UnsupportedEncoding);
        assert!(
            refusal.detail().contains("TransferSyntaxUID") && refusal.detail().contains("1.2.840.10008.1.2.4.201"),
            "{}",
            refusal.detail()
        );
        assert_eq!(PixelCoding::of("1.2.840.10008.1.2.4.90"), Ok(PixelCoding::Jpeg2000));
        assert!(TRANSFER_SYNTAXES.iter().all(|uid| PixelCoding::of(uid).is_ok()));
    }

    /// Samples of a public file, whatever its header says of modality; `None` where the data set is absent.
    fn real(file: &str) -> Option<Result<Samples, Refusal>> {
        let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data");
        let folder = std::env::var("CHEXBOX_DATA").unwrap_or_else(|_| default.to_owned());
        let Ok(bytes) = std::fs::read(std::path::Path::new(&folder).join("dicom-codecs").join(file)) else {
            println!("skipped: no public data at CHEXBOX_DATA");
            return None;
        };
        let structure = Structure::of(&bytes).unwrap();
        let header = crate::radiograph::header::Header::of(&structure).unwrap();
        Some(PixelCoding::of(&structure.transfer_syntax).and_then(|coding| samples(&structure, &Layout::of(&header)?, coding)))
    }

    #[test]
    fn one_slice_is_the_same_in_every_lossless_syntax() {
        let Some(reference) = real("CTImage.dcm_LittleEndianExplicitTransferSyntax_1.2.840.10008.1.2.1.dcm") else { return };
        let reference = reference.unwrap();
        for file in [
            "CTImage.dcm",
            "CTImage.dcm_BigEndianExplicitTransferSyntax_1.2.840.10008.1.2.2.dcm",
            "CTImage.dcm_DeflatedExplicitVRLittleEndianTransferSyntax_1.2.840.10008.1.2.1.99.dcm",
            "CTImage.dcm_JPEG2000LosslessOnlyTransferSyntax_1.2.840.10008.1.2.4.90.dcm",
            "CTImage.dcm_JPEGLSLosslessTransferSyntax_1.2.840.10008.1.2.4.80.dcm",
            "CTImage.dcm_JPEGProcess14SV1TransferSyntax_1.2.840.10008.1.2.4.70.dcm",
            "CTImage.dcm_JPEGProcess14TransferSyntax_1.2.840.10008.1.2.4.57.dcm",
            "CTImage.dcm_LittleEndianImplicitTransferSyntax_1.2.840.10008.1.2.dcm",
            "CTImage.dcm_RLELosslessTransferSyntax_1.2.840.10008.1.2.5.dcm",
        ] {
            assert!(real(file).unwrap().unwrap() == reference, "{file}");
        }
    }

    #[test]
    fn a_lossy_slice_is_near_and_what_no_decoder_reads_is_refused_by_name() {
        let lossy = [
            // Largest distance: that of the encoder's choice of quality, for JPEG-LS its NEAR of 2.
            ("CTImage.dcm_JPEG2000TransferSyntax_1.2.840.10008.1.2.4.91.dcm", 64),
            ("CTImage.dcm_JPEGLSLossyTransferSyntax_1.2.840.10008.1.2.4.81.dcm", 2),
        ];
        for (file, distance) in lossy {
            let Some(near) = real(file) else { return };
            let reference = real("CTImage.dcm").unwrap().unwrap();
            let (Samples::U16(near), Samples::U16(reference)) = (near.unwrap(), reference) else { panic!("not 16 bits") };
            let worst = near.iter().zip(&reference).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(worst <= distance, "{file}: a lossy sample is off by {worst}");
        }
        // Their encoder moved the samples, so that only other decoders' samples could be compared.
        for file in ["1TransferSyntax_1.2.840.10008.1.2.4.50", "2_4TransferSyntax_1.2.840.10008.1.2.4.51"] {
            assert!(real(&format!("CTImage.dcm_JPEGProcess{file}.dcm")).unwrap().is_ok());
        }
        for (file, uid) in [
            ("CTImage.dcm_JPEGProcess6_8TransferSyntax_1.2.840.10008.1.2.4.53.dcm", ".4.53"),
            ("CTImage.dcm_JPEGProcess10_12TransferSyntax_1.2.840.10008.1.2.4.55.dcm", ".4.55"),
        ] {
            let refusal = real(file).unwrap().map(|_| ()).unwrap_err();
            assert_eq!(refusal.code(), Code::UnsupportedEncoding, "{file}: {refusal}");
            assert!(refusal.detail().contains(uid), "{}", refusal.detail());
        }
        let colour = real("US-YBR_FULL_422-EVRLE.dcm").unwrap().map(|_| ()).unwrap_err();
        assert_eq!(colour.code(), Code::ColourPicture);
    }
}
