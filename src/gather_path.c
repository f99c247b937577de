/*-------------------------------------------------------------------------
 *
 * gather_path.c
 *	  The planner's view of a distributed relation: its size, its paths, and
 *	  the statement that a chosen path sends.
 *
 * The hooks act on every relation that is sharded, whoever plans: also on one
 * that comes into a query behind the planner hook's back, when the planner
 * inlines an SQL function.  All of PostgreSQL's own paths for it are dropped,
 * since its local rows are not the table's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/heap.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/plancat.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "src/gather.h"
#include "src/gather_scan.h"
#include "src/partition.h"
#include "src/partition_oid.h"
#include "src/pushdown.h"
#include "src/rehouse.h"
#include "src/template.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"

/*
 * Costs in the planner's units: a round trip, and a row through the wire.  A
 * row that is read locally costs 0.01; one that is sent is formed, sent,
 * received and taken apart again.
 */
#define ROUND_TRIP_COST 100.0
#define SENT_ROW_COST 0.1
#define SENT_BYTE_COST 0.001

/* The size that is assumed of a table that nobody has counted. */
#define UNKNOWN_ROWS_PER_BUCKET 1000.0

static set_rel_pathlist_hook_type prev_set_rel_pathlist_hook = NULL;
static get_relation_info_hook_type prev_get_relation_info_hook = NULL;

static Plan *plan_scan(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
					   List *clauses, List *custom_plans);

static const CustomPathMethods gather_path_methods = {
	.CustomName = "Rehouse Gather",
	.PlanCustomPath = plan_scan,
};

bool
rh_gather_is_sharded(Oid relid)
{
	RhTable		table;

	return rh_map_available() && rh_map_table(relid, &table) &&
		table.kind == RH_KIND_HASH && table.state == RH_STATE_DISTRIBUTED;
}

/* ------------------------------------------------------------------------
 * Row locks, kept in a field that a plain relation's entry does not use and
 * that every copy of the entry keeps
 * ------------------------------------------------------------------------
 */

void
rh_gather_mark_locked(RangeTblEntry *rte, RowMarkClause *mark)
{
	rte->enrname = psprintf("%d %d", (int) mark->strength, (int) mark->waitPolicy);
}

RowMarkClause *
rh_gather_lock_of(RangeTblEntry *rte)
{
	RowMarkClause *mark;
	int			strength;
	int			policy;

	if (rte->rtekind != RTE_RELATION || rte->enrname == NULL ||
		sscanf(rte->enrname, "%d %d", &strength, &policy) != 2)
		return NULL;
	mark = makeNode(RowMarkClause);
	mark->rti = 1;
	mark->strength = strength;
	mark->waitPolicy = policy;
	return mark;
}

/* ------------------------------------------------------------------------
 * Sizes and paths
 * ------------------------------------------------------------------------
 */

static void
rh_get_relation_info_hook(PlannerInfo *root, Oid relid, bool inhparent, RelOptInfo *rel)
{
	RhTable		table;

	if (prev_get_relation_info_hook)
		prev_get_relation_info_hook(root, relid, inhparent, rel);
	if (!rh_gather_is_sharded(relid) || !rh_map_table(relid, &table))
		return;
	rel->tuples = table.estimated_rows > 0 ? table.estimated_rows :
		Max(rel->tuples, UNKNOWN_ROWS_PER_BUCKET * table.bucket_count);
	rel->pages = (BlockNumber) Max(1.0, rel->tuples * 100.0 / BLCKSZ);
	rel->allvisfrac = 0;
	rel->rel_parallel_workers = 0;
}

/* Is a clause the key's tie (at planning, for costs)? */
static bool
ties_key(List *clauses, Index varno, AttrNumber key_attnum)
{
	ListCell   *cell;

	foreach(cell, clauses)
	{
		RhScanTie	tie;

		if (rh_sendable_key_tie((Node *) lfirst_node(RestrictInfo, cell)->clause, varno,
							key_attnum, &tie))
			return true;
	}
	return false;
}

/*
 * A path, unparameterised or parameterised by outer relations.  What the nodes
 * do comes before the first row, so that a join asks its smaller side first
 * and no stream is opened long before it is read.
 */
