/*-------------------------------------------------------------------------
 *
 * node_address.h
 *	  A node gets another address: what is under way on its old one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_NODE_ADDRESS_H
#define RH_NODE_ADDRESS_H

#include "postgres.h"
#include "shmem/map.h"

/*
 * Let the transactions end that have written on the node, and keep new ones away
 * until this transaction has ended.  force: those that have not ended after
 * cooldown_ms are terminated, with their sessions.  Without it, those on a server
 * that cannot take a write any more are not waited for.
 */
extern void rh_node_await_writers(const RhNode *node, bool force, int cooldown_ms);

#endif							/* RH_NODE_ADDRESS_H */
