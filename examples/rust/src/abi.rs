//! fmesh/abi.h in Rust, as far as this example needs it. Members that are not used stand as `usize`, so that the others
//! lie where they belong.

use std::ffi::{c_char, c_int, c_void};

pub const ABI_VERSION: u32 = 1;
pub const NON_BLOCKING: u32 = 1;
pub const JSON_STRING: c_int = 4;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Bytes {
    pub data: *const u8,
    pub size: usize,
}

impl Bytes {
    pub const EMPTY: Bytes = Bytes { data: std::ptr::null(), size: 0 };

    pub fn of(bytes: &[u8]) -> Bytes {
        Bytes { data: bytes.as_ptr(), size: bytes.len() }
    }

    /// # Safety
    /// fmesh lends the bytes for the time of the call they came with.
    pub unsafe fn get<'a>(self) -> &'a [u8] {
        if self.size == 0 {
            return &[];
        }
        std::slice::from_raw_parts(self.data, self.size)
    }
}

#[repr(C)]
pub struct MessageId {
    pub ledger: i64,
    pub entry: i64,
    pub partition: i32,
    pub batch_index: i32,
}

#[repr(C)]
pub struct Record {
    pub payload: Bytes,
    pub key: Bytes,
    pub ordering_key: Bytes,
    pub topic: Bytes,
    pub properties: *const c_void,
    pub property_count: usize,
    pub event_time_ms: i64,
    pub publish_time_ms: i64,
    pub sequence_id: u64,
    pub id: MessageId,
    pub redelivery_count: u32,
    pub flags: u32,
}

#[repr(C)]
pub struct Batch {
    pub current: usize,
}

#[repr(C)]
pub struct Json {
    pub kind: c_int,
    pub raw: Bytes,
}

pub type Instance = c_void;

#[repr(C)]
pub struct Host {
    pub abi_version: u32,
    pub size: u32,
    pub output: unsafe extern "C" fn(*mut Batch, usize, *const Record),
    pub publish: usize,
    pub fail: unsafe extern "C" fn(*mut Batch, usize, Bytes),
    pub ack: usize,
    pub ack_id: usize,
    pub state_get: usize,
    pub state_put: usize,
    pub state_delete: usize,
    pub counter_add: unsafe extern "C" fn(*mut Batch, usize, Bytes, i64, *mut i64) -> c_int,
    pub error: unsafe extern "C" fn(*mut Batch) -> Bytes,
    pub log: usize,
    pub metric: usize,
    pub config: usize,
    pub secret: usize,
    pub now_ms: usize,
    pub identity: usize,
    pub streams: usize,
    pub json_get: unsafe extern "C" fn(Bytes, Bytes) -> Json,
    pub json_next: usize,
    pub json_set: unsafe extern "C" fn(*mut Batch, Bytes, Bytes, Bytes, *mut Bytes) -> c_int,
    pub json_text: unsafe extern "C" fn(*mut Batch, Bytes, *mut Bytes) -> c_int,
}

#[repr(C)]
pub struct Function {
    pub size: u32,
    pub flags: u32,
    pub name: *const c_char,
    pub create: unsafe extern "C" fn(*const Host, *mut Instance, *mut c_char) -> *mut c_void,
    pub process: Option<unsafe extern "C" fn(*mut c_void, *mut Batch, *const Record, usize)>,
    pub process_window: Option<unsafe extern "C" fn(*mut c_void, *mut Batch, *const Record, usize, *const c_void)>,
    pub destroy: unsafe extern "C" fn(*mut c_void),
}

#[repr(C)]
pub struct Library {
    pub abi_version: u32,
    pub size: u32,
    pub function_count: usize,
    pub functions: *const Function,
}

// Both are constants that nobody changes; the pointers in them are to other constants.
unsafe impl Sync for Function {}
unsafe impl Sync for Library {}
