/* tools/html.h - what a page says: its text without markup, scripts and styles.  Pure.
 *
 * Not a parser of HTML: it knows which elements hide their content, which begin a new line, and
 * entities.  Any bytes give some text. */
#ifndef TOOLS_HTML_H
#define TOOLS_HTML_H

#include "base/buf.h"

/* Appends to both, as far as they take it; lines hold no two blanks in a row, and no two lines in a
 * row are empty. */
void html_text(str html, struct buf *title, struct buf *text);

/* ISO 8859-1 (with Windows' additions) as UTF-8. */
void html_from_latin1(str in, struct buf *out);

#endif
