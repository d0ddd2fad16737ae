//! What `read` prints: records, rows or tables on standard output, progress and a closing line on standard error.

use super::{Exit, Failure};
use chexbox::lang::Lang;
use chexbox::report::record::{HeatMapFiles, Record};
use chexbox::report::table::{self, Paint};
use chexbox::report::{View, csv};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{ErrorKind, Write};
use std::time::Instant;

/// The form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table(Paint),
    /// One record a line.
    Json,
    /// One row a film and finding.
    Csv,
}

/// What one film adds to the output.
#[derive(Default)]
pub struct Outcome {
    text: Vec<u8>,
    read: usize,
    refused: usize,
    positive: usize,
    /// What was not made of it, a sentence each.
    unfiled: Vec<String>,
}

/// Prints outcomes in order and counts them.
pub struct Printer {
    format: Format,
    lang: Lang,
    films: usize,
    bar: ProgressBar,
    begun: Instant,
    read: usize,
    refused: usize,
    positive: usize,
    unfiled: usize,
    unread: Unread,
    /// Nobody reads our output any more.
    closed: bool,
}

/// What to do with further films when nobody reads the output any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// Read them: pictures are being written too.
    GoOn,
    /// Leave them.
    Stop,
}

/// The run ends early because nobody reads its output; no failure.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the output")]
pub struct NobodyReads;

impl Format {
    /// The form that the options ask for; colours only on a terminal.
    pub fn of(json: bool, csv: bool, terminal: bool) -> Self {
        match (json, csv) {
            (true, _) => Self::Json,
            (_, true) => Self::Csv,
            _ if terminal && std::env::var_os("NO_COLOR").is_none() => Self::Table(Paint::Coloured),
            _ => Self::Table(Paint::Plain),
        }
    }
}

impl Outcome {
    /// Adds what was not made of a film that was read.
    pub fn add_unfiled(&mut self, sentence: String) {
        self.unfiled.push(sentence);
    }

    /// What is printed.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// What was not made of the film, a sentence each.
    pub fn unfiled(&self) -> &[String] {
        &self.unfiled
    }

    /// Adds the reading or refusal of one film on one model.
    ///
    /// # Errors
    /// What the record's writer says; none is expected.
    pub fn add(&mut self, view: &View, files: Option<&HeatMapFiles>, format: Format, lang: Lang) -> Result<(), Failure> {
        match format {
            Format::Json => {
                self.text.extend(Record::of(view, files, lang).to_line()?.bytes());
                self.text.push(b'\n');
            }
            Format::Csv => self.text.extend(csv::rows(view)?),
            Format::Table(paint) => self.text.extend(table::block(view, lang, paint).bytes()),
        }
        match view {
            View::Read(read) => {
                self.read += 1;
                self.positive += read.findings.iter().filter(|f| f.is_positive()).count();
            }
            View::Refused(_) => self.refused += 1,
        }
        Ok(())
    }
}

impl Printer {
    /// Begins the output of `films` films.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn start(format: Format, lang: Lang, films: usize, unread: Unread) -> Result<Self, Failure> {
        let bar = if films > 1 { ProgressBar::new(films as u64) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} {eta_precise} {msg}")?;
        bar.set_style(style);
        let begun = Instant::now();
        let mut printer =
            Self { format, lang, films, bar, begun, read: 0, refused: 0, positive: 0, unfiled: 0, unread, closed: false };
        if format == Format::Csv {
            let header = csv::header()?;
            printer.write(&header)?;
        }
        Ok(printer)
    }

    /// A line for people beside the output.
    pub fn note(&self, text: &str) {
        self.bar.suspend(|| say(text));
    }

    /// Prints one film.
    ///
    /// # Errors
    /// If standard output cannot be written; [`NobodyReads`] where that means the end of the run.
    pub fn film(&mut self, outcome: Outcome) -> Result<(), Failure> {
        self.read += outcome.read;
        self.refused += outcome.refused;
        self.positive += outcome.positive;
        self.unfiled += outcome.unfiled.len();
        outcome.unfiled.iter().for_each(|sentence| self.note(sentence));
        self.write(&outcome.text)?;
        if self.refused > 0 {
            self.bar.set_message(match self.lang {
                Lang::En => format!("{} refused", self.refused),
                Lang::Zh => format!("{} 被拒绝", self.refused),
            });
        }
        self.bar.inc(1);
        if self.closed && self.unread == Unread::Stop { Err(NobodyReads.into()) } else { Ok(()) }
    }

    /// The closing lines and the exit code.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn finish(mut self, hidden: usize) -> Result<Exit, Failure> {
        self.bar.finish_and_clear();
        if let Format::Table(paint) = self.format {
            let footer = table::footer(self.read, self.refused, self.lang, paint);
            self.write(footer.as_bytes())?;
        }
        if self.films > 1 {
            let (films, read, refused, positive) = (self.films, self.read, self.refused, self.positive);
            let seconds = self.begun.elapsed().as_secs_f64();
            let rate = films as f64 / seconds;
            say(&match self.lang {
                Lang::En => format!(
                    "{films} films: {read} read, {refused} refused, {positive} positive findings; {seconds:.1} s, {rate:.1} films/s"
                ),
                Lang::Zh => format!(
                    "{films} 张胸片：读取 {read}，拒绝 {refused}，阳性所见 {positive}；{seconds:.1} 秒，每秒 {rate:.1} 张"
                ),
            });
        }
        if hidden > 0 {
            say(&match self.lang {
                Lang::En => format!("{hidden} hidden files (names with a leading dot) were not read"),
                Lang::Zh => format!("未读取 {hidden} 个隐藏文件（文件名以点开头）"),
            });
        }
        Ok(if self.refused + self.unfiled > 0 { Exit::SomeRefused } else { Exit::Done })
    }

    fn write(&mut self, text: &[u8]) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        self.closed = self.bar.suspend(|| print(text))? == Reader::Gone;
        Ok(())
    }
}

/// Whether somebody still reads our standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// As far as we know.
    There,
    /// It closed the pipe (`| head`); there is nobody to print for, and that is no failure.
    Gone,
}

/// Writes to standard output.
///
/// # Errors
/// A sentence, if it cannot be written for another reason than that nobody reads it.
pub fn print(text: &[u8]) -> Result<Reader, Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::There),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(e) => Err(format!("standard output cannot be written: {e}").into()),
    }
}

/// A line on standard error; unlike `eprintln!` it does not panic where nobody reads it any more.
pub fn say(text: &str) {
    // There is no place left to report to.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
