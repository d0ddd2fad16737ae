//! The findings as CSV in long form (RFC 4180): one row for each film, model and finding; a refused
//! film has one row without a finding. The columns are language-neutral.
//!
//! Never: a cell that a spreadsheet takes for a formula (OWASP "CSV Injection": a text that starts
//! with `=`, `+`, `-`, `@`, a tab or a line break gets an apostrophe before it).

use super::{Assessed, ReadView, RefusedView, View};
use crate::findings::{Call, Finding};
use crate::model::Manifest;
use std::borrow::Cow;

/// Names of the columns.
pub const COLUMNS: [&str; 11] = [
    "file",
    "status",
    "refusal_code",
    "model",
    "version",
    "sha256",
    "finding",
    "trained",
    "probability",
    "threshold",
    "positive",
];

/// The line of column names.
///
/// # Errors
/// What the csv package says; writing to memory gives no cause for it.
pub fn header() -> Result<Vec<u8>, csv::Error> {
    lines([COLUMNS.map(Cow::Borrowed)])
}

/// The lines of one film on one model.
///
/// # Errors
/// What the csv package says; writing to memory gives no cause for it.
pub fn rows(view: &View) -> Result<Vec<u8>, csv::Error> {
    match view {
        View::Read(read) => lines(read.findings.iter().map(|f| finding_row(read, f))),
        View::Refused(refused) => lines([refused_row(refused)]),
    }
}

type Row<'a> = [Cow<'a, str>; COLUMNS.len()];

fn finding_row<'a>(view: &ReadView<'a>, finding: &'a Finding) -> Row<'a> {
    let [model, version, sha256] = model_cells(Some(view.manifest));
    let numbers = Assessed::of(finding);
    let number = |value: Option<String>| Cow::Owned(value.unwrap_or_default());
    [
        guarded(view.file),
        "read".into(),
        "".into(),
        model,
        version,
        sha256,
        guarded(&finding.id),
        number(Some(numbers.is_some().to_string())),
        number(numbers.map(|n| n.probability.to_string())),
        number(numbers.map(|n| n.threshold.to_string())),
        number(numbers.map(|n| (n.call == Call::Positive).to_string())),
    ]
}

fn refused_row<'a>(view: &RefusedView<'a>) -> Row<'a> {
    let [model, version, sha256] = model_cells(view.manifest);
    let code = view.refusal.code().as_str();
    let none = || Cow::Borrowed("");
    [guarded(view.file), "refused".into(), code.into(), model, version, sha256, none(), none(), none(), none(), none()]
}

fn model_cells(manifest: Option<&Manifest>) -> [Cow<'_, str>; 3] {
    match manifest {
        Some(m) => [guarded(&m.name), guarded(&m.version), guarded(&m.file.sha256)],
        None => ["".into(), "".into(), "".into()],
    }
}

/// A text as a cell that no spreadsheet takes for a formula.
pub(super) fn guarded(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

fn lines<'a>(rows: impl IntoIterator<Item = Row<'a>>) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row.iter().map(|cell| cell.as_bytes()))?;
    }
    writer.into_inner().map_err(|e| csv::Error::from(std::io::Error::from(e.error().kind())))
}

#[cfg(test)]
mod tests {
    use super::super::examples;
    use super::*;
    use crate::radiograph::{Code, Refusal};

    fn text(bytes: Result<Vec<u8>, csv::Error>) -> String {
        String::from_utf8(bytes.unwrap()).unwrap()
    }

    #[test]
    fn a_film_has_one_row_a_finding_and_an_untrained_one_no_number() {
        let manifest = examples::manifest(&[("mass", "肺内占位", Some(0.3)), ("picc", "PICC", None)]);
        let mut findings = examples::findings(&[(0.75, 0.3)]);
        findings.push(examples::untrained("picc", "PICC"));
        let facts = examples::facts();
        let read =
            ReadView { file: "a \"b\", c.dcm", facts: &facts, steps: &[], manifest: &manifest, findings: &findings, engine: "" };
        let sha = "5a".repeat(32);
        let want = format!(
            "\"a \"\"b\"\", c.dcm\",read,,findings25,1.2.0,{sha},finding_0,true,0.75,0.3,true\n\
             \"a \"\"b\"\", c.dcm\",read,,findings25,1.2.0,{sha},picc,false,,,\n"
        );
        assert_eq!(text(rows(&View::Read(read))), want);
    }

    #[test]
    fn a_refused_film_has_one_row_with_its_code_and_no_finding() {
        let refusal = Refusal::new(Code::BlankFilm, "");
        let view = View::Refused(RefusedView { file: "a.png", refusal: &refusal, manifest: None });
        assert_eq!(text(rows(&view)), "a.png,refused,blank_film,,,,,,,,\n");
        assert_eq!(text(header()).matches(',').count(), text(rows(&view)).matches(',').count());
    }

    #[test]
    fn a_file_name_cannot_become_a_formula() {
        let refusal = Refusal::new(Code::BlankFilm, "");
        for (file, cell) in
            [("=1+1", "'=1+1,"), ("+a", "'+a,"), ("-a", "'-a,"), ("@a", "'@a,"), ("\ta", "'\ta,"), ("a=1", "a=1,")]
        {
            let row = text(rows(&View::Refused(RefusedView { file, refusal: &refusal, manifest: None })));
            assert!(row.starts_with(cell), "{row}");
        }
    }
}
