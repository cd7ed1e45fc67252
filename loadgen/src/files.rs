//! The frame that ledger and arrivals files share: magic, version, then the content.
//!
//! Files are written aside and renamed, so that a reader sees the old one or the whole new one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::{Buf, Bytes, TryGetError};

/// A kind of file, and the version of its content that this program writes and reads.
pub(crate) struct Format {
    pub(crate) magic: [u8; 8],
    pub(crate) version: u16,
    /// What error messages call such a file.
    pub(crate) name: &'static str,
}

/// A file that could not be written or understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("{path}: {source}", path = .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} is not {name}", path = .path.display())]
    Foreign { path: PathBuf, name: &'static str },
    #[error("{path} is {name} of version {found}; this program reads version {known}", path = .path.display())]
    Version { path: PathBuf, name: &'static str, found: u16, known: u16 },
    #[error("{path} is damaged: {reason}", path = .path.display())]
    Damaged { path: PathBuf, reason: DamageError },
}

/// Why the content of a file cannot be right.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DamageError {
    #[error("it ends too early")]
    Short,
    #[error("{0} bytes follow its end")]
    Long(usize),
    #[error("{0} is out of range")]
    Value(&'static str),
}

impl From<TryGetError> for DamageError {
    fn from(_: TryGetError) -> Self {
        Self::Short
    }
}

impl Format {
    /// Writes `content` to `path`.
    pub(crate) fn save(&self, path: &Path, content: &[u8]) -> Result<(), FileError> {
        let mut file = Vec::with_capacity(content.len() + 10);
        file.extend_from_slice(&self.magic);
        file.extend_from_slice(&self.version.to_le_bytes());
        file.extend_from_slice(content);
        let mut aside = path.to_owned().into_os_string();
        aside.push(".part");
        fs::write(&aside, file)
            .and_then(|()| fs::rename(&aside, path))
            .map_err(|source| FileError::Io { path: path.to_owned(), source })
    }

    /// Reads `path` and hands its content to `decode`, which must consume all of it.
    pub(crate) fn load<T>(
        &self,
        path: &Path,
        decode: impl FnOnce(&mut Bytes) -> Result<T, DamageError>,
    ) -> Result<T, FileError> {
        let path = path.to_owned();
        let mut content = match fs::read(&path) {
            Ok(file) => Bytes::from(file),
            Err(source) => return Err(FileError::Io { path, source }),
        };
        let Self { magic, version: known, name } = *self;
        if !content.starts_with(&magic) {
            return Err(FileError::Foreign { path, name });
        }
        content.advance(magic.len());
        match content.try_get_u16_le() {
            Ok(found) if found != known => {
                return Err(FileError::Version { path, name, found, known });
            }
            Ok(_) => {}
            Err(short) => return Err(FileError::Damaged { path, reason: short.into() }),
        }
        match decode(&mut content) {
            Ok(value) if content.is_empty() => Ok(value),
            Ok(_) => Err(FileError::Damaged { path, reason: DamageError::Long(content.len()) }),
            Err(reason) => Err(FileError::Damaged { path, reason }),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Buf;

    use super::{FileError, Format};

    const FORMAT: Format = Format { magic: *b"TESTTEST", version: 3, name: "a test file" };

    /// What is saved is loaded; another kind, another version and a wrong length are told apart.
    #[test]
    fn only_the_right_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        FORMAT.save(&path, &[1, 2, 3, 4]).unwrap();
        assert_eq!(FORMAT.load(&path, |content| Ok(content.try_get_u32()?)).unwrap(), 0x0102_0304);

        let short = FORMAT.load(&path, |content| Ok(content.try_get_u64()?));
        assert!(matches!(short, Err(FileError::Damaged { .. })));
        let long = FORMAT.load(&path, |content| Ok(content.try_get_u16()?));
        assert!(matches!(long, Err(FileError::Damaged { .. })));
        let newer = Format { version: 4, ..FORMAT }.load(&path, |_| Ok(()));
        assert!(matches!(newer, Err(FileError::Version { found: 3, known: 4, .. })));
        let other = Format { magic: *b"OTHEROTH", ..FORMAT }.load(&path, |_| Ok(()));
        assert!(matches!(other, Err(FileError::Foreign { .. })));
    }
}
