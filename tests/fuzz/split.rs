//! What the targets of the parsers share: where their input is cut into pieces, and lines found the plain way.

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
