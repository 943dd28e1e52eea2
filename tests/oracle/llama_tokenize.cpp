// llama_tokenize.cpp - what libllama makes of texts, for tests/tok/compare.py.
//
// usage: llama_tokenize MODEL.gguf MODE
//   ids     texts ended by NUL bytes -> a line of ids each; the first byte of each says how: t text,
//           s special tokens are parsed, b so, and BOS and EOS are added
//   pieces  ignores its input; one line a token: attributes, eog, text without and with specials
//           in hexadecimal digits
//   text    lines of ids -> their text, ended by a NUL byte each
// A text that makes libllama throw gives the line "error".
#include "llama.h"

#include <cstdio>
#include <cstring>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

static std::string piece(const llama_vocab * v, llama_token id, bool special)
{
    std::vector<char> buf(1 << 16);
    int n = llama_token_to_piece(v, id, buf.data(), (int)buf.size(), 0, special);
    return std::string(buf.data(), n > 0 ? (size_t)n : 0);
}

static void put_hex(const std::string & s)
{
    for (unsigned char c : s)
        printf("%02x", c);
}

static void put_ids(const llama_vocab * v, const std::string & text, bool bos, bool parse)
{
    std::vector<llama_token> ids(text.size() * 4 + 16);
    int n;
    try {
        n = llama_tokenize(v, text.data(), (int)text.size(), ids.data(), (int)ids.size(), bos, parse);
    } catch (const std::exception &) {
        puts("error");
        return;
    }
    for (int i = 0; i < n; i++)
        printf("%s%d", i ? " " : "", ids[(size_t)i]);
    putchar('\n');
}

static void put_text(const llama_vocab * v, const std::string & line)
{
    std::istringstream in(line);
    std::vector<llama_token> ids{std::istream_iterator<llama_token>(in), {}};
    std::vector<char> buf(ids.size() * 300 + 64);
    int n = llama_detokenize(v, ids.data(), (int)ids.size(), buf.data(), (int)buf.size(), false, false);
    fwrite(buf.data(), 1, n > 0 ? (size_t)n : 0, stdout);
    putchar(0);
}

int main(int argc, char ** argv)
{
    if (argc < 3)
        return 2;
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    llama_backend_init();
    llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    llama_model * model = llama_model_load_from_file(argv[1], params);
    if (!model) {
        fprintf(stderr, "%s: cannot be loaded\n", argv[1]);
        return 1;
    }
    const llama_vocab * v = llama_model_get_vocab(model);
    std::string mode = argv[2], item;
    if (mode == "pieces") {
        for (llama_token id = 0; id < llama_vocab_n_tokens(v); id++) {
            printf("%d %d ", (int)llama_vocab_get_attr(v, id), (int)llama_vocab_is_eog(v, id));
            put_hex(piece(v, id, false));
            putchar(' ');
            put_hex(piece(v, id, true));
            putchar('\n');
        }
    }
    while (mode == "ids" && std::getline(std::cin, item, '\0'))
        put_ids(v, item.substr(1), item[0] == 'b', item[0] != 't');
    while (mode == "text" && std::getline(std::cin, item))
        put_text(v, item);
    llama_model_free(model);
}
