//! What the targets of the parsers share: where their input is cut into pieces, and lines, fields and limits read the plain way.

use cutover_proxy::fuzzing::{COUNT_MAX, FIELDS_MAX, LINE_MAX};

/// How many bytes come at once, and the input: the first byte says how many of the next ones are cuts.
pub fn cuts(data: &[u8]) -> (Vec<usize>, &[u8]) {
    let Some((count, rest)) = data.split_first() else { return (Vec::new(), data) };
    let (cuts, input) = rest.split_at(rest.len().min(usize::from(*count % 8)));
    (cuts.iter().map(|cut| usize::from(*cut) + 1).collect(), input)
}

/// A line up to the first CRLF, and what is behind it. A bare CR or LF stays in it, for others to find.
pub fn line(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = input.windows(2).position(|pair| pair == b"\r\n")?;
    Some((&input[..at], &input[at + 2..]))
}

/// `field-name ":" OWS field-value OWS` (RFC 9112 section 5).
pub fn field(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let is_value = value.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t');
    // Nothing else that `trim_ascii` takes away is in a value.
    (is_token(name) && is_value).then(|| (name.to_vec(), value.trim_ascii().to_vec()))
}

/// RFC 9110 section 5.6.2.
pub fn is_token(text: &[u8]) -> bool {
    const OTHERS: &[u8] = b"!#$%&'*+-.^_`|~";
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || OTHERS.contains(byte))
}

/// Whether a whole head is larger than it may be.
pub fn is_too_large(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    let (line, fields) = self::line(head).unwrap_or((head, b""));
    // The empty line at the end does not count.
    let count = fields.split(|byte| *byte == b'\n').count().saturating_sub(2);
    line.len() > LINE_MAX || fields.len() > FIELDS_MAX + 2 || count > COUNT_MAX
}

/// Whether there is an LF without a CR before it.
pub fn has_bare_lf(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n').rev().skip(1).any(|line| !line.ends_with(b"\r"))
}
