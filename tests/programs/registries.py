"""What the registries of npm, pip, cargo and go answer about one package, `tiny`, over plain HTTP on loopback."""
import base64, hashlib, http.server, io, json, sys, tarfile, zipfile


def tarball(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()


def wheel():
    info = "tiny-1.0.dist-info"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("tiny.py", "def hello(): print('hello from an index')\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"tiny.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return out.getvalue()


NPM = tarball({
    "package/package.json": json.dumps({"name": "tiny", "version": "1.0.0", "main": "i.js"}),
    "package/i.js": "module.exports = () => console.log('hello from a registry')\n",
})
CRATE = tarball({
    "tiny-1.0.0/Cargo.toml": '[package]\nname = "tiny"\nversion = "1.0.0"\nedition = "2021"\n',
    "tiny-1.0.0/src/lib.rs": 'pub fn hello() -> &\'static str { "hello from a crate" }\n',
})
WHEEL = wheel()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        here = f"http://127.0.0.1:{self.server.server_address[1]}"
        answers = {
            "/npm/tiny": lambda: json.dumps({
                "name": "tiny",
                "dist-tags": {"latest": "1.0.0"},
                "versions": {"1.0.0": {
                    "name": "tiny", "version": "1.0.0", "main": "i.js",
                    "dist": {
                        "tarball": f"{here}/npm/tiny.tgz",
                        "integrity": "sha512-" + base64.b64encode(hashlib.sha512(NPM).digest()).decode(),
                    },
                }},
            }).encode(),
            "/npm/tiny.tgz": lambda: NPM,
            "/pip/tiny/": lambda: b'<a href="/pip/tiny-1.0-py3-none-any.whl">tiny-1.0-py3-none-any.whl</a>',
            "/pip/tiny-1.0-py3-none-any.whl": lambda: WHEEL,
            "/cargo/config.json": lambda: json.dumps({"dl": f"{here}/crates"}).encode(),
            "/cargo/ti/ny/tiny": lambda: json.dumps({
                "name": "tiny", "vers": "1.0.0", "deps": [], "features": {}, "yanked": False,
                "cksum": hashlib.sha256(CRATE).hexdigest(),
            }).encode(),
            "/crates/tiny/1.0.0/download": lambda: CRATE,
            "/go/example.com/tiny/@v/list": lambda: b"v1.0.0\n",
        }
        answer = answers.get(self.path.split("?")[0])
        body = answer() if answer else b"no such page"
        self.send_response(200 if answer else 404)
        self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
