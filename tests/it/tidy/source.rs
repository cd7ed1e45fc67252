//! Source files as the rules see them: comments and literals blanked, test code known.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Folders that hold what others wrote or what a build left behind.
const SKIPPED: [&str; 4] = ["target", ".git", "corpus", "artifacts"];

/// A Rust file of the project.
pub(crate) struct Source {
    /// From the project's root, with forward slashes.
    pub(crate) path: String,
    /// The lines as written.
    pub(crate) lines: Vec<String>,
    /// The same lines; comments and the insides of literals are spaces.
    pub(crate) code: Vec<String>,
    /// For each line, whether it belongs to a test.
    pub(crate) test: Vec<bool>,
}

impl Source {
    /// Takes a file apart.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let blanked = blank(text);
        let code: Vec<String> = blanked.lines().map(str::to_owned).collect();
        let whole = path.ends_with("tests.rs") || path.split('/').any(|folder| folder == "tests");
        let mut test = vec![whole; code.len()];
        for (number, line) in code.iter().enumerate() {
            if line.trim_start().starts_with("#[cfg(test)]") {
                let end = item_end(&code, number);
                test[number..=end].fill(true);
            }
        }
        Self { path: path.to_owned(), lines: text.lines().map(str::to_owned).collect(), code, test }
    }

    /// Lines of code outside tests, numbered from 1.
    pub(crate) fn product_code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.code.iter().zip(&self.test).enumerate();
        lines.filter(|(_, (_, test))| !**test).map(|(index, (line, _))| (index + 1, line.as_str()))
    }

    /// First line and length in lines of every function with a body.
    pub(crate) fn functions(&self) -> Vec<(usize, usize)> {
        let starts =
            (0..self.code.len()).filter(|&index| words(&self.code[index]).any(|w| w == "fn"));
        starts.map(|index| (index + 1, item_end(&self.code, index) - index + 1)).collect()
    }
}

/// The identifiers of a line of code.
pub(crate) fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Every Rust file of the project.
pub(crate) fn rust_sources() -> Vec<Source> {
    let files = text_files().into_iter().filter(|(path, _)| path.ends_with(".rs"));
    let sources: Vec<Source> = files.map(|(path, text)| Source::new(&path, &text)).collect();
    assert!(sources.len() > 20, "the walk finds the sources: {}", sources.len());
    sources
}

/// Every text file of the project with its path from the root.
pub(crate) fn text_files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        for path in entries.filter(|path| !skipped(path)) {
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let relative: PathBuf = path.strip_prefix(root).unwrap().into();
                files.push((relative.to_string_lossy().replace('\\', "/"), text));
            }
        }
    }
    files.sort();
    files
}

fn skipped(path: &Path) -> bool {
    path.is_symlink() || path.file_name().is_some_and(|name| SKIPPED.iter().any(|s| name == *s))
}

/// The line that ends the item which begins at `start`: at its closing brace, or at a semicolon
/// when it has no body.
fn item_end(code: &[String], start: usize) -> usize {
    let (mut depth, mut brackets) = (0_i32, 0_i32);
    for (number, line) in code.iter().enumerate().skip(start) {
        for c in line.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets -= 1,
                _ => {}
            }
            if (c == '}' && depth <= 0) || (c == ';' && depth == 0 && brackets == 0) {
                return number;
            }
        }
    }
    code.len() - 1
}

/// The same text, comments and the insides of string and character literals as spaces.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Where the comment or literal that begins at `at` ends; `at` itself when none begins there.
fn literal_end(chars: &[char], at: usize) -> usize {
    let find = |from: usize, end: &[char]| {
        let found = chars[from.min(chars.len())..].windows(end.len()).position(|w| w == end);
        found.map_or(chars.len(), |offset| from + offset + end.len())
    };
    let after_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match &chars[at..] {
        // The line's end is not part of the comment.
        ['/', '/', ..] => find(at, &['\n']).saturating_sub(1).max(at + 2),
        ['/', '*', ..] => find(at + 2, &['*', '/']),
        ['"', ..] => quoted_end(chars, at + 1, '"'),
        ['\'', '\\', ..] => quoted_end(chars, at + 1, '\''),
        ['\'', _, '\'', ..] => at + 3,
        ['r', rest @ ..] if !after_word || chars[at - 1] == 'b' => {
            let hashes = rest.iter().take_while(|&&c| c == '#').count();
            if rest.get(hashes) == Some(&'"') {
                let mut end = vec!['"'];
                end.resize(hashes + 1, '#');
                find(at + hashes + 2, &end)
            } else {
                at
            }
        }
        _ => at,
    }
}

/// Behind the closing `quote` of a literal with escapes.
fn quoted_end(chars: &[char], mut at: usize, quote: char) -> usize {
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    chars.len().min(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Comments and literals vanish, lifetimes, raw identifiers and line numbers stay.
    #[test]
    fn blanking() {
        let text = "a // fn {\nb \"x\\\" {\n\" c 'x' '\\'' 'y r#type /* } */ r#\"\"}\"# d";
        let blanked = blank(text);
        let kept: Vec<Vec<&str>> =
            blanked.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(kept, [vec!["a"], vec!["b"], vec!["c", "'y", "r#type", "d"]]);
        assert_eq!(blanked.chars().count(), text.chars().count());
    }

    /// Test modules and test-only items are known as such.
    #[test]
    fn test_regions() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
        assert_eq!(Source::new("src/x.rs", text).test, [false, true, true, true, true, false]);
        assert_eq!(Source::new("src/x/tests.rs", "fn a() {}\n").test, [true]);
    }

    /// Functions are measured to their closing brace, signatures included.
    #[test]
    fn function_lengths() {
        let text = "fn a(\n    x: [u8; 2],\n) {\n    if x {\n    }\n}\ntrait T {\n    fn b();\n}\n";
        assert_eq!(Source::new("src/x.rs", text).functions(), [(1, 6), (8, 1)]);
    }
}
