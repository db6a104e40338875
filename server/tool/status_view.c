#include "server/tool/status_view.h"

#include "engine/base.h"
#include "server/tool/bar.h"
#include "server/tool/grid.h"
#include "server/tool/human.h"
#include <stdlib.h>
#include <string.h>

#define LABEL_COLUMNS 9
#define BAR_CELLS     30
#define NAME_BYTES    32 /* more than any member's name */

#define RED      "\033[31m"
#define GREEN    "\033[32m"
#define NO_STYLE "\033[0m"

struct page {
    FILE *file;
    const struct ty_status_view *view;
};

/* --- Members --- */

/* The member at a path such as "dedup.entries", or NULL. */
static json_t *find(const json_t *document, const char *path)
{
    while (document != NULL) {
        int length = (int)strcspn(path, ".");
        char name[NAME_BYTES];
        json_t *member;

        snprintf(name, sizeof(name), "%.*s", length, path);
        member = json_object_get(document, name);
        if (path[length] == '\0')
            return member;
        document = member;
        path += length + 1;
    }
    return NULL;
}

/* The text of a member, a number's as the server wrote it; "?" where there is none. */
static const char *text_of(const json_t *document, const char *path)
{
    const char *text = json_string_value(find(document, path));

    return text != NULL ? text : "?";
}

static uint64_t number_of(const json_t *document, const char *path)
{
    const char *text = json_string_value(find(document, path));

    return text != NULL ? strtoull(text, NULL, 10) : 0;
}

static bool is_true(const json_t *document, const char *path)
{
    return json_is_true(find(document, path));
}

bool ty_status_view_ready(const json_t *status)
{
    return is_true(status, "ready");
}

/* --- Lines --- */

static void begin_line(const struct page *page, const char *label)
{
    fprintf(page->file, "%-*s  ", LABEL_COLUMNS, label);
}

static void print_text(const struct page *page, const char *path)
{
    ty_terminal_print_text(page->file, text_of(page->view->status, path));
}

/* "12 entries": the number as it is, and what it counts. */
static void print_count(const struct page *page, const char *path, const char *one,
                        const char *many)
{
    const char *text = text_of(page->view->status, path);

    ty_terminal_print_text(page->file, text);
    fprintf(page->file, " %s", strcmp(text, "1") == 0 ? one : many);
}

static void print_bytes(const struct page *page, const char *path)
{
    char text[TY_HUMAN_TEXT_BYTES];

    fputs(ty_human_bytes(number_of(page->view->status, path), text), page->file);
}

static void print_duration(const struct page *page, const char *path)
{
    char text[TY_HUMAN_TEXT_BYTES];

    fputs(ty_human_duration((int64_t)number_of(page->view->status, path), text), page->file);
}

static void print_styled(const struct page *page, const char *style, const char *text)
{
    bool colour = page->view->terminal.colour;

    fputs(colour ? style : "", page->file);
    ty_terminal_print_text(page->file, text);
    fputs(colour ? NO_STYLE : "", page->file);
}

/* --- Tables --- */

static void add_rate(struct ty_grid *grid, double count, double seconds)
{
    char text[TY_GRID_CELL_BYTES] = "";

    if (seconds > 0)
        snprintf(text, sizeof(text), "%.1f", count / seconds);
    ty_grid_add(grid, text);
}

static void print_grid(const struct page *page, struct ty_grid *grid)
{
    fputc('\n', page->file);
    ty_table_print(page->file, &grid->table, &page->view->terminal);
}

/* Accepted and duplicate are always worth a line, the others when there are any. */
static bool is_worth_a_row(const char *name, json_t *count)
{
    const char *text = json_string_value(count);

    return text != NULL && (strcmp(name, "accepted") == 0 || strcmp(name, "duplicate") == 0 ||
                            strcmp(text, "0") != 0);
}

static void print_events(const struct page *page)
{
    static const struct ty_column columns[] = {
        {"events", false}, {"records", true}, {"/s since start", true}, {"/s now", true}};
    const struct ty_status_view *view = page->view;
    json_t *events = find(view->status, "events"), *count;
    double uptime = (double)number_of(view->status, "uptime_ms") / 1000;
    struct ty_grid grid =
        ty_grid_new(columns, view->before != NULL ? 4 : 3, json_object_size(events));
    const char *name;

    if (events == NULL || !ty_grid_ok(&grid)) {
        ty_grid_fini(&grid);
        return;
    }
    json_object_foreach(events, name, count)
    {
        uint64_t now = number_of(events, name);
        uint64_t then = number_of(json_object_get(view->before, "events"), name);

        if (!is_worth_a_row(name, count))
            continue;
        ty_grid_add(&grid, name);
        ty_grid_add(&grid, json_string_value(count));
        add_rate(&grid, (double)now, uptime);
        if (view->before != NULL)
            add_rate(&grid, (double)(now - TY_MIN(then, now)), view->seconds);
    }
    print_grid(page, &grid);
    ty_grid_fini(&grid);
}

