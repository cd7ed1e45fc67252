//! Integration tests without outside parts.

// `cfg(test)` tells clippy that helpers of tests may unwrap, too.
#[cfg(test)]
mod check;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod content;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod dead_letters;
#[cfg(test)]
mod dlq;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod forward;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod publish;
#[cfg(test)]
mod receive;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tidy;
