//! The contact sheet of one film: the film, a heat map for each positive finding, and every finding
//! with its probability. One picture that says what was seen, by which model, and how sure.
//!
//! A film without a positive finding says so beside the film and shows the three most probable
//! findings, marked as below their operating points.

use super::canvas::{Area, Canvas, PictureError, Style};
use super::display::{Display, scaled};
use super::lettering::fitted;
use super::panel::{self, Panel};
use super::record::PROGRAM;
use super::{Assessed, ReadView, base_name, colour, heat_layer, shown_name, words};
use crate::findings::{Call, Finding};
use crate::grad_cam::HeatMap;
use crate::lang::Lang;
use crate::limits::SHEET_TILES_MAX;

/// Columns of a sheet: it fits a screen of 1,920 and prints on A4 across at 150 dots an inch.
const WIDTH: usize = 1_720;
const PAD: usize = 36;
const GAP: usize = 18;
const HEADER: usize = 122;
const FOOTER: usize = 62;
/// Rows of the words that are burned into a capture.
const STAMP: usize = 54;
/// Rows that the tiles may take together before they are made smaller.
const TILES_HEIGHT_MAX: usize = 1_400;
/// Longer side of the largest tile.
const TILE_SIDE_MAX: usize = 760;
const TILE_CAPTION: usize = 68;
/// How many findings a film without a positive one shows.
const SHOWN_BELOW: usize = 3;

/// One heat map of the sheet.
#[derive(Clone, Copy, Debug)]
pub struct Tile<'a> {
    /// The finding; an untrained one is left out.
    pub finding: &'a Finding,
    /// Its heat map.
    pub heat: &'a HeatMap,
}

/// Positions in `findings` of those whose heat maps the sheet shows, in this order: every positive
/// one, or the three most probable where none is.
pub fn shown(findings: &[Finding]) -> Vec<usize> {
    let ranked = Assessed::ranked(findings);
    let positive = ranked.iter().filter(|a| a.call == Call::Positive).count();
    let count = if positive > 0 { positive.min(SHEET_TILES_MAX) } else { SHOWN_BELOW };
    let position = |a: &Assessed| findings.iter().position(|f| std::ptr::eq(f, a.finding));
    ranked.iter().take(count).filter_map(position).collect()
}

/// The contact sheet of a film: a PNG file. `tiles` are the heat maps of the findings that [`shown`] names.
///
/// # Errors
/// [`PictureError::Encode`].
pub fn sheet(view: &ReadView, film: &Display, tiles: &[Tile], lang: Lang) -> Result<Vec<u8>, PictureError> {
    drawn(view, film, tiles, None, lang).png()
}

/// The contact sheet with `stamp` burned in below it: columns, rows, and pixels of three bytes.
pub(super) fn capture(view: &ReadView, film: &Display, tiles: &[Tile], stamp: &str, lang: Lang) -> (usize, usize, Vec<u8>) {
    drawn(view, film, tiles, Some(stamp), lang).into_rgb()
}

fn drawn(view: &ReadView, film: &Display, tiles: &[Tile], stamp: Option<&str>, lang: Lang) -> Canvas {
    let panel = Panel::of(view, lang);
    let count = 1 + tiles.len().min(SHEET_TILES_MAX);
    let grid = Grid::new(film, count);
    let height = HEADER + grid.height().max(panel.height()) + PAD / 2 + FOOTER;
    let mut canvas = Canvas::new(WIDTH, height + if stamp.is_some() { STAMP } else { 0 }, colour::GROUND);
    header(&mut canvas, view, lang);
    if let Some(text) = stamp {
        let area = Area { x: 0, y: height, width: WIDTH, height: STAMP };
        canvas.fill(area, colour::POSITIVE);
        let style = Style::strong(26.0, colour::GROUND).fitting(text, (WIDTH - 2 * PAD) as f32, 12.0);
        canvas.text(text, PAD as f32, height as f32 + 36.0, style);
    }

    let small = film.with_longer_side(grid.longer);
    let (x, y) = grid.place(0);
    heat_layer::paint(&mut canvas, x, y, &small, None);
    film_caption(&mut canvas, Area { x, y: y + small.height(), width: grid.room(), height: TILE_CAPTION }, view, lang);
    for (i, tile) in tiles.iter().take(SHEET_TILES_MAX).enumerate() {
        let Some(about) = Assessed::of(tile.finding) else { continue };
        let (x, y) = grid.place(i + 1);
        heat_layer::paint(&mut canvas, x, y, &small, Some(tile.heat));
        tile_caption(&mut canvas, Area { x, y: y + small.height(), width: grid.room(), height: TILE_CAPTION }, &about, lang);
    }
    let height = grid.height().max(panel.height());
    panel.draw(&mut canvas, Area { x: WIDTH - PAD - panel::WIDTH, y: HEADER, width: panel::WIDTH, height });
    footer(&mut canvas, HEADER + height + PAD / 2, lang);
    canvas
}

