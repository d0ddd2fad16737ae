//! The panel of a contact sheet: every finding with its probability as a bar, those without a number
//! by name, and the key to the colours.

use super::canvas::{Area, Canvas, Style};
use super::lettering::{fitted, wrapped};
use super::{Assessed, ReadView, colour, heat_layer, shown_name, unavailable, words};
use crate::findings::Call;
use crate::lang::Lang;
use crate::limits::SHEET_ROWS_MAX;

/// Columns of the panel.
pub const WIDTH: usize = 540;

const PAD: usize = 26;
const ROW: usize = 34;
const LINE: usize = 25;
const HEAD: usize = 62;
const KEY: usize = 44;
const SCALE: usize = 92;
const BAR_WIDTH: usize = 144;
const BAR_HEIGHT: usize = 12;
const TEXT_EM: f32 = 19.0;
const SMALL_EM: f32 = 17.0;

/// What stands in the panel, broken into lines, so that its height is known before it is drawn.
pub struct Panel<'a> {
    rows: Vec<Assessed<'a>>,
    further: usize,
    unavailable: Vec<String>,
    note: Vec<String>,
    lang: Lang,
}

impl<'a> Panel<'a> {
    /// The panel of a film.
    pub fn of(view: &ReadView<'a>, lang: Lang) -> Self {
        let mut rows = Assessed::ranked(view.findings);
        let further = rows.len().saturating_sub(SHEET_ROWS_MAX);
        rows.truncate(SHEET_ROWS_MAX);
        let names = unavailable(view.findings, lang).join(lang.pick(", ", "、"));
        let room = (WIDTH - 2 * PAD) as f32;
        Self {
            rows,
            further,
            unavailable: if names.is_empty() { Vec::new() } else { wrapped(&names, SMALL_EM, room) },
            note: wrapped(words::HEAT_MAP_NOTE.of(lang), SMALL_EM, room),
            lang,
        }
    }

    /// Rows of the panel, pixels.
    pub fn height(&self) -> usize {
        let list = HEAD + self.rows.len() * ROW + if self.further > 0 { LINE } else { 0 } + KEY;
        let unavailable = if self.unavailable.is_empty() { 0 } else { HEAD + self.unavailable.len() * LINE };
        list + unavailable + HEAD + SCALE + self.note.len() * LINE + PAD
    }

    /// Draws the panel into `area`.
    pub fn draw(&self, canvas: &mut Canvas, area: Area) {
        canvas.fill(area, colour::PANEL);
        let (x, mut y) = (area.x + PAD, area.y);
        self.heading(canvas, words::FINDINGS, x, y);
        y += HEAD;
        for row in &self.rows {
            self.row(canvas, row, x, y);
            y += ROW;
        }
        let faint = Style::regular(SMALL_EM, colour::FAINT);
        if self.further > 0 {
            canvas.text(&words::further(self.further, self.lang), x as f32, y as f32 + SMALL_EM, faint);
            y += LINE;
        }
        let mark = Area { x: x + 1, y: y + 8, width: 2, height: BAR_HEIGHT + 8 };
        canvas.fill(mark, colour::TEXT);
        canvas.text(words::OPERATING_POINT.of(self.lang), x as f32 + 12.0, y as f32 + 24.0, faint);
        y += KEY;
        if !self.unavailable.is_empty() {
            self.heading(canvas, words::UNAVAILABLE, x, y);
            y = self.lines(canvas, &self.unavailable, x, y + HEAD);
        }
        self.heading(canvas, words::HEAT_MAP, x, y);
        y += HEAD;
        let scale = Area { x, y: y + 26, width: WIDTH - 2 * PAD, height: 18 };
        canvas.text(words::ATTENTION.of(self.lang), x as f32, y as f32 + 14.0, faint);
        heat_layer::level_scale(canvas, scale, SMALL_EM, self.lang);
        self.lines(canvas, &self.note, x, y + SCALE);
    }

    fn heading(&self, canvas: &mut Canvas, text: words::Text, x: usize, y: usize) {
        canvas.text(text.of(self.lang), x as f32, y as f32 + 40.0, Style::strong(21.0, colour::TEXT));
    }

    fn lines(&self, canvas: &mut Canvas, lines: &[String], x: usize, mut y: usize) -> usize {
        for line in lines {
            canvas.text(line, x as f32, y as f32 + SMALL_EM, Style::regular(SMALL_EM, colour::FAINT));
            y += LINE;
        }
        y
    }

    fn row(&self, canvas: &mut Canvas, about: &Assessed, x: usize, y: usize) {
        let right = x + WIDTH - 2 * PAD;
        let number = 84;
        let bar = Area { x: right - number - BAR_WIDTH, y: y + 10, width: BAR_WIDTH, height: BAR_HEIGHT };
        let (ink, filled) = match about.call {
            Call::Positive => (Style::strong(TEXT_EM, colour::POSITIVE), colour::POSITIVE),
            Call::Negative => (Style::regular(TEXT_EM, colour::TEXT), colour::NEGATIVE),
        };
        let baseline = y as f32 + 23.0;
        let room = (bar.x - x) as f32 - 12.0;
        let name = shown_name(about.finding, self.lang);
        let style = ink.fitting(&name, room, 15.0);
        canvas.text(&fitted(&name, style.em_px, room), x as f32, baseline, style);
        canvas.fill(bar, colour::LINE);
        let share = |p: f32| (p.clamp(0.0, 1.0) * BAR_WIDTH as f32).round() as usize;
        canvas.fill(Area { width: share(about.probability), ..bar }, filled);
        let mark = Area { x: bar.x + share(about.threshold).min(BAR_WIDTH - 2), y: bar.y - 4, width: 2, height: BAR_HEIGHT + 8 };
        canvas.fill(mark, colour::TEXT);
        canvas.text_to(&words::percent(about.probability), right as f32, baseline, ink);
    }
}
