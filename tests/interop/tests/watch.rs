//! `image-syncer watch` beside a real registry: distribution 3 tells of a push, and the mirror has it.
#![allow(clippy::panic, clippy::unwrap_used, reason = "test code")]

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use interop::{Kind, Workbench};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A program that is ended when it is dropped, and its log.
struct Started {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Started {
    fn new(mut command: Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let pipes: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for pipe in pipes {
            let sender = sender.clone();
            std::thread::spawn(move || {
                // Read to the end: a program whose pipe is full would stop.
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        Self { child, lines }
    }

    /// Waits for a line with this in it.
    fn line(&self, text: &str) -> String {
        let mut seen = String::new();
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60));
            let line = line.unwrap_or_else(|_| panic!("no line with `{text}`:\n{seen}"));
            if line.contains(text) {
                return line;
            }
            seen.push_str(&line);
            seen.push('\n');
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs a real registry: tests/tools/install"]
fn a_push_to_distribution_is_in_the_mirror() {
    let suite = "watch";
    let Some(bench) = Workbench::with_image_syncer(suite, &["crane", "distribution3"]) else {
        return;
    };
    let target = bench.start(Kind::Serve);
    let folder = bench.folder();
    let list = folder.join("watched.yaml");
    std::fs::write(&list, "images: []\n").unwrap();
    let secret = folder.join("webhook-secret");
    std::fs::write(&secret, SECRET).unwrap();
    let mut command = bench.command("image-syncer");
    command.args(["watch", "--interval=1h", "--listen=127.0.0.1:0", "--log-level=debug", "-i"]);
    command.arg(&list).arg("--webhook-secret-file").arg(&secret);
    let watch = Started::new(command);
    let said = watch.line("answering at");
    let address = said.rsplit("http://").next().unwrap().trim_end_matches('/').to_owned();
    assert!(TcpStream::connect(&address).is_ok(), "{address}");

    let config = folder.join("notifying.yml");
    let data = folder.join("notifying");
    let text = format!(
        "version: 0.1\nlog: {{level: info}}\n\
         storage: {{filesystem: {{rootdirectory: '{}'}}}}\n\
         http: {{addr: '127.0.0.1:0', secret: interop}}\n\
         notifications:\n  endpoints:\n  - name: image-syncer\n    url: http://{address}/hooks/distribution\n    \
         headers: {{Authorization: ['Bearer {SECRET}']}}\n    timeout: 5s\n    threshold: 5\n    backoff: 1s\n",
        data.display()
    );
    std::fs::write(&config, text).unwrap();
    let mut command = bench.command("distribution3");
    command.arg("serve").arg(&config).env("OTEL_TRACES_EXPORTER", "none");
    let registry = Started::new(command);
    let said = registry.line("listening on");
    let host = said.split("listening on ").nth(1).unwrap();
    let host = host.split([' ', '"', ',']).next().unwrap().to_owned();

    // The list is changed while the watch goes on; the image is not there yet.
    let entry = format!(
        "images:\n- source: {host}/team/app:1\n  destination: {}/team/app\n",
        target.host()
    );
    std::fs::write(&list, entry).unwrap();
    watch.line("source-missing");
    let image = bench.images().index_with_attestations();
    bench.push(&image, &format!("{host}/team/app:1"));
    watch.line("copied");
    bench.expect_copy(&image, &format!("{}/team/app:1", target.host()));
}
