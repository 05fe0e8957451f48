//! What the bytes of a library say before any of its code runs.
//!
//! A cut file faults inside the system's loader, and the loader runs constructors of anything it
//! opens; so completeness, machine and the entry symbol are checked here.

use crate::Refusal;
use object::elf::{FileHeader64, PT_LOAD, ProgramHeader64};
use object::endian::LittleEndian;
use object::read::NameOrOrdinal;
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use object::{
    Architecture, BinaryFormat, Endianness, Object as _, ObjectKind, ObjectSymbol as _, SymbolKind,
};
use plugin_abi::ENTRY_SYMBOL;

/// Checks that the bytes are a whole library for this machine with an entry.
pub(crate) fn inspect(bytes: &[u8]) -> Result<(), Refusal> {
    let not = |why: String| Refusal::NotALibrary(why);
    if bytes.is_empty() {
        return Err(not("the file is empty".to_owned()));
    }
    let file = object::File::parse(bytes).map_err(|_| not(describe(bytes)))?;
    let expected = expected();
    let found = (file.format(), file.architecture(), file.endianness());
    if found != expected {
        let words = |(format, machine, order): (BinaryFormat, Architecture, Endianness)| {
            format!("{format:?} for {machine:?}, {order:?} endian")
        };
        return Err(not(format!("{} found, {} expected", words(found), words(expected))));
    }
    if file.kind() != ObjectKind::Dynamic {
        return Err(not(format!("{:?} found, a dynamic library expected", file.kind())));
    }
    if file.format() == BinaryFormat::Elf {
        whole(bytes).map_err(not)?;
    }
    entry(&file)
}

fn expected() -> (BinaryFormat, Architecture, Endianness) {
    let format = if cfg!(windows) {
        BinaryFormat::Pe
    } else if cfg!(target_vendor = "apple") {
        BinaryFormat::MachO
    } else {
        BinaryFormat::Elf
    };
    let architecture = if cfg!(target_arch = "x86_64") {
        Architecture::X86_64
    } else if cfg!(target_arch = "aarch64") {
        Architecture::Aarch64
    } else {
        Architecture::Unknown
    };
    let endianness =
        if cfg!(target_endian = "little") { Endianness::Little } else { Endianness::Big };
    (format, architecture, endianness)
}

/// Everything the headers of an ELF file speak of is inside the file.
fn whole(bytes: &[u8]) -> Result<(), String> {
    let length = bytes.len() as u64;
    let cut =
        |what: &str| format!("cut off: {what} ends past the file's {length} bytes; copy it again");
    let header = FileHeader64::<LittleEndian>::parse(bytes).map_err(|_| cut("the header"))?;
    let endian = LittleEndian;
    let inside = |what: &str, begin: u64, size: u64| match begin.checked_add(size) {
        Some(end) if end <= length => Ok(()),
        _ => Err(cut(what)),
    };
    let sections = u64::from(header.e_shnum(endian)) * u64::from(header.e_shentsize(endian));
    inside("the section table", header.e_shoff(endian), sections)?;
    let segments: &[ProgramHeader64<LittleEndian>] =
        header.program_headers(endian, bytes).map_err(|_| cut("the segment table"))?;
    if !segments.iter().any(|segment| segment.p_type(endian) == PT_LOAD) {
        return Err("a damaged ELF file: no segment to load".to_owned());
    }
    for segment in segments {
        inside("a segment", segment.p_offset(endian), segment.p_filesz(endian))?;
    }
    Ok(())
}

fn entry(file: &object::File<'_>) -> Result<(), Refusal> {
    let mut symbols = file.dynamic_symbols();
    if file.format() != BinaryFormat::Elf {
        let found = file
            .exports()
            .is_ok_and(|mut exports| exports.any(|export| export.is_ok_and(|e| is_entry(&e))));
        return if found { Ok(()) } else { Err(no_entry()) };
    }
    match symbols.find(|symbol| symbol.name() == Ok(ENTRY_SYMBOL) && symbol.is_definition()) {
        None => Err(no_entry()),
        Some(symbol) if symbol.kind() != SymbolKind::Text => {
            Err(Refusal::NoEntry(format!("symbol `{ENTRY_SYMBOL}` is not a function")))
        }
        Some(_) => Ok(()),
    }
}

/// Mach-O puts an underscore before every symbol of C.
fn is_entry(export: &object::Export<'_>) -> bool {
    let name = match export.name() {
        NameOrOrdinal::Name(name) => name,
        NameOrOrdinal::Ordinal(_) => return false,
    };
    name.strip_prefix(b"_").unwrap_or(name) == ENTRY_SYMBOL.as_bytes()
}

fn no_entry() -> Refusal {
    Refusal::NoEntry(format!("no exported symbol `{ENTRY_SYMBOL}`"))
}

/// What a file that is no library looks like.
fn describe(bytes: &[u8]) -> String {
    let kind = match bytes {
        [0x7f, b'E', b'L', b'F', 1, ..] => "an ELF file of 32 bits",
        [0x7f, b'E', b'L', b'F', 2, 2, ..] => "a big-endian ELF file",
        [0x7f, b'E', b'L', b'F', 2, 1, ..] => match whole(bytes) {
            Err(why) => return why,
            Ok(()) => "a damaged ELF file",
        },
        [0x7f, b'E', b'L', b'F', ..] => "a damaged or cut ELF file",
        [b'#', b'!', ..] => "a script",
        [0x1f, 0x8b, ..] => "a gzip file",
        [b'P', b'K', ..] => "a zip file",
        _ if bytes.iter().take(256).all(|byte| byte.is_ascii()) => "text",
        _ => "unknown bytes",
    };
    format!("{kind} found")
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// This program is a whole ELF file; whatever is changed in it must not end the host.
    #[test]
    fn no_header_makes_the_inspection_panic() {
        let program = std::env::current_exe().expect("a running test has a path");
        let whole = std::fs::read(program).expect("it is readable");
        let mut bytes = whole.clone();
        for place in 0..64 + 14 * 56 {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                bytes[place] = value;
                assert!(inspect(&bytes).is_err(), "a program has no entry");
            }
            bytes[place] = whole[place];
        }
        for length in (0..4096).chain((0..64).map(|part| whole.len() * part / 64)) {
            assert!(inspect(&whole[..length]).is_err(), "a program has no entry");
        }
    }
}
