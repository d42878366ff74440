//! An allocator that counts what the workers of a proxy allocate, and remembers where the first time was.

#![expect(unsafe_code, reason = "an allocator can be written in no other way")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU64 = AtomicU64::new(0);
static FIRST: Mutex<Option<Backtrace>> = Mutex::new(None);

thread_local! {
    /// Whether this thread is a worker, once that was asked.
    static IS_WORKER: Cell<Option<bool>> = const { Cell::new(None) };
    /// Whether this thread is looking into an allocation, which allocates.
    static IS_LOOKING: Cell<bool> = const { Cell::new(false) };
}

/// The system's allocator.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is handed on to the system's allocator as it came, which keeps what it promises. What is done beside that allocates
// only under a guard that keeps it from being entered again, and unwinds nowhere: it neither asserts nor unwraps.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: as above; all blocks are the system's.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above; all blocks are the system's.
        unsafe { System.dealloc(block, layout) }
    }
}

/// What the workers allocate while `work` is done: how often, and where first.
pub(crate) fn counted(work: impl FnOnce()) -> (u64, Option<Backtrace>) {
    COUNT.store(0, Relaxed);
    IS_COUNTING.store(true, Relaxed);
    work();
    IS_COUNTING.store(false, Relaxed);
    (COUNT.load(Relaxed), FIRST.lock().ok().and_then(|mut first| first.take()))
}

fn note() {
    if !IS_COUNTING.load(Relaxed) || IS_LOOKING.replace(true) {
        return;
    }
    if is_worker() && COUNT.fetch_add(1, Relaxed) == 0 {
        let backtrace = Backtrace::force_capture();
        if let Ok(mut first) = FIRST.lock() {
            *first = Some(backtrace);
        }
    }
    IS_LOOKING.set(false);
}

fn is_worker() -> bool {
    IS_WORKER.get().unwrap_or_else(|| {
        let is_worker = std::thread::current().name().is_some_and(|name| name.starts_with("worker-"));
        IS_WORKER.set(Some(is_worker));
        is_worker
    })
}
