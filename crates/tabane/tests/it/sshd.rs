//! An SSH server of a test's own, on loopback, with keys of its own.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::medium::run;

pub struct Sshd {
    folder: PathBuf,
    pub port: u16,
    child: Child,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Sshd {
    pub fn start(folder: &Path) -> Self {
        let port = free_port();
        let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        for key in ["host_key", "user_key"] {
            run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &file(key)]);
        }
        std::fs::copy(file("user_key.pub"), file("authorized_keys")).unwrap();
        let configuration = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\n",
            file("host_key"),
            file("authorized_keys")
        );
        std::fs::write(file("sshd_config"), configuration).unwrap();
        let client = format!(
            "Host *\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n",
            file("user_key"),
            file("known_hosts")
        );
        std::fs::write(file("ssh_config"), client).unwrap();
        std::fs::create_dir_all("/run/sshd").unwrap();
        let child = Self::spawn(folder);
        let mut sshd = Self { folder: folder.to_owned(), port, child };
        sshd.answers();
        sshd
    }

    fn spawn(folder: &Path) -> Child {
        let log = std::fs::File::create(folder.join("sshd.log")).unwrap();
        let configuration = folder.join("sshd_config");
        let mut command = Command::new("/usr/sbin/sshd");
        command
            .args(["-D", "-e", "-f"])
            .arg(configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        command.spawn().unwrap()
    }

    fn answers(&mut self) {
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(60), "sshd does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Clients trust the server from now on.
    pub fn trust(&self) {
        let key = std::fs::read_to_string(self.folder.join("host_key.pub")).unwrap();
        let words: Vec<&str> = key.split_whitespace().take(2).collect();
        let line = format!("[127.0.0.1]:{} {}\n", self.port, words.join(" "));
        std::fs::write(self.folder.join("known_hosts"), line).unwrap();
    }

    pub fn client_config(&self) -> String {
        self.folder.join("ssh_config").to_str().unwrap().to_owned()
    }

    /// Everything that runs for those who signed in.
    pub fn sessions(&self) -> Vec<u32> {
        let mut found = vec![self.child.id()];
        let mut at = 0;
        while at < found.len() {
            let path = format!("/proc/{0}/task/{0}/children", found[at]);
            let children = std::fs::read_to_string(path).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            at += 1;
        }
        found.split_off(1)
    }

    /// The server and all sessions end at once, as by a power cut.
    pub fn kill(&mut self) {
        for pid in self.sessions() {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
        }
        let _ = (self.child.kill(), self.child.wait());
    }

    pub fn start_again(&mut self) {
        self.child = Self::spawn(&self.folder);
        self.answers();
    }
}
