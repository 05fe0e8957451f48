//! `host calibrate`: text in, an importance matrix out.

use crate::args::CalibrateArgs;
use crate::console::note;
use crate::progress::LoadBar;
use crate::{Failure, wiring};
use host_model::Calibration;
use std::fs::File;
use std::io::{BufWriter, Write as _};

/// Largest text that is read.
const TEXT_BYTES_MAX: u64 = 256 << 20;

/// Runs the command.
pub(crate) fn calibrate(args: &CalibrateArgs) -> Result<(), Failure> {
    let named = |e: std::io::Error| format!("{}: {e}", args.text.display());
    if std::fs::metadata(&args.text).map_err(named)?.len() > TEXT_BYTES_MAX {
        let text = args.text.display();
        return Err(format!("{text}: at most {TEXT_BYTES_MAX} bytes of text expected").into());
    }
    let text = std::fs::read_to_string(&args.text).map_err(named)?;
    let registry = wiring::registry(&args.plugins)?;
    let calibration = Calibration { chunk_tokens: args.chunk_tokens, chunks_max: args.chunks_max };
    let bar = LoadBar::new(&format!("calibrating {}", args.model.display()));
    let made = host_model::calibrate(
        &registry,
        &args.model,
        &wiring::load_options(&args.load),
        (&text, calibration),
        &|done, total| bar.report(done as u64, total as u64),
    )?;
    drop(bar);
    let output = args.output.display();
    let failed = |e: std::io::Error| format!("{output}: {e}");
    let mut file = BufWriter::new(File::create_new(&args.output).map_err(failed)?);
    let chunks = i32::try_from(made.chunks)?;
    made.importance.write(&mut file, chunks).and_then(|()| file.flush()).map_err(failed)?;
    let matrices = made.importance.names().count();
    note(&format!("{output}: {matrices} matrices over {chunks} chunks of text"));
    Ok(())
}
