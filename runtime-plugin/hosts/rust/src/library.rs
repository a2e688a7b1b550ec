// SPDX-License-Identifier: Apache-2.0
//! The loaded library, and calls that have an end.
use crate::ffi;
use crate::{Attachment, Error, Result};
use std::ffi::{CStr, CString};
use std::os::raw::c_void;
use std::sync::mpsc;

/// The exported table. It stays where it is as long as the process lives: the library is linked with
/// `-z nodelete`.
#[derive(Clone, Copy)]
pub(crate) struct Library(*const ffi::Entry);

// The table is read-only, and each function that we call through it is [any-thread].
unsafe impl Send for Library {}
unsafe impl Sync for Library {}

impl Library {
    pub fn load(path: &str) -> Result<Library> {
        let name = CString::new(path).map_err(|_| Error::host("a path with a NUL"))?;
        // The loader's own functions, with NUL-terminated strings that outlive the calls.
        unsafe {
            let library = ffi::dlopen(name.as_ptr(), ffi::RTLD_NOW);
            if library.is_null() {
                let said = CStr::from_ptr(ffi::dlerror()).to_string_lossy();
                return Err(Error::host(&said));
            }
            let entry = ffi::dlsym(library, ffi::ENTRY_SYMBOL.as_ptr().cast()) as *const ffi::Entry;
            // kata_vfio_compatible() of the header. abi_major is read before anything that a younger
            // major might have elsewhere.
            if entry.is_null()
                || (*entry).abi_major != ffi::ABI_MAJOR
                || ((*entry).struct_size as usize) < std::mem::size_of::<ffi::Entry>()
            {
                let said = format!(
                    "{} is not a kata-vfio plugin of ABI {}.x",
                    path,
                    ffi::ABI_MAJOR
                );
                return Err(Error::host(&said));
            }
            Ok(Library(entry))
        }
    }

    pub fn table(&self) -> &ffi::Entry {
        unsafe { &*self.0 }
    }

    pub fn reconcile(&self) -> Option<ffi::Reconcile> {
        unsafe { ffi::reconcile_of(self.0) }
    }

    pub fn status_name(&self, status: i32) -> String {
        // Static and NUL-terminated, for each number.
        let name = unsafe { CStr::from_ptr((self.table().status_name)(status)) };
        name.to_string_lossy().into_owned()
    }

    pub fn failure(&self, status: i32, message: String) -> Error {
        Error {
            status,
            name: self.status_name(status),
            message,
            ..Error::default()
        }
    }
}

pub(crate) fn view(text: &str) -> ffi::Str {
    ffi::Str {
        ptr: text.as_ptr().cast(),
        len: text.len(),
    }
}

/// # Safety
/// `text` is of the plugin, in a callback that has not returned.
pub(crate) unsafe fn text(text: ffi::Str) -> String {
    if text.len == 0 {
        return String::new();
    }
    let bytes = std::slice::from_raw_parts(text.ptr.cast::<u8>(), text.len);
    String::from_utf8_lossy(bytes).into_owned()
}

/// All of a result that a host wants to keep: the ABI's own ends with the callback.
pub(crate) struct Outcome {
    status: i32,
    message: String,
    problem: String,
    said: String,
    blocker: String,
    remedy: String,
    pub sandbox: *mut ffi::SandboxHandle,
    pub attachments: Vec<Attachment>,
    pub json: String,
}

// The handle may be used on every thread.
unsafe impl Send for Outcome {}

type Sender = mpsc::SyncSender<Outcome>;

/// Called exactly once for each call that was accepted: what `call` leaked is owned here.
unsafe extern "C" fn finished(user_data: *mut c_void, result: *const ffi::CallResult) {
    let sender = Box::from_raw(user_data.cast::<Sender>());
    let result = &*result;
    let mut attachments = Vec::new();
    for i in 0..result.attachment_count {
        let one = &**result.attachments.add(i);
        attachments.push(Attachment {
            device: text(one.device),
            id: text(one.id),
            host_address: text(one.host_address),
            uuid: text(one.uuid),
            guest_address: text(one.guest_address),
            iommu_group: one.iommu_group,
        });
    }
    // Room for one: never waits. An error would be that nobody listens, which `call` rules out.
    let _ = sender.send(Outcome {
        status: result.status,
        message: text(result.message),
        problem: text(result.problem),
        said: text(result.said),
        blocker: text(result.blocker),
        remedy: text(result.remedy),
        sandbox: result.sandbox,
        attachments,
        json: text(result.json),
    });
}

/// Begins a call with `submit` and waits for its end. `started` gets the ticket meanwhile.
pub(crate) fn call(
    library: Library,
    started: impl FnOnce(u64),
    submit: impl FnOnce(*mut ffi::Call) -> i32,
) -> Result<Outcome> {
    let (sender, receiver) = mpsc::sync_channel::<Outcome>(1);
    let owned = Box::into_raw(Box::new(sender));
    let mut call = ffi::Call {
        struct_size: std::mem::size_of::<ffi::Call>() as u32,
        reserved: 0,
        callback: Some(finished),
        user_data: owned.cast(),
        ticket: 0,
    };
    let status = submit(&mut call);
    if status != ffi::OK {
        // Refused at once: there is no callback to free it.
        drop(unsafe { Box::from_raw(owned) });
        return Err(library.failure(status, String::new()));
    }
    started(call.ticket);
    let end = receiver
        .recv()
        .map_err(|_| Error::host("the callback ended without a result"))?;
    if end.status == ffi::OK {
        return Ok(end);
    }
    Err(Error {
        problem: end.problem,
        said: end.said,
        blocker: end.blocker,
        remedy: end.remedy,
        ..library.failure(end.status, end.message)
    })
}
