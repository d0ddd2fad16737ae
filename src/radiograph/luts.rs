//! The modality LUT, VOI LUT and padding that a DICOM header states (PS3.3 C.11.1, C.11.2, C.7.5.1.1.2).
//!
//! Each comes with the sentence that the record's provenance gets. Of several windows the first is
//! taken, as the writer put it first. A VOI LUT Sequence goes before a window: where a film has both,
//! the table is the rendering that its maker tuned and the window an approximation of it.

use super::header::{Header, named};
use super::layout::{Layout, Sign};
use super::refusal::{Code, Refusal};
use super::tone::{Function, Modality, Table, Voi};
use dicom_core::Tag;
use dicom_dictionary_std::tags;

/// Most entries of a LUT: its descriptor writes 65,536 as 0.
const ENTRIES_MAX: usize = 65_536;

/// The modality LUT: a table, or slope and intercept, or the stored values as they are.
///
/// # Errors
/// `DamagedFile` where a table or a slope cannot be used.
pub(super) fn modality(header: &Header<'_>, layout: &Layout) -> Result<(Modality, String), Refusal> {
    if let Some(item) = header.item(tags::MODALITY_LUT_SEQUENCE) {
        let table = table(&item, layout.sign)?;
        let step = format!("{} of {} entries from {}", named(tags::MODALITY_LUT_SEQUENCE), table.values.len(), table.first);
        return Ok((Modality::Table(table), step));
    }
    let slope = number(header, tags::RESCALE_SLOPE)?;
    let intercept = number(header, tags::RESCALE_INTERCEPT)?;
    let step = match (slope, intercept) {
        (None, None) => "none in the header: stored values as they are".to_owned(),
        _ => format!(
            "{} {}, {} {}",
            named(tags::RESCALE_SLOPE),
            slope.unwrap_or(1.0),
            named(tags::RESCALE_INTERCEPT),
            intercept.unwrap_or(0.0)
        ),
    };
    let (slope, intercept) = (slope.unwrap_or(1.0), intercept.unwrap_or(0.0));
    if slope == 0.0 {
        return Err(Refusal::new(Code::DamagedFile, format!("{} is 0, allowed is any other number", named(tags::RESCALE_SLOPE))));
    }
    Ok((Modality::Rescale { slope, intercept }, step))
}

/// Whether what the modality step gives can be below zero, and so the first mapped value of a VOI LUT
/// (PS3.3 C.11.1.1.1): a table gives unsigned values, a slope signed ones where the stored values are
/// signed or the intercept is below zero.
fn sign_of(modality: &Modality, layout: &Layout) -> Sign {
    match modality {
        Modality::Table(_) => Sign::Unsigned,
        Modality::Rescale { intercept, .. } if *intercept < 0.0 => Sign::Signed,
        Modality::Rescale { .. } => layout.sign,
    }
}

/// The VOI LUT behind `modality`: a table, or the first window; `None` where the header has neither.
///
/// # Errors
/// `DamagedFile` where it cannot be used, `UnsupportedEncoding` for a function the standard does not have.
pub(super) fn voi(header: &Header<'_>, layout: &Layout, modality: &Modality) -> Result<Option<(Voi, String)>, Refusal> {
    if let Some(item) = header.item(tags::VOILUT_SEQUENCE) {
        let table = table(&item, sign_of(modality, layout))?;
        let step = format!("{} of {} entries from {}", named(tags::VOILUT_SEQUENCE), table.values.len(), table.first);
        return Ok(Some((Voi::Table(table), step)));
    }
    let (centre, width) = (number(header, tags::WINDOW_CENTER)?, number(header, tags::WINDOW_WIDTH)?);
    let (Some(centre), Some(width)) = (centre, width) else { return Ok(None) };
    let function = match header.text(tags::VOILUT_FUNCTION).as_deref() {
        None | Some("LINEAR") => Function::Linear,
        Some("LINEAR_EXACT") => Function::LinearExact,
        Some("SIGMOID") => Function::Sigmoid,
        Some(_) => {
            let detail = format!("{} is not LINEAR, LINEAR_EXACT or SIGMOID", named(tags::VOILUT_FUNCTION));
            return Err(Refusal::new(Code::UnsupportedEncoding, detail));
        }
    };
    let least = if function == Function::Linear { 1.0 } else { f64::MIN_POSITIVE };
    if width < least {
        let allowed = if function == Function::Linear { "1 and more" } else { "more than 0" };
        let detail = format!("{} is {width}, allowed for {} is {allowed}", named(tags::WINDOW_WIDTH), function.name());
        return Err(Refusal::new(Code::DamagedFile, detail));
    }
    let windows = header.numbers(tags::WINDOW_CENTER).map_or(1, |all| all.len());
    let step = format!(
        "first of {windows} windows: {} {centre}, {} {width}, function {}",
        named(tags::WINDOW_CENTER),
        named(tags::WINDOW_WIDTH),
        function.name()
    );
    Ok(Some((Voi::Window { centre, width, function }, step)))
}

