/*-------------------------------------------------------------------------
 *
 * rules.h
 *	  Statements as the rules of a table (CREATE RULE) make them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_RULES_H
#define RH_RULES_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/*
 * Give statements that assign to generated columns only something to assign, and
 * bring one that a rule has made into the form that it would have if it had
 * been written: it can be printed, and INSERTs are from VALUES or a sub-select,
 * without a condition of their own.  The query is changed.
 */
extern void rh_rules_normalize(Query *query);

/* CREATE RULE on a distributed table: raises 0A000 for one that makes a view of it. */
extern void rh_rules_check(RuleStmt *statement);

#endif							/* RH_RULES_H */
