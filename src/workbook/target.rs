//! The file in its folder: written beside, synced, renamed. Readers see the old workbook or the new one, never a part.
//!
//! Order: contents → fsync of the file → rename → fsync of the folder. A crash before the rename leaves a hidden
//! `.NAME.*.part`, which the next writer of the same workbook removes.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use super::error::{Error, Result};
use crate::failpoint;

const SUFFIX: &str = ".part";

/// A file that is not there yet.
pub(super) struct Target {
    path: PathBuf,
    folder: PathBuf,
    temporary: NamedTempFile,
}

impl Target {
    /// Makes the folder and the temporary file: a place that cannot be written is known before there are rows.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
            let source =
                io::Error::new(io::ErrorKind::InvalidInput, "the path does not end in a file's name");
            Error::Io { what: "making the workbook", path: path.to_owned(), source }
        })?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = |source| Error::Io { what: "making the workbook", path: path.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let prefix = format!(".{name}.");
        sweep(folder, &prefix);
        let temporary = make_temporary(folder, &prefix).map_err(failed)?;
        Ok(Self { path: path.to_owned(), folder: folder.to_owned(), temporary })
    }

    /// Where it will be.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Has the contents written, then puts the file in place.
    pub(super) fn publish(self, write: impl FnOnce(&mut BufWriter<&File>) -> Result<()>) -> Result<PathBuf> {
        let Self { path, folder, temporary } = self;
        let failed = |what| {
            let path = path.clone();
            move |source| Error::Io { what, path, source }
        };
        let mut writer = BufWriter::with_capacity(1 << 17, temporary.as_file());
        write(&mut writer)?;
        writer.flush().map_err(failed("writing the workbook"))?;
        drop(writer);
        failpoint::pass("workbook.write.after");
        temporary.as_file().sync_all().map_err(failed("syncing the workbook"))?;
        failpoint::pass("workbook.rename.before");
        temporary.persist(&path).map_err(|error| failed("renaming the workbook")(error.error))?;
        File::open(&folder).and_then(|folder| folder.sync_all()).map_err(failed("syncing the folder"))?;
        failpoint::pass("workbook.rename.after");
        Ok(path)
    }
}

/// The lock tells a file in use from a dead process's left-over.
fn make_temporary(folder: &Path, prefix: &str) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).suffix(SUFFIX);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any new file: others may read it if the user's umask says so.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let temporary = builder.tempfile_in(folder)?;
    temporary.as_file().lock()?;
    Ok(temporary)
}

/// Removes what dead writers of the same workbook left. Failing to is no reason not to write.
fn sweep(folder: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let left_over = name.to_str().is_some_and(|name| name.starts_with(prefix) && name.ends_with(SUFFIX));
        if left_over && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
