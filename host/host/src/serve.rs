//! `host serve`.
pub(crate) fn serve(_: &crate::args::ServeArgs) -> Result<(), crate::Failure> {
    Ok(())
}
