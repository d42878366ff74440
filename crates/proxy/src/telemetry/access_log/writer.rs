//! The thread that writes the access log: it collects the workers' lines some times a second and writes each batch at once.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use prometheus::IntCounter;

use super::record::Format;
use super::sink::{self, Sink, Waiting};

/// Time between two rounds. The writer looks by itself, because a worker that had to wake it would pay a system call per request.
const ROUND: Duration = Duration::from_millis(50);
/// Time between two complaints about the same trouble.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// An access log that is being written. Lines of one worker are in the order of their ends; those of several are mixed by rounds.
#[derive(Debug)]
pub struct AccessLog {
    format: Format,
    shared: Arc<Shared>,
    writer: Thread,
    dropped: IntCounter,
    ended: Receiver<()>,
}

#[derive(Debug, Default)]
struct Shared {
    /// One per worker.
    sinks: Mutex<Vec<Arc<Waiting>>>,
    is_ending: AtomicBool,
    is_moved: AtomicBool,
}

impl AccessLog {
    /// Appends to the file at `path`, which is made if it is not there. Lines that can't be written are counted in `dropped`.
    ///
    /// # Errors
    /// The file can't be opened, or no thread be started.
    pub fn to_file(path: &Path, format: Format, dropped: IntCounter) -> io::Result<Self> {
        let output = LogFile { file: open(path)?, path: path.to_owned() };
        Self::start_with(output, LogFile::reopen, format, dropped)
    }

    /// Writes to standard output.
    ///
    /// # Errors
    /// Standard output is closed, or no thread can be started.
    pub fn to_stdout(format: Format, dropped: IntCounter) -> io::Result<Self> {
        // A descriptor of its own: `io::stdout` has a lock, and looks for line ends in every batch.
        Self::start(File::from(io::stdout().as_fd().try_clone_to_owned()?), format, dropped)
    }

    /// Writes to `output`, from a thread of its own.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(
        output: impl Write + Send + 'static,
        format: Format,
        dropped: IntCounter,
    ) -> io::Result<Self> {
        Self::start_with(output, |_| Ok(IsEmpty(false)), format, dropped)
    }

    fn start_with<W: Write + Send + 'static>(
        output: W,
        reopen: fn(&mut W) -> io::Result<IsEmpty>,
        format: Format,
        dropped: IntCounter,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (said, ended) = mpsc::channel();
        let writer = Writer {
            output,
            reopen,
            shared: Arc::clone(&shared),
            dropped: dropped.clone(),
            batch: sink::room(),
            is_torn: false,
            trouble: Trouble::default(),
        };
        let thread = thread::Builder::new().name("access-log".into()).spawn(move || writer.run(&said))?;
        Ok(Self { format, shared, writer: thread.thread().clone(), dropped, ended })
    }

    /// An end for one more worker.
    #[must_use]
    pub fn sink(&self) -> Sink {
        let waiting = Arc::new(Waiting::default());
        self.shared.sinks().push(Arc::clone(&waiting));
        Sink::new(self.format, waiting, self.writer.clone(), self.dropped.clone())
    }

    /// Opens the file again, because somebody has moved it away: lines from now on go to a new one with the old name. Those that
    /// wait do too, and none is lost. While no new file can be opened, the old one is written on. Nothing but a file is opened again.
    pub fn reopen(&self) {
        self.shared.is_moved.store(true, Ordering::Release);
        self.writer.unpark();
    }

    /// Writes what waits and ends, in `limit` at most: the reader of a pipe that does not read must not keep the process alive.
    /// Answers whether the writer got to its end in time. Called when no worker logs any more.
    pub fn finish(self, limit: Duration) -> bool {
        self.shared.end(&self.writer);
        // The sender says nothing; it goes when the thread ends.
        self.ended.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Disconnected)
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.shared.end(&self.writer);
    }
}

impl Shared {
    fn sinks(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Waiting>>> {
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, writer: &Thread) {
        self.is_ending.store(true, Ordering::Release);
        writer.unpark();
    }
}

/// A file that can be opened again under its name.
struct LogFile {
    file: File,
    path: PathBuf,
}

/// Whether nothing stands in an output yet.
struct IsEmpty(bool);

impl LogFile {
    fn reopen(&mut self) -> io::Result<IsEmpty> {
        let file = open(&self.path)?;
        let is_empty = file.metadata()?.len() == 0;
        self.file = file;
        tracing::info!(path = %self.path.display(), "the access log was opened again");
        Ok(IsEmpty(is_empty))
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// What the thread has.
struct Writer<W> {
    output: W,
    reopen: fn(&mut W) -> io::Result<IsEmpty>,
    shared: Arc<Shared>,
    dropped: IntCounter,
    batch: Vec<u8>,
    /// Whether the last write ended in the middle of a line.
    is_torn: bool,
    trouble: Trouble,
}

/// Lines lost since the last complaint.
#[derive(Default)]
struct Trouble {
    lost: u64,
    complained_at: Option<Instant>,
}

impl<W: Write> Writer<W> {
    fn run(mut self, _ended: &Sender<()>) {
        loop {
            let is_last = self.shared.is_ending.load(Ordering::Acquire);
            if self.shared.is_moved.swap(false, Ordering::AcqRel) {
                self.reopen();
            }
            self.round();
            if is_last {
                return;
            }
            thread::park_timeout(ROUND);
        }
    }

    fn reopen(&mut self) {
        match (self.reopen)(&mut self.output) {
            // A line that broke off is in the old file.
            Ok(IsEmpty(is_empty)) => self.is_torn &= !is_empty,
            Err(error) => {
                tracing::error!(%error, "the access log can't be opened again, the old file is written on");
            }
        }
    }

    fn round(&mut self) {
        // Held for a few pointers only: a write may take for ever, and a worker may be starting.
        let sinks = self.shared.sinks().clone();
        for waiting in &sinks {
            self.batch.clear();
            waiting.swap(&mut self.batch);
            if self.batch.is_empty() {
                continue;
            }
            if let Err((error, lost)) = self.write_batch() {
                self.dropped.inc_by(lost);
                self.trouble.note(&error, lost);
            }
        }
    }

    /// Writes the batch, or answers how many of its lines are lost. After a line that broke off, the next batch begins a new one.
    fn write_batch(&mut self) -> Result<(), (io::Error, u64)> {
        let lines = |bytes: &[u8]| bytes.iter().map(|&byte| u64::from(byte == b'\n')).sum();
        if self.is_torn {
            self.output.write_all(b"\n").map_err(|error| (error, lines(&self.batch)))?;
            self.is_torn = false;
        }
        let mut rest = &self.batch[..];
        while !rest.is_empty() {
            match self.output.write(rest) {
                Ok(written) if written > 0 => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                failed => {
                    let written = &self.batch[..self.batch.len() - rest.len()];
                    self.is_torn = written.last().is_some_and(|&byte| byte != b'\n');
                    return Err((failed.err().unwrap_or(io::ErrorKind::WriteZero.into()), lines(rest)));
                }
            }
        }
        Ok(())
    }
}

impl Trouble {
    fn note(&mut self, error: &io::Error, lost: u64) {
        self.lost += lost;
        if self.complained_at.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY) {
            tracing::warn!(%error, lines = self.lost, "the access log can't be written");
            *self = Self { lost: 0, complained_at: Some(Instant::now()) };
        }
    }
}
