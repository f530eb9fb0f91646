//! Services on loopback that stand outside the sandbox: a name server that keeps a log, listeners that
//! greet, sinks that count, a TLS server with a certificate authority of its own.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::scene::Scene;

/// A name server on 127.0.0.1 that answers A and AAAA from a table, NXDOMAIN otherwise, over UDP and TCP.
#[derive(Debug)]
pub struct NameServer {
    pub port: u16,
    log: Arc<Mutex<Vec<String>>>,
}

type Records = Arc<HashMap<String, Vec<IpAddr>>>;

impl NameServer {
    pub fn start(records: &[(&str, &str)]) -> Self {
        let mut table: HashMap<String, Vec<IpAddr>> = HashMap::new();
        for (name, address) in records {
            table.entry((*name).to_owned()).or_default().push(address.parse().unwrap());
        }
        let table: Records = Arc::new(table);
        let log = Arc::new(Mutex::new(Vec::new()));
        let (udp, tcp) = both_on_one_port();
        let port = udp.local_addr().unwrap().port();
        {
            let (table, log) = (table.clone(), log.clone());
            std::thread::spawn(move || {
                let mut packet = [0; 4096];
                while let Ok((size, from)) = udp.recv_from(&mut packet) {
                    if let Some(reply) = answer(&packet[..size], &table, &log) {
                        let _ = udp.send_to(&reply, from);
                    }
                }
            });
        }
        let tcp_log = log.clone();
        std::thread::spawn(move || {
            for mut stream in tcp.incoming().flatten() {
                let (table, log) = (table.clone(), tcp_log.clone());
                std::thread::spawn(move || {
                    let mut size = [0; 2];
                    while stream.read_exact(&mut size).is_ok() {
                        let mut packet = vec![0; usize::from(u16::from_be_bytes(size))];
                        if stream.read_exact(&mut packet).is_err() {
                            return;
                        }
                        let Some(reply) = answer(&packet, &table, &log) else {
                            return;
                        };
                        let length = u16::try_from(reply.len()).unwrap().to_be_bytes();
                        if stream.write_all(&[&length[..], &reply].concat()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { port, log }
    }

    /// The setting that makes it the sandbox's name server.
    pub fn setting(&self) -> String {
        format!(r#""nameservers": ["127.0.0.1:{}"]"#, self.port)
    }

    /// Every name that was asked for, in lower case, in order.
    pub fn asked(&self) -> Vec<String> {
        self.spelled().iter().map(|name| name.to_lowercase()).collect()
    }

    /// The same as they were spelled.
    pub fn spelled(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    pub fn was_asked_about(&self, part: &str) -> bool {
        self.asked().iter().any(|name| name.contains(part))
    }
}

fn both_on_one_port() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
}

/// The reply to one query: the question, and the addresses of the asked kind.
fn answer(query: &[u8], table: &Records, log: &Mutex<Vec<String>>) -> Option<Vec<u8>> {
    let mut name = String::new();
    let mut at = 12;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        name.push_str(&String::from_utf8_lossy(query.get(at..at + length)?));
        name.push('.');
        at += length;
    }
    let name = name.trim_end_matches('.').to_owned();
    let kind = u16::from_be_bytes([*query.get(at)?, *query.get(at + 1)?]);
    log.lock().unwrap().push(name.clone());
    let found = table.get(&name.to_lowercase());
    let addresses: Vec<&IpAddr> =
        found.into_iter().flatten().filter(|address| kind == if address.is_ipv4() { 1 } else { 28 }).collect();
    let code = if found.is_some() { 0 } else { 3 };
    let mut reply =
        vec![query[0], query[1], 0x85, 0x80 | code, 0, 1, 0, u8::try_from(addresses.len()).unwrap(), 0, 0, 0, 0];
    reply.extend(&query[12..at + 4]);
    for address in addresses {
        reply.extend([0xc0, 12]);
        reply.extend(kind.to_be_bytes());
        reply.extend([0, 1, 0, 0, 0, 5]);
        match address {
            IpAddr::V4(v4) => {
                reply.extend([0, 4]);
                reply.extend(v4.octets());
            }
            IpAddr::V6(v6) => {
                reply.extend([0, 16]);
                reply.extend(v6.octets());
            }
        }
    }
    Some(reply)
}

/// A TCP listener that says `hello` to whoever connects and counts them.
#[derive(Debug)]
pub struct Greeter {
    pub port: u16,
    greeted: Arc<AtomicUsize>,
}

impl Greeter {
    pub fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    /// On `[::]` with IPv4 as well: every loopback spelling reaches it.
    pub fn on_every_address() -> Self {
        Self::on(TcpListener::bind("[::]:0").unwrap())
    }

    fn on(listener: TcpListener) -> Self {
        let port = listener.local_addr().unwrap().port();
        let greeted = Arc::new(AtomicUsize::new(0));
        let count = greeted.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    let _ = stream.write_all(b"hello\n");
                    let _ = stream.shutdown(std::net::Shutdown::Write);
                    // What the client sends is read, lest the end of the connection be a reset.
                    let _ = std::io::copy(&mut stream, &mut std::io::sink());
                });
            }
        });
        Self { port, greeted }
    }

    pub fn greeted(&self) -> usize {
        self.greeted.load(Ordering::SeqCst)
    }
}

/// A UDP socket outside; what arrives there can be counted.
#[derive(Debug)]
pub struct Sink {
    pub port: u16,
    socket: UdpSocket,
}

impl Sink {
    pub fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Self { port: socket.local_addr().unwrap().port(), socket }
    }

    /// How many datagrams have arrived; loopback delivers before `sendto` returns.
    pub fn arrived(&self) -> usize {
        self.socket.set_nonblocking(true).unwrap();
        let mut packet = [0; 64];
        std::iter::from_fn(|| self.socket.recv(&mut packet).ok()).count()
    }
}

/// A process outside that ends with the test.
#[derive(Debug)]
pub struct Service {
    pub child: Child,
    /// Its first line on standard output.
    pub said: String,
}

impl Service {
    /// Starts a program and waits for its first line: by then it must be ready.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        let mut lines = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut lines, &mut said).unwrap();
        // Keeps reading, so that the service never blocks on its output.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        assert!(!said.is_empty(), "the service {command:?} did not start");
        Self { child, said: said.trim().to_owned() }
    }

