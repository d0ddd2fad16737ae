//! Pictures of a reading: its heat maps, its film; and its report, a page that holds them.

use super::Context;
use super::answer::Answer;
use super::problem::{Code, Problem};
use super::readings::known;
use super::request::{Request, quoted, unescaped};
use crate::findings::Finding;
use crate::grad_cam::HeatMap;
use crate::http::desk::{Caller, Entry};
use crate::report::kept::unpack;
use crate::report::{self, PictureError, reading_page};

/// GET /v1/readings/{id}/heatmaps/{finding}.png.
pub fn heat_map(context: &Context, request: &mut Request, by: &Caller, id: &str, finding: &str) -> Result<Answer, Problem> {
    request.only(&["layer"])?;
    let entry = known(context, id, by)?;
    let maps = context.desk.maps(&entry)?;
    let none = || Problem::new(Code::NoSuchHeatMap);
    let (heat, finding) = unescaped(finding).and_then(|f| heat(&entry, &maps, &f)).ok_or_else(none)?;
    match request.value("layer") {
        None | Some("map") => {
            let side = |name: &str| entry.kept.facts.get(name).and_then(serde_json::Value::as_u64);
            let (columns, rows) = side("columns").zip(side("rows")).ok_or_else(none)?;
            let side = |s: u64| usize::try_from(s).unwrap_or(usize::MAX);
            Ok(Answer::png(report::layer(&heat, side(columns), side(rows)).map_err(internal)?))
        }
        Some("film") => {
            let film = context.desk.film(&entry)?.ok_or_else(|| Problem::new(Code::FilmNotKept))?;
            let model = context.desk.models().into_iter().find(|m| m.file.sha256 == entry.kept.sha256).ok_or_else(none)?;
            let png = report::overlay(&film, &heat, &finding, model, request.lang());
            Ok(Answer::png(png.map_err(internal)?))
        }
        Some(other) => Err(Problem::new(Code::BadQuery).because(format!("layer is {}, allowed are map and film", quoted(other)))),
    }
}

/// GET /v1/readings/{id}/film.png.
pub fn film(context: &Context, request: &mut Request, by: &Caller, id: &str) -> Result<Answer, Problem> {
    request.only(&[])?;
    let entry = known(context, id, by)?;
    let film = context.desk.film(&entry)?.ok_or_else(|| Problem::new(Code::FilmNotKept))?;
    Ok(Answer::png(report::film_png(&film).map_err(internal)?))
}

/// GET /v1/readings/{id}/report.html.
pub fn report(context: &Context, request: &mut Request, by: &Caller, id: &str) -> Result<Answer, Problem> {
    request.only(&[])?;
    let entry = known(context, id, by)?;
    let (film, maps) = (context.desk.film(&entry)?, context.desk.maps(&entry)?);
    let created = super::reading_json::moment(entry.created_ms).unwrap_or_default();
    let page = reading_page::Page {
        kept: &entry.kept,
        maps: &maps,
        film: film.as_deref(),
        file: entry.film_name.as_deref(),
        film_sha256: &entry.film_sha256,
        patient: entry.patient.as_ref(),
        id: &entry.id,
        created: &created,
    };
    Ok(Answer::page(&page.html(request.lang()).map_err(internal)?))
}

/// The heat map of a trained finding.
fn heat(entry: &Entry, maps: &[u8], id: &str) -> Option<(HeatMap, Finding)> {
    let (place, finding) = entry.kept.findings.iter().flatten().enumerate().find(|(_, f)| f.id == id)?;
    let finding = Some(finding.finding()).filter(Finding::is_trained)?;
    Some((unpack(maps, place)?, finding))
}

fn internal(error: PictureError) -> Problem {
    log::error!("a picture could not be made: {error}");
    Problem::internal()
}
