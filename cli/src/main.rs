//! `steep`, the command line: what the library does, on files, with figures that can be checked.
//!
//! One file a subcommand, in `commands`. Results go to standard output, progress and errors to standard
//! error; with `--json` standard output holds exactly one JSON document, also where the work failed.

mod commands;
mod facts;
mod failure;
mod figures;
mod files;
mod interrupt;
mod progress;
mod session;
mod stopwatch;
mod sweep;

use std::process::ExitCode;

use clap::Parser;

use commands::Command;
use failure::Failure;
use session::Session;

/// Nearest-neighbour search: build an index from vectors, search it, measure it.
#[derive(Parser)]
#[command(name = "steep", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Print one JSON document instead of text; an error becomes {"error": …}
    #[arg(long, global = true)]
    json: bool,

    /// Show no progress
    #[arg(long, short, global = true)]
    quiet: bool,
}

const AFTER_HELP: &str = "\
Examples:
  steep build docs.npy -o docs.steep --metric cosine
  steep search docs.steep questions.npy -k 10
  steep bench docs.npy questions.npy --metric cosine
  steep bench docs.npy questions.npy --spec graph --ef-search 20,50,100,200

Vectors are read from .npy (f32, f16, bf16, i8, u8), .fvecs, .bvecs, .fbin, .u8bin and .i8bin files; ids
from .npy, .ivecs and .ibin files.

Exit status: 0 where all is well, 1 where the work failed, 2 where the command makes no sense, 130 after
Ctrl-C. No file is ever left half-written.

`steep help <command>` shows examples of each command.";

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return refuse(&e),
    };
    let session = Session::new(cli.json, cli.quiet);
    let outcome = cli.command.run(&session);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => session.report(&failure),
    }
}

/// What clap found wrong with the command, or the help that was asked for.
fn refuse(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    if error.use_stderr() && wants_json {
        let text = error.to_string();
        let problem = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
        return Session::new(true, true).report(&Failure::Usage(problem.to_owned()));
    }
    _ = error.print(); // to a closed pipe there is nothing to say
    if error.use_stderr() { ExitCode::from(Failure::USAGE) } else { ExitCode::SUCCESS }
}
