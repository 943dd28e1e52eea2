// A small stand-in for the hub: the listing, files with ranges and redirects, and the ways in which
// networks fail.
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

// repos: {'a/b': {'file.gguf': Buffer}}.  `hooks` change what happens:
//   list(req, res)  answers the listing itself (returns true)
//   digest(path)    the digest to list, or undefined for none
//   cut             how many answers are cut, and after how many bytes
//   refuse          statuses to answer files with, one each
//   noRanges, redirect, cdnSeesToken
export async function startHub(repos, hooks = {}) {
    const log = [];
    const cdn = createServer((req, res) => {
        if (req.headers.authorization) hooks.cdnSeesToken = true;
        sendFile(req, res, decodeURIComponent(req.url.slice(1)));
    });
    const hub = createServer((req, res) => {
        log.push(`${req.method} ${req.url} ${req.headers.range ?? ''}`.trim());
        const list = /^\/api\/models\/([^/]+\/[^/]+)\/tree\/([^/?]+)\?recursive=1(&page=(\d+))?$/.exec(req.url);
        if (hooks.token && req.headers.authorization !== `Bearer ${hooks.token}`) {
            res.writeHead(401).end('{"error":"Invalid username or password."}');
            return;
        }
        if (list) return sendList(req, res, list);
        const file = /^\/([^/]+\/[^/]+)\/resolve\/[^/]+\/([^?]+)(?:\?.*)?$/.exec(req.url);
        if (!file) return res.writeHead(404).end();
        const path = `${file[1]}/${decodeURIComponent(file[2])}`;
        if (hooks.redirect) {
            const bytes = find(path);
            res.writeHead(302, {
                location: `http://localhost:${cdn.address().port}/${encodeURIComponent(path)}`,
                ...(bytes && { 'x-linked-size': bytes.length, 'x-linked-etag': `"${sha256(bytes)}"` }),
            });
            return res.end();
        }
        sendFile(req, res, path);
    });

    function find(path) {
        const [owner, name, ...rest] = path.split('/');
        return repos[`${owner}/${name}`]?.[rest.join('/')];
    }

    function sendList(req, res, [, repo, , , page]) {
        if (hooks.list?.(req, res)) return;
        const files = repos[repo];
        if (!files) return res.writeHead(404).end('{"error":"Repository not found"}');
        let entries = Object.entries(files).map(([path, bytes]) => {
            const oid = hooks.digest ? hooks.digest(path) : sha256(bytes);
            return { type: 'file', path, size: bytes.length, ...(oid && { lfs: { oid, size: bytes.length } }) };
        });
        const headers = { 'content-type': 'application/json' };
        if (hooks.pages) {
            const n = Number(page ?? 0);
            if (n + 1 < entries.length)
                headers.link = `<${url}/api/models/${repo}/tree/main?recursive=1&page=${n + 1}>; rel="next"`;
            entries = entries.slice(n, n + 1);
        }
        res.writeHead(200, headers).end(JSON.stringify(entries));
    }

    function sendFile(req, res, path) {
        const bytes = find(path);
        if (req.method === 'GET' && hooks.refuse?.length) {
            const [status, headers] = [].concat(hooks.refuse.shift());
            return res.writeHead(status, headers).end('refused');
        }
        if (!bytes) return res.writeHead(404).end('Entry not found');
        const range = hooks.noRanges ? null : /^bytes=(\d+)-$/.exec(req.headers.range ?? '');
        const from = range ? Number(range[1]) : 0;
        if (from >= bytes.length) return res.writeHead(416).end();
        const body = bytes.subarray(from);
        res.writeHead(range ? 206 : 200, {
            'content-length': body.length,
            ...(range && { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` }),
        });
        if (req.method === 'HEAD') return res.end();
        if (hooks.cut?.times > 0) {
            hooks.cut.times--;
            res.write(body.subarray(0, hooks.cut.after), () => res.destroy());
            return;
        }
        if (hooks.stallAfter) return res.write(body.subarray(0, hooks.stallAfter));
        res.end(body);
    }

    await Promise.all([hub, cdn].map((s) => new Promise((ok) => s.listen(0, 'localhost', ok))));
    const url = `http://localhost:${hub.address().port}`;
    return {
        url,
        log,
        hooks,
        close() {
            for (const s of [hub, cdn]) {
                s.closeAllConnections();
                s.close();
            }
        },
    };
}

export const noise = (n) => randomBytes(n);
