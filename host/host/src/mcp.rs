//! `host mcp`: one MCP client on stdin and stdout.
//!
//! Stdout belongs to the protocol: it is taken away before anything else runs, and what plugins and
//! C code print goes to stderr.

use crate::args::McpArgs;
use crate::house::{House, stop_signal};
use crate::{Failure, servers};
use host_mcp::McpOptions;
use std::fs::File;
use std::io;
use std::path::Path;

/// Runs the command.
pub(crate) fn mcp(args: &McpArgs, config_file: Option<&Path>) -> Result<(), Failure> {
    if let Some(command) = &args.command {
        return servers::servers(command);
    }
    let output = take_stdout()?;
    let house = House::new(&args.served)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let spoken = runtime.block_on(async {
        let (server, joined) =
            house.mcp_server(&args.served.endpoints, config_file, McpOptions::default())?;
        house.open().await?;
        if let Some(joined) = &joined {
            joined.strict_ones().await?;
        }
        let output = tokio::fs::File::from_std(output);
        let told_to_stop = stop_signal()?;
        let spoken = tokio::select! {
            spoken = server.speak(tokio::io::stdin(), output) => spoken.map_err(Failure::from),
            () = told_to_stop => Ok(()),
        };
        if let Some(joined) = joined {
            joined.stop().await;
        }
        spoken
    });
    // A thread that waits for stdin would be waited for otherwise.
    runtime.shutdown_background();
    house.models.shutdown();
    spoken
}

/// The stdout of the process as a file of its own; whoever writes to stdout from now on writes to
/// stderr.
#[cfg(unix)]
fn take_stdout() -> io::Result<File> {
    use std::os::fd::AsFd as _;
    let own = io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok(File::from(own))
}

/// The stdout of the process as a file of its own.
#[cfg(windows)]
fn take_stdout() -> io::Result<File> {
    use std::os::windows::io::AsHandle as _;
    Ok(File::from(io::stdout().as_handle().try_clone_to_owned()?))
}
