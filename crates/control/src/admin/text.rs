//! Texts that people attach to what they do: reasons and notes.

use crate::document::Check;

/// Longest text in bytes: it is kept in the timeline, a thousand times for each service.
const TEXT_MAX: usize = 1024;

/// A text to be kept, if there is one. Reports what is too long or can't be shown on a terminal.
pub(crate) fn read(check: &mut Check<'_>, key: &str, text: Option<&str>) -> Option<String> {
    let text = text?.trim();
    if text.len() > TEXT_MAX {
        check.wrong(key, format_args!("is {} bytes long; at most {TEXT_MAX} are kept", text.len()));
    } else if let Some(control) = text.chars().find(|c| c.is_control()) {
        check.wrong(key, format_args!("has the control character {control:?}; remove it"));
    }
    (!text.is_empty()).then(|| text.to_owned())
}

/// A text that must be there.
pub(crate) fn required(check: &mut Check<'_>, key: &str, text: &str) -> Option<String> {
    let text = read(check, key, Some(text));
    if text.is_none() {
        check.wrong(key, "is empty; say why");
    }
    text
}
