//! The colours of pictures: the heat scale, and how heat lies over a film.
//!
//! The scale is inferno (Smith and van der Walt 2015, matplotlib `_cm_listed.py`, CC0): equal steps of
//! heat look equal, order survives in grey and for colour-blind readers.

/// A colour: red, green, blue.
pub type Rgb = [u8; 3];

/// Ground of every picture: dark, as beside a film on a reading screen.
pub const GROUND: Rgb = [14, 17, 22];
/// Ground of a panel.
pub const PANEL: Rgb = [24, 29, 36];
/// Lines and empty bars.
pub const LINE: Rgb = [58, 66, 77];
/// Text.
pub const TEXT: Rgb = [232, 236, 240];
/// Text of less weight.
pub const FAINT: Rgb = [148, 158, 170];
/// A positive finding.
pub const POSITIVE: Rgb = [255, 184, 77];
/// A negative finding.
pub const NEGATIVE: Rgb = [112, 146, 178];

/// Inferno at 33 evenly spaced heats, 0 to 1; between them linear, within 1.5 of 255 of the original's 256 steps.
const INFERNO: [Rgb; 33] = [
    [0, 0, 4],
    [4, 3, 18],
    [11, 7, 36],
    [21, 11, 55],
    [33, 12, 74],
    [46, 10, 90],
    [60, 9, 101],
    [74, 12, 107],
    [87, 16, 109],
    [99, 20, 110],
    [112, 25, 110],
    [125, 30, 109],
    [137, 34, 106],
    [150, 39, 102],
    [163, 43, 97],
    [175, 49, 92],
    [187, 55, 85],
    [198, 62, 77],
    [209, 70, 68],
    [219, 79, 59],
    [227, 89, 50],
    [235, 101, 40],
    [241, 113, 30],
    [246, 127, 20],
    [249, 141, 10],
    [251, 156, 6],
    [252, 171, 15],
    [251, 186, 31],
    [249, 202, 50],
    [245, 217, 73],
    [242, 232, 101],
    [243, 245, 134],
    [252, 255, 164],
];

/// Heat below which the film shows pure: what hardly speaks for a finding must not tint its picture.
const HEAT_CLEAR: f32 = 0.15;
/// Heat from which the colour covers most.
const HEAT_FULL: f32 = 0.75;
/// The most that colour covers, so that the film stays legible under the peak.
const COVER_MAX: f32 = 0.55;

/// Colour of a heat in [0, 1].
fn inferno(heat: f32) -> [f32; 3] {
    let position = heat.clamp(0.0, 1.0) * (INFERNO.len() - 1) as f32;
    let low = (position as usize).min(INFERNO.len() - 2);
    let share = position - low as f32;
    std::array::from_fn(|c| f32::from(INFERNO[low][c]) * (1.0 - share) + f32::from(INFERNO[low + 1][c]) * share)
}

/// Share of colour over the film at a heat in [0, 1]: a smooth step (3 t^2 - 2 t^3) from clear to full.
fn cover(heat: f32) -> f32 {
    let t = ((heat - HEAT_CLEAR) / (HEAT_FULL - HEAT_CLEAR)).clamp(0.0, 1.0);
    COVER_MAX * t * t * (3.0 - 2.0 * t)
}

/// Colour and opacity of a heat in [0, 1] for a layer that whoever shows it fades over the film: full where the cover is.
pub fn over_nothing(heat: f32) -> [u8; 4] {
    let [red, green, blue] = inferno(heat).map(|c| c.round() as u8);
    [red, green, blue, (cover(heat) / COVER_MAX * 255.0).round() as u8]
}

/// A grey of the film with the colour of a heat in [0, 1] over it.
pub fn over_film(grey: u8, heat: f32) -> Rgb {
    let (colour, cover) = (inferno(heat), cover(heat));
    colour.map(|c| (f32::from(grey) * (1.0 - cover) + c * cover).round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cold_film_stays_pure_film() {
        for grey in [0, 1, 128, 255] {
            for heat in [0.0, 0.1, HEAT_CLEAR] {
                assert_eq!(over_film(grey, heat), [grey; 3]);
            }
        }
    }

    #[test]
    fn the_film_stays_legible_under_the_peak() {
        let difference = i32::from(over_film(200, 1.0)[1]) - i32::from(over_film(60, 1.0)[1]);
        assert!(difference >= 60, "{difference}");
    }

    #[test]
    fn the_scale_grows_lighter_with_heat() {
        let light = |h: f32| inferno(h).iter().zip([0.299, 0.587, 0.114]).map(|(c, w)| c * w).sum::<f32>();
        for i in 1..=255_u16 {
            let (cooler, hotter) = (f32::from(i - 1) / 255.0, f32::from(i) / 255.0);
            assert!(light(hotter) > light(cooler), "heat {hotter}");
        }
    }
}
