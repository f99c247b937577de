/*-------------------------------------------------------------------------
 *
 * policy.c
 *	  Row-level security in queries: the nodes enforce it.
 *
 * Whose policies apply is a matter of the relation entry (checkAsUser: a view's
 * owner), but current_user in a policy is the role that runs the statement.
 * On the node both are the role of the connection.  Where they differ here and
 * the policy can tell, the statement is refused.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "rewrite/rowsecurity.h"
#include "shmem/map.h"
#include "src/classify.h"
#include "src/policy.h"
#include "src/rehouse.h"
#include "src/sendable.h"
#include "src/session_values.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/syscache.h"

bool
rh_policies_enabled(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool		enabled;

	if (!HeapTupleIsValid(tuple))
		return false;
	enabled = ((Form_pg_class) GETSTRUCT(tuple))->relrowsecurity;
	ReleaseSysCache(tuple);
	return enabled;
}

/* Are policies forced on the table's owner, except in a check of referential integrity? */
static bool
is_forced(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool		forced;

	if (!HeapTupleIsValid(tuple))
		return false;
	forced = ((Form_pg_class) GETSTRUCT(tuple))->relforcerowsecurity;
	ReleaseSysCache(tuple);
	return forced;
}

bool
rh_policy_applies(Query *query)
{
	ListCell   *lc;

	foreach(lc, rh_classify_relations(query))
	{
		Oid			relid = ((RangeTblEntry *) lfirst(lc))->relid;
		RhTable		table;

		if (relid >= FirstNormalObjectId && rh_map_table(relid, &table) &&
			table.kind == RH_KIND_HASH && rh_policies_enabled(relid))
			return true;
	}
	return false;
}

void
rh_policy_plan_check(Query *query)
{
	ListCell   *lc;

	if (!InNoForceRLSOperation())
		return;
	foreach(lc, rh_classify_relations(query))
		if (is_forced(((RangeTblEntry *) lfirst(lc))->relid))
			rh_session_values_tell_unforced();
}

/* ------------------------------------------------------------------------
 * Does the node see a policy as it is seen here?
 * ------------------------------------------------------------------------
 */

/* What of the session's roles an expression can tell. */
typedef struct RoleUse
{
	bool		current;		/* the role that runs the statement */
	bool		session;		/* the one that has logged in */
} RoleUse;

static bool
function_uses_role(Oid function, void *arg)
{
	RoleUse    *use = arg;

	if (function == F_CURRENT_USER || function >= FirstNormalObjectId)
		use->current = true;
	if (function == F_SESSION_USER)
		use->session = true;
	return false;
}

static bool
uses_role(Node *node, void *arg)
{
	RoleUse    *use = arg;

	if (node == NULL)
		return false;
	if (IsA(node, SQLValueFunction))
	{
		switch (((SQLValueFunction *) node)->op)
		{
			case SVFOP_CURRENT_ROLE:
			case SVFOP_CURRENT_USER:
			case SVFOP_USER:
				use->current = true;
				break;
			case SVFOP_SESSION_USER:
				use->session = true;
				break;
			default:
				break;
		}
	}
	if (IsA(node, Query))
	{
		use->current = true;	/* tables in it are read by that role's rights */
		return query_tree_walker((Query *) node, uses_role, arg, 0);
	}
	(void) check_functions_in_node(node, function_uses_role, arg);
	return expression_tree_walker(node, uses_role, arg);
}

static void
check_roles(const RangeTblEntry *rte, Node *policy)
{
	Oid			reader = OidIsValid(rte->checkAsUser) ? rte->checkAsUser : GetUserId();
	RoleUse		use = {false, false};

	(void) uses_role(policy, &use);
	if (use.current && reader != GetUserId())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot apply the policies of distributed table \"%s\" to a view of another role",
						get_rel_name(rte->relid)),
				 errdetail("The table is read as role \"%s\", and a policy depends on the role that runs the statement.",
						   GetUserNameFromId(reader, false)),
				 errhint("Make the view WITH (security_invoker = true).")));
	if (use.session && reader != GetSessionUserId())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot apply a policy of distributed table \"%s\" that uses session_user after SET ROLE",
						get_rel_name(rte->relid)),
				 errdetail("Sessions on nodes are logged in as the role in force."),
				 errhint("Use current_user in the policy.")));
}

/* ------------------------------------------------------------------------
 * Taking policies out
 * ------------------------------------------------------------------------
 */

/* Is the relation joined so that a condition on it may as well stand in WHERE? */
static bool
is_inner(Node *tree, Index rti)
{
	ListCell   *lc;

	if (tree == NULL)
		return false;
	if (IsA(tree, RangeTblRef))
		return ((RangeTblRef *) tree)->rtindex == rti;
	if (IsA(tree, JoinExpr))
		return ((JoinExpr *) tree)->jointype == JOIN_INNER &&
			(is_inner(((JoinExpr *) tree)->larg, rti) || is_inner(((JoinExpr *) tree)->rarg, rti));
	foreach(lc, ((FromExpr *) tree)->fromlist)
		if (is_inner(lfirst(lc), rti))
			return true;
	return false;
}

