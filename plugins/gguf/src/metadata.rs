//! The key-value section: checked once, then looked up by key and type.
//!
//! Parsing walks over every value and remembers only where it lies; a value is read when it is
//! asked for, and only as the type the file declares. Nested arrays are walked with a stack of
//! bounded height, never by recursion.

use crate::fault::{fault, shown};
use crate::reader::Reader;
use plugin_api::Error;
use std::collections::BTreeMap;

/// Most keys of a file.
const KEYS_MAX: u64 = 1 << 16;
/// Longest key.
const KEY_BYTES_MAX: u64 = 65_535;
/// Arrays inside arrays.
const NESTING_MAX: usize = 4;

/// Type of a value or of an array's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    Array,
    U64,
    I64,
    F64,
}

/// In the order of their numbers: type, name, bytes of a value (the least, where it varies).
const VALUE_TYPES: [(ValueType, &str, usize); 13] = [
    (ValueType::U8, "u8", 1),
    (ValueType::I8, "i8", 1),
    (ValueType::U16, "u16", 2),
    (ValueType::I16, "i16", 2),
    (ValueType::U32, "u32", 4),
    (ValueType::I32, "i32", 4),
    (ValueType::F32, "f32", 4),
    (ValueType::Bool, "bool", 1),
    (ValueType::Text, "string", 8),
    (ValueType::Array, "array", 12),
    (ValueType::U64, "u64", 8),
    (ValueType::I64, "i64", 8),
    (ValueType::F64, "f64", 8),
];

impl ValueType {
    fn read(reader: &mut Reader<'_>, field: &str) -> Result<Self, Error> {
        let number = reader.u32(field)?;
        let known = usize::try_from(number).ok().and_then(|number| VALUE_TYPES.get(number));
        known.map(|(value_type, ..)| *value_type).ok_or_else(|| {
            fault(field, format!("value type {number}"), "one of 0 to 12 (u8 to f64)")
        })
    }

    fn name(self) -> &'static str {
        VALUE_TYPES[self as usize].1
    }

    fn bytes_min(self) -> usize {
        VALUE_TYPES[self as usize].2
    }
}

/// Where a value lies.
#[derive(Debug, Clone, Copy)]
struct Entry {
    value_type: ValueType,
    /// Elements of an array.
    array: Option<(ValueType, usize)>,
    /// The value's first byte; an array's first element.
    start: usize,
}

/// All keys of a file.
#[derive(Debug, Default)]
pub(crate) struct Entries(BTreeMap<String, Entry>);

/// One scalar value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar<'a> {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Flag(bool),
    Text(&'a str),
}

/// An array, not yet read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Array<'a> {
    pub(crate) element: ValueType,
    pub(crate) count: usize,
    reader: Reader<'a>,
}

/// What a key holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Scalar(Scalar<'a>),
    Array(Array<'a>),
}

/// The keys of a file together with its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metadata<'a> {
    bytes: &'a [u8],
    entries: &'a Entries,
}

impl Entries {
    /// Checks and indexes `count` keys with their values.
    pub(crate) fn read(reader: &mut Reader<'_>, count: u64) -> Result<Self, Error> {
        if count > KEYS_MAX {
            return Err(fault("metadata key count", count, format!("at most {KEYS_MAX}")));
        }
        let mut entries = BTreeMap::new();
        for index in 0..count {
            let place = format!("metadata key {} of {count}", index + 1);
            let key = name(reader.string(KEY_BYTES_MAX, &place)?, &place)?;
            let entry = Entry::read(reader, key)?;
            if entries.insert(key.to_owned(), entry).is_some() {
                return Err(fault(shown(key.as_bytes()), "the key twice", "once"));
            }
        }
        Ok(Self(entries))
    }
}

/// A key or tensor name: UTF-8, not empty, no control characters.
pub(crate) fn name<'a>(bytes: &'a [u8], field: &str) -> Result<&'a str, Error> {
    match std::str::from_utf8(bytes) {
        Ok("") => Err(fault(field, "an empty name", "a name")),
        Ok(name) if name.contains(char::is_control) => {
            Err(fault(field, shown(bytes), "a name without NUL and control characters"))
        }
        Ok(name) => Ok(name),
        Err(_) => Err(fault(field, shown(bytes), "UTF-8")),
    }
}

impl Entry {
    fn read(reader: &mut Reader<'_>, key: &str) -> Result<Self, Error> {
        let value_type = ValueType::read(reader, key)?;
        if value_type != ValueType::Array {
            let start = reader.at();
            scalar(reader, value_type, key)?;
            return Ok(Self { value_type, array: None, start });
        }
        let (element, count) = array_head(reader, key)?;
        let start = reader.at();
        skip_array(reader, (element, count), key)?;
        Ok(Self { value_type, array: Some((element, count)), start })
    }
}

/// Element type and count of an array whose elements can be in the bytes that are left.
fn array_head(reader: &mut Reader<'_>, key: &str) -> Result<(ValueType, usize), Error> {
    let element = ValueType::read(reader, key)?;
    let count = reader.u64(key)?;
    let possible = reader.left() / element.bytes_min();
    match usize::try_from(count) {
        Ok(fitting) if fitting <= possible => Ok((element, fitting)),
        _ => {
            let found = format!("an array of {count} {}", element.name());
            Err(fault(key, found, format!("at most {possible} in the bytes that are left")))
        }
    }
}