/// Lowest and highest stored value that is padding, from Pixel Padding Value and its Range Limit.
///
/// # Errors
/// `DamagedFile` where one of them is no whole number.
pub(super) fn padding(header: &Header<'_>, layout: &Layout) -> Result<Option<(f64, f64)>, Refusal> {
    let stored = |tag: Tag| -> Result<Option<f64>, Refusal> {
        let Some(value) = header.integer(tag)? else { return Ok(None) };
        // Whether the two bytes were written as signed or unsigned, they are read as the pixels are.
        let word = i16::try_from(value).map(i16::cast_unsigned).or_else(|_| u16::try_from(value));
        Ok(word.ok().map(|word| match layout.sign {
            Sign::Signed => f64::from(word.cast_signed()),
            Sign::Unsigned => f64::from(word),
        }))
    };
    let Some(value) = stored(tags::PIXEL_PADDING_VALUE)? else { return Ok(None) };
    let limit = stored(tags::PIXEL_PADDING_RANGE_LIMIT)?.unwrap_or(value);
    Ok(Some((value.min(limit), value.max(limit))))
}

/// A LUT from its Descriptor (0028,3002) and Data (0028,3006).
fn table(item: &Header<'_>, sign: Sign) -> Result<Table, Refusal> {
    let descriptor = item.words(tags::LUT_DESCRIPTOR).unwrap_or_default();
    let &[entries, first, bits] = descriptor.as_slice() else {
        return Err(unusable(tags::LUT_DESCRIPTOR, &format!("has {} values, allowed is 3", descriptor.len())));
    };
    let entries = if entries == 0 { ENTRIES_MAX } else { usize::from(entries) };
    let first = if sign == Sign::Signed { i32::from(first.cast_signed()) } else { i32::from(first) };
    if !(8..=16).contains(&bits) {
        return Err(unusable(tags::LUT_DESCRIPTOR, &format!("says {bits} bits, allowed are 8 to 16")));
    }
    let words = item.words(tags::LUT_DATA).unwrap_or_default();
    let values = match words.len() {
        n if n == entries => words,
        // Entries of eight bits may be packed two in a word.
        n if bits == 8 && n == entries.div_ceil(2) => {
            words.iter().flat_map(|w| w.to_le_bytes()).map(u16::from).take(entries).collect()
        }
        n => return Err(unusable(tags::LUT_DATA, &format!("has {n} values, its descriptor says {entries}"))),
    };
    let top = u16::MAX >> (16 - bits);
    Ok(Table { first, values, top })
}

/// The first value as a number.
fn number(header: &Header<'_>, tag: Tag) -> Result<Option<f64>, Refusal> {
    match header.numbers(tag) {
        Some(numbers) => Ok(numbers.first().copied()),
        None if header.has(tag) => Err(unusable(tag, "is not a number")),
        None => Ok(None),
    }
}

fn unusable(tag: Tag, why: &str) -> Refusal {
    Refusal::new(Code::DamagedFile, format!("{} {why}", named(tag)))
}
