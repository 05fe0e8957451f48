//! Finds templates that double a string with each pass of a loop.
//!
//! The interpreter bounds its steps but not the size of its values: sixty times `s = s ~ s` is few
//! steps and more memory than any machine has. Such an assignment makes no prompt, so a template
//! that holds one is refused when it is compiled. It judges the text only, and therefore only
//! assignments that name their own target; it does not run anything.

/// The first variable that an assignment joins with itself.
pub(crate) fn doubled_variable(source: &str) -> Option<String> {
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let tag = &rest[start + 2..];
        let end = tag.find("%}").unwrap_or(tag.len());
        if let Some((target, expression)) = assignment(&tag[..end])
            && operands(expression).filter(|operand| *operand == target).count() > 1
        {
            return Some(target.to_owned());
        }
        rest = &tag[end..];
    }
    None
}

/// Target and expression of `set TARGET = EXPRESSION`.
fn assignment(tag: &str) -> Option<(&str, &str)> {
    let body = tag.trim_start_matches(['-', '+']).trim_start().strip_prefix("set")?;
    let (target, expression) = body.split_once('=')?;
    let is_separate = target.starts_with(char::is_whitespace);
    is_separate.then_some((target.trim(), expression.trim_end_matches(['-', '+'])))
}

/// What `~`, `+` and `*` join.
fn operands(expression: &str) -> impl Iterator<Item = &str> {
    expression
        .split(['~', '+', '*'])
        .map(|operand| operand.trim_matches(|c: char| c.is_whitespace() || c == '(' || c == ')'))
}

#[cfg(test)]
mod tests {
    use super::doubled_variable;

    fn check(source: &str, expected: Option<&str>) {
        assert_eq!(doubled_variable(source).as_deref(), expected, "{source}");
    }

    #[test]
    fn assignments_that_double_their_target_are_found() {
        check("{% set ns.s = ns.s ~ ns.s %}", Some("ns.s"));
        check("a{%- set s = (s + 'x') + s -%}b", Some("s"));
        check("{% if x %}{%+ set a = a~a%}{% endif %}", Some("a"));
    }

    #[test]
    fn ordinary_assignments_pass() {
        check("{% set ns.i = ns.i + 1 %}{% set s = s ~ 'x' %}", None);
        check("{% set ns.i = ns.i + 1 if ns.i + 1 < 3 else ns.i %}", None);
        check("{% set text = text.split('</think>')[-1].lstrip('\\n') %}", None);
        check("{% set x = a + a %}{% settings = x + x %}{% set x %}{{ x }}{% endset %}", None);
        check("{% set", None);
    }
}