static void
add_scan_path(PlannerInfo *root, RelOptInfo *rel, const RhTable *table, ParamPathInfo *param_info)
{
	CustomPath *path = makeNode(CustomPath);
	double		rows = param_info ? param_info->ppi_rows : rel->rows;
	bool		tied = ties_key(rel->baserestrictinfo, rel->relid, table->key_attnum) ||
		(param_info && ties_key(param_info->ppi_clauses, rel->relid, table->key_attnum));
	double		read_rows = tied ? rows : rel->tuples;
	double		send = rows * (SENT_ROW_COST + SENT_BYTE_COST * rel->reltarget->width);

	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = rel->reltarget;
	path->path.param_info = param_info;
	path->path.rows = rows;
	path->path.startup_cost = ROUND_TRIP_COST + read_rows * cpu_tuple_cost + send * 0.9 +
		rel->baserestrictcost.startup;
	path->path.total_cost = path->path.startup_cost + send * 0.1;
	path->methods = &gather_path_methods;
	add_path(rel, &path->path);
}

/* The callback of generate_implied_equalities_for_column: the key's member. */
typedef struct KeyMember
{
	Index		varno;
	AttrNumber	key_attnum;
} KeyMember;

static bool
is_key_member(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *ec,
			  EquivalenceMember *member, void *arg)
{
	KeyMember  *key = arg;
	Node	   *expr = (Node *) member->em_expr;

	while (IsA(expr, RelabelType))
		expr = (Node *) ((RelabelType *) expr)->arg;
	return IsA(expr, Var) && ((Var *) expr)->varno == key->varno &&
		((Var *) expr)->varattno == key->key_attnum;
}

static bool
has_relids(List *sets, Relids set)
{
	ListCell   *cell;

	foreach(cell, sets)
		if (bms_equal(lfirst(cell), set))
			return true;
	return false;
}

/* Paths that take the key from an outer row: one round trip, one bucket each. */
static void
add_parameterized_paths(PlannerInfo *root, RelOptInfo *rel, const RhTable *table)
{
	KeyMember	key = {rel->relid, table->key_attnum};
	List	   *clauses = NIL;
	List	   *done = NIL;
	ListCell   *cell;

	if (rel->has_eclass_joins)
		clauses = generate_implied_equalities_for_column(root, rel, is_key_member, &key,
														 rel->lateral_referencers);
	foreach(cell, rel->joininfo)
	{
		RestrictInfo *rinfo = lfirst(cell);

		if (join_clause_is_movable_to(rinfo, rel))
			clauses = lappend(clauses, rinfo);
	}
	foreach(cell, clauses)
	{
		RestrictInfo *rinfo = lfirst(cell);
		RhScanTie	tie;
		Relids		outer;

		if (!rh_sendable_key_tie((Node *) rinfo->clause, rel->relid, table->key_attnum, &tie) ||
			tie.is_array)
			continue;
		outer = bms_union(rinfo->clause_relids, rel->lateral_relids);
		outer = bms_del_member(outer, rel->relid);
		if (bms_is_empty(outer) || bms_overlap(outer, rel->lateral_referencers))
			continue;
		if (has_relids(done, outer))
			continue;
		done = lappend(done, outer);
		add_scan_path(root, rel, table, get_baserel_parampathinfo(root, rel, outer));
	}
}

/*
 * A relation's paths are parameterised by what it refers to laterally, and those
 * of an arm of a UNION ALL by what any arm does.
 */
static ParamPathInfo *
lateral_param_info(PlannerInfo *root, RelOptInfo *rel)
{
	return rel->lateral_relids == NULL ? NULL :
		get_baserel_parampathinfo(root, rel, rel->lateral_relids);
}

/* The path of a part that runs on the nodes. */
static void
add_part_path(PlannerInfo *root, RelOptInfo *rel, RhPart *part)
{
	Selectivity selectivity = clauselist_selectivity(root, rel->baserestrictinfo, 0, JOIN_INNER,
													 NULL);

	rel->pathlist = NIL;
	rel->partial_pathlist = NIL;
	rel->consider_parallel = false;
	rel->tuples = part->rows;
	rel->rows = clamp_row_est(part->rows * selectivity);
	add_scan_path(root, rel, &part->table, lateral_param_info(root, rel));
}

/*
 * TABLESAMPLE: each shard is sampled by its node.  A second scan would get another
 * sample, so that what may be scanned again is kept, as by PostgreSQL's planner
 * for methods of which that is true.
 */
