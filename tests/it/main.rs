//! Integration tests without outside parts.