/// Where the film and the heat maps lie: equal tiles, as large as fit.
struct Grid {
    columns: usize,
    rows: usize,
    longer: usize,
    tile: (usize, usize),
}

impl Grid {
    /// Columns left beside the panel.
    const ROOM: usize = WIDTH - 3 * PAD - panel::WIDTH;

    fn new(film: &Display, count: usize) -> Self {
        let fitting = |columns: usize| {
            let rows = count.div_ceil(columns);
            let width = (Self::ROOM - (columns - 1) * GAP) / columns;
            let height = (TILES_HEIGHT_MAX / rows).saturating_sub(TILE_CAPTION).max(1);
            // The longer side of the largest tile that is no wider and no higher than that.
            let (w, h) = (film.width() as f64, film.height() as f64);
            let factor = (width as f64 / w).min(height as f64 / h);
            let longer = ((w.max(h) * factor).floor() as usize).clamp(1, TILE_SIDE_MAX);
            Self { columns, rows, longer, tile: scaled(film.width(), film.height(), longer) }
        };
        let mut best = fitting(1);
        for columns in 2..=count {
            let next = fitting(columns);
            if next.worth() > best.worth() {
                best = next;
            }
        }
        best
    }

    /// Large tiles are worth more, and so are tiles that fill the width.
    fn worth(&self) -> f64 {
        let filled = (self.columns * (self.tile.0 + GAP)) as f64 / (Self::ROOM + GAP) as f64;
        self.longer as f64 * filled
    }

    fn height(&self) -> usize {
        self.rows * (self.tile.1 + TILE_CAPTION)
    }

    /// Room for a tile's caption, pixels: the tile's width and what its column has beside it.
    fn room(&self) -> usize {
        (Self::ROOM - (self.columns - 1) * GAP) / self.columns
    }

    /// Upper left corner of a tile; the columns share the width evenly.
    fn place(&self, index: usize) -> (usize, usize) {
        let (column, row) = (index % self.columns, index / self.columns);
        (PAD + column * (self.room() + GAP), HEADER + row * (self.tile.1 + TILE_CAPTION))
    }
}

fn header(canvas: &mut Canvas, view: &ReadView, lang: Lang) {
    let (left, right) = (PAD as f32, (WIDTH - PAD) as f32);
    let room = right - left;
    let facts = view.facts;
    let title = Style::strong(36.0, colour::TEXT);
    canvas.text(&fitted(base_name(view.file), title.em_px, room * 0.6), left, 54.0, title);
    let about = format!(
        "{} · {} x {} {} · {} {} · sha256 {}...",
        facts.format.to_uppercase(),
        facts.columns,
        facts.rows,
        words::PIXELS.of(lang),
        view.manifest.name,
        view.manifest.version,
        view.manifest.file.sha256.get(..12).unwrap_or_default(),
    );
    canvas.text(&fitted(&about, 19.0, room), left, 90.0, Style::regular(19.0, colour::FAINT));
    let ranked = Assessed::ranked(view.findings);
    let positive = ranked.iter().filter(|a| a.call == Call::Positive).count();
    let summary = words::positive_count(positive, ranked.len(), lang);
    let style = Style::strong(22.0, if positive > 0 { colour::POSITIVE } else { colour::TEXT });
    let style = style.fitting(&summary, room * 0.38, 12.0);
    canvas.text_to(&summary, right, 54.0, style);
}

fn film_caption(canvas: &mut Canvas, area: Area, view: &ReadView, lang: Lang) {
    caption_line(canvas, area, words::FILM.of(lang), 28.0, Style::strong(21.0, colour::TEXT));
    let facts = [view.facts.view.as_deref(), view.facts.modality.as_deref()];
    let facts: Vec<&str> = facts.into_iter().flatten().collect();
    let mut below = facts.join(" · ");
    if !view.findings.iter().any(Finding::is_positive) {
        below = words::NOTHING_POSITIVE.of(lang).to_owned();
    }
    caption_line(canvas, area, &below, 53.0, Style::regular(18.0, colour::FAINT));
}

