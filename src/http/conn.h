/* http/conn.h - the life of a connection, for server.c. */
#ifndef HTTP_CONN_H
#define HTTP_CONN_H

#include "http/http_int.h"

#include <sys/socket.h>

/* Takes fd (non-blocking).  An extra one is only told that there are too many. */
void http_conn_open(struct http_server *s, int fd, const struct sockaddr *addr, bool extra);

/* The peer is gone: tells the owner of a request that is being answered; the phase becomes
 * PHASE_DEAD. */
void http_conn_left(struct http_conn *c);

/* Answers a request that never reached the handler, and closes behind it. */
void http_conn_refuse(struct http_conn *c, int status, const char *why);

void http_conn_free(struct http_conn *c);

#endif
