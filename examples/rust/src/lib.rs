//! A function for fmesh in Rust, through the C ABI of fmesh/abi.h: counts words. {"word":"sun"} becomes
//! {"word":"sun","seen":3}; a word that is no text fails its record, and so does a panic.

mod abi;

use abi::{Batch, Bytes, Function, Host, Instance, Library, Record};
use std::ffi::{c_char, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};

struct Count {
    host: &'static Host, // it lives as long as the process
}

impl Count {
    fn process_one(&self, batch: *mut Batch, index: usize, record: &Record) -> Result<(), String> {
        let word = self.word_of(batch, record)?;
        if word.is_empty() {
            panic!("an empty word"); // to show that it costs this record and nothing else
        }
        let mut seen = 0;
        let counted = unsafe { (self.host.counter_add)(batch, index, Bytes::of(word.as_bytes()), 1, &mut seen) };
        if counted < 0 {
            return Err(self.error(batch));
        }
        let mut payload = Bytes::EMPTY;
        let value = seen.to_string();
        let path = Bytes::of(b"seen");
        let set = unsafe { (self.host.json_set)(batch, record.payload, path, Bytes::of(value.as_bytes()), &mut payload) };
        if set < 0 {
            return Err(self.error(batch));
        }
        // Zero in everything else: key, event time and properties are those of the input.
        let mut out: Record = unsafe { std::mem::zeroed() };
        out.payload = payload;
        unsafe { (self.host.output)(batch, index, &out) };
        Ok(())
    }

    fn word_of(&self, batch: *mut Batch, record: &Record) -> Result<String, String> {
        let found = unsafe { (self.host.json_get)(record.payload, Bytes::of(b"word")) };
        if found.kind != abi::JSON_STRING {
            return Err("expected a string in \"word\"".to_string());
        }
        let mut text = Bytes::EMPTY;
        if unsafe { (self.host.json_text)(batch, found.raw, &mut text) } < 0 {
            return Err(self.error(batch));
        }
        String::from_utf8(unsafe { text.get() }.to_vec()).map_err(|error| error.to_string())
    }

    fn error(&self, batch: *mut Batch) -> String {
        String::from_utf8_lossy(unsafe { (self.host.error)(batch).get() }).into_owned()
    }
}

unsafe extern "C" fn create(host: *const Host, _: *mut Instance, error: *mut c_char) -> *mut c_void {
    let host = &*host;
    if (host.size as usize) < std::mem::size_of::<Host>() {
        let text = b"this function needs a newer fmesh\0";
        std::ptr::copy_nonoverlapping(text.as_ptr().cast(), error, text.len());
        return std::ptr::null_mut();
    }
    Box::into_raw(Box::new(Count { host })).cast()
}

unsafe extern "C" fn process(this: *mut c_void, batch: *mut Batch, records: *const Record, count: usize) {
    let this = &*this.cast::<Count>();
    for (index, record) in std::slice::from_raw_parts(records, count).iter().enumerate() {
        (*batch).current = index; // a crash is reported with this record
        let done = catch_unwind(AssertUnwindSafe(|| this.process_one(batch, index, record)));
        let why = match done {
            Ok(Ok(())) => continue,
            Ok(Err(text)) => text,
            Err(_) => "the function panicked".to_string(),
        };
        (this.host.fail)(batch, index, Bytes::of(why.as_bytes()));
    }
}

unsafe extern "C" fn destroy(this: *mut c_void) {
    drop(Box::from_raw(this.cast::<Count>()));
}

static FUNCTIONS: [Function; 1] = [Function {
    size: std::mem::size_of::<Function>() as u32,
    flags: abi::NON_BLOCKING,
    name: b"count-words\0".as_ptr().cast(),
    create,
    process: Some(process),
    process_window: None,
    destroy,
}];

static LIBRARY: Library = Library {
    abi_version: abi::ABI_VERSION,
    size: std::mem::size_of::<Library>() as u32,
    function_count: FUNCTIONS.len(),
    functions: FUNCTIONS.as_ptr(),
};

/// The one symbol of the library.
#[no_mangle]
pub extern "C" fn fmesh_library() -> *const Library {
    &LIBRARY
}
