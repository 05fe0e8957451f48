//! Format providers and open checkpoints.
//!
//! A checkpoint closes itself when the last user is gone; sessions keep it, because their weights
//! point into it.

use crate::PluginError;
use plugin_abi::{Bytes, CheckpointV1, FormatV1, Sink, Status, Text};
use plugin_api::{CheckpointInfo, Error, ErrorKind, wire};
use std::path::Path;

/// One format provider of a loaded plugin.
#[derive(Debug)]
pub struct FormatProvider {
    pub(crate) name: String,
    pub(crate) plugin: String,
    pub(crate) facet: &'static FormatV1,
}

impl FormatProvider {
    /// Name of the provider.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Name of its plugin.
    #[must_use]
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// How sure it is that `path` is its format: 0 not at all, 100 certain.
    #[must_use]
    pub fn probe(&self, path: &Path) -> u32 {
        (self.facet.probe)(Text::from_bytes(path.as_os_str().as_encoded_bytes()))
    }

    /// Opens a checkpoint and reads its description.
    ///
    /// # Errors
    /// The file is damaged or foreign, or the plugin failed.
    pub fn open(&self, path: &Path) -> Result<OpenCheckpoint, PluginError> {
        let fail = |source| PluginError { plugin: self.plugin.clone(), source };
        let path = Text::from_bytes(path.as_os_str().as_encoded_bytes());
        let mut handle: CheckpointV1 = std::ptr::null_mut();
        call(|_, error| (self.facet.open)(path, &raw mut handle, error)).map_err(fail)?;
        let mut checkpoint = OpenCheckpoint {
            handle,
            facet: self.facet,
            info: None,
            format: self.name.clone(),
            plugin: self.plugin.clone(),
        };
        let json = call(|json, error| (self.facet.describe)(handle, json, error)).map_err(fail)?;
        let info = serde_json::from_slice(&json)
            .map_err(|e| fail(Error::failed(format!("checkpoint description: {e}"))))?;
        checkpoint.info = Some(info);
        Ok(checkpoint)
    }
}

/// An open checkpoint of a format plugin.
#[derive(Debug)]
pub struct OpenCheckpoint {
    handle: CheckpointV1,
    facet: &'static FormatV1,
    /// Filled before the checkpoint leaves `FormatProvider::open`.
    info: Option<CheckpointInfo>,
    format: String,
    plugin: String,
}

// SAFETY: `format/1` says that a checkpoint may be used from several threads at once.
unsafe impl Send for OpenCheckpoint {}
// SAFETY: as above.
unsafe impl Sync for OpenCheckpoint {}

impl OpenCheckpoint {
    /// Its description.
    #[must_use]
    pub fn info(&self) -> &CheckpointInfo {
        self.info.as_ref().expect("open() fills it before it hands the checkpoint out")
    }

    /// Name of the format.
    #[must_use]
    pub fn format(&self) -> &str {
        &self.format
    }

    /// Name of the plugin.
    #[must_use]
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// Bytes of tensor number `index`, valid as long as the checkpoint.
    ///
    /// # Errors
    /// The index is out of range, or the plugin failed.
    pub fn tensor(&self, index: usize) -> Result<&[u8], PluginError> {
        let fail = |source| PluginError { plugin: self.plugin.clone(), source };
        let mut bytes = Bytes::EMPTY;
        call(|_, error| (self.facet.tensor)(self.handle, index, &raw mut bytes, error))
            .map_err(fail)?;
        // SAFETY: the plugin vouches for the bytes until `close`, which needs `&mut self`.
        unsafe { wire::bytes(bytes) }.ok_or_else(|| fail(Error::failed("tensor bytes are null")))
    }

    /// An asset by name, if the checkpoint has it.
    ///
    /// # Errors
    /// The asset is damaged, or the plugin failed.
    pub fn asset(&self, name: &str) -> Result<Option<Vec<u8>>, PluginError> {
        let asset =
            call(|bytes, error| (self.facet.asset)(self.handle, Text::new(name), bytes, error));
        match asset {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(PluginError { plugin: self.plugin.clone(), source }),
        }
    }
}

impl Drop for OpenCheckpoint {
    fn drop(&mut self) {
        (self.facet.close)(self.handle);
    }
}

/// Calls a function of the wire with a sink for its answer and one for its error.
pub(crate) fn call(function: impl FnOnce(Sink, Sink) -> Status) -> Result<Vec<u8>, Error> {
    let (mut answer, mut message) = (Vec::new(), Vec::new());
    let status = function(wire::sink(&mut answer), wire::sink(&mut message));
    if status == Status::OK {
        return Ok(answer);
    }
    let message = String::from_utf8_lossy(&message).replace(['\n', '\r'], " ");
    Err(Error::from_status(status, message))
}
