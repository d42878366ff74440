//! Just enough of a shell's grammar to find the calls of `cutover` in an example.

/// The commands of a block: all lines of a script, those behind a prompt in a session. Lines that go on are joined.
pub(crate) fn commands(language: &str, text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut is_going_on = false;
    for line in text.lines() {
        let said = if language == "console" && !is_going_on { line.strip_prefix("$ ") } else { Some(line) };
        let Some(said) = said else { continue };
        let part = said.strip_suffix('\\');
        match commands.last_mut() {
            Some(last) if is_going_on => *last = format!("{last} {}", part.unwrap_or(said).trim()),
            _ => commands.push(part.unwrap_or(said).trim().to_owned()),
        }
        is_going_on = part.is_some();
    }
    commands
}

/// The arguments of every call of `cutover` in a command.
pub(crate) fn calls(command: &str) -> Vec<Vec<String>> {
    let (mut calls, mut current, mut is_first) = (Vec::new(), None::<Vec<String>>, true);
    for token in tokens(command) {
        match token {
            Token::Word(word) if is_first && word == "cutover" => current = Some(Vec::new()),
            Token::Word(word) => {
                if let Some(arguments) = &mut current {
                    arguments.push(word);
                } else {
                    is_first =
                        matches!(word.as_str(), "do" | "then" | "if" | "until" | "while" | "!" | "sudo");
                    continue;
                }
            }
            Token::End => {
                calls.extend(current.take());
                is_first = true;
                continue;
            }
        }
        is_first = false;
    }
    calls.extend(current);
    calls
}

enum Token {
    Word(String),
    /// A command ends here.
    End,
}

fn tokens(command: &str) -> Vec<Token> {
    let (mut tokens, mut word, mut quote) = (Vec::new(), None::<String>, None::<char>);
    let mut characters = command.chars().peekable();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            // What is called inside of a quoted word begins where `$(` does.
            (Some('"') | None, '$') if characters.peek() == Some(&'(') => {
                characters.next();
                (word, quote) = (None, None);
                tokens.push(Token::End);
            }
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            (None, '#') if word.is_none() => break,
            // The number of what is redirected is no word.
            (None, '>' | '<')
                if word.as_ref().is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_digit())) =>
            {
                word = None;
                tokens.push(Token::End);
            }
            (None, ';' | '&' | '|' | '(' | ')' | '>' | '<') => {
                tokens.extend(word.take().map(Token::Word));
                tokens.push(Token::End);
            }
            (None, c) if c.is_whitespace() => tokens.extend(word.take().map(Token::Word)),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    tokens.extend(word.map(Token::Word));
    tokens
}

#[test]
fn calls_are_found_where_a_shell_would_find_them() {
    let script = "for h in a b; do cutover permit web $h --wait && ssh $h 'cutover x'; done # cutover y";
    assert_eq!(calls(script), [["permit", "web", "$h", "--wait"]]);
    assert_eq!(calls(r#"curl -H "$(cutover preview web v2 --json | jq -r .header)" /"#).len(), 1);
    assert_eq!(calls("cutover deploy web --run 'a; b' >log &"), [["deploy", "web", "--run", "a; b"]]);
    assert_eq!(calls("until cutover status --ready 2>/dev/null; do sleep 1; done"), [["status", "--ready"]]);
    assert!(calls("echo cutover flip").is_empty());
}

#[test]
fn a_session_has_commands_behind_its_prompt() {
    let text = "$ cutover flip web \\\n    v2\nweb: v2 is active\n";
    assert_eq!(commands("console", text), ["cutover flip web v2"]);
}
