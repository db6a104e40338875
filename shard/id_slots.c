/*
 * id_slots.c: which run an id of the map is of: by slots, of which each run has one. When a run
 * goes, its slot is dead until a pass over the map has taken its ids away.
 */
#include <string.h>

#include "shard/id_index_internal.h"

void ty_id_index_map_slots(struct ty_id_index *index)
{
    memset(index->run_of_slot, TY_ID_RUNS_MAX, sizeof(index->run_of_slot));
    for (uint32_t i = 0; i < index->current.count; i++)
        index->run_of_slot[index->current.runs[i].slot] = (uint8_t)i;
}

bool ty_id_index_free_slot(const struct ty_id_index *index, uint8_t *slot)
{
    for (unsigned i = 0; i < TY_ID_MAP_SLOTS; i++)
        if (index->run_of_slot[i] == TY_ID_RUNS_MAX && !index->dead[i]) {
            *slot = (uint8_t)i;
            return true;
        }
    return false;
}

void ty_map_pass_begin(struct ty_id_index *index)
{
    index->pass.active = true;
    index->pass.part = 0;
    memcpy(index->pass.dead, index->dead, sizeof(index->dead));
}

void ty_map_pass_end(struct ty_id_index *index)
{
    index->pass.active = false;
    ty_id_map_trim(&index->map);
    for (unsigned i = 0; i < TY_ID_MAP_SLOTS; i++)
        index->dead[i] &= !index->pass.dead[i];
    index->dead_ids = index->map.count - TY_MIN(index->map.count, ty_sealed_ids(&index->next));
}

static bool has_dead(const struct ty_id_index *index)
{
    for (unsigned i = 0; i < TY_ID_MAP_SLOTS; i++)
        if (index->dead[i])
            return true;
    return false;
}

void ty_id_index_purge_map(struct ty_id_index *index, uint64_t ids)
{
    uint8_t slot;

    if (index->seal.active || (!index->pass.active && !has_dead(index)))
        return;
    if (!index->pass.active && index->dead_ids * 4 <= index->map.count &&
        ty_id_index_free_slot(index, &slot))
        return;
    if (!index->pass.active)
        ty_map_pass_begin(index);
    for (uint64_t spent = 0; spent < ids && index->pass.part < TY_ID_MAP_PARTS;) {
        spent += index->map.parts[index->pass.part].count / 8 + 1;
        if (!ty_id_map_rewrite(&index->map, index->pass.part, NULL, 0, index->pass.dead))
            return; /* The next commit may have more memory. */
        index->pass.part++;
    }
    if (index->pass.part == TY_ID_MAP_PARTS)
        ty_map_pass_end(index);
}
