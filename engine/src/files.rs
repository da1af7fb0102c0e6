//! How a file is written: beside its place, readable by its owner alone, on the disk, and then all at once.
//!
//! What root makes in somebody's directory belongs to whom the directory belongs, or a node of theirs could not go on.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, lchown},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// Of what nobody else is to read.
const PRIVATE: u32 = 0o600;

/// A file that takes its place when it is whole. Dropped before, it leaves what was there, and nothing of itself.
#[derive(Debug)]
pub struct Replacement {
    file: File,
    unfinished: PathBuf,
    path: PathBuf,
}

impl Replacement {
    /// For `path`, or for what a link of that name leads to.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub fn new(path: &Path) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let name = path.file_name().filter(|_| !path.is_dir()).ok_or(io::ErrorKind::IsADirectory)?.to_string_lossy();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let unfinished = path.with_file_name(format!(".{name}.{}-{number}.new", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(&unfinished)?;
        let replacement = Self { file, unfinished, path };
        own(&replacement.unfinished)?;
        Ok(replacement)
    }

    /// Where it is written.
    pub const fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Puts it in place.
    ///
    /// # Errors
    /// When it is not there for good; the old file may be, or this one.
    pub fn commit(self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.unfinished, &self.path)?;
        File::open(directory(&self.path))?.sync_all()
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // Once it is in place there is nothing of that name.
        drop(fs::remove_file(&self.unfinished));
    }
}

/// Opens a file to write, and makes it when there is none.
pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    let file = File::options().create(true).truncate(false).write(true).mode(PRIVATE).open(path)?;
    own(path)?;
    Ok(file)
}

/// Makes a directory, and what is missing of the way to it, for its owner alone.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    make_directory(directory(path))?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => own(path),
    }
}

/// Gives what root has made to whom its directory belongs.
pub(crate) fn own(path: &Path) -> io::Result<()> {
    let made = fs::symlink_metadata(path)?;
    if made.uid() != 0 {
        return Ok(());
    }
    let whose = fs::metadata(directory(path))?;
    if whose.uid() == 0 {
        return Ok(());
    }
    match lchown(path, Some(whose.uid()), Some(whose.gid())) {
        // Some file systems know no other owner, and only root may give something away.
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Err(error),
        _ => Ok(()),
    }
}

/// Takes a file that others may read from them; whether they might.
pub(crate) fn make_private(file: &File) -> io::Result<bool> {
    let metadata = file.metadata()?;
    let open = metadata.mode() & 0o077 != 0;
    if open {
        let mut permissions = metadata.permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, PRIVATE);
        file.set_permissions(permissions)?;
    }
    Ok(open)
}

/// What `path` is in.
fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write, os::unix::fs::PermissionsExt};

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_old_file_stays_until_the_new_one_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&path, "old").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        let mut given_up = Replacement::new(&path).unwrap();
        given_up.file().write_all(b"half").unwrap();
        drop(given_up);
        assert_eq!(
            (fs::read_to_string(&path).unwrap().as_str(), names(directory.path())),
            ("old", vec!["file".to_owned(), "link".to_owned()])
        );
        let mut whole = Replacement::new(&link).unwrap();
        whole.file().write_all(b"new").unwrap();
        whole.commit().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, PRIVATE);
        assert_eq!(names(directory.path()), ["file", "link"]);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(Replacement::new(directory.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn a_directory_is_its_owner_s_alone() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("one/two");
        make_directory(&deep).unwrap();
        make_directory(&deep).unwrap();
        for made in [deep.parent().unwrap(), &deep] {
            assert_eq!(fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700);
        }
        fs::write(directory.path().join("file"), "").unwrap();
        assert!(make_directory(&directory.path().join("file")).is_err());
    }
}
