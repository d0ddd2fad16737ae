//! `chexbox --version`, and with `-v` what computes on this machine.

use super::{Exit, Failure, print};
use chexbox::model::kernels::InstructionSet;
use chexbox::model::{Bundle, Session};

/// How much is said.
pub enum Detail {
    /// One line.
    Plain,
    /// Also engine and kernels, and each model of the binary, loaded and proved.
    WhatComputes,
}

/// Prints the version.
///
/// # Errors
/// A sentence, if a model of this binary cannot be used here.
pub fn run(detail: Detail) -> Result<Exit, Failure> {
    let mut text = concat!("chexbox ", env!("CARGO_PKG_VERSION"), "\n").to_owned();
    if matches!(detail, Detail::WhatComputes) {
        text += &what_computes()?;
    }
    print(text.as_bytes())?;
    Ok(Exit::Done)
}

fn what_computes() -> Result<String, Failure> {
    let chosen = InstructionSet::chosen().map_err(|e| format!("CHEXBOX_CPU: {e}"))?;
    let mut lines = vec![
        concat!("tract     ", env!("CHEXBOX_TRACT_VERSION")).to_owned(),
        format!("kernels   {chosen}, this CPU has {}", InstructionSet::detected()),
    ];
    for bundle in Bundle::embedded_names().filter_map(Bundle::embedded) {
        let bundle = bundle?;
        let session = Session::load(&bundle)?;
        let m = session.manifest();
        lines.push(format!("{} {}  {}", m.name, m.version, session.engine()));
    }
    Ok(lines.join("\n") + "\n")
}
