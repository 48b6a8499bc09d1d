//! What a YAML scalar without quotes is, as Helm sees it: YAML 1.1 in go-yaml's reading
//! (`resolve.go` of go.yaml.in/yaml/v2), and what sigs.k8s.io/yaml makes of it where a text is
//! wanted. So `appVersion: 1.10` is `1.1` here as well, because that is what `helm push` publishes.

/// What a scalar is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scalar<'a> {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(&'a str),
}

/// What the scalar is that is written so, without quotes.
pub(crate) fn resolve(text: &str) -> Scalar<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Scalar::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Scalar::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    if !text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) {
        return Scalar::Text(text);
    }
    let plain = text.replace('_', "");
    if let Some(integer) = integer(&plain) {
        return Scalar::Integer(integer);
    }
    match plain.parse::<f64>() {
        Ok(float) if is_float(&plain) && float.is_finite() => Scalar::Float(float),
        _ => Scalar::Text(text),
    }
}

/// The text that a scalar without quotes is where a text is wanted; none for nothing.
pub(crate) fn as_text(text: &str) -> Option<String> {
    Some(match resolve(text) {
        Scalar::Null => return None,
        Scalar::Bool(value) => value.to_string(),
        Scalar::Integer(value) => value.to_string(),
        Scalar::Float(value) => float_text(value),
        Scalar::Text(text) => text.to_owned(),
    })
}

/// `strconv.ParseInt(text, 0, 64)`, or `ParseUint`: the prefix says the base, and a mere `0` octal.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (digits, base) = if let Some(rest) = lower.strip_prefix("0x") {
        (rest, 16)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (rest, 8)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (rest, 2)
    } else if let Some(rest) = lower.strip_prefix('0').filter(|rest| !rest.is_empty()) {
        (rest, 8)
    } else {
        (lower.as_str(), 10)
    };
    // `from_str_radix` would take a second sign.
    if !digits.bytes().all(|digit| digit.is_ascii_alphanumeric()) {
        return None;
    }
    let value = i128::from_str_radix(digits, base).ok()?;
    let value = if negative { -value } else { value };
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value).then_some(value)
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`
fn is_float(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    exponent_fits && digits(whole) && digits(part) && !(whole.is_empty() && part.is_empty())
}

/// `strconv.FormatFloat(value, 'g', -1, 32)`: as few digits as tell it from its neighbours among
/// 32-bit numbers, with an exponent below -4 and from 6 on.
fn float_text(value: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "it is what sigs.k8s.io/yaml does")]
    let value = value as f32;
    if !value.is_finite() {
        let sign = if value.is_sign_negative() { "-Inf" } else { "+Inf" };
        return if value.is_nan() { "NaN".to_owned() } else { sign.to_owned() };
    }
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.abs())
        }
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_what_go_yaml_says() {
        let table = [
            ("", Scalar::Null),
            ("~", Scalar::Null),
            ("yes", Scalar::Bool(true)),
            ("Off", Scalar::Bool(false)),
            ("12", Scalar::Integer(12)),
            ("-1_000", Scalar::Integer(-1000)),
            ("0x1F", Scalar::Integer(31)),
            ("010", Scalar::Integer(8)),
            ("0b11", Scalar::Integer(3)),
            ("18446744073709551615", Scalar::Integer(u64::MAX.into())),
            ("08", Scalar::Float(8.0)),
            ("1.5", Scalar::Float(1.5)),
            (".5", Scalar::Float(0.5)),
            ("1e3", Scalar::Float(1000.0)),
            ("1e999", Scalar::Text("1e999")),
            ("2024-01-15", Scalar::Text("2024-01-15")),
            ("1.2.3", Scalar::Text("1.2.3")),
            ("+", Scalar::Text("+")),
            ("--1", Scalar::Text("--1")),
            (".", Scalar::Text(".")),
            ("-", Scalar::Text("-")),
            ("1e", Scalar::Text("1e")),
            ("infinity", Scalar::Text("infinity")),
            ("v1", Scalar::Text("v1")),
        ];
        for (text, expected) in table {
            assert_eq!(resolve(text), expected, "{text}");
        }
    }

    #[test]
    fn numbers_as_texts_are_what_go_prints() {
        // The right side is what a Go program printed.
        let table = [
            ("1.10", "1.1"),
            ("1e3", "1000"),
            ("1000000.0", "1e+06"),
            ("1234567.0", "1.234567e+06"),
            ("123456.5", "123456.5"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("20240115.1", "2.0240116e+07"),
            ("1.23456789", "1.2345679"),
            ("100000.0", "100000"),
            ("1e21", "1e+21"),
            ("-2.5", "-2.5"),
            ("0x10", "16"),
            ("yes", "true"),
            ("99999999999999999999", "1e+20"),
        ];
        for (text, expected) in table {
            assert_eq!(as_text(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(as_text("null"), None);
    }
}