static void add_shard(struct ty_grid *grid, const json_t *shard)
{
    char bytes[TY_HUMAN_TEXT_BYTES];

    ty_grid_add(grid, text_of(shard, "shard"));
    ty_grid_add(grid, text_of(shard, "series"));
    ty_grid_add(grid, ty_human_bytes(number_of(shard, "journal.bytes"), bytes));
    ty_grid_add(grid, ty_human_bytes(number_of(shard, "storage.file_bytes"), bytes));
    ty_grid_add(grid, is_true(shard, "storage.failed") ? "failed"
                      : is_true(shard, "storage.full") ? "full"
                                                       : "ok");
}

/* One shard is what the lines above have said already. Of a directory, what was counted since the
 * start is nothing. */
static void print_shards(const struct page *page)
{
    static const struct ty_column columns[] = {
        {"shard", true},  {"series", true},   {"journal", false}, {"file", false},
        {"state", false}, {"accepted", true}, {"commits", true},  {"queued", true}};
    size_t column_count = TY_COUNT_OF(columns) - (page->view->directory ? 3 : 0);
    json_t *shards = find(page->view->status, "shards"), *shard;
    struct ty_grid grid = ty_grid_new(columns, column_count, json_array_size(shards));
    size_t index;

    if (json_array_size(shards) < 2 || !ty_grid_ok(&grid)) {
        ty_grid_fini(&grid);
        return;
    }
    json_array_foreach(shards, index, shard)
    {
        add_shard(&grid, shard);
        if (page->view->directory)
            continue;
        ty_grid_add(&grid, text_of(shard, "events.accepted"));
        ty_grid_add(&grid, text_of(shard, "commits.count"));
        ty_grid_add(&grid, text_of(shard, "queue.events"));
    }
    print_grid(page, &grid);
    ty_grid_fini(&grid);
}

/* --- What a process is --- */

static void print_head(const struct page *page)
{
    const struct ty_status_view *view = page->view;

    begin_line(page, view->directory ? "directory" : "server");
    ty_terminal_print_text(page->file, view->name);
    fputs(", version ", page->file);
    print_text(page, "version");
    if (!view->directory) {
        fputs(", pid ", page->file);
        print_text(page, "pid");
    }
    fputc('\n', page->file);
    begin_line(page, "state");
    if (ty_status_view_ready(view->status)) {
        print_styled(page, GREEN, "ready");
    } else {
        print_styled(page, RED, "not ready");
        fputs(": ", page->file);
        print_text(page, "reason");
    }
    fputc('\n', page->file);
}

static void print_process(const struct page *page)
{
    begin_line(page, "up");
    print_duration(page, "uptime_ms");
    fputs(", since ", page->file);
    print_text(page, "started");
    fputc('\n', page->file);
    begin_line(page, "HTTP");
    print_count(page, "connections", "connection", "connections");
    fputc('\n', page->file);
    begin_line(page, "Forward");
    if (!json_is_object(find(page->view->status, "forward"))) {
        fputs("not served\n", page->file);
        return;
    }
    print_count(page, "forward.connections", "connection", "connections");
    fputs(", ", page->file);
    print_count(page, "forward.messages", "message", "messages");
    fputs(", ", page->file);
    print_count(page, "forward.acks", "acknowledgement", "acknowledgements");
    fputs("; ", page->file);
    print_count(page, "forward.broken_streams", "broken stream", "broken streams");
    fputs(", ", page->file);
    print_count(page, "forward.dropped_records", "record", "records");
    fputs(" dropped\n", page->file);
}

/* --- What a database is --- */

/* "p50 at most 4.096 ms", or that it took longer than is measured. */
static void print_quantile(const struct page *page, const char *label, const char *path)
{
    json_t *value = find(page->view->status, path);

    if (json_is_null(value))
        fprintf(page->file, ", %s longer than 16.8 s", label);
    else
        fprintf(page->file, ", %s at most %s ms", label, text_of(page->view->status, path));
}

