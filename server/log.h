/*
 * log.h: one event a line on stderr, in logfmt: level, event, then what the caller adds.
 *
 *     ts=2023-01-31T13:45:00.123Z level=info event=listening http=127.0.0.1:8480
 *
 * Where stderr is the journal of systemd, the line begins with its priority: "<6>ts=...", which the
 * journal takes off (sd-daemon(3)).
 *
 * Threads: any; a line is written whole.
 */
#ifndef TY_SERVER_LOG_H
#define TY_SERVER_LOG_H

/* ty_log_open finds out where stderr goes; once, before threads exist. */
void ty_log_open(void);

/*
 * ty_log writes a line. `level` is "info", "warn" or "error"; `event` a word that stays the same
 * from version to version; `format` the other pairs, printf-like, "" for none. Values with spaces
 * are the caller's to quote (ty_log_text).
 */
void ty_log(const char *level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ty_log_for_people makes this the log of a program that is no server, from now on: errors only, one
 * a line as "program: text", or "program: event: pairs" where there is no text. `program` is
 * borrowed for good. Before threads exist. */
void ty_log_for_people(const char *program);

/* ty_log_value writes text as a value: as it is, or quoted and escaped where logfmt asks for it.
 * What does not fit is cut off. Returns `out`. */
#define TY_LOG_VALUE_BYTES 256
const char *ty_log_value(const char *text, char out[TY_LOG_VALUE_BYTES]);

/* ty_log_text writes a line whose last pair is key="text", the text quoted and escaped. */
void ty_log_text(const char *level, const char *event, const char *key, const char *text);

/* ty_log_emergency writes a line as it is, without a time, at level "error". For handlers of
 * signals: nothing but write(2) is called. */
void ty_log_emergency(const char *line);

#endif
