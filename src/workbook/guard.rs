//! The library panics where its scratch files cannot be written (a full disk). Here that becomes an error.

use std::{
    any::Any,
    cell::Cell,
    io,
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::Once,
};

use super::error::{Error, Result};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// Runs `work`; a panic in it is an error, said once. After it the book is of no use but to be dropped.
pub(super) fn guarded<T>(scratch: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |what| {
            if !GUARDED.get() {
                usual(what);
            }
        }));
    });
    let before = GUARDED.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(before);
    done.unwrap_or_else(|panic| Err(as_error(scratch, panic.as_ref())))
}

fn as_error(scratch: &Path, panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
    if !text.contains("write to xml file") && !text.contains("Os {") {
        return Error::Internal(text.to_owned());
    }
    let full = text.contains("StorageFull") || text.contains("No space left");
    let kind = if full { io::ErrorKind::StorageFull } else { io::ErrorKind::Other };
    Error::Io {
        what: "writing a scratch file",
        path: scratch.to_owned(),
        source: io::Error::new(kind, text.to_owned()),
    }
}
