//! How a verb that studies many films answers: a table, JSON or CSV on standard output, and a page where one is wanted.

use super::output::{print, say};
use super::{Failure, files};
use chexbox::lang::Lang;
use serde::Serialize;
use std::path::PathBuf;

/// Options of the answer.
#[derive(clap::Args)]
pub struct AnswerArgs {
    /// Print JSON / 输出 JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV, one row a line of the table / 输出 CSV
    #[arg(long)]
    csv: bool,
    /// Write one offline page / 输出网页
    #[arg(long, value_name = "PAGE")]
    html: Option<PathBuf>,
    /// Language of texts: en or zh / 语言
    #[arg(long, value_parser = super::read::parse_lang)]
    lang: Option<Lang>,
}

/// The forms that one study can be given in.
pub struct Forms<'a, T> {
    /// What JSON holds.
    pub study: &'a T,
    /// As CSV.
    pub csv: fn(&T) -> Result<Vec<u8>, csv::Error>,
    /// For people.
    pub table: fn(&T, Lang) -> String,
    /// As a page.
    pub page: fn(&T, Lang) -> String,
}

impl AnswerArgs {
    /// The language of texts.
    pub fn lang(&self) -> Lang {
        self.lang.unwrap_or_else(super::read::locale)
    }

    /// Writes the page and prints the answer as the options ask.
    ///
    /// # Errors
    /// A sentence that names the file which cannot be written.
    pub fn give<T: Serialize>(&self, forms: &Forms<'_, T>) -> Result<(), Failure> {
        let (lang, study) = (self.lang(), forms.study);
        if let Some(path) = &self.html {
            files::write_whole(path, (forms.page)(study, lang).as_bytes())?;
        }
        let text = match (self.json, self.csv) {
            (true, _) => (serde_json::to_string_pretty(study)? + "\n").into_bytes(),
            (_, true) => (forms.csv)(study)?,
            _ => (forms.table)(study, lang).into_bytes(),
        };
        print(&text)?;
        if let Some(path) = &self.html {
            say(&format!("{} {}", lang.pick("page:", "网页："), path.display()));
        }
        Ok(())
    }
}
