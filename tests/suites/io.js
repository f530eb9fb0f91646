// What Node does with files, sockets and children, one line a result.
const fs = require('fs'), net = require('net'), http = require('http'), dgram = require('dgram'), path = require('path');
const { execFile, spawn, fork } = require('child_process');
const { Worker } = require('worker_threads');
const promises = fs.promises;

if (process.argv[2] === 'child') {
    process.on('message', (message, handle) => {
        if (handle) handle.end('by the child\n', () => process.exit(3));
        else process.send({ got: message });
    });
    return;
}

async function check(name, act) {
    try {
        console.log(name, JSON.stringify(await act()));
    } catch (error) {
        console.log(name, 'threw', error.code || error.message);
    }
}
const once = (emitter, event) => new Promise((resolve, reject) => { emitter.once(event, resolve); emitter.once('error', reject); });
const text = async stream => { let all = ''; for await (const piece of stream) all += piece; return all; };

(async () => {
    await check('write, append, read', async () => { await promises.writeFile('f', 'a', { mode: 0o640 }); await promises.appendFile('f', 'b'); return [await promises.readFile('f', 'utf8'), (await promises.stat('f')).mode & 0o777]; });
    await check('exclusive', () => promises.open('f', 'wx'));
    await check('missing', () => promises.readFile('missing'));
    await check('directories', async () => { await promises.mkdir('a/b/c', { recursive: true }); await promises.cp('f', 'a/b/f'); await promises.rename('a', 'z'); return (await promises.readdir('z', { recursive: true })).sort(); });
    await check('links', async () => { await promises.symlink('f', 'l'); await promises.link('f', 'h'); return [await promises.readlink('l'), (await promises.lstat('h')).nlink]; });
    await check('times and modes', async () => { await promises.utimes('f', 1, 2); await promises.chmod('f', 0o600); const s = await promises.stat('f'); return [s.mtimeMs, s.mode & 0o777]; });
    await check('temporary', async () => { const d = await promises.mkdtemp(path.join(require('os').tmpdir(), 't-')); await promises.rm(d, { recursive: true }); return fs.existsSync(d); });
    await check('watch', () => new Promise(resolve => { const w = fs.watch('.', (_, name) => { if (name === 'seen') { w.close(); resolve(name); } }); fs.writeFileSync('seen', ''); }));
    await check('streams', async () => { await require('stream/promises').pipeline(fs.createReadStream(process.execPath, { end: 99999 }), require('zlib').createGzip(), fs.createWriteStream('gz')); return (await promises.stat('gz')).size > 1000; });
    await check('tcp', async () => { const s = net.createServer(c => c.end('hello')).listen(0, '127.0.0.1'); await once(s, 'listening'); const said = await text(net.connect(s.address().port, '127.0.0.1')); s.close(); return said; });
    await check('tcp to localhost', async () => { const s = net.createServer(c => c.end('hello')).listen(0, 'localhost'); await once(s, 'listening'); const said = await text(net.connect(s.address().port, 'localhost')); s.close(); return said; });
    await check('wildcard', async () => { const s = net.createServer(c => c.end('hello')).listen(0); await once(s, 'listening'); const said = await text(net.connect(s.address().port, '127.0.0.1')); s.close(); return said; });
    await check('refused', () => once(net.connect(1, '127.0.0.1'), 'connect'));
    await check('unix', async () => { const s = net.createServer(c => c.end('unix')).listen('sock'); await once(s, 'listening'); const said = await text(net.connect('sock')); s.close(); return said; });
    await check('http', async () => { const s = http.createServer((q, r) => r.end(q.url)).listen(0, '127.0.0.1'); await once(s, 'listening'); const r = await fetch(`http://127.0.0.1:${s.address().port}/x`); const t = await r.text(); s.closeAllConnections(); s.close(); return t; });
    await check('udp', async () => { const a = dgram.createSocket('udp4'), b = dgram.createSocket('udp4'); await new Promise(r => a.bind(0, '127.0.0.1', r)); b.send('ping', a.address().port, '127.0.0.1'); const m = await once(a, 'message'); a.close(); b.close(); return m.toString(); });
    await check('children', () => new Promise(resolve => execFile('sh', ['-c', 'echo out; echo err >&2; exit 3'], (e, out, err) => resolve([e.code, out, err]))));
    await check('signals', async () => { const c = spawn('sleep', ['100']); c.kill('SIGTERM'); await once(c, 'exit'); return c.signalCode; });
    await check('messages and handles', async () => {
        const c = fork(__filename, ['child']); c.send('hi'); const got = await once(c, 'message');
        const s = net.createServer({ pauseOnConnect: true }, socket => c.send('socket', socket)).listen(0, '127.0.0.1'); await once(s, 'listening');
        const said = await text(net.connect(s.address().port, '127.0.0.1')); s.close(); await once(c, 'exit'); return [got, said, c.exitCode];
    });
    await check('workers', async () => once(new Worker('require("worker_threads").parentPort.postMessage(require("fs").readFileSync("f", "utf8"))', { eval: true }), 'message'));
    await check('many at once', async () => (await Promise.all([...Array(200).keys()].map(async i => { await promises.writeFile(`m${i}`, `${i}`); return promises.readFile(`m${i}`, 'utf8'); }))).every((t, i) => t === `${i}`));
    await check('lookup', async () => (await require('dns').promises.lookup('localhost', { all: true })).map(a => a.address));
})();