/// Walks over the elements of an array, however nested.
fn skip_array(
    reader: &mut Reader<'_>,
    outermost: (ValueType, usize),
    key: &str,
) -> Result<(), Error> {
    let mut open = vec![outermost];
    while let Some((element, left)) = open.pop() {
        match element {
            ValueType::Array if left > 0 => {
                if open.len() + 1 == NESTING_MAX {
                    let expected = format!("at most {NESTING_MAX} levels");
                    return Err(fault(key, "arrays nested more deeply", expected));
                }
                open.push((element, left - 1));
                open.push(array_head(reader, key)?);
            }
            ValueType::Array => {}
            ValueType::Text => {
                for _ in 0..left {
                    reader.string(u64::MAX, key)?;
                }
            }
            ValueType::Bool => {
                for _ in 0..left {
                    scalar(reader, element, key)?;
                }
            }
            // `array_head` has checked that this many elements are there.
            _ => {
                reader.take(left * element.bytes_min(), key)?;
            }
        }
    }
    Ok(())
}

/// Reads one value that is no array.
fn scalar<'a>(
    reader: &mut Reader<'a>,
    value_type: ValueType,
    key: &str,
) -> Result<Scalar<'a>, Error> {
    if value_type == ValueType::Text {
        let bytes = reader.string(u64::MAX, key)?;
        let text = std::str::from_utf8(bytes);
        return text.map(Scalar::Text).map_err(|_| fault(key, shown(bytes), "UTF-8"));
    }
    let count = value_type.bytes_min();
    let taken = reader.take(count, key)?;
    let mut bytes = [0; 8];
    bytes[..count].copy_from_slice(taken);
    let unsigned = u64::from_le_bytes(bytes);
    // Shifting up and down again extends the sign of the shorter ones.
    let shift = 64 - 8 * count as u32;
    let signed = (unsigned << shift).cast_signed() >> shift;
    Ok(match value_type {
        ValueType::I8 | ValueType::I16 | ValueType::I32 | ValueType::I64 => Scalar::Signed(signed),
        ValueType::F32 => Scalar::Float(f64::from(f32::from_bits(unsigned as u32))),
        ValueType::F64 => Scalar::Float(f64::from_bits(unsigned)),
        ValueType::Bool if unsigned <= 1 => Scalar::Flag(unsigned == 1),
        ValueType::Bool => return Err(fault(key, format!("bool {unsigned}"), "0 or 1")),
        _ => Scalar::Unsigned(unsigned),
    })
}

impl<'a> Metadata<'a> {
    /// The keys of the file whose bytes these are.
    pub(crate) fn new(bytes: &'a [u8], entries: &'a Entries) -> Self {
        Self { bytes, entries }
    }

    /// All keys with their values, in the order of their names.
    pub(crate) fn iter(self) -> impl Iterator<Item = Result<(&'a str, Value<'a>), Error>> {
        let read = move |(key, entry): (&'a String, &'a Entry)| {
            self.value(key, *entry).map(|value| (key.as_str(), value))
        };
        self.entries.0.iter().map(read)
    }

    fn value(self, key: &str, entry: Entry) -> Result<Value<'a>, Error> {
        let mut reader = Reader::new(self.bytes, entry.start);
        match entry.array {
            Some((element, count)) => Ok(Value::Array(Array { element, count, reader })),
            None => scalar(&mut reader, entry.value_type, key).map(Value::Scalar),
        }
    }

    /// The value of a key as `wanted` understands it; the wrong type is an error.
    fn get<T>(
        self,
        key: &str,
        expected: &str,
        wanted: impl FnOnce(Value<'a>) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(entry) = self.entries.0.get(key) else { return Ok(None) };
        let wrong = || {
            let found = match entry.array {
                Some((element, _)) => format!("an array of {}", element.name()),
                None => format!("a value of type {}", entry.value_type.name()),
            };
            fault(key, found, expected)
        };
        wanted(self.value(key, *entry)?).map(Some).ok_or_else(wrong)
    }

    /// An integer of any width.
    pub(crate) fn integer(self, key: &str) -> Result<Option<u64>, Error> {
        self.get(key, "an integer, not negative", |value| match value {
            Value::Scalar(Scalar::Unsigned(value)) => Some(value),
            Value::Scalar(Scalar::Signed(value)) => u64::try_from(value).ok(),
            _ => None,
        })
    }

    /// A bool.
    pub(crate) fn flag(self, key: &str) -> Result<Option<bool>, Error> {
        self.get(key, "a bool", |value| match value {
            Value::Scalar(Scalar::Flag(value)) => Some(value),
            _ => None,
        })
    }

    /// A string.
    pub(crate) fn text(self, key: &str) -> Result<Option<&'a str>, Error> {
        self.get(key, "a string", |value| match value {
            Value::Scalar(Scalar::Text(value)) => Some(value),
            _ => None,
        })
    }

    /// An array of exactly this element type.
    pub(crate) fn array(self, key: &str, element: ValueType) -> Result<Option<Array<'a>>, Error> {
        let expected = format!("an array of {}", element.name());
        self.get(key, &expected, |value| match value {
            Value::Array(array) if array.element == element => Some(array),
            _ => None,
        })
    }
}

impl<'a> Array<'a> {
    /// The elements of an array of scalars, in order.
    pub(crate) fn scalars(
        mut self,
        key: &str,
    ) -> impl ExactSizeIterator<Item = Result<Scalar<'a>, Error>> {
        (0..self.count).map(move |_| scalar(&mut self.reader, self.element, key))
    }

    /// The elements of an array of strings, in order.
    pub(crate) fn texts(self, key: &str) -> impl ExactSizeIterator<Item = Result<&'a str, Error>> {
        self.scalars(key).map(move |element| match element? {
            Scalar::Text(text) => Ok(text),
            _ => Err(fault(key, "numbers", "an array of string")),
        })
    }
}
