//! A Grayscale Softcopy Presentation State: how the film looked to the model, and where it looked.
//!
//! The grey chain of the reading becomes one VOI LUT over the stored values, so that the viewer shows what the model saw. Around
//! the hottest part of each positive finding's heat map lies a box with the finding's name. Graphics lie in pixels of the
//! film, its upper left pixel 1\1 (PS3.3 C.10.5).

use super::elements::{item, long_string, sequence, text};
use super::modules;
use super::{Kind, Object, ObjectError, Source};
use crate::grad_cam::HeatMap;
use crate::radiograph::{Grey, PixelMeaning, Samples};
use crate::report::{Assessed, Tile, shown_name, words};
use dicom_core::value::PrimitiveValue;
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

const KIND: Kind = Kind::PresentationState;
/// The one layer that everything is drawn on.
const LAYER: &str = "CHEXBOX";
/// A place belongs to the hottest part from this share of the map's own peak on.
const HOT: f32 = 0.5;
/// Cells along each side of the grid in which that part is looked for.
const CELLS: usize = 128;
/// Signed samples are stored with half of their range added.
const HALF_16_BITS: usize = 1 << 15;
const HALF_8_BITS: usize = 1 << 7;

/// The presentation state of a reading: `film` as it was read, `tiles` the heat maps of its findings.
///
/// # Errors
/// [`ObjectError::NotGrey`] for a film in colour, [`ObjectError::Size`], [`ObjectError::Encode`].
pub fn presentation_state(source: &Source, film: &Grey, tiles: &[Tile]) -> Result<Object, ObjectError> {
    let meaning = source.lineage.pixels();
    if !meaning.grey {
        return Err(ObjectError::NotGrey);
    }
    let (Ok(columns), Ok(rows)) = (u16::try_from(film.width()), u16::try_from(film.height())) else {
        return Err(ObjectError::Size(film.width(), film.height()));
    };
    let mut object = modules::shared(source, KIND);
    for element in [
        modules::body_part(),
        text(tags::CONTENT_LABEL, VR::CS, LAYER),
        long_string(tags::CONTENT_DESCRIPTION, words::HOT_SPOT.of(source.lang)),
        text(tags::PRESENTATION_CREATION_DATE, VR::DA, &source.at.date()),
        text(tags::PRESENTATION_CREATION_TIME, VR::TM, &source.at.time()),
        text(tags::CONTENT_CREATOR_NAME, VR::PN, "chexbox^software"),
        sequence(tags::REFERENCED_SERIES_SEQUENCE, vec![modules::film_in_its_series(source, tags::REFERENCED_IMAGE_SEQUENCE)]),
        sequence(tags::DISPLAYED_AREA_SELECTION_SEQUENCE, vec![whole_film(columns, rows)]),
        sequence(tags::GRAPHIC_ANNOTATION_SEQUENCE, vec![annotation(source, columns, rows, tiles)]),
        sequence(tags::GRAPHIC_LAYER_SEQUENCE, vec![layer(source)]),
        sequence(
            tags::SOFTCOPY_VOILUT_SEQUENCE,
            vec![item([sequence(tags::VOILUT_SEQUENCE, vec![grey_chain(source, film, meaning)])])],
        ),
        text(tags::PRESENTATION_LUT_SHAPE, VR::CS, if meaning.inverted { "INVERSE" } else { "IDENTITY" }),
    ] {
        object.put(element);
    }
    source.finished(KIND, &object)
}

fn whole_film(columns: u16, rows: u16) -> InMemDicomObject {
    let corner = |tag: Tag, x: i32, y: i32| InMemElement::new(tag, VR::SL, PrimitiveValue::I32([x, y].as_slice().into()));
    item([
        corner(tags::DISPLAYED_AREA_TOP_LEFT_HAND_CORNER, 1, 1),
        corner(tags::DISPLAYED_AREA_BOTTOM_RIGHT_HAND_CORNER, i32::from(columns), i32::from(rows)),
        text(tags::PRESENTATION_SIZE_MODE, VR::CS, "SCALE TO FIT"),
        super::elements::texts(tags::PRESENTATION_PIXEL_ASPECT_RATIO, VR::IS, &["1", "1"]),
    ])
}

