//! `writer/1` as the host asks for it.

use super::{WriterFacet, call, rows};
use crate::RowReader;
use plugin_abi::{Text, WriterV1};
use plugin_api::Error;
use std::path::Path;

impl WriterFacet for WriterV1 {
    fn write(&self, path: &Path, export: &str, reader: &RowReader<'_>) -> Result<(), Error> {
        let path = Text::from_bytes(path.as_os_str().as_encoded_bytes());
        let source = rows::source(&reader);
        call(|_, error| (self.write)(path, Text::new(export), source, error)).map(drop)
    }
}
