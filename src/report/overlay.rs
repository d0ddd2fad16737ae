//! The heat map of one finding over its film, as a PNG file.
//!
//! The picture keeps the film's own aspect ratio: the film lies at the upper left, the colour scale
//! in the margin to its right, the caption in the margin below, so that no letter hides anatomy.
//! Without heat a pixel of the film is shown as it is.

use super::canvas::{Area, Canvas, PictureError, Style};
use super::display::Display;
use super::{Assessed, colour, heat_layer, shown_name, words};
use crate::findings::{Call, Finding};
use crate::grad_cam::HeatMap;
use crate::lang::Lang;
use crate::limits::DISPLAY_SIDE_MAX_PX;
use crate::model::Manifest;

/// Margin left and above, to the right and below of a film whose longer side is [`DISPLAY_SIDE_MAX_PX`]; others in proportion.
const MARGIN_PX: f32 = 16.0;
const RIGHT_PX: f32 = 128.0;
const BELOW_PX: f32 = 122.0;

/// Largest growth of a margin to keep the aspect ratio: a strip of a film gets a picture of its own shape instead.
const GROWTH_MAX: f64 = 2.0;

/// The overlay of `heat` on the film, with colour scale and caption: a PNG file.
///
/// # Errors
/// [`PictureError::Untrained`] for a finding without a number, [`PictureError::Encode`].
pub fn overlay(film: &Display, heat: &HeatMap, finding: &Finding, model: &Manifest, lang: Lang) -> Result<Vec<u8>, PictureError> {
    let untrained = || PictureError::Untrained { finding: finding.id.clone() };
    let assessed = Assessed::of(finding).ok_or_else(untrained)?;
    let unit = film.width().max(film.height()) as f32 / DISPLAY_SIDE_MAX_PX as f32;
    let (width, height) = size(film, unit);
    let mut canvas = Canvas::new(width, height, colour::GROUND);
    let margin = (MARGIN_PX * unit).round() as usize;
    heat_layer::paint(&mut canvas, margin, margin, film, Some(heat));
    let right = margin + film.width();
    let scale = Area {
        x: right + (20.0 * unit).round() as usize,
        y: margin + (84.0 * unit).round() as usize,
        width: (24.0 * unit).round() as usize,
        height: (film.height() / 2).max(1),
    };
    heat_layer::upright_scale(&mut canvas, scale, 18.0 * unit, lang);
    let caption = Area { x: margin, y: margin + film.height(), width: width.saturating_sub(2 * margin), height };
    write_caption(&mut canvas, caption, unit, &assessed, heat, model, lang);
    canvas.png()
}

/// Columns and rows of the picture: the film's aspect ratio with room for the margins.
fn size(film: &Display, unit: f32) -> (usize, usize) {
    let (width, height) = (film.width() as f64, film.height() as f64);
    let (right, below) = (f64::from((MARGIN_PX + RIGHT_PX) * unit), f64::from((MARGIN_PX + BELOW_PX) * unit));
    let growth = ((width + right) / width).max((height + below) / height);
    let (width, height) = if growth <= GROWTH_MAX { (width * growth, height * growth) } else { (width + right, height + below) };
    (width.ceil() as usize, height.ceil() as usize)
}

fn write_caption(canvas: &mut Canvas, area: Area, unit: f32, about: &Assessed, heat: &HeatMap, model: &Manifest, lang: Lang) {
    let (x, room) = (area.x as f32, area.width as f32);
    let (call, stress) = match about.call {
        Call::Positive => (words::POSITIVE, colour::POSITIVE),
        Call::Negative => (words::NEGATIVE, colour::TEXT),
    };
    let first = format!("{}   {}   {}", shown_name(about.finding, lang), words::percent(about.probability), call.of(lang));
    let mut second =
        format!("{} {} · {} {}", words::OPERATING_POINT.of(lang), words::percent(about.threshold), model.name, model.version);
    if heat.peak() <= 0.0 {
        second = format!("{second} · {}", words::NO_HEAT.of(lang));
    }
    let notice = words::NOTICE.of(lang);
    for (text, style, below) in [
        (first.as_str(), Style::strong(30.0 * unit, stress), 40.0),
        (second.as_str(), Style::regular(20.0 * unit, colour::TEXT), 74.0),
        (notice, Style::regular(20.0 * unit, colour::FAINT), 104.0),
    ] {
        let style = style.fitting(text, room, 12.0 * unit);
        canvas.text(&super::lettering::fitted(text, style.em_px, room), x, area.y as f32 + below * unit, style);
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples;
    use super::*;
    use crate::grad_cam::heat_map;
    use crate::radiograph::{Grey, Samples, linear_tone};

    fn film(width: usize, height: usize) -> Display {
        Display::of(&Grey::new(width, height, Samples::U8(vec![90; width * height]), linear_tone(256)).unwrap())
    }

    fn heat(weight: f32) -> HeatMap {
        heat_map(&[0.0, 0.0, 0.0, 4.0], 2, &[weight]).unwrap()
    }

    #[test]
    fn a_picture_has_the_film_s_own_aspect_ratio() {
        let (findings, model) = (examples::findings(&[(0.7, 0.5)]), examples::manifest(&[("a", "a", Some(0.5))]));
        for (w, h) in [(2048, 2500), (2500, 2048), (512, 512), (200, 120)] {
            let picture = overlay(&film(w, h), &heat(1.0), &findings[0], &model, Lang::En).unwrap();
            let picture = image::load_from_memory(&picture).unwrap();
            let (ratio, want) = (f64::from(picture.width()) / f64::from(picture.height()), w as f64 / h as f64);
            assert!((ratio / want - 1.0).abs() < 0.005, "{w} x {h}: {ratio}, want {want}");
        }
    }

    #[test]
    fn heat_lies_where_the_map_says_and_the_rest_is_pure_film() {
        let (findings, model) = (examples::findings(&[(0.7, 0.5)]), examples::manifest(&[("a", "a", Some(0.5))]));
        let picture = overlay(&film(1024, 1024), &heat(1.0), &findings[0], &model, Lang::En).unwrap();
        let picture = image::load_from_memory(&picture).unwrap().into_rgb8();
        let [red, green, blue] = picture.get_pixel(16 + 900, 16 + 900).0;
        assert!(red > 150 && green > red / 2 && blue < 150, "{red} {green} {blue}");
        assert_eq!(picture.get_pixel(16 + 100, 16 + 100).0, [90; 3]);
    }

    #[test]
    fn films_of_every_shape_and_names_of_every_length_make_a_picture() {
        let model = examples::manifest(&[("a", "a", Some(0.5))]);
        let mut findings = examples::findings(&[(0.7, 0.5)]);
        findings[0].zh = "龘".repeat(3_000);
        for (w, h) in [(1, 1), (48, 9000), (9000, 48), (3, 5)] {
            assert!(overlay(&film(w, h), &heat(-1.0), &findings[0], &model, Lang::Zh).is_ok(), "{w} x {h}");
        }
    }

    #[test]
    fn an_untrained_finding_has_no_picture() {
        let model = examples::manifest(&[("a", "a", Some(0.5))]);
        let finding = examples::untrained("picc", "PICC");
        let error = overlay(&film(64, 64), &heat(1.0), &finding, &model, Lang::En).unwrap_err();
        assert_eq!(error.to_string(), "finding picc is untrained: there is no heat map of it");
    }
}
