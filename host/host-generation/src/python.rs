//! The few Python functions that chat templates call and minijinja does not offer.
//!
//! A prompt must equal the one the model was trained on byte for byte, so `json.dumps` and
//! `strftime` are followed here to the letter. Nothing here knows messages or models.

use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use crate::limits::TEMPLATE_OUTPUT_BYTES_MAX;

/// Methods of Python values: those of `minijinja-contrib` and two that it lacks.
pub(crate) fn method(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    match (method, value.as_str(), args.first().and_then(Value::as_str)) {
        ("removeprefix", Some(text), Some(prefix)) => {
            Ok(text.strip_prefix(prefix).unwrap_or(text).into())
        }
        ("removesuffix", Some(text), Some(suffix)) => {
            Ok(text.strip_suffix(suffix).unwrap_or(text).into())
        }
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args),
    }
}

/// How `json.dumps` lays its output out.
#[derive(Debug, Default)]
pub(crate) struct JsonStyle {
    /// Spaces for each level; one line without.
    pub(crate) indent: Option<usize>,
    /// Between items and after keys; Python's defaults without.
    pub(crate) separators: Option<[String; 2]>,
    /// Write characters beyond ASCII as escapes.
    pub(crate) ensure_ascii: bool,
    /// Order the keys.
    pub(crate) sort_keys: bool,
}

/// Python's `json.dumps`.
pub(crate) fn json_dumps(value: &Value, style: &JsonStyle) -> Result<String, Error> {
    let mut writer = JsonWriter { out: String::new(), style };
    writer.write(value, 0)?;
    Ok(writer.out)
}

struct JsonWriter<'a> {
    out: String,
    style: &'a JsonStyle,
}

impl JsonWriter<'_> {
    fn write(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if self.out.len() > TEMPLATE_OUTPUT_BYTES_MAX || depth > 200 {
            return Err(invalid("the value is too large or too deep for tojson"));
        }
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self.out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.write_number(value),
            ValueKind::String => self.write_string(value.as_str().unwrap_or_default()),
            ValueKind::Map => self.write_map(value, depth)?,
            ValueKind::Seq | ValueKind::Iterable => self.write_list(value, depth)?,
            kind => return Err(invalid(format!("a value of type {kind} is not JSON"))),
        }
        Ok(())
    }

    fn write_list(&mut self, list: &Value, depth: usize) -> Result<(), Error> {
        self.out.push('[');
        let mut empty = true;
        for item in list.try_iter()? {
            self.separate(empty, depth + 1);
            empty = false;
            self.write(&item, depth + 1)?;
        }
        self.close(']', empty, depth);
        Ok(())
    }

    fn write_map(&mut self, map: &Value, depth: usize) -> Result<(), Error> {
        let mut keys: Vec<Value> = map.try_iter()?.collect();
        if self.style.sort_keys {
            keys.sort();
        }
        self.out.push('{');
        for (index, key) in keys.iter().enumerate() {
            self.separate(index == 0, depth + 1);
            match key.as_str() {
                Some(text) => self.write_string(text),
                None => {
                    self.out.push('"');
                    self.write(key, depth + 1)?;
                    self.out.push('"');
                }
            }
            let style = self.style;
            self.out.push_str(style.separators.as_ref().map_or(": ", |pair| &pair[1]));
            self.write(&map.get_item(key)?, depth + 1)?;
        }
        self.close('}', keys.is_empty(), depth);
        Ok(())
    }

    fn separate(&mut self, first: bool, depth: usize) {
        let style = self.style;
        if !first {
            let default = if style.indent.is_some() { "," } else { ", " };
            self.out.push_str(style.separators.as_ref().map_or(default, |pair| &pair[0]));
        }
        self.break_line(depth);
    }

    fn close(&mut self, bracket: char, empty: bool, depth: usize) {
        if !empty {
            self.break_line(depth);
        }
        self.out.push(bracket);
    }

    fn break_line(&mut self, depth: usize) {
        if let Some(indent) = self.style.indent {
            self.out.push('\n');
            let spaces = indent.min(64) * depth;
            self.out.extend(std::iter::repeat_n(' ', spaces));
        }
    }

    fn write_number(&mut self, number: &Value) {
        // minijinja prints numbers as Python's repr does, and json.dumps uses repr.
        match number.to_string().as_str() {
            "nan" => self.out.push_str("NaN"),
            "inf" => self.out.push_str("Infinity"),
            "-inf" => self.out.push_str("-Infinity"),
            text => self.out.push_str(text),
        }
    }

    fn write_string(&mut self, text: &str) {
        let quoted = serde_json::Value::from(text).to_string();
        if !self.style.ensure_ascii {
            self.out.push_str(&quoted);
            return;
        }
        for unit in quoted.encode_utf16() {
            match u8::try_from(unit) {
                Ok(byte) if byte.is_ascii() => self.out.push(char::from(byte)),
                _ => self.out.push_str(&format!("\\u{unit:04x}")),
            }
        }
    }
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// `datetime.now().strftime(format)` in UTC: the host knows no other zone.
pub(crate) fn strftime_now(format: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    strftime(format, now.as_secs())
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A time, in seconds since 1970, as Python's `strftime` writes it in UTC.
pub fn strftime(format: &str, unix_s: u64) -> String {
    let date = Date::of_day(unix_s / 86_400);
    let (hour, minute, second) = (unix_s / 3600 % 24, unix_s / 60 % 60, unix_s % 60);
    let hour_12 = (hour + 11) % 12 + 1;
    let month = MONTHS[date.month as usize - 1];
    let weekday = WEEKDAYS[date.weekday as usize];
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let (width, directive) = match chars.next() {
            Some('-') => (1, chars.next()),
            directive => (2, directive),
        };
        let number = |value: u64| format!("{value:0width$}");
        let text = match directive {
            Some('Y') => date.year.to_string(),
            Some('y') => number(date.year % 100),
            Some('m') => number(date.month),
            Some('d') => number(date.day),
            Some('e') => format!("{:2}", date.day),
            Some('j') => format!("{:03}", date.day_of_year),
            Some('H') => number(hour),
            Some('I') => number(hour_12),
            Some('M') => number(minute),
            Some('S') => number(second),
            Some('p') => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            Some('B') => month.to_owned(),
            Some('b') => month[..3].to_owned(),
            Some('A') => weekday.to_owned(),
            Some('a') => weekday[..3].to_owned(),
            Some('F') => format!("{}-{:02}-{:02}", date.year, date.month, date.day),
            Some('T') => format!("{hour:02}:{minute:02}:{second:02}"),
            Some('Z') => "UTC".to_owned(),
            Some('z') => "+0000".to_owned(),
            Some('%') => "%".to_owned(),
            Some(other) => format!("%{other}"),
            None => "%".to_owned(),
        };
        out.push_str(&text);
    }
    out
}