static void print_commits(const struct page *page)
{
    begin_line(page, "commits");
    print_text(page, "commits.count");
    fputs(", ", page->file);
    print_text(page, "commits.failures");
    fputs(" failed", page->file);
    if (number_of(page->view->status, "commits.count") != 0) {
        print_quantile(page, "p50", "commits.p50_ms");
        print_quantile(page, "p99", "commits.p99_ms");
    }
    fputc('\n', page->file);
    begin_line(page, "queue");
    print_count(page, "queue.events", "event", "events");
    fputs(" in ", page->file);
    print_count(page, "queue.batches", "batch", "batches");
    fputs(", ", page->file);
    print_count(page, "queue.refused_batches", "batch", "batches");
    fputs(" refused\n", page->file);
}

static void print_dedup(const struct page *page)
{
    const json_t *status = page->view->status;
    uint64_t wanted = number_of(status, "dedup.window_ms");
    uint64_t effective = number_of(status, "dedup.effective_window_ms");

    begin_line(page, "dedup");
    if (wanted == 0) {
        fputs("off: what is sent twice counts twice\n", page->file);
        return;
    }
    fputs("window ", page->file);
    print_duration(page, "dedup.effective_window_ms");
    fputs(" of ", page->file);
    print_duration(page, "dedup.window_ms");
    if (effective < wanted)
        print_styled(page, RED, " (shortened: the ids outgrew their memory)");
    fputs("; ", page->file);
    print_count(page, "dedup.entries", "id", "ids");
    fputs(" in ", page->file);
    print_bytes(page, "dedup.bytes");
    fputc('\n', page->file);
}

static void print_journal(const struct page *page)
{
    const json_t *status = page->view->status;

    begin_line(page, "journal");
    print_bytes(page, "journal.bytes");
    if (json_is_string(find(status, "journal.oldest_received"))) {
        fputs(", events since ", page->file);
        print_text(page, "journal.oldest_received");
    }
    if (json_is_string(find(status, "journal.problem"))) {
        fputs("; it cannot be read: ", page->file);
        print_styled(page, RED, text_of(status, "journal.problem"));
    }
    fputc('\n', page->file);
    if (find(status, "rejects") == NULL)
        return;
    begin_line(page, "rejects");
    print_text(page, "rejects.kept");
    fputs(" kept in ", page->file);
    print_bytes(page, "rejects.bytes");
    fputs(", ", page->file);
    print_text(page, "rejects.dropped");
    fputs(" dropped\n", page->file);
}

/* A bar over all of its cells, so that one sees what is left. */
static void print_gauge(const struct page *page, double part)
{
    struct ty_bar_scale scale = ty_bar_fit(0, 1, BAR_CELLS, page->view->terminal.unicode);
    char bar[TY_BAR_TEXT_BYTES];
    int cells = 0;

    ty_bar_draw(&scale, TY_MIN(part, 1.0), bar);
    for (const char *at = bar; *at != '\0'; at++)
        cells += ((unsigned char)*at & 0xc0) != 0x80;
    fprintf(page->file, "[%s%*s] %.1f%%", bar, BAR_CELLS - cells, "", 100 * part);
}

static void print_storage(const struct page *page)
{
    const json_t *status = page->view->status;
    double map = (double)number_of(status, "storage.map_bytes");

    begin_line(page, "storage");
    if (map > 0)
        print_gauge(page, (double)number_of(status, "storage.file_bytes") / map);
    fputs("  ", page->file);
    print_bytes(page, "storage.file_bytes");
    fputs(" of ", page->file);
    print_bytes(page, "storage.map_bytes");
    fputs("; ", page->file);
    print_bytes(page, "storage.disk_free_bytes");
    fputs(" free on the disk\n", page->file);
}

static void print_recent(const struct page *page)
{
    begin_line(page, "recent");
    print_bytes(page, "hot.bytes");
    fputs(" of totals in memory, ", page->file);
    print_count(page, "hot.dirty_months", "month", "months");
    fputs(" not yet in blocks", page->file);
    if (number_of(page->view->status, "hot.damaged_months") != 0) {
        fputs(", ", page->file);
        print_text(page, "hot.damaged_months");
        print_styled(page, RED, " met damaged values");
    }
    fputc('\n', page->file);
}

static void print_database(const struct page *page)
{
    begin_line(page, "series");
    print_text(page, "series");
    fputc('\n', page->file);
    if (!page->view->directory) {
        print_commits(page);
        print_recent(page);
        print_dedup(page);
    }
    print_journal(page);
    print_storage(page);
}

void ty_status_view_print(FILE *file, const struct ty_status_view *view)
{
    const struct page page = {file, view};

    print_head(&page);
    if (!view->directory)
        print_process(&page);
    if (find(view->status, "storage") == NULL)
        return;
    print_database(&page);
    if (!view->directory)
        print_events(&page);
    print_shards(&page);
}
