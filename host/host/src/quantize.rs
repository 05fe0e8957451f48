//! `host quantize`: a checkpoint in, a smaller file out.

use crate::args::QuantizeArgs;
use crate::console::note;
use crate::progress::LoadBar;
use crate::{Failure, wiring};
use host_model::LoadOptions;

/// Runs the command.
pub(crate) fn quantize(args: &QuantizeArgs) -> Result<(), Failure> {
    let registry = wiring::registry(&args.plugins)?;
    let options = LoadOptions {
        isq: args.isq.clone(),
        importance: args.imatrix.clone(),
        ..LoadOptions::default()
    };
    let output = &args.output;
    let bar = LoadBar::new(&format!("writing {}", output.display()));
    let progress = |done, total| bar.report(done, total);
    let written = host_model::export(&registry, &args.model, &options, output, &progress)?;
    drop(bar);
    let dtypes: Vec<_> =
        written.dtypes.iter().map(|(dtype, count)| format!("{count} {dtype}")).collect();
    let mib = written.bytes as f64 / f64::from(1 << 20);
    note(&format!("{}: {mib:.1} MiB, tensors: {}", output.display(), dtypes.join(", ")));
    Ok(())
}
