//! Thunk of `writer/1`.

use super::{fence, format::path, required};
use crate::{Error, RowSource, Writer};
use plugin_abi::{FacetHeader, RowSourceV1, Sink, Status, Text, WriterV1};

/// The facet of writer `T`.
pub(crate) const fn writer<T: Writer>() -> &'static WriterV1 {
    extern "C" fn write<T: Writer>(
        place: Text,
        export: Text,
        rows: RowSourceV1,
        error: Sink,
    ) -> Status {
        fence("write", error, || {
            let place = path(place).ok_or_else(|| Error::failed("path is null"))?;
            let export = serde_json::from_str(required(export, "export")?)
                .map_err(|e| Error::invalid(format!("checkpoint to write: {e}")))?;
            let read = RowSource::of_wire(rows);
            T::write(place, &export, RowSource::new(&read))
        })
    }
    const { &WriterV1 { header: FacetHeader::of::<WriterV1>(), write: write::<T> } }
}
