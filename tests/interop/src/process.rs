//! [`Process`]: runs a program to its end, with a time limit and no standard input; [`Running`]: one
//! that is on its way there.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// More than anything here takes on a slow machine; less than a hung CI run.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// More than it takes until a program that runs says something.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that is about to be run.
#[derive(Debug)]
pub struct Process {
    command: Command,
    limit: Duration,
}

/// A program that was started. Dropped, it is killed.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Said,
    stderr: Said,
    shown: String,
    limit: Duration,
}

/// What a program left.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Process {
    /// The program at this path.
    pub fn new(program: &Path) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, limit: TIME_LIMIT }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, arguments: I) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Leaves a variable of this process out.
    #[must_use]
    pub fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Runs it in this folder.
    #[must_use]
    pub fn in_folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Starts it.
    pub fn start(mut self) -> Running {
        let shown = format!("{:?}", self.command);
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}"));
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        Running { child, stdout, stderr, shown, limit: self.limit }
    }

    /// Runs it to its end, whatever that is.
    pub fn run(self) -> Output {
        self.start().end()
    }

    /// Runs it and returns its standard output; anything but success ends the test.
    pub fn succeed(self) -> String {
        let shown = format!("{:?}", self.command);
        let output = self.run();
        assert_eq!(output.code, Some(0), "{shown}\n{}\n{}", output.stdout, output.stderr);
        output.stdout
    }
}

impl Running {
    /// Whether it is at its end.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end, whatever that is.
    pub fn end(mut self) -> Output {
        // Both pipes end when the program does.
        let (Some(stdout), Some(stderr)) =
            (self.stdout.whole(self.limit), self.stderr.whole(self.limit))
        else {
            panic!("{} did not end within {:?}", self.shown, self.limit);
        };
        let code = self.child.wait().unwrap().code();
        Output { code, stdout, stderr }
    }

    /// Waits until this is on its standard error, and returns all that is there by then.
    #[track_caller]
    pub fn says(&self, what: &str) -> String {
        let is_said = self.stderr.has(what, PATIENCE);
        let said = self.stderr.so_far();
        assert!(is_said, "{} did not say `{what}`:\n{said}", self.shown);
        said
    }

    /// Asks it to end, as `kill` does, and waits until it has said that it was asked.
    #[track_caller]
    pub fn terminate(&self) {
        self.signal("-TERM");
        let is_heard = self.stderr.has("SIGTERM received", self.limit);
        assert!(is_heard, "{} did not hear SIGTERM within {:?}", self.shown, self.limit);
    }

    /// Stops it where it is, as a machine does that is paused.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on after [`Running::freeze`].
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success(), "kill {signal} {id}");
    }

    /// Ends it as `kill -9` does: it can do nothing about it.
    pub fn kill(mut self) -> Output {
        self.child.kill().unwrap();
        self.end()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What comes out of a pipe.
#[derive(Clone, Debug, Default)]
struct Said(Arc<(Mutex<Text>, Condvar)>);

#[derive(Debug, Default)]
struct Text {
    content: Vec<u8>,
    is_whole: bool,
}

impl Said {
    /// All of it, once the pipe has ended.
    fn whole(&self, limit: Duration) -> Option<String> {
        self.once(limit, |text| text.is_whole)
    }

    /// Whether this comes.
    fn has(&self, what: &str, limit: Duration) -> bool {
        let is_there = |text: &Text| String::from_utf8_lossy(&text.content).contains(what);
        self.once(limit, |text| text.is_whole || is_there(text))
            .is_some_and(|text| text.contains(what))
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.0.0.lock().unwrap().content).into_owned()
    }

    fn once(&self, limit: Duration, is_enough: impl Fn(&Text) -> bool) -> Option<String> {
        let (text, more) = &*self.0;
        let text = text.lock().unwrap();
        let (text, _) = more.wait_timeout_while(text, limit, |text| !is_enough(text)).unwrap();
        is_enough(&text).then(|| String::from_utf8_lossy(&text.content).into_owned())
    }

    fn add(&self, piece: &[u8]) {
        let (text, more) = &*self.0;
        let mut text = text.lock().unwrap();
        text.content.extend_from_slice(piece);
        text.is_whole = piece.is_empty();
        more.notify_all();
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> Said {
    let said = Said::default();
    let saying = said.clone();
    std::thread::spawn(move || {
        let mut piece = [0; 8192];
        loop {
            // Nothing more is what the end of a pipe is.
            let count = pipe.read(&mut piece).unwrap_or_default();
            saying.add(&piece[..count]);
            if count == 0 {
                return;
            }
        }
    });
    said
}