fn layer(source: &Source) -> InMemDicomObject {
    item([
        text(tags::GRAPHIC_LAYER, VR::CS, LAYER),
        text(tags::GRAPHIC_LAYER_ORDER, VR::IS, "1"),
        long_string(tags::GRAPHIC_LAYER_DESCRIPTION, words::HOT_SPOT.of(source.lang)),
    ])
}

/// The boxes with their names, and the words that stand on everything.
fn annotation(source: &Source, columns: u16, rows: u16, tiles: &[Tile]) -> InMemDicomObject {
    let size = (f32::from(columns), f32::from(rows));
    let (mut texts, mut graphics) = (Vec::new(), Vec::new());
    for tile in tiles.iter().filter(|tile| tile.finding.is_positive()) {
        let (Some(assessed), Some(spot)) = (Assessed::of(tile.finding), Spot::of(tile.heat)) else { continue };
        let [left, top, right, bottom] = spot.on_film(size);
        graphics.push(polyline(&[left, top, right, top, right, bottom, left, bottom, left, top]));
        let name = format!("{} {}", shown_name(tile.finding, source.lang), words::percent(assessed.probability));
        texts.push(caption(&name, [left, top, right, (top + size.1 / 30.0).min(size.1)]));
    }
    texts.push(caption(&modules::review(source), [1.0, size.1 * 0.96, size.0, size.1]));
    let mut annotation = item([text(tags::GRAPHIC_LAYER, VR::CS, LAYER), sequence(tags::TEXT_OBJECT_SEQUENCE, texts)]);
    if !graphics.is_empty() {
        annotation.put(sequence(tags::GRAPHIC_OBJECT_SEQUENCE, graphics));
    }
    annotation
}

fn floats(tag: Tag, values: &[f32]) -> InMemElement {
    InMemElement::new(tag, VR::FL, PrimitiveValue::F32(values.into()))
}

fn polyline(points: &[f32]) -> InMemDicomObject {
    let count = u16::try_from(points.len() / 2).unwrap_or(u16::MAX);
    item([
        text(tags::GRAPHIC_ANNOTATION_UNITS, VR::CS, "PIXEL"),
        super::elements::word(tags::GRAPHIC_DIMENSIONS, 2),
        super::elements::word(tags::NUMBER_OF_GRAPHIC_POINTS, count),
        floats(tags::GRAPHIC_DATA, points),
        text(tags::GRAPHIC_TYPE, VR::CS, "POLYLINE"),
        text(tags::GRAPHIC_FILLED, VR::CS, "N"),
    ])
}

fn caption(words: &str, [left, top, right, bottom]: [f32; 4]) -> InMemDicomObject {
    item([
        text(tags::BOUNDING_BOX_ANNOTATION_UNITS, VR::CS, "PIXEL"),
        text(tags::UNFORMATTED_TEXT_VALUE, VR::ST, words),
        floats(tags::BOUNDING_BOX_TOP_LEFT_HAND_CORNER, &[left, top]),
        floats(tags::BOUNDING_BOX_BOTTOM_RIGHT_HAND_CORNER, &[right, bottom]),
        text(tags::BOUNDING_BOX_TEXT_HORIZONTAL_JUSTIFICATION, VR::CS, "LEFT"),
    ])
}

/// The hottest part of a heat map: what hangs together with its peak, as a box of cells, ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spot {
    columns: (usize, usize),
    rows: (usize, usize),
}