static void
add_sample_path(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte)
{
	Oid			method = rte->tablesample->tsmhandler;

	if (method != F_BERNOULLI && method != F_SYSTEM)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot sample distributed table \"%s\" by method \"%s\"",
						get_rel_name(rte->relid), get_func_name(method)),
				 errdetail("Each shard is sampled by itself, by what every node has."),
				 errhint("Use BERNOULLI or SYSTEM.")));
	if (root->query_level > 1 || bms_membership(root->all_baserels) != BMS_SINGLETON)
		rel->pathlist = list_make1(create_material_path(rel, linitial(rel->pathlist)));
}

static void
rh_set_rel_pathlist_hook(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	RhTable		table;
	RhPart	   *part;

	if (prev_set_rel_pathlist_hook)
		prev_set_rel_pathlist_hook(root, rel, rti, rte);
	part = rh_pushdown_part_of(rte);
	if (part != NULL && !IS_DUMMY_REL(rel))
	{
		add_part_path(root, rel, part);
		return;
	}
	if (rte->rtekind != RTE_RELATION || !rh_gather_is_sharded(rte->relid) ||
		!rh_map_table(rte->relid, &table) || IS_DUMMY_REL(rel))
		return;

	rel->pathlist = NIL;
	rel->partial_pathlist = NIL;
	rel->consider_parallel = false;
	add_scan_path(root, rel, &table, lateral_param_info(root, rel));
	if (rte->tablesample != NULL)
		add_sample_path(root, rel, rte);
	else
		add_parameterized_paths(root, rel, &table);
}

/* ------------------------------------------------------------------------
 * The statement
 * ------------------------------------------------------------------------
 */

/* What is scanned: a relation, or a part that runs on the nodes. */
typedef struct Source
{
	RangeTblEntry *rte;
	RhPart	   *part;			/* or NULL */
} Source;

/* A column as the scan tuple has it. */
static Var *
make_column(Source *source, Index varno, AttrNumber attnum)
{
	Oid			type;
	int32		typmod;
	Oid			collation;

	if (source->part != NULL)
	{
		TargetEntry *tle = list_nth(source->part->query->targetList, attnum - 1);
		Node	   *expr = (Node *) tle->expr;

		return makeVar(varno, attnum, exprType(expr), exprTypmod(expr), exprCollation(expr), 0);
	}
	if (attnum < 0)
	{
		const FormData_pg_attribute *att = SystemAttributeDefinition(attnum);

		return makeVar(varno, attnum, att->atttypid, att->atttypmod, att->attcollation, 0);
	}
	get_atttypetypmodcoll(source->rte->relid, attnum, &type, &typmod, &collation);
	return makeVar(varno, attnum, type, typmod, collation, 0);
}

/* The same as it is sent; the shell's OID stands for that of all its shards. */
static Expr *
make_sent_column(Source *source, AttrNumber attnum)
{
	if (attnum == TableOidAttributeNumber && rh_is_partitioned(source->rte->relid))
		return rh_partition_oid_expr(source->rte->relid, 1);
	if (attnum == TableOidAttributeNumber)
		return (Expr *) makeConst(OIDOID, -1, InvalidOid, sizeof(Oid),
								  ObjectIdGetDatum(source->rte->relid), false, true);
	return (Expr *) make_column(source, 1, attnum);
}

/* All columns, for a scan that yields the relation's row type. */
static List *
choose_whole_row(Source *source, List **attrs)
{
	Relation	rel = RelationIdGetRelation(source->rte->relid);
	List	   *sent = NIL;

	for (AttrNumber att = 1; att <= RelationGetNumberOfAttributes(rel); att++)
	{
		if (TupleDescAttr(RelationGetDescr(rel), att - 1)->attisdropped)
			continue;
		*attrs = lappend_int(*attrs, att);
		sent = lappend(sent, makeTargetEntry(make_sent_column(source, att), list_length(sent) + 1,
											 psprintf("c%d", att), false));
	}
	RelationClose(rel);
	return sent;
}

/*
 * Fill in the columns that are needed: of the scan tuple (*scan_tlist, NIL when
 * it is the whole relation's row type) and of the statement.
 */
