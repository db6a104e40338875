#include "tests/powercut/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base.h"

/* --- Names --- */

static struct disk_name *find_name(const struct disk_names *names, const char *path)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->entries[i].path, path) == 0)
            return (struct disk_name *)&names->entries[i];
    return NULL;
}

/* The directory that a name is in. */
static void parent_of(const char *path, char parent[DISK_PATH_BYTES])
{
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - path);

    memcpy(parent, path, length);
    parent[length] = '\0';
}

static bool has_parent(const struct disk_names *names, const char *path)
{
    char parent[DISK_PATH_BYTES];

    parent_of(path, parent);
    return parent[0] == '\0' || find_name(names, parent) != NULL;
}

static void remove_name(struct disk_names *names, struct disk_name *name)
{
    *name = names->entries[--names->count];
}

static void add_name(struct disk_names *names, const char *path, uint32_t file)
{
    struct disk_name *name = find_name(names, path);

    if (!has_parent(names, path)) /* Lost with its directory. */
        return;
    if (name == NULL) {
        TY_ASSERT(names->count < DISK_NAMES_MAX);
        name = &names->entries[names->count++];
        snprintf(name->path, sizeof(name->path), "%s", path);
    }
    name->file = file;
}

static bool is_about_names(const struct disk_step *step)
{
    return step->kind <= DISK_REMOVE;
}

static void apply_to_names(struct disk_names *names, const struct disk_step *step)
{
    struct disk_name *name = find_name(names, step->path);

    if (step->kind == DISK_MAKE_DIRECTORY)
        add_name(names, step->path, DISK_IS_DIRECTORY);
    else if (step->kind == DISK_CREATE)
        add_name(names, step->path, step->file);
    else if (step->kind == DISK_REMOVE && name != NULL)
        remove_name(names, name);
    else if (step->kind == DISK_RENAME && name != NULL) {
        uint32_t file = name->file;

        remove_name(names, name);
        add_name(names, step->to, file);
    }
}

/* --- The stream --- */

void disk_fini(struct disk *disk)
{
    for (size_t i = disk->borrowed; i < disk->count; i++)
        free(disk->steps[i].data);
    free(disk->steps);
    memset(disk, 0, sizeof(*disk));
}

void disk_add(struct disk *disk, const struct disk_step *step)
{
    if (disk->count == disk->capacity) {
        disk->capacity = TY_MAX(disk->capacity * 2, (size_t)256);
        disk->steps = realloc(disk->steps, disk->capacity * sizeof(*disk->steps));
        TY_ASSERT(disk->steps != NULL);
    }
    disk->steps[disk->count++] = *step;
    if (step->kind == DISK_CREATE)
        disk->files = TY_MAX(disk->files, step->file + 1);
    if (is_about_names(step))
        apply_to_names(&disk->names, step);
}

void disk_mark(struct disk *disk, uint32_t mark, uint32_t value)
{
    struct disk_step step = {.kind = DISK_MARK, .mark = mark, .file = value};

    disk_add(disk, &step);
}

void disk_fork(const struct disk *from, size_t count, bool with_next, struct disk *to)
{
    memset(to, 0, sizeof(*to));
    for (size_t i = 0; i < count + (with_next ? 1 : 0); i++) {
        struct disk_step step = from->steps[i];

        if (i == count)
            step.is_synced = false;
        /* A call that did not return promised nothing. */
        if (i < count || is_about_names(&step) || step.kind == DISK_WRITE ||
            step.kind == DISK_TRUNCATE)
            disk_add(to, &step);
    }
    to->borrowed = to->count;
}

bool disk_find(const struct disk *disk, const char *path, uint32_t *file)
{
    const struct disk_name *name = find_name(&disk->names, path);

    if (name != NULL)
        *file = name->file;
    return name != NULL;
}

/* --- Images --- */

struct content {
    uint8_t *bytes;
    size_t length, capacity;
};

struct image {
    struct disk_names names;
    struct content *files;
    uint32_t file_count;
};

static void set_length(struct content *content, size_t length)
{
    if (length > content->capacity) {
        content->capacity = TY_MAX(content->capacity * 2, length);
        content->bytes = realloc(content->bytes, content->capacity);
        TY_ASSERT(content->bytes != NULL);
    }
    if (length > content->length)
        memset(content->bytes + content->length, 0, length - content->length);
    content->length = length;
}

static void write_bytes(struct content *content, uint64_t offset, const uint8_t *data,
                        uint64_t length)
{
    if (offset + length > content->length)
        set_length(content, offset + length);
    memcpy(content->bytes + offset, data, length);
}

static void init_image(struct image *image, const struct disk *disk)
{
    memset(image, 0, sizeof(*image));
    image->file_count = disk->files;
    image->files = calloc(disk->files + 1, sizeof(*image->files));
    TY_ASSERT(image->files != NULL);
}

static void fini_image(struct image *image)
{
    for (uint32_t i = 0; i < image->file_count; i++)
        free(image->files[i].bytes);
    free(image->files);
}

