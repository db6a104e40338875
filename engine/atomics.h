/*
 * atomics.h: the C11 atomic operations that the lock-free parts use, by a name of our own.
 *
 * One layer of names, so that tests can run the very same code on a simulated machine that is
 * allowed everything the C11 memory model allows (tests/concurrency/memory_model.h): x86 hides
 * wrong orders, and ThreadSanitizer does not look for them.
 */
#ifndef TY_ENGINE_ATOMICS_H
#define TY_ENGINE_ATOMICS_H

#ifdef TY_ATOMICS_MODEL
#include TY_ATOMICS_MODEL
#else
#include <stdatomic.h>
#define ty_atomic_load(object, order)         atomic_load_explicit(object, order)
#define ty_atomic_store(object, value, order) atomic_store_explicit(object, value, order)
#define ty_atomic_add(object, value, order)   atomic_fetch_add_explicit(object, value, order)
#define ty_atomic_sub(object, value, order)   atomic_fetch_sub_explicit(object, value, order)
#endif

/*
 * The orders of links: pointers by which readers find what the writer made (trie.h, series.h,
 * hot.h). Named, so that tests/concurrency/test_orders.c can weaken each and show what breaks.
 *
 *   TY_LINK_STORE    makes something reachable that is complete. Release: who finds it finds it
 * whole. TY_UNLINK_STORE  makes it unreachable by a link to its neighbour. Release, for two
 * reasons: a reader may meet the neighbour by this link first, and a reader that does not find what
 * was dropped must find, in storage, the commit that came before. TY_LINK_LOAD     pairs with both.
 */
#ifndef TY_LINK_STORE
#define TY_LINK_STORE memory_order_release
#endif
#ifndef TY_UNLINK_STORE
#define TY_UNLINK_STORE memory_order_release
#endif
#ifndef TY_LINK_LOAD
#define TY_LINK_LOAD memory_order_acquire
#endif

#endif
