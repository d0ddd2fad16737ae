//! `chexbox serve` on loopback, for one test: its own folder, its own port, gone with the test.

use crate::dicom_file::DicomFile;
use crate::run::{Scratch, chexbox, run, stderr};
use chexbox::radiograph::Samples;
use chexbox::radiograph::drawn::DrawnFilm;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// How long the service may take to listen: it loads its models first, on a machine that may be busy.
const START: Duration = Duration::from_secs(120);

/// A running service.
pub struct Place {
    child: Child,
    /// Where it listens, `http://127.0.0.1:PORT`.
    pub address: String,
    /// What it said on standard error; read so that it never waits for a reader.
    _said: Receiver<String>,
}

impl Place {
    /// Starts the service in a folder, at an address (port 0 for any), with more flags.
    pub fn start(folder: &Path, at: &str, flags: &[impl AsRef<std::ffi::OsStr>]) -> Self {
        let state = folder.join("state");
        // The machine's own configuration is none of a test's.
        let config = folder.join("none.toml");
        std::fs::write(&config, "").expect("a configuration can be written");
        let mut command = chexbox(&["serve", "--listen", at, "--config"]);
        command.arg(config).arg("--state").arg(&state).args(flags).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let (tell, said) = mpsc::channel();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(tell.send(line))));
        let mut heard = Vec::new();
        let address = loop {
            let line = said.recv_timeout(START).unwrap_or_else(|_| panic!("the service did not listen: {heard:?}"));
            if let Some((_, rest)) = line.split_once("http://") {
                break format!("http://{}", rest.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default());
            }
            heard.push(line);
        };
        Self { child, address, _said: said }
    }

    /// Ends it at once, as a power cut does.
    pub fn end(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address that a service can leave and come back to: below the ports that systems hand out by themselves (32768 and above
/// on Linux, 49152 elsewhere), so that no other test's connection takes it meanwhile.
pub fn lasting_address() -> String {
    let first = 20_000 + std::process::id() % 10_000;
    let free = (first..first + 1_000).map(|port| format!("127.0.0.1:{port}"));
    free.into_iter().find(|at| std::net::TcpListener::bind(at.as_str()).is_ok()).expect("one of a thousand ports is free")
}

/// Films that need no data from elsewhere.
pub struct Films {
    folder: Scratch,
}

/// Side of a drawn film: large enough to be read, small enough to be quick.
const SIDE: u16 = 512;

impl Films {
    /// Writes them: two drawn films, `one.png` and, with a patient in its header, `patient.dcm`; and `notes.txt`, which is none.
    pub fn new(name: &str) -> Self {
        let folder = Scratch::new(name);
        let film = |seed| DrawnFilm { width: SIDE.into(), height: SIDE.into(), seed }.draw_u16();
        let made =
            run(&["test-film", "--width", "512", "--height", "512", "--out", &folder.join("one.png").display().to_string()]);
        assert!(made.status.success(), "{}", stderr(&made));
        let Samples::U16(samples) = film(11).samples().clone() else { unreachable!("drawn with two bytes a pixel") };
        let dicom = DicomFile::chest(SIDE, SIDE, &samples).with((0x0010, 0x0010), "PN", "Muster^Anna").with(
            (0x0010, 0x0020),
            "LO",
            "A-417",
        );
        std::fs::write(folder.join("patient.dcm"), dicom.bytes()).expect("a film can be written");
        std::fs::write(folder.join("notes.txt"), "not a film\n".repeat(200)).expect("a text can be written");
        Self { folder }
    }

    /// The folder that they lie in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The path of a file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Paths of files, a line each, as a file field takes them.
    pub fn named(&self, names: &[&str]) -> String {
        names.iter().map(|n| self.folder.join(n).display().to_string()).collect::<Vec<_>>().join("\n")
    }
}