static void apply(struct image *image, const struct disk_step *step)
{
    if (is_about_names(step))
        apply_to_names(&image->names, step);
    else if (step->kind == DISK_WRITE)
        write_bytes(&image->files[step->file], step->offset, step->data, step->length);
    else if (step->kind == DISK_TRUNCATE)
        set_length(&image->files[step->file], step->offset);
}

static bool is_lock_file(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL && strcmp(slash, "/lock.mdb") == 0;
}

static void write_file(const struct content *content, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);

    TY_ASSERT(fd >= 0);
    TY_ASSERT(write(fd, content->bytes, content->length) == (ssize_t)content->length);
    close(fd);
}

/* Directories come before what is in them. */
static void write_image(const struct image *image, const char *root)
{
    char path[1200];

    for (size_t depth = 0; depth < 4; depth++)
        for (size_t i = 0; i < image->names.count; i++) {
            const struct disk_name *name = &image->names.entries[i];
            size_t slashes = 0;

            for (const char *c = name->path; *c != '\0'; c++)
                slashes += *c == '/';
            if (slashes != depth)
                continue;
            snprintf(path, sizeof(path), "%s/%s", root, name->path);
            if (name->file == DISK_IS_DIRECTORY)
                TY_ASSERT(mkdir(path, 0750) == 0);
            else
                write_file(&image->files[name->file], path);
        }
}

void disk_write_out(const struct disk *disk, const char *root)
{
    struct image image;

    init_image(&image, disk);
    for (size_t i = 0; i < disk->count; i++)
        apply(&image, &disk->steps[i]);
    write_image(&image, root);
    fini_image(&image);
}

/* --- Cuts --- */

enum policy { KEEP_NOTHING, KEEP_ALL, KEEP_FIRST, KEEP_SOME, KEEP_SECTORS, POLICIES };

static const char *const policy_names[POLICIES] = {"nothing", "all", "first", "some", "sectors"};

struct cut {
    const struct disk *disk;
    const struct disk_lies *lies;
    struct ty_random *random;
    enum policy policy;
    size_t at;         /* steps that have returned */
    size_t first;      /* of KEEP_FIRST: steps that are kept */
    bool extends;      /* lost writes leave the length that they gave the file */
    size_t *file_safe; /* by file: steps before this one are safe */
    struct { /* by directory: steps before `safe` are safe, those before `kept` are kept */
        char path[DISK_PATH_BYTES];
        size_t safe, kept;
    } directories[DISK_NAMES_MAX];
    size_t directory_count;
};

static size_t find_directory(struct cut *cut, const char *path)
{
    size_t i = 0;

    while (i < cut->directory_count && strcmp(cut->directories[i].path, path) != 0)
        i++;
    if (i == cut->directory_count) {
        TY_ASSERT(i < DISK_NAMES_MAX);
        snprintf(cut->directories[i].path, DISK_PATH_BYTES, "%s", path);
        cut->directories[i].safe = 0;
        cut->directory_count++;
    }
    return i;
}

/* What was safe when the power went. */
static void find_safe(struct cut *cut)
{
    for (size_t i = 0; i < cut->at; i++) {
        const struct disk_step *step = &cut->disk->steps[i];
        char parent[DISK_PATH_BYTES];

        if (is_about_names(step)) {
            parent_of(step->path, parent);
            find_directory(cut, parent);
        } else if (step->kind == DISK_SYNC && !cut->lies->syncs) {
            cut->file_safe[step->file] = i;
        } else if (step->kind == DISK_SYNC_DIRECTORY && !cut->lies->directory_syncs) {
            cut->directories[find_directory(cut, step->path)].safe = i;
        }
    }
}

static size_t choose_kept(struct cut *cut, size_t safe)
{
    switch (ty_random_below(cut->random, 3)) {
    case 0:
        return safe;
    case 1:
        return cut->at + 1;
    default:
        return safe + ty_random_below(cut->random, cut->at + 2 - safe);
    }
}

static bool is_safe(struct cut *cut, size_t i)
{
    const struct disk_step *step = &cut->disk->steps[i];
    char parent[DISK_PATH_BYTES];

    if (is_about_names(step)) {
        parent_of(step->path, parent);
        return i < cut->directories[find_directory(cut, parent)].kept;
    }
    return i < cut->file_safe[step->file] ||
           (step->is_synced && i < cut->at && !cut->lies->write_syncs);
}

static bool is_kept(struct cut *cut, size_t i)
{
    if (cut->policy == KEEP_FIRST)
        return i < cut->first;
    return cut->policy == KEEP_ALL ||
           (cut->policy == KEEP_SOME && ty_random_one_in(cut->random, 2));
}

/* Some sectors of a write. */
static void apply_sectors(struct cut *cut, struct image *image, const struct disk_step *step)
{
    uint64_t sector = cut->lies->sector_bytes == 0 ? DISK_SECTOR_BYTES : cut->lies->sector_bytes;
    uint64_t end = step->offset + step->length;

    for (uint64_t at = step->offset, next; at < end; at = next) {
        next = TY_MIN((at / sector + 1) * sector, end);
        if (ty_random_one_in(cut->random, 2))
            write_bytes(&image->files[step->file], at, step->data + (at - step->offset), next - at);
    }
}

