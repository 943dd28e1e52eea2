/* tok/tok.c - what is known of single tokens, and ids to text. */
#include "tok/tok_int.h"

void tok_ids_init(struct tok_ids *ids, size_t max)
{
    *ids = (struct tok_ids){.max = max};
}

void tok_ids_free(struct tok_ids *ids)
{
    mem_free(ids->id);
    tok_ids_init(ids, ids->max);
}

bool tok_ids_put(struct tok_ids *ids, int32_t id, struct err *e)
{
    if (ids->n >= ids->max)
        return err_set(e, ERR_LIMIT, "the text is more than %zu tokens long", ids->max);
    if (ids->n == ids->cap) {
        ids->cap = ids->cap ? ids->cap * 2 : 256;
        ids->id = mem_realloc(ids->id, ids->cap * sizeof *ids->id);
    }
    ids->id[ids->n++] = id;
    return true;
}

static bool in_range(const struct tok *t, int32_t id)
{
    return id >= 0 && id < t->n;
}

int tok_n_vocab(const struct tok *t)
{
    return t->n;
}

str tok_piece(const struct tok *t, int32_t id, bool with_special)
{
    if (!in_range(t, id))
        return (str){0};
    return with_special ? t->full[id] : t->piece[id];
}

str tok_name(const struct tok *t, int32_t id)
{
    return in_range(t, id) ? t->name[id] : (str){0};
}

const str *tok_pieces(const struct tok *t)
{
    return t->piece;
}

int32_t tok_find(const struct tok *t, str name)
{
    int32_t slot = tok_map_find(&t->names, name);
    return slot < 0 ? -1 : t->name_id[slot];
}

bool tok_is_control(const struct tok *t, int32_t id)
{
    return in_range(t, id) && (t->attr[id] & (TOK_CONTROL | TOK_UNKNOWN));
}

bool tok_is_eog(const struct tok *t, int32_t id)
{
    return in_range(t, id) && (t->attr[id] & TOK_EOG);
}

int32_t tok_bos(const struct tok *t)
{
    return t->bos;
}

int32_t tok_eos(const struct tok *t)
{
    return t->eos;
}

bool tok_adds_bos(const struct tok *t)
{
    return t->add_bos && t->bos >= 0;
}

const char *tok_model_name(const struct tok *t)
{
    return t->model;
}

bool tok_decode(const struct tok *t, const int32_t *ids, size_t n, bool with_special,
                bool strip_leading, struct buf *out)
{
    bool strip = strip_leading && t->add_space_prefix;
    for (size_t i = 0; i < n; i++) {
        str piece = tok_piece(t, ids[i], with_special);
        if (strip && !tok_is_control(t, ids[i])) {
            if (piece.n && piece.p[0] == ' ')
                piece = str_from(piece, 1);
            strip = false;
        }
        if (!buf_str(out, piece))
            return false;
    }
    return true;
}
