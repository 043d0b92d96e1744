//! Texts in the columns that there are. Pure.

/// The text in lines of at most `columns`, broken at spaces; those after the first begin with `indent` spaces. A word that is
/// wider than a line stands on one of its own, whole: a path or a command is there to be copied.
pub(crate) fn wrapped(text: &str, columns: usize, indent: usize) -> Vec<String> {
    if text.chars().count() <= columns {
        return vec![text.to_owned()];
    }
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut is_empty = true;
    let mut rest = text;
    while !rest.trim_start().is_empty() {
        // A word with the spaces before it: columns of a table stay columns.
        let gap = rest.len() - rest.trim_start().len();
        let end = rest[gap..]
            .find(char::is_whitespace)
            .map_or(rest.len(), |at| gap + at);
        let (word, others) = rest.split_at(end);
        if !is_empty && line.chars().count() + word.chars().count() > columns {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            line.push_str(word.trim_start());
        } else {
            line.push_str(word);
        }
        is_empty = false;
        rest = others;
    }
    lines.push(line);
    lines
}

/// Where lines after the first begin: below the last column of a table's line, else a little after the line's own indent.
pub(crate) fn hanging(line: &str, columns: usize) -> usize {
    let own = line.len() - line.trim_start().len();
    let gap = line
        .trim_end()
        .rfind("  ")
        .map_or(0, |at| line[..at + 2].chars().count());
    if gap > own && gap <= columns / 2 {
        gap
    } else {
        own + 2
    }
}

/// A number with so many decimals, thousands set apart.
pub(crate) fn decimals(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let sign = if value < 0.0 { "-" } else { "" };
    match whole.parse() {
        Ok(whole) => format!("{sign}{}{rest}", ossmark_report::number::count(whole)),
        Err(_) => text,
    }
}

/// A path as it stands in a command that can be pasted.
pub(crate) fn shell_word(path: &std::path::Path) -> String {
    let shown = path.display().to_string();
    shlex::try_quote(&shown).map_or_else(|_| shown.clone(), |quoted| quoted.into_owned())
}

/// `1 error`, `3 errors`: a count with its noun, thousands set apart.
pub(crate) fn counted(count: u64, one: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {one}{plural}", ossmark_report::number::count(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_at_spaces_and_nothing_is_lost() {
        let text = "  reason: the answer has 1 token; LoadGen needs at least 2 /a/path/that/is/longer/than/the/line";
        for columns in [10, 30, 60, 200] {
            let lines = wrapped(text, columns, 4);
            let words: Vec<&str> = lines.iter().flat_map(|l| l.split_whitespace()).collect();
            assert_eq!(words, text.split_whitespace().collect::<Vec<_>>());
            for (n, line) in lines.iter().enumerate() {
                let fits = line.chars().count() <= columns || line.split_whitespace().count() == 1;
                assert!(fits, "{columns}: {line}");
                let indent = if n == 0 { "  reason" } else { "    " };
                assert!(line.starts_with(indent), "{columns}: {line}");
            }
        }
        assert_eq!(wrapped("", 10, 2), [""]);
    }

    #[test]
    fn columns_of_a_table_stay_columns() {
        let line = "ok       sandbox   active: own root, own network";
        assert_eq!(hanging(line, 40), 19);
        let lines = wrapped(line, 40, hanging(line, 40));
        assert_eq!(lines[0], "ok       sandbox   active: own root, own");
        assert_eq!(lines[1], "                   network");
        assert_eq!(hanging("  fix: a text", 40), 4);
        assert_eq!(hanging("a text", 40), 2);
    }

    #[test]
    fn numbers_and_paths_as_they_are_read() {
        assert_eq!(decimals(13_266.914, 2), "13,266.91");
        assert_eq!(decimals(-0.5, 1), "-0.5");
        assert_eq!(decimals(999.999, 2), "1,000.00");
        assert_eq!(decimals(f64::INFINITY, 2), "inf");
        assert_eq!(shell_word("out/a-b_c.d".as_ref()), "out/a-b_c.d");
        assert_eq!(shell_word("a b".as_ref()), "'a b'");
    }

    #[test]
    fn a_noun_goes_with_its_count() {
        assert_eq!(counted(0, "error"), "0 errors");
        assert_eq!(counted(1, "error"), "1 error");
        assert_eq!(counted(47_632, "token"), "47,632 tokens");
    }
}