static void apply_unsafe(struct cut *cut, struct image *image, size_t i)
{
    const struct disk_step *step = &cut->disk->steps[i];

    if (!is_about_names(step) && cut->policy == KEEP_SECTORS && step->kind == DISK_WRITE)
        apply_sectors(cut, image, step);
    else if (!is_about_names(step) && is_kept(cut, i))
        apply(image, step);
    /* The last of the first is the one that the power cut interrupts. */
    else if (cut->policy == KEEP_FIRST && i == cut->first && step->kind == DISK_WRITE)
        apply_sectors(cut, image, step);
    if (cut->extends && step->kind == DISK_WRITE) {
        struct content *content = &image->files[step->file];

        set_length(content, TY_MAX(content->length, step->offset + step->length));
    }
}

/* LMDB shares this file's memory between processes and writes it anew when nobody is there. */
static void spoil_lock_files(struct cut *cut, struct image *image)
{
    for (size_t i = 0; i < image->names.count; i++)
        if (is_lock_file(image->names.entries[i].path) && ty_random_one_in(cut->random, 2)) {
            struct content *content = &image->files[image->names.entries[i].file];

            ty_random_fill(cut->random, content->bytes, content->length);
        }
}

const char *disk_write_cut(const struct disk *disk, size_t at, const struct disk_lies *lies,
                           struct ty_random *random, const char *root)
{
    struct cut cut = {.disk = disk, .lies = lies, .random = random, .at = at};
    size_t end = TY_MIN(at + 1, disk->count);
    struct image image;

    init_image(&image, disk);
    cut.file_safe = calloc(disk->files + 1, sizeof(*cut.file_safe));
    TY_ASSERT(cut.file_safe != NULL && at <= disk->count);
    cut.policy = (enum policy)ty_random_below(random, POLICIES);
    cut.extends = ty_random_one_in(random, 2);
    /* Unsafe steps are few and late. */
    cut.first = end - TY_MIN(ty_random_below(random, 30), end);
    find_safe(&cut);
    for (size_t i = 0; i < cut.directory_count; i++)
        cut.directories[i].kept = choose_kept(&cut, cut.directories[i].safe);
    for (size_t i = 0; i < end; i++) {
        enum disk_kind kind = disk->steps[i].kind;

        if (kind == DISK_MARK || kind == DISK_SYNC || kind == DISK_SYNC_DIRECTORY)
            continue;
        if (is_safe(&cut, i))
            apply(&image, &disk->steps[i]);
        else
            apply_unsafe(&cut, &image, i);
    }
    spoil_lock_files(&cut, &image);
    write_image(&image, root);
    fini_image(&image);
    free(cut.file_safe);
    return policy_names[cut.policy];
}

/* --- Completeness --- */

static bool is_same_file(const struct content *content, const char *path)
{
    struct content found = {0};
    struct stat info;
    int fd = open(path, O_RDONLY);
    bool same = fd >= 0 && fstat(fd, &info) == 0 && (size_t)info.st_size == content->length;

    if (same) {
        set_length(&found, content->length);
        same = read(fd, found.bytes, found.length) == (ssize_t)found.length &&
               memcmp(found.bytes, content->bytes, found.length) == 0;
        free(found.bytes);
    }
    if (fd >= 0)
        close(fd);
    if (!same)
        fprintf(stderr, "%s is not what was recorded\n", path);
    return same;
}

static bool has_only_names(const struct disk *disk, const char *root, const char *path)
{
    char absolute[1200], name[400];
    struct dirent *entry;
    uint32_t file;
    bool fine = true;
    DIR *directory;

    snprintf(absolute, sizeof(absolute), "%s/%s", root, path);
    directory = opendir(absolute);
    TY_ASSERT(directory != NULL);
    while ((entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(name, sizeof(name), "%s%s%s", path, path[0] == '\0' ? "" : "/", entry->d_name);
        if (!disk_find(disk, name, &file)) {
            fprintf(stderr, "%s was not recorded\n", name);
            fine = false;
        }
    }
    closedir(directory);
    return fine;
}

bool disk_is_complete(const struct disk *disk, const char *root)
{
    bool complete = has_only_names(disk, root, "");
    struct image image;
    char path[1200];

    init_image(&image, disk);
    for (size_t i = 0; i < disk->count; i++)
        apply(&image, &disk->steps[i]);
    for (size_t i = 0; i < disk->names.count; i++) {
        const struct disk_name *name = &disk->names.entries[i];

        snprintf(path, sizeof(path), "%s/%s", root, name->path);
        if (name->file == DISK_IS_DIRECTORY)
            complete &= has_only_names(disk, root, name->path);
        else if (!is_lock_file(name->path))
            complete &= is_same_file(&image.files[name->file], path);
    }
    fini_image(&image);
    return complete;
}
