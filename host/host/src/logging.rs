//! Logs: in words or as JSON, to stderr or a file, never with prompts or secrets at `info`.
//!
//! Files are written by threads of their own, so that a slow disk delays nobody; what they cannot
//! keep up with is lost, and counted.

mod lines;
mod rotating;

use crate::Failure;
use crate::args::{LogArgs, LogFormat};
use host_http::AccessLog;
use lines::{LineWriter, Lines};
use rotating::RotatingFile;
use std::io::IsTerminal as _;
use std::path::Path;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// Starts logging for the process. What comes back writes the last lines when it is dropped.
pub(crate) fn start(args: &LogArgs) -> Result<Option<Lines>, Failure> {
    let filter = EnvFilter::try_new(&args.log).map_err(|error| {
        let expected = "expected a level, or a filter such as host_loader=debug";
        format!("--log {}: {error}; {expected}", args.log)
    })?;
    let (writer, lines) = match &args.log_file {
        None => (BoxMakeWriter::new(std::io::stderr), None),
        Some(path) => {
            let lost = match args.log_format {
                LogFormat::Text => lost_in_words,
                LogFormat::Json => lost_as_json,
            };
            let (writer, lines) = lines::start(rotating_file(path, args)?, lost)?;
            (BoxMakeWriter::new(move || writer.clone()), Some(lines))
        }
    };
    let ansi = args.log_file.is_none() && std::io::stderr().is_terminal();
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(ansi);
    match args.log_format {
        LogFormat::Text => builder.with_target(false).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(lines)
}

/// The access log, if there is to be one, and what writes its last lines when it is dropped.
pub(crate) fn access_log(
    path: Option<&Path>,
    args: &LogArgs,
) -> Result<Option<(AccessLog, Lines)>, Failure> {
    let Some(path) = path else { return Ok(None) };
    let (writer, lines) = if path == Path::new("-") {
        lines::start(std::io::stderr(), lost_as_json)?
    } else {
        lines::start(rotating_file(path, args)?, lost_as_json)?
    };
    Ok(Some((access_log_of(writer), lines)))
}

fn access_log_of(writer: LineWriter) -> AccessLog {
    AccessLog::new(move |line| writer.send(format!("{line}\n").into_bytes()))
}

fn rotating_file(path: &Path, args: &LogArgs) -> Result<RotatingFile, Failure> {
    RotatingFile::open(path, args.log_file_bytes_max, args.log_files_max)
        .map_err(|error| format!("the log file {}: {error}", path.display()).into())
}

fn lost_in_words(count: u64) -> String {
    format!("{count} lines were lost here: they came faster than they could be written\n")
}

fn lost_as_json(count: u64) -> String {
    format!("{{\"lines_lost\":{count}}}\n")
}
