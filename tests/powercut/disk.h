/*
 * disk.h: a recorded stream of what a program did to the files of a directory, and the directories
 * that a power cut at any moment of it could leave behind.
 *
 * The model is as strict as POSIX lets a disk be. What a file was given is safe once fsync() or
 * fdatasync() of that file has returned (of a descriptor opened with O_DSYNC: once the write itself
 * has returned), and its name once fsync() of its directory has. Of everything else any part may be
 * lost: of later writes any subset, and of each of them any subset of its sectors; a file may have
 * its new length without the bytes. Names in one directory are lost from the newest on, as a file
 * system's journal does it. A sector is written wholly or not at all.
 *
 * Threads: recorded calls may come from any; everything else one owner.
 */
#ifndef TY_TESTS_POWERCUT_DISK_H
#define TY_TESTS_POWERCUT_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/support/random.h"

#define DISK_PATH_BYTES   48
#define DISK_NAMES_MAX    64
#define DISK_IS_DIRECTORY UINT32_MAX /* in the place of a file's number */
#define DISK_SECTOR_BYTES 512

enum disk_kind {
    DISK_MAKE_DIRECTORY,
    DISK_CREATE,
    DISK_RENAME,
    DISK_REMOVE,
    DISK_WRITE,
    DISK_TRUNCATE,
    DISK_SYNC,
    DISK_SYNC_DIRECTORY,
    DISK_MARK /* the test's own: something was promised to somebody */
};

struct disk_step {
    enum disk_kind kind;
    uint32_t file;   /* a number for each file that was ever created; of a mark its value */
    uint32_t mark;   /* of a mark what it says */
    bool is_synced;  /* a write that is safe when it has returned */
    uint64_t offset; /* of a write; of a truncation the new length */
    uint64_t length;
    uint8_t *data;
    char path[DISK_PATH_BYTES]; /* below the directory; "" is the directory itself */
    char to[DISK_PATH_BYTES];   /* of a rename, within one directory */
};

struct disk_name {
    char path[DISK_PATH_BYTES];
    uint32_t file;
};

struct disk_names {
    struct disk_name entries[DISK_NAMES_MAX];
    size_t count;
};

struct disk {
    struct disk_step *steps;
    size_t count, capacity;
    size_t borrowed; /* as many of the first steps have their data from another disk */
    uint32_t files;
    struct disk_names names; /* what there is now */
};

/* Promises that the disk breaks, so that a test can show that it notices. */
struct disk_lies {
    bool syncs;            /* fsync() and fdatasync() of files do nothing */
    bool write_syncs;      /* O_DSYNC does nothing */
    bool directory_syncs;  /* fsync() of directories does nothing */
    unsigned sector_bytes; /* what is written wholly or not at all; 0: DISK_SECTOR_BYTES */
};

void disk_fini(struct disk *disk);

/*
 * disk_fork makes a disk that begins with the first `count` steps of another, which must outlive
 * it. The step after them may have taken effect but not returned (`with_next`): what is left of it
 * when a process is killed, and the machine is not.
 */
void disk_fork(const struct disk *from, size_t count, bool with_next, struct disk *to);

void disk_add(struct disk *disk, const struct disk_step *step);
void disk_mark(struct disk *disk, uint32_t mark, uint32_t value);

/* The number of the file or DISK_IS_DIRECTORY; false when there is no such name. */
bool disk_find(const struct disk *disk, const char *path, uint32_t *file);

/* Writes everything that was recorded below `root`: what the programs of a machine see. */
void disk_write_out(const struct disk *disk, const char *root);

/*
 * disk_write_cut writes below `root` what a power cut may leave when the first `at` steps have
 * returned and the next one is under way. Returns what was done with the writes that were not
 * safe, in a word.
 */
const char *disk_write_cut(const struct disk *disk, size_t at, const struct disk_lies *lies,
                           struct ty_random *random, const char *root);

/* Whether the files below `root` are what was recorded: nothing escaped. Prints what is not. */
bool disk_is_complete(const struct disk *disk, const char *root);

/* --- record.c: while recording, the process' own calls on files below `root` are recorded. No call
 * of this program ever waits for the disk: syncs are recorded and not done. --- */

void disk_record(struct disk *disk, const char *root);
void disk_stop(void);
/* A mark in the stream that is being recorded. */
void disk_record_mark(uint32_t mark, uint32_t value);

#endif
