//! How far is it? A bar with the time left on a terminal, a plain line now and then elsewhere, and nothing at
//! all for what is over within a second.

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::interrupt::Interrupt;

/// What takes less is not worth a bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// Plain lines come this often at first, and then each time that the time passed has grown by half.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows how far the library has got, and hands it the user's wish to stop.
pub struct Progress<'a> {
    interrupt: &'a Interrupt,
    show: Show,
    stage: RefCell<Option<Stage>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Show {
    Bar,
    Lines,
    Nothing,
}

/// What the library is doing now.
struct Stage {
    name: &'static str,
    began: Instant,
    /// How far it was when it was last heard of.
    done: u64,
    next_line: Duration,
    bar: Option<ProgressBar>,
}

impl<'a> Progress<'a> {
    /// Shows progress on standard error, unless `quiet`.
    pub fn new(interrupt: &'a Interrupt, quiet: bool) -> Self {
        let show = match quiet {
            true => Show::Nothing,
            false if io::stderr().is_terminal() => Show::Bar,
            false => Show::Lines,
        };
        Self { interrupt, show, stage: RefCell::new(None) }
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        if let Some(bar) = self.stage.take().and_then(|stage| stage.bar) {
            bar.finish_and_clear();
        }
    }
}

impl steep::Monitor for Progress<'_> {
    fn report(&self, stage: &'static str, done: u64, total: u64) -> bool {
        if self.show != Show::Nothing {
            // The same stage may come again: it is another one when it falls back.
            if self.stage.borrow().as_ref().is_none_or(|old| old.name != stage || old.done > done) {
                self.clear();
                let began = Instant::now();
                self.stage.replace(Some(Stage { name: stage, began, done, next_line: PATIENCE, bar: None }));
            }
            if let Some(current) = self.stage.borrow_mut().as_mut() {
                current.show(self.show, done, total);
            }
        }
        self.interrupt.signal().is_none()
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Stage {
    fn show(&mut self, show: Show, done: u64, total: u64) {
        self.done = done;
        let passed = self.began.elapsed();
        if passed < PATIENCE {
            return;
        }
        if show == Show::Bar {
            let bar = self.bar.get_or_insert_with(|| bar(total, self.name).with_elapsed(passed));
            bar.set_position(done);
        } else if passed >= self.next_line && done > 0 {
            self.next_line = (passed + LINE_EVERY).max(passed * 3 / 2);
            let left = passed.as_secs_f64() * total.saturating_sub(done) as f64 / done as f64;
            line(&format!(
                "{}: {} % done, {} left",
                self.name,
                done * 100 / total.max(1),
                whole_seconds(left)
            ));
        }
    }
}

fn bar(total: u64, stage: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} [{bar:32}] {percent:>3} %, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr())
        .with_style(style.progress_chars("=> "))
        .with_message(stage)
}

/// Estimates are not worth more figures.
fn whole_seconds(seconds: f64) -> String {
    match seconds.ceil() {
        s if s < 120.0 => format!("{s:.0} s"),
        s => format!("{:.0} min", s / 60.0),
    }
}

/// Standard error may be closed: then nobody wants to know.
fn line(text: &str) {
    _ = writeln!(io::stderr(), "steep: {text}");
}