    /// A Python program as a service.
    pub fn python(scene: &Scene, program: &str, arguments: &[&str]) -> Self {
        let file = scene.beside("service.py");
        scene.file(&file, program);
        Self::start(Command::new("/usr/bin/python3").arg(file).args(arguments))
    }

    pub fn port(&self) -> u16 {
        self.said.parse().unwrap_or_else(|_| panic!("not a port: {}", self.said))
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const TLS_SERVER: &str = r#"
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = b"hello from " + self.headers["Host"].split(":")[0].encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

/// An HTTPS server on 127.0.0.1 and the certificate of the authority that vouches for it.
#[derive(Debug)]
pub struct TlsServer {
    pub service: Service,
    pub authority: PathBuf,
}

impl TlsServer {
    /// For these names: `api.example.test`, `*.example.test`.
    pub fn start(scene: &Scene, names: &[&str]) -> Self {
        let dir = scene.beside("tls");
        scene.make_dir(&dir);
        let names = names.iter().map(|name| format!("DNS:{name}")).collect::<Vec<_>>().join(",");
        let script = format!(
            "exec 2>/dev/null; set -e; cd '{}'; new='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
             openssl req -x509 $new -keyout ca.key -out ca.pem -days 2 -subj '/CN=test authority'
             openssl req $new -keyout server.key -out server.csr -subj '/CN=server'
             printf 'subjectAltName={names}\\n' > extensions
             openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out server.pem
             chmod a+r ca.pem",
            dir.display()
        );
        let made = Command::new("sh").args(["-c", &script]).status().unwrap();
        assert!(made.success(), "openssl did not make the certificates");
        let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        let service = Service::python(scene, TLS_SERVER, &[&path("server.pem"), &path("server.key")]);
        Self { service, authority: dir.join("ca.pem") }
    }

    pub fn port(&self) -> u16 {
        self.service.port()
    }
}

/// Polls until `done`, failing after the time limit.
pub fn wait_until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + limit;
    while !done() {
        assert!(Instant::now() < until, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