/* Let a policy that names the tenant route the query. */
static void
add_ties(Query *query, Index rti, const RhTable *table, List *quals)
{
	ListCell   *lc;

	if (!is_inner((Node *) query->jointree, rti))
		return;
	foreach(lc, make_ands_implicit((Expr *) make_ands_explicit(list_copy(quals))))
	{
		RhScanTie	tie;

		if (rh_sendable_key_tie(lfirst(lc), rti, table->key_attnum, &tie) &&
			rh_sendable_is_constant(tie.value, 0))
			query->jointree->quals = make_and_qual(query->jointree->quals,
												   copyObject(lfirst(lc)));
	}
}

/* Policies of reference tables are enforced here, where their rows are too. */
static bool
is_distributed(const RangeTblEntry *rte, RhTable *table)
{
	return rte->rtekind == RTE_RELATION && rte->relid >= FirstNormalObjectId &&
		rh_map_table(rte->relid, table) && table->kind == RH_KIND_HASH &&
		table->state == RH_STATE_DISTRIBUTED;
}

/* The checks of new rows by policies; a view's CHECK OPTION stays. */
static void
strip_checks(Query *query)
{
	List	   *kept = NIL;
	RangeTblEntry *target;
	RhTable		table;
	ListCell   *lc;

	if (query->withCheckOptions == NIL || query->resultRelation == 0)
		return;
	target = rt_fetch(query->resultRelation, query->rtable);
	if (!is_distributed(target, &table))
		return;
	foreach(lc, query->withCheckOptions)
	{
		WithCheckOption *check = lfirst_node(WithCheckOption, lc);

		if (check->kind == WCO_VIEW_CHECK)
			kept = lappend(kept, check);
		else
			check_roles(target, check->qual);
	}
	query->withCheckOptions = kept;
}

/*
 * Conditions of security barrier views through which rows are changed are among the
 * quals of the target, after those that are policies. How many are policies?
 */
static int
count_policies(Query *query, Index rti, RangeTblEntry *rte)
{
	List	   *quals;
	List	   *checks;
	bool		has_policies;
	bool		has_sublinks;

	if (!rh_policies_enabled(rte->relid))
		return 0;
	get_row_security_policies(query, rte, rti, &quals, &checks, &has_policies, &has_sublinks);
	return list_length(quals);
}

/* first AND then, where then may only be asked of rows for which the first is true. */
static Node *
make_behind(Node *first, Node *then)
{
	CaseExpr   *choice;
	CaseWhen   *when;

	if (!contain_leaked_vars(then))
		return make_and_qual(first, then);
	choice = makeNode(CaseExpr);
	when = makeNode(CaseWhen);
	when->expr = (Expr *) copyObject(first);
	when->result = (Expr *) then;
	when->location = -1;
	choice->casetype = BOOLOID;
	choice->args = list_make1(when);
	choice->defresult = (Expr *) makeBoolConst(false, false);
	choice->location = -1;
	return make_and_qual(first, (Node *) choice);
}

/* The printer knows no barriers: the conditions in front of the statement's own. */
static void
add_barriers(Query *query, List *barriers)
{
	Node	   *barrier = NULL;
	Node	   *all;
	ListCell   *lc;

	foreach(lc, barriers)
		barrier = barrier == NULL ? lfirst(lc) : make_behind(barrier, lfirst(lc));
	all = barrier;
	foreach(lc, make_ands_implicit((Expr *) query->jointree->quals))
		all = make_and_qual(all, contain_leaked_vars(lfirst(lc)) ?
							make_behind(barrier, lfirst(lc)) : lfirst(lc));
	query->jointree->quals = all;
}

/* What the nodes enforce leaves the query; what views ask for stays. */
static void
take_out(Query *query, Index rti, RangeTblEntry *rte, const RhTable *table)
{
	int			count = count_policies(query, rti, rte);
	List	   *barriers = list_copy_tail(rte->securityQuals, count);
	List	   *policies = list_truncate(list_copy(rte->securityQuals), count);

	rte->securityQuals = NIL;
	if (barriers != NIL)
		add_barriers(query, barriers);
	if (policies == NIL)
		return;
	check_roles(rte, (Node *) policies);
	add_ties(query, rti, table, policies);
}

static bool
strip_walker(Node *node, void *arg)
{
	Query	   *query = (Query *) node;
	Index		rti = 0;
	ListCell   *lc;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, strip_walker, arg);
	strip_checks(query);
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);
		RhTable		table;

		rti++;
		if (rte->securityQuals == NIL || !is_distributed(rte, &table))
			continue;
		take_out(query, rti, rte, &table);
	}
	return query_tree_walker(query, strip_walker, arg, 0);
}

/*
 * Who keeps a snapshot reads on where a bucket was.  An old copy has not the
 * policies that have been made since, which hold for him as well.
 */
static void
check_old_copies(Query *query)
{
	ListCell   *lc;

	if (!IsolationUsesXactSnapshot())
		return;
	foreach(lc, rh_classify_relations(query))
	{
		RangeTblEntry *rte = lfirst(lc);

		if (rte->relkind == RELKIND_VIEW || rte->relid < FirstNormalObjectId ||
			check_enable_rls(rte->relid, rte->checkAsUser, true) != RLS_ENABLED ||
			!rh_map_old_shards_differ(rte->relid))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access because table \"%s\" was changed by a concurrent transaction",
						get_rel_name(rte->relid)),
				 errdetail("Some of its shards have moved besides, and where they were they have not the policies of now."),
				 errhint("The transaction might succeed if retried.")));
	}
}

void
rh_policy_strip(Query *query)
{
	check_old_copies(query);
	(void) strip_walker((Node *) query, NULL);
}
