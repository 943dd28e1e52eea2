/* tools/html_test.c - pages and what they say. */
#include "tools/html.h"

#include "test.h"

static void pages_become_text(void **state)
{
    static const struct {
        const char *html, *title, *text;
    } rows[] = {
        {"<html><head><title>A &amp; B</title><style>p{}</style></head><body><h1>Hi</h1><p>One "
         "<b>two</b>\n three.</p><p>Four</p></body></html>",
         "A & B", "Hi\n\nOne two three.\n\nFour"},
        {"<script>if (a < b) document.write('<p>no</p>')</script>yes", "", "yes"},
        {"<SCRIPT>x</SCRIPT ><p>a<!-- <p>no --> b", "", "a b"},
        {"<ul><li>one<li>two</ul>", "", "- one\n- two"},
        {"<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "", "a b\nc"},
        {"a<br>b<br/>c", "", "a\nb\nc"},
        {"<pre>x\n\n\n  y</pre>z", "", "x\n\ny\n\nz"},
        {"1 < 2 &lt; 3 &#60; 4 &#x3c; &unknown; &", "", "1 < 2 < 3 < 4 < &unknown; &"},
        {"<a href=\"x>y\">link</a> <img alt='>'>end", "", "link end"},
        {"caf\xc3\xa9 \xff &eacute;&euro;&nbsp;x", "",
         "caf\xc3\xa9 \xef\xbf\xbd \xc3\xa9\xe2\x82\xac x"},
        {"<p", "", ""},
        {"<", "", "<"},
        {"<!-- never closed", "", ""},
        {"<script>never closed", "", ""},
        {"<a href=\"never closed>text", "", "text"},
        {"&#0;&#1114112;&#xd800;", "", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"a\x01\x1b[31mb", "", "a[31mb"},
        {"", "", ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf title = BUF_INIT(1000), text = BUF_INIT(1000);
        html_text(str_c(rows[i].html), &title, &text);
        check_str(buf_as_str(&text), str_c(rows[i].text), rows[i].html);
        check_str(buf_as_str(&title), str_c(rows[i].title), rows[i].html);
        buf_free(&title);
        buf_free(&text);
        for (size_t n = 0; n < strlen(rows[i].html); n++) { // cut anywhere
            struct buf a = BUF_INIT(1000), b = BUF_INIT(20);
            html_text(str_sub(str_c(rows[i].html), 0, n), &a, &b);
            buf_free(&a);
            buf_free(&b);
        }
    }
    struct buf out = BUF_INIT(100);
    html_from_latin1(STR("a\xe9\x80"), &out);
    check_bytes(&out, "a\xc3\xa9\xe2\x82\xac", "latin 1");
    buf_free(&out);
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(pages_become_text)};
TEST_FILE(tests)