fn tile_caption(canvas: &mut Canvas, area: Area, about: &Assessed, lang: Lang) {
    let (stress, mark) = match about.call {
        Call::Positive => (Style::strong(21.0, colour::POSITIVE), words::POSITIVE),
        Call::Negative => (Style::regular(21.0, colour::TEXT), words::BELOW),
    };
    caption_line(canvas, area, &shown_name(about.finding, lang), 28.0, stress);
    let numbers = match about.call {
        Call::Positive => {
            format!("{} ≥ {} · {}", words::percent(about.probability), words::percent(about.threshold), mark.of(lang))
        }
        Call::Negative => {
            format!("{} · {} {}", words::percent(about.probability), mark.of(lang), words::percent(about.threshold))
        }
    };
    caption_line(canvas, area, &numbers, 53.0, Style::regular(18.0, colour::FAINT));
}

/// One line of a caption, smaller or cut where it is wider than its tile.
fn caption_line(canvas: &mut Canvas, area: Area, text: &str, below: f32, style: Style) {
    let room = area.width as f32;
    let style = style.fitting(text, room, 13.0);
    canvas.text(&fitted(text, style.em_px, room), area.x as f32, area.y as f32 + below, style);
}

fn footer(canvas: &mut Canvas, y: usize, lang: Lang) {
    canvas.fill(Area { x: PAD, y: y + 4, width: WIDTH - 2 * PAD, height: 1 }, colour::LINE);
    let baseline = y as f32 + 38.0;
    canvas.text(words::NOTICE.of(lang), PAD as f32, baseline, Style::strong(20.0, colour::TEXT));
    canvas.text_to(PROGRAM, (WIDTH - PAD) as f32, baseline, Style::regular(19.0, colour::FAINT));
}

#[cfg(test)]
mod tests {
    use super::super::examples;
    use super::*;
    use crate::grad_cam::heat_map;
    use crate::radiograph::{Grey, Samples, linear_tone};

    fn display(width: usize, height: usize) -> Display {
        Display::of(&Grey::new(width, height, Samples::U8(vec![90; width * height]), linear_tone(256)).unwrap())
    }

    #[test]
    fn the_sheet_shows_every_positive_finding_or_the_three_most_probable() {
        let mut findings = examples::findings(&[(0.1, 0.5), (0.6, 0.5), (0.9, 0.95), (0.7, 0.5)]);
        findings.push(examples::untrained("picc", "PICC"));
        assert_eq!(shown(&findings), [3, 1]);
        assert_eq!(shown(&examples::findings(&[(0.1, 0.5), (0.2, 0.5), (0.3, 0.5), (0.05, 0.5)])), [2, 1, 0]);
        assert_eq!(shown(&examples::findings(&[(0.1, 0.5)])), [0]);
        assert!(shown(&[examples::untrained("picc", "PICC")]).is_empty());
        assert_eq!(shown(&examples::findings(&[(0.9, 0.5); 200])).len(), SHEET_TILES_MAX);
    }

    #[test]
    fn tiles_stay_inside_the_sheet_and_apart_from_the_panel() {
        for (w, h) in [(2048, 2500), (2500, 2048), (512, 512), (48, 9000), (9000, 48)] {
            for count in 1..=SHEET_TILES_MAX + 1 {
                let grid = Grid::new(&display(w, h), count);
                for i in 0..count {
                    let (x, y) = grid.place(i);
                    assert!(x + grid.tile.0 <= WIDTH - 2 * PAD - panel::WIDTH, "{w} x {h}, tile {i} of {count}");
                    assert!(y + grid.tile.1 + TILE_CAPTION <= HEADER + grid.height(), "{w} x {h}, tile {i} of {count}");
                }
                assert!(grid.height() <= TILES_HEIGHT_MAX + TILE_CAPTION * grid.rows, "{w} x {h}, {count}: {}", grid.height());
            }
        }
    }

    #[test]
    fn films_of_every_shape_and_any_number_of_findings_make_a_sheet() {
        let heat = heat_map(&[0.0, 0.0, 0.0, 4.0], 2, &[1.0]).unwrap();
        let model = examples::manifest(&[("a", "a", Some(0.5))]);
        let facts = examples::facts();
        for (w, h, numbers) in [(1, 1, vec![]), (48, 9000, vec![(0.9, 0.5); 60]), (9000, 48, vec![(0.4, 0.5); 250])] {
            let mut findings = examples::findings(&numbers);
            findings.push(examples::untrained("picc", "龘"));
            let file = "x".repeat(5_000);
            let view =
                ReadView { file: &file, facts: &facts, steps: &[], manifest: &model, findings: &findings, engine: "tract" };
            let tiles: Vec<Tile> = findings.iter().map(|finding| Tile { finding, heat: &heat }).collect();
            for lang in [Lang::En, Lang::Zh] {
                let picture = image::load_from_memory(&sheet(&view, &display(w, h), &tiles, lang).unwrap()).unwrap();
                assert!(picture.width() == 1_720 && picture.height() < 4_000, "{} x {}", picture.width(), picture.height());
            }
        }
    }
}
