// Markdown of a model, which nobody vouches for, into nodes that cannot run, load or restyle
// anything. markdown-it treats HTML as text; DOMPurify then passes only what is listed here.

import DOMPurify from 'dompurify';
import MarkdownIt from 'markdown-it';

const md = new MarkdownIt({ html: false, linkify: true });
md.linkify.set({ fuzzyLink: false, fuzzyEmail: false });

// A picture would be fetched from wherever the answer says, and tell that place what is in the
// address: it becomes a link, which loads nothing until somebody follows it.
md.renderer.rules.image = (tokens, i, options, env, self) => {
    const token = tokens[i];
    const alt = self.renderInlineAsText(token.children ?? [], options, env);
    const text = md.utils.escapeHtml(alt || 'image');
    return `<a href="${md.utils.escapeHtml(token.attrGet('src') ?? '')}">${text}</a>`;
};

// Columns are aligned by class: the page's policy forbids style attributes.
for (const rule of ['th_open', 'td_open']) {
    md.renderer.rules[rule] = (tokens, i, options, env, self) => {
        const token = tokens[i];
        const side = /text-align:(\w+)/.exec(token.attrGet('style') ?? '')?.[1];
        token.attrs = side ? [['class', `align-${side}`]] : null;
        return self.renderToken(tokens, i, options);
    };
}

const ALLOWED = {
    ALLOWED_TAGS: [
        'p',
        'br',
        'hr',
        'h1',
        'h2',
        'h3',
        'h4',
        'h5',
        'h6',
        'strong',
        'em',
        's',
        'code',
        'pre',
        'blockquote',
        'ul',
        'ol',
        'li',
        'table',
        'thead',
        'tbody',
        'tr',
        'th',
        'td',
        'a',
    ],
    ALLOWED_ATTR: ['href', 'title', 'class', 'start'],
    ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
};

export function renderMarkdown(text) {
    const fragment = DOMPurify.sanitize(md.render(text), ALLOWED);
    for (const a of fragment.querySelectorAll('a')) {
        if (!a.hasAttribute('href')) {
            a.replaceWith(...a.childNodes);
            continue;
        }
        a.target = '_blank';
        a.rel = 'noopener noreferrer nofollow';
    }
    for (const pre of fragment.querySelectorAll('pre')) pre.replaceWith(codeBlock(pre));
    for (const table of fragment.querySelectorAll('table')) {
        const box = wrap('div', 'table-box', table);
        box.tabIndex = 0; // a scrolling box must be reachable by key
        box.setAttribute('role', 'group');
        box.setAttribute('aria-label', 'Table');
    }
    return fragment;
}

function wrap(tag, className, child) {
    const box = document.createElement(tag);
    box.className = className;
    child.replaceWith(box);
    box.append(child);
    return box;
}

function codeBlock(pre) {
    const code = pre.querySelector('code') ?? pre;
    const language = /(?:^|\s)language-(\S+)/.exec(code.className)?.[1] ?? '';
    const block = document
        .getElementById('code-template')
        .content.firstElementChild.cloneNode(true);
    const box = block.querySelector('pre');
    block.querySelector('.code-language').textContent = language || 'code';
    box.setAttribute('aria-label', language ? `${language} code` : 'Code');
    box.querySelector('code').textContent = code.textContent.replace(/\n$/, '');
    return block;
}