static List *
choose_columns(Bitmapset *needed, Index varno, Source *source, List **scan_tlist, List **attrs)
{
	List	   *sent = NIL;
	int			member = -1;

	*scan_tlist = NIL;
	*attrs = NIL;
	if (bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, needed))
	{
		if (source->part != NULL)
			elog(ERROR, "a part of a query has no row type");
		return choose_whole_row(source, attrs);
	}
	while ((member = bms_next_member(needed, member)) >= 0)
	{
		AttrNumber	att = member + FirstLowInvalidHeapAttributeNumber;
		int			resno = list_length(sent) + 1;

		*scan_tlist = lappend(*scan_tlist,
							  makeTargetEntry((Expr *) make_column(source, varno, att), resno,
											  NULL, false));
		sent = lappend(sent, makeTargetEntry(make_sent_column(source, att), resno,
											 psprintf("c%d", resno), false));
		*attrs = lappend_int(*attrs, resno);
	}
	return sent;
}

/* What is scanned, as the only entry of the statement. */
static RangeTblEntry *
make_remote_entry(Source *source)
{
	RangeTblEntry *entry = makeNode(RangeTblEntry);

	entry->inFromCl = true;
	if (source->part != NULL)
	{
		entry->rtekind = RTE_SUBQUERY;
		entry->subquery = copyObject(source->part->query);
		entry->alias = makeAlias("part", copyObject(source->rte->eref->colnames));
		entry->eref = copyObject(entry->alias);
		return entry;
	}
	entry->rtekind = RTE_RELATION;
	entry->relid = source->rte->relid;
	entry->relkind = source->rte->relkind;
	entry->rellockmode = AccessShareLock;
	entry->eref = makeAlias(get_rel_name(source->rte->relid),
							copyObject(source->rte->eref->colnames));
	entry->inh = true;
	entry->requiredPerms = ACL_SELECT;
	return entry;
}

/* The TABLESAMPLE of a relation, with its arguments as they are sent. */
static TableSampleClause *
make_sent_sample(RangeTblEntry *rte, RhSendable *sendable)
{
	TableSampleClause *sample = copyObject(rte->tablesample);
	bool		can_be_sent = true;
	ListCell   *cell;

	foreach(cell, sample->args)
	{
		lfirst(cell) = rh_sendable_form(sendable, lfirst(cell));
		can_be_sent &= lfirst(cell) != NULL;
	}
	if (sample->repeatable != NULL)
	{
		sample->repeatable = (Expr *) rh_sendable_form(sendable, (Node *) sample->repeatable);
		can_be_sent &= sample->repeatable != NULL;
	}
	if (!can_be_sent)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot sample distributed table \"%s\" with a volatile argument",
						get_rel_name(rte->relid))));
	return sample;
}

/* SELECT columns FROM source WHERE clauses, as an analysed query. */
static Query *
make_remote_query(Source *source, TableSampleClause *sample, List *columns, List *clauses)
{
	Query	   *query = makeNode(Query);
	RangeTblRef *ref = makeNode(RangeTblRef);
	RowMarkClause *mark = rh_gather_lock_of(source->rte);

	ref->rtindex = 1;
	query->commandType = CMD_SELECT;
	query->querySource = QSRC_ORIGINAL;
	query->canSetTag = true;
	query->rtable = list_make1(make_remote_entry(source));
	linitial_node(RangeTblEntry, query->rtable)->tablesample = sample;
	query->jointree = makeFromExpr(list_make1(ref),
								   clauses == NIL ? NULL : (Node *) make_ands_explicit(clauses));
	query->targetList = columns;
	if (mark != NULL)
	{
		query->rowMarks = list_make1(mark);
		query->hasForUpdate = true;
	}
	return query;
}

/*
 * Divide the clauses: those that are sent, in *sent as they are sent, and
 * those that are checked here.  A leaky one may not run before the quals of a security
 * barrier, wherever it runs.
 */
static List *
divide_clauses(RelOptInfo *rel, RhSendable *sendable, List *clauses, List **sent)
{
	List	   *kept = NIL;
	ListCell   *cell;

	foreach(cell, clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, cell);
		Node	   *form = NULL;

		if (rinfo->pseudoconstant)
			continue;
		if (rinfo->leakproof || rinfo->security_level <= rel->baserestrict_min_security)
			form = rh_sendable_form(sendable, (Node *) rinfo->clause);
		if (form != NULL)
			*sent = lappend(*sent, form);
		else
			kept = lappend(kept, rinfo);
	}
	return kept;
}

