// Builds the page into one file, dist/index.html: script and style inline, each allowed by its
// digest in a Content-Security-Policy, so that nothing else in the page can ever run.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { defineConfig } from 'vite';

const digest = (text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

// In an inline script these would end it, or put the HTML parser into its escaped state. Both
// spellings mean the same inside strings and regular expressions, where alone they occur.
const escapeScript = (code) =>
    code.replace(/<\/script/gi, '<\\/script').replace(/<!--/g, '\\x3C!--');

function policy(script, style) {
    return [
        "default-src 'none'",
        `script-src ${digest(script)}`,
        `style-src ${digest(style)}`,
        "connect-src 'self'",
        'img-src data:',
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        'trusted-types dompurify',
    ].join('; ');
}

// The folder of the package that a module belongs to, or null for our own files.
function packageDir(id) {
    const at = id.lastIndexOf('/node_modules/');
    if (at < 0) return null;
    let dir = dirname(id.split('?')[0]);
    while (
        dir.length > at &&
        !existsSync(join(dir, 'LICENSE')) &&
        !existsSync(join(dir, 'package.json'))
    )
        dir = dirname(dir);
    return dir;
}

// The copyright notices that the bundled packages ask to travel with them.
function notices(chunk) {
    const seen = new Map();
    for (const id of Object.keys(chunk.modules)) {
        const dir = packageDir(id);
        if (!dir || seen.has(dir)) continue;
        const { name, version, license } = JSON.parse(
            readFileSync(join(dir, 'package.json'), 'utf8'),
        );
        const file = readdirSync(dir).find((f) => /^licen[sc]e/i.test(f));
        if (!file)
            throw new Error(
                `${name} ${version} carries no licence file; the page must name its terms`,
            );
        const whole = readFileSync(join(dir, file), 'utf8').replace(/\r\n?/g, '\n').trim();
        // Long texts of well-known licences are named; short ones (MIT and kin) are given whole.
        const text = whole.length < 4000 ? whole : `Licence: ${license}`;
        seen.set(dir, `${name} ${version}\n${text.replace(/--+>/g, '->')}`);
    }
    return [...seen.values()].sort().join('\n\n');
}

function singleFile() {
    return {
        name: 'confab-single-file',
        enforce: 'post',
        generateBundle(options, bundle) {
            const files = Object.values(bundle);
            const chunks = files.filter((f) => f.type === 'chunk');
            const styles = files.filter((f) => f.fileName.endsWith('.css'));
            const html = bundle['index.html'];
            if (chunks.length !== 1 || styles.length !== 1 || files.length !== 3)
                this.error(
                    `expected one page, script and style, got ${files.map((f) => f.fileName)}`,
                );

            const script = escapeScript(chunks[0].code.trim());
            const style = String(styles[0].source).trim();
            if (/\r/.test(script + style) || /<\/style/i.test(style))
                this.error('the bundle holds bytes that an inline script or style cannot carry');

            // Back to front, so that nothing inserted is searched for what comes next.
            html.source = String(html.source)
                .replace(/\s*<script[^>]*\ssrc="[^"]*"[^>]*><\/script>/, '')
                .replace(/\s*<link rel="stylesheet"[^>]*>/, '')
                .replace(
                    '</html>',
                    () => `</html>\n<!--\nThis page contains:\n\n${notices(chunks[0])}\n-->`,
                )
                .replace('</body>', () => `    <script type="module">${script}</script>\n</body>`)
                .replace('</head>', () => `    <style>${style}</style>\n</head>`)
                .replace(
                    '<meta charset="utf-8">',
                    (meta) => `${meta}
    <meta http-equiv="Content-Security-Policy" content="${policy(script, style)}">`,
                );
            for (const f of [chunks[0], styles[0]]) delete bundle[f.fileName];
        },
    };
}

export default defineConfig({
    base: './',
    plugins: [singleFile()],
    server: { proxy: { '/v1': process.env.CONFAB_URL ?? 'http://127.0.0.1:8080' } },
    build: {
        target: 'es2022',
        cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
        modulePreload: false,
        cssCodeSplit: false,
        assetsInlineLimit: 1 << 20,
        reportCompressedSize: false,
    },
});