impl Spot {
    /// `None` for a map without heat.
    fn of(heat: &HeatMap) -> Option<Self> {
        let grid = heat.at_film_size(CELLS, CELLS);
        let hot = |at: usize| grid.get(at).is_some_and(|heat| *heat >= HOT);
        let (peak, _) = grid.iter().enumerate().filter(|(_, heat)| **heat > 0.0).max_by(|a, b| a.1.total_cmp(b.1))?;
        let (mut seen, mut open) = (vec![false; grid.len()], vec![peak]);
        let mut spot = Self { columns: (peak % CELLS, peak % CELLS), rows: (peak / CELLS, peak / CELLS) };
        while let Some(at) = open.pop() {
            let known = seen.get_mut(at).is_none_or(|seen| std::mem::replace(seen, true));
            if known || !(hot(at) || at == peak) {
                continue;
            }
            let (column, row) = (at % CELLS, at / CELLS);
            spot.columns = (spot.columns.0.min(column), spot.columns.1.max(column));
            spot.rows = (spot.rows.0.min(row), spot.rows.1.max(row));
            let beside = [
                (column > 0).then(|| at - 1),
                (column + 1 < CELLS).then(|| at + 1),
                (row > 0).then(|| at - CELLS),
                (row + 1 < CELLS).then(|| at + CELLS),
            ];
            open.extend(beside.into_iter().flatten());
        }
        Some(spot)
    }

    /// Left, top, right, bottom on a film of (columns, rows).
    fn on_film(self, (columns, rows): (f32, f32)) -> [f32; 4] {
        let edge = |cell: usize, side: f32| (cell as f32 / CELLS as f32 * side + 0.5).clamp(1.0, side.max(1.0));
        [edge(self.columns.0, columns), edge(self.rows.0, rows), edge(self.columns.1 + 1, columns), edge(self.rows.1 + 1, rows)]
    }
}

/// The grey chain of the reading as a VOI LUT over the stored values: 16 bits, 0 the lowest grey before any inversion.
fn grey_chain(source: &Source, film: &Grey, meaning: PixelMeaning) -> InMemDicomObject {
    let (most_bits, half) = match film.samples() {
        Samples::U8(_) => (8, HALF_8_BITS),
        Samples::U16(_) => (16, HALF_16_BITS),
    };
    let bits = source.view.facts.bits.clamp(1, most_bits);
    let entries = 1_usize << bits;
    let first = if meaning.signed { half - entries / 2 } else { 0 };
    let level = |tone: &f32| {
        let grey = if meaning.inverted { 1.0 - tone } else { *tone };
        // In [0, 1] by construction of a tone table.
        (grey * f32::from(u16::MAX)).round() as u16
    };
    let data: Vec<u16> = film.tone().iter().skip(first).take(entries).map(level).collect();
    // The number of entries is 0 where there are 65,536 (PS3.3 C.11.2.1.1).
    let count = u16::try_from(entries).unwrap_or(0);
    let descriptor = if meaning.signed {
        let lowest = i16::try_from(-((entries / 2) as i64)).unwrap_or(i16::MIN);
        InMemElement::new(tags::LUT_DESCRIPTOR, VR::SS, PrimitiveValue::I16([count.cast_signed(), lowest, 16].as_slice().into()))
    } else {
        InMemElement::new(tags::LUT_DESCRIPTOR, VR::US, PrimitiveValue::U16([count, 0, 16].as_slice().into()))
    };
    item([
        descriptor,
        long_string(tags::LUT_EXPLANATION, "the grey chain of the reading"),
        InMemElement::new(tags::LUT_DATA, VR::OW, PrimitiveValue::U16(data.into())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grad_cam::heat_map;

    #[test]
    fn the_box_lies_around_the_peak_and_not_around_other_heat() {
        // 4 x 4 cells: the peak at the lower right, other heat at the upper left, cold between.
        let mut features = [0.0; 16];
        features[0] = 0.8;
        features[15] = 1.0;
        let spot = Spot::of(&heat_map(&features, 4, &[1.0]).unwrap()).unwrap();
        let [left, top, right, bottom] = spot.on_film((400.0, 800.0));
        assert!(left > 250.0 && top > 500.0 && right == 400.0 && bottom == 800.0, "{spot:?}");
    }

    #[test]
    fn a_map_without_heat_has_no_box() {
        assert_eq!(Spot::of(&heat_map(&[1.0; 4], 2, &[-1.0]).unwrap()), None);
    }
}