/* Do the clauses restrict the key?  Add that, so that fewer buckets are asked. */
static void
add_clause_ties(RhScanSpec *spec, List **exprs, List *clauses, Index varno, AttrNumber attnum)
{
	ListCell   *cell;

	foreach(cell, clauses)
	{
		RhScanTie	tie;

		if (rh_sendable_key_tie((Node *) lfirst_node(RestrictInfo, cell)->clause, varno,
								attnum, &tie))
			rh_scan_add_tie(spec, exprs, &tie);
	}
}

/* The ties of a scan: by its clauses, and by what a part has inside. */
static void
add_ties(PlannerInfo *root, RhScanSpec *spec, List **exprs, List *clauses, Index varno,
		 Source *source, const RhTable *table)
{
	ListCell   *cell;

	if (source->part == NULL)
	{
		add_clause_ties(spec, exprs, clauses, varno, table->key_attnum);
		return;
	}
	foreach(cell, source->part->ties)
	{
		RhScanTie	tie = *(RhScanTie *) lfirst(cell);

		tie.value = eval_const_expressions(root, copyObject(tie.value));
		rh_scan_add_tie(spec, exprs, &tie);
	}
	foreach(cell, source->part->key_columns)
		add_clause_ties(spec, exprs, clauses, varno, lfirst_int(cell));
}

static List *
relids_of(List *entries)
{
	List	   *relids = NIL;
	ListCell   *cell;

	foreach(cell, entries)
		relids = list_append_unique_oid(relids, ((RangeTblEntry *) lfirst(cell))->relid);
	return relids;
}

static Plan *
plan_scan(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
		  List *clauses, List *custom_plans)
{
	Source		source = {planner_rt_fetch(rel->relid, root), NULL};
	CustomScan *scan = makeNode(CustomScan);
	RhSendable	sendable = {.varno = rel->relid};
	RhScanSpec	spec = {.way = "gather"};
	TableSampleClause *sample = NULL;
	RhTable		table;
	Bitmapset  *needed = NULL;
	List	   *sent = NIL;
	List	   *columns;

	source.part = rh_pushdown_part_of(source.rte);
	if (source.part != NULL)
	{
		table = source.part->table;
		spec.way = "push-down";
		spec.relids = relids_of(source.part->original);
		spec.check_as_user = source.part->check_as_user;
		sendable.params = (List *) eval_const_expressions(root,
														  copyObject((Node *) source.part->values));
	}
	else
	{
		if (!rh_map_table(source.rte->relid, &table))
			elog(ERROR, "relation %u is not distributed any more", source.rte->relid);
		sendable.relid = source.rte->relid;
		spec.relids = list_make1_oid(source.rte->relid);
		spec.check_as_user = source.rte->checkAsUser;
		scan->scan.scanrelid = rel->relid;
	}
	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual =
		extract_actual_clauses(divide_clauses(rel, &sendable, clauses, &sent), false);
	scan->flags = path->flags;
	scan->methods = &rh_gather_scan_methods;

	if (source.part == NULL && source.rte->tablesample != NULL)
		sample = make_sent_sample(source.rte, &sendable);

	pull_varattnos((Node *) tlist, rel->relid, &needed);
	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &needed);
	pull_varattnos((Node *) scan->scan.plan.qual, rel->relid, &needed);
	columns = choose_columns(needed, rel->relid, &source, &scan->custom_scan_tlist, &spec.attrs);

	spec.template = rh_template_make(make_remote_query(&source, sample, columns, sent));
	spec.locks_rows = rh_gather_lock_of(source.rte) != NULL;
	rh_scan_set_key(&spec, &table);
	spec.nparams = list_length(sendable.params);
	scan->custom_exprs = sendable.params;
	add_ties(root, &spec, &scan->custom_exprs, clauses, rel->relid, &source, &table);
	scan->custom_private = rh_scan_to_private(&spec);
	return &scan->scan.plan;
}

void
rh_gather_path_init(void)
{
	prev_set_rel_pathlist_hook = set_rel_pathlist_hook;
	set_rel_pathlist_hook = rh_set_rel_pathlist_hook;
	prev_get_relation_info_hook = get_relation_info_hook;
	get_relation_info_hook = rh_get_relation_info_hook;
}
