//! How a run shows where it is: a bar with loss and remaining time, or a line now and then where there is no terminal.

use chexbox::train::fit::Watch;
use indicatif::{ProgressBar, ProgressStyle};
use std::ops::ControlFlow;
use std::time::Instant;

/// Time between lines where there is no terminal for a bar.
const LINE_EVERY_S: u64 = 30;

/// A progress bar, or lines.
pub struct Bar {
    bar: ProgressBar,
    said: Instant,
}

impl Bar {
    /// An empty bar.
    pub fn new() -> Self {
        let bar = ProgressBar::new(1000);
        let style = ProgressStyle::with_template("{wide_bar} {percent} % {msg}, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, said: Instant::now() }
    }
}

impl Watch for Bar {
    fn step(&mut self, spent: f64, line: &str) -> ControlFlow<()> {
        self.bar.set_position((spent.clamp(0.0, 1.0) * 1000.0) as u64);
        self.bar.set_message(line.to_owned());
        if self.bar.is_hidden() && self.said.elapsed().as_secs() >= LINE_EVERY_S {
            println!("{:.1} %: {line}", spent * 100.0);
            self.said = Instant::now();
        }
        ControlFlow::Continue(())
    }

    fn epoch(&mut self, line: &str) {
        self.bar.suspend(|| println!("{line}"));
    }
}
