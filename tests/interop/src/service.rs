//! [`Service`]: a program that serves on a port of its own choice, such as moto.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server of somebody else's, with its port.
#[derive(Debug)]
pub struct Service {
    child: Child,
    /// Its URL, without a path.
    pub url: String,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    /// Starts a program and waits for the line that says its port.
    ///
    /// # Panics
    /// If none comes within a minute.
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut server = Self { child: command.spawn().unwrap(), url: String::new() };
        let child = &mut server.child;
        let (sender, lines) = std::sync::mpsc::channel();
        let pipes: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for pipe in pipes {
            let sender = sender.clone();
            std::thread::spawn(move || {
                // Read to the end: a server whose pipe is full would stop.
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        drop(sender);
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = lines.recv_timeout(left).expect("a server says its port");
            if let Some((_, rest)) = line.split_once("127.0.0.1:") {
                let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
                server.url = format!("http://127.0.0.1:{port}");
                return server;
            }
        }
    }

    /// Its host and port.
    pub fn host(&self) -> &str {
        self.url.trim_start_matches("http://")
    }
}
