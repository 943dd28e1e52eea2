// A small stand-in for the hub: the listing, files with ranges and redirects, and the ways in which
// networks fail.  What it answers has the form that the hub's own clients expect (huggingface.js:
// packages/hub/src/lib/list-files.ts and its tests, file-download-info.ts): entries with type, oid,
// size, path and, for big files, lfs and xetHash; pages joined by a Link header with a cursor; files
// by a redirect to another host that names the digest; renamed repositories by a relative redirect.
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

const COMMIT = '0123456789abcdef0123456789abcdef01234567';
export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

// repos: {'a/b': {'file.gguf': Buffer}}.  `hooks` change what happens:
//   list(req, res)  answers the listing itself (returns true)
//   digest(path)    the digest to list, or undefined for none
//   cut             how many answers are cut, and after how many bytes
//   refuse          statuses to answer files with, one each
//   noRanges, redirect, cdnSeesToken, token, pages
//   renamed         {'old/name': 'new/name'}
export async function startHub(repos, hooks = {}) {
    const log = [];
    const cdn = createServer((req, res) => {
        if (req.headers.authorization) hooks.cdnSeesToken = true;
        sendFile(req, res, decodeURIComponent(req.url.slice(1)));
    });
    const hub = createServer((req, res) => {
        log.push(`${req.method} ${req.url} ${req.headers.range ?? ''}`.trim());
        const list = /^\/api\/models\/([^/]+\/[^/]+)\/tree\/([^/?]+)\?recursive=1(?:&limit=1)?(&cursor=([^&]+))?$/.exec(req.url);
        if (hooks.token && req.headers.authorization !== `Bearer ${hooks.token}`) {
            res.writeHead(401).end('{"error":"Invalid username or password."}');
            return;
        }
        const old = Object.keys(hooks.renamed ?? {}).find((name) => req.url.includes(`/${name}/`));
        if (old) return res.writeHead(307, { location: req.url.replace(old, hooks.renamed[old]) }).end();
        if (list) return sendList(req, res, list);
        const file = /^\/([^/]+\/[^/]+)\/resolve\/[^/]+\/([^?]+)(?:\?.*)?$/.exec(req.url);
        if (!file) return res.writeHead(404).end();
        const path = `${file[1]}/${decodeURIComponent(file[2])}`;
        if (hooks.redirect) {
            const bytes = find(path);
            res.writeHead(302, {
                location: `http://127.0.0.2:${cdn.address().port}/${encodeURIComponent(path)}`,
                'x-repo-commit': COMMIT,
                ...(bytes && {
                    'x-linked-size': bytes.length, 'x-linked-etag': `"${sha256(bytes)}"`, 'x-xet-hash': sha256(COMMIT + path),
                    link: `<${url}/api/models/${file[1]}/xet-read-token/${COMMIT}>; rel="xet-auth"`,
                }),
            });
            return res.end();
        }
        sendFile(req, res, path);
    });

    function find(path) {
        const [owner, name, ...rest] = path.split('/');
        return repos[`${owner}/${name}`]?.[rest.join('/')];
    }

    function sendList(req, res, [, repo, , , cursor]) {
        if (hooks.list?.(req, res)) return;
        const files = repos[repo];
        // The hub does not tell a stranger which of private and missing it is.
        if (!files) return res.writeHead(hooks.knows404 ? 404 : 401, { 'x-error-code': 'RepoNotFound' }).end('{"error":"Repository not found"}');
        const gitOid = (text) => createHash('sha1').update(text).digest('hex');
        const folders = new Set(Object.keys(files).filter((path) => path.includes('/')).map((path) => path.split('/')[0]));
        let entries = [...[...folders].map((path) => ({ type: 'directory', oid: gitOid(path), size: 0, path })),
            ...Object.entries(files).map(([path, bytes]) => {
                const oid = hooks.digest ? hooks.digest(path) : sha256(bytes);
                return {
                    type: 'file', oid: gitOid(path), size: bytes.length,
                    ...(oid && { lfs: { oid, size: bytes.length, pointerSize: 134 } }),
                    path, ...(oid && { xetHash: sha256(COMMIT + path) }),
                };
            })];
        const headers = { 'content-type': 'application/json' };
        if (hooks.pages) {
            const n = cursor ? Number(atob(decodeURIComponent(cursor)).split('=')[1]) : 0;
            const next = encodeURIComponent(btoa(`{"at"}=${n + 1}`)); // opaque, and with characters that are escaped
            if (n + 1 < entries.length)
                headers.link = `<${url}/api/models/${repo}/tree/main?recursive=1&limit=1&cursor=${next}>; rel="next"`;
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

    await Promise.all([hub, cdn].map((s) => new Promise((ok) => s.listen(0, '127.0.0.2', ok))));
    const url = `http://127.0.0.2:${hub.address().port}`;
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