/// A day of the Gregorian calendar.
struct Date {
    year: u64,
    month: u64,
    day: u64,
    day_of_year: u64,
    weekday: u64,
}

impl Date {
    fn of_day(days_since_1970: u64) -> Self {
        let mut year = 1970 + days_since_1970 / 146_097 * 400;
        let mut day = days_since_1970 % 146_097;
        while day >= year_days(year) {
            day -= year_days(year);
            year += 1;
        }
        let day_of_year = day + 1;
        let mut month = 1;
        while day >= month_days(year, month) {
            day -= month_days(year, month);
            month += 1;
        }
        // 1 January 1970 was a Thursday.
        Self { year, month, day: day + 1, day_of_year, weekday: (days_since_1970 + 4) % 7 }
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

fn year_days(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn month_days(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::{JsonStyle, json_dumps, strftime};
    use minijinja::value::{Serde, Value};

    fn check_time(unix_s: u64, format: &str, expected: &str) {
        assert_eq!(strftime(format, unix_s), expected);
    }

    #[test]
    fn dates_follow_the_gregorian_calendar() {
        check_time(0, "%A %d %B %Y %H:%M:%S", "Thursday 01 January 1970 00:00:00");
        check_time(951_782_400, "%a %F %j", "Tue 2000-02-29 060");
        check_time(1_767_225_599, "%d %b %Y %I:%M %p", "31 Dec 2025 11:59 PM");
        check_time(4_107_542_400, "%F %y", "2100-03-01 00");
        check_time(0, "%-d/%-m %e %% %q %", "1/1  1 % %q %");
    }

    fn check_json(json: &str, style: &JsonStyle, expected: &str) {
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(json_dumps(&Value::from(Serde(&value)), style).unwrap(), expected);
    }

    #[test]
    fn json_is_laid_out_as_python_does() {
        let plain = JsonStyle::default();
        check_json(
            r#"{"b":[1,2.0,true,null],"a":{}}"#,
            &plain,
            r#"{"b": [1, 2.0, true, null], "a": {}}"#,
        );
        check_json(
            r#""<Köln> & 'x' \"q\" \u0001\n""#,
            &plain,
            "\"<Köln> & 'x' \\\"q\\\" \\u0001\\n\"",
        );
        let indent = JsonStyle { indent: Some(2), ..JsonStyle::default() };
        check_json(r#"{"a":[1],"b":[]}"#, &indent, "{\n  \"a\": [\n    1\n  ],\n  \"b\": []\n}");
        let tight = JsonStyle {
            separators: Some([",".to_owned(), ":".to_owned()]),
            sort_keys: true,
            ensure_ascii: true,
            ..JsonStyle::default()
        };
        check_json(r#"{"b":"é😀","a":1}"#, &tight, r#"{"a":1,"b":"\u00e9\ud83d\ude00"}"#);
    }
}
