//! One test per rule; each lists every offence as `file:line`. Rules about code see neither
//! comments nor literals.

use super::source::{Source, rust_sources, text_files, words};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;

/// Fails with every offence against `rule`.
fn assert_none(rule: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}

/// Product code in files under `scope` whose path begins with none of `exempt`, on lines that
/// `offends` objects to.
fn offences(scope: &[&str], exempt: &[&str], offends: impl Fn(&str) -> bool) -> Vec<String> {
    let begins = |path: &str, folders: &[&str]| folders.iter().any(|f| path.starts_with(f));
    let sources = rust_sources();
    let inspected =
        sources.iter().filter(|file| begins(&file.path, scope) && !begins(&file.path, exempt));
    let lines = inspected.flat_map(|file| file.product_code().map(move |line| (file, line)));
    lines
        .filter(|(_, (_, line))| offends(line))
        .map(|(file, (number, _))| {
            format!("{}:{number}: {}", file.path, file.lines[number - 1].trim())
        })
        .collect()
}

fn has_word(line: &str, word: &str) -> bool {
    words(line).any(|found| found == word)
}

/// Tokio is where gRPC ends and begins, and nowhere else.
#[test]
fn tokio_stays_at_the_edges() {
    let found = offences(&["src/"], &["src/receive/", "src/forward/backend"], |line| {
        has_word(line, "tokio")
    });
    assert_none("tokio belongs to src/receive and src/forward/backend", &found);
}

/// librdkafka is reached through one module.
#[test]
fn rdkafka_has_one_importer() {
    let found = offences(&["src/"], &["src/kafka/"], |line| {
        words(line).any(|word| word.starts_with("rdkafka"))
    });
    assert_none("rdkafka belongs to src/kafka", &found);
}

/// Threads are started where they are named, watched and joined.
#[test]
fn threads_have_one_home() {
    let found = offences(&["src/"], &["src/threads/"], |line| {
        ["thread::spawn", "thread::scope", "thread::Builder", "Builder::new().name"]
            .iter()
            .any(|start| line.contains(start))
    });
    assert_none("threads are started by src/threads", &found);
}

/// Every queue has a bound.
#[test]
fn queues_are_bounded() {
    let found = offences(&["src/", "loadgen/", "examples/", "demo/"], &[], |line| {
        words(line).any(|word| word.starts_with("unbounded"))
    });
    assert_none("every queue is bounded", &found);
}

/// A queue's capacity is a constant with a reason, in `limits.rs`; 0 and 1 are their own reason.
#[test]
fn capacities_have_reasons() {
    let found = offences(&["src/"], &["src/limits.rs"], |line| {
        ["bounded(", "channel("].iter().any(|constructor| {
            let arguments = line.split(constructor).skip(1);
            let mut first = arguments.map(|rest| rest.split([')', ',']).next().unwrap_or(rest));
            first.any(|it| it.starts_with(|c: char| c.is_ascii_digit()) && it != "0" && it != "1")
        })
    });
    assert_none("capacities are constants of src/limits.rs", &found);
}

/// `unsafe` has one small home.
#[test]
fn unsafe_has_one_home() {
    let scope = ["src/", "loadgen/", "examples/", "demo/", "tests/", "benches/"];
    let found = offences(&scope, &["src/kafka/produce_raw.rs"], |line| has_word(line, "unsafe"));
    assert_none("unsafe code belongs to src/kafka/produce_raw.rs", &found);
}

/// Errors are returned or their impossibility is stated, outside tests.
#[test]
fn nothing_unwraps() {
    let scope = ["src/", "loadgen/", "examples/", "demo/"];
    let found = offences(&scope, &[], |line| line.contains(".unwrap()"));
    assert_none("unwrap is for tests; expect says why it cannot fail", &found);
}

/// Only the program's own commands write to the terminal; everything else logs.
#[test]
fn only_commands_print() {
    let found = offences(&["src/"], &["src/main.rs", "src/subcommands"], |line| {
        ["print!", "println!", "eprint!", "eprintln!", "dbg!"].iter().any(|it| line.contains(it))
    });
    assert_none("printing belongs to src/main.rs and src/subcommands", &found);
}

/// Every file says first what it is for.
#[test]
fn files_open_with_their_purpose() {
    let found: Vec<String> = rust_sources()
        .iter()
        .filter(|file| !file.lines.first().is_some_and(|line| line.starts_with("//! ")))
        .map(|file| format!("{}:1", file.path))
        .collect();
    assert_none("a file opens with //!", &found);
}

/// Files, functions and lines stay small enough to be read.
#[test]
fn sizes_are_readable() {
    let mut found = Vec::new();
    for Source { path, lines, .. } in &rust_sources() {
        if lines.len() > FILE_LINES_MAX {
            found.push(format!("{path}: {} lines, at most {FILE_LINES_MAX}", lines.len()));
        }
        for (index, line) in lines.iter().enumerate() {
            let columns = line.chars().count();
            if columns > COLUMNS_MAX {
                found.push(format!("{path}:{}: {columns} columns", index + 1));
            }
        }
    }
    for file in &rust_sources() {
        for (line, length) in file.functions() {
            if length > FUNCTION_LINES_MAX {
                found.push(format!("{}:{line}: a function of {length} lines", file.path));
            }
        }
    }
    assert_none("files, lines and functions have a size that can be read", &found);
}

/// What is left to be done is an issue, not a remark.
#[test]
fn no_leftovers() {
    // In pieces, so that this file does not offend.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
    let found = lines_with(|line| marks.iter().any(|mark| has_word(line, mark)));
    assert_none("leftovers", &found);
}

/// Nothing depends on, or tells of, the machine it was written on.
#[test]
fn no_machine_paths() {
    let roots = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let found = lines_with(|line| roots.iter().any(|root| line.contains(root)));
    assert_none("paths of one machine", &found);
}

/// Lines of any text file that `offends` objects to.
fn lines_with(offends: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in text_files() {
        for (index, line) in text.lines().enumerate().filter(|(_, line)| offends(line)) {
            found.push(format!("{path}:{}: {}", index + 1, line.trim()));
        }
    }
    found
}
