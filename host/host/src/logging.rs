//! Logs: in words or as JSON, to stderr or a file, never with prompts or secrets at `info`.
//!
//! Files are written by threads of their own, so that a slow disk delays nobody; what they cannot
//! keep up with is lost, and counted.

mod lines;
mod rotating;
#[cfg(feature = "otel")]
mod traces;

use crate::Failure;
use crate::args::{LogArgs, LogFormat};
use host_http::AccessLog;
use lines::{LineWriter, Lines};
use rotating::RotatingFile;
use std::io::IsTerminal as _;
use std::path::Path;
use tracing_subscriber::fmt::{self, writer::BoxMakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

/// Writes the last lines, and sends the last traces, when it is dropped.
pub(crate) struct Logs {
    _lines: Option<Lines>,
    #[cfg(feature = "otel")]
    _traces: Option<traces::Traces>,
}

/// Starts logging for the process.
pub(crate) fn start(args: &LogArgs) -> Result<Logs, Failure> {
    let filter = EnvFilter::try_new(quiet(&args.log)).map_err(|error| {
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
    let form = fmt::layer().with_writer(writer).with_ansi(ansi);
    let form = match args.log_format {
        LogFormat::Text => form.with_target(false).boxed(),
        LogFormat::Json => form.json().boxed(),
    };
    let registry = tracing_subscriber::registry().with(form.with_filter(filter));
    #[cfg(feature = "otel")]
    {
        let (layer, traces) = traces::start()?.unzip();
        registry.with(layer).init();
        Ok(Logs { _lines: lines, _traces: traces })
    }
    #[cfg(not(feature = "otel"))]
    {
        registry.init();
        Ok(Logs { _lines: lines })
    }
}

/// A filter in which the MCP library, which tells whole messages at `info`, tells warnings only,
/// and none of its service, to which a client that leaves after its call is an error, unless the
/// filter names them.
fn quiet(filter: &str) -> String {
    match filter {
        "off" => filter.to_owned(),
        "error" => format!("rmcp::service=off,{filter}"),
        _ => format!("rmcp=warn,rmcp::service=off,{filter}"),
    }
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
