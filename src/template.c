/*-------------------------------------------------------------------------
 *
 * template.c
 *	  Statements for workers: an analysed query printed once, with holes where
 *	  the bucket's schema goes.
 *
 * The server's own printer makes the text, under an empty search path, so that
 * every relation outside pg_catalog stands there with its schema.  The
 * server's own grammar then says where: a RangeVar with a schema that resolves
 * to one of our tables is cut there.  RangeVars that name a CTE, or an alias
 * after FOR UPDATE OF, have no schema and are left alone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/value.h"
#include "parser/parse_clause.h"
#include "parser/parser.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "shmem/map.h"
#include "src/names.h"
#include "src/reference.h"
#include "src/rehouse.h"
#include "src/template.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/ruleutils.h"

/* A name of ours in the printed text. */
typedef struct Cut
{
	int			location;		/* where its schema's name begins */
	char	   *schema;
	bool		is_reference;	/* a reference table's */
} Cut;

/* What collect_cuts gathers. */
typedef struct CutContext
{
	Cut		   *cuts;
	int			count;
	int			room;
} CutContext;

/* The statements that have got a number, by what makes them the same. */
typedef struct StatementEntry
{
	uint64		hash;			/* of all that follows (must be first) */
	uint64		statement_id;
	char	   *identity;		/* text, types and generations as one string */
	int			identity_len;
} StatementEntry;

#define MAX_STATEMENTS 4096

static HTAB *statements = NULL;
static MemoryContext statement_context = NULL;
static uint64 last_statement_id = 0;

int
rh_template_printing_modes(void)
{
	int			level;

	if (DateStyle == USE_ISO_DATES && IntervalStyle == INTSTYLE_POSTGRES &&
		extra_float_digits >= 1 && standard_conforming_strings && !quote_all_identifiers)
		return 0;

	level = NewGUCNestLevel();
	(void) set_config_option("datestyle", "ISO", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("intervalstyle", "postgres", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("extra_float_digits", "3", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("standard_conforming_strings", "on", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("quote_all_identifiers", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	return level;
}

void
rh_template_printing_done(int level)
{
	if (level > 0)
		AtEOXact_GUC(true, level);
}

/* Is a column's name also that of another output column? */
static bool
is_name_taken(Query *query, TargetEntry *entry)
{
	Var		   *var = (Var *) entry->expr;
	char	   *name = get_rte_attribute_name(rt_fetch(var->varno, query->rtable), var->varattno);
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *other = lfirst(lc);

		if (other != entry && !other->resjunk && other->resname != NULL &&
			strcmp(other->resname, name) == 0)
			return true;
	}
	return false;
}

/*
 * A name alone in ORDER BY and DISTINCT ON is an output column's before it is a
 * table's, and the printer knows nothing of that: SELECT x AS y, y AS x .. ORDER
 * BY t.x would sort by y.  Inside of an expression the table's is meant; the
 * node drops the cast to the type that the column has.
 */
static bool
protect_sort_columns(Node *node, void *arg)
{
	Query	   *query = (Query *) node;
	ListCell   *lc;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, protect_sort_columns, arg);
	foreach(lc, query->targetList)
	{
		TargetEntry *entry = lfirst(lc);
		Var		   *var = (Var *) entry->expr;

		if (query->commandType == CMD_SELECT && query->setOperations == NULL &&
			entry->ressortgroupref != 0 && IsA(var, Var) && var->varlevelsup == 0 &&
			var->varattno > 0 &&
			(targetIsInSortList(entry, InvalidOid, query->sortClause) ||
			 (query->hasDistinctOn &&
			  targetIsInSortList(entry, InvalidOid, query->distinctClause))) &&
			is_name_taken(query, entry))
			entry->expr = (Expr *) makeRelabelType((Expr *) var, var->vartype, var->vartypmod,
												   var->varcollid, COERCE_EXPLICIT_CAST);
	}
	return query_tree_walker(query, protect_sort_columns, arg, 0);
}

/* Print a query, which is scribbled upon, with every relation's schema. */
static char *
print_query(Query *query)
{
	int			level = rh_template_printing_modes();
	char	   *text;

	(void) protect_sort_columns((Node *) query, NULL);
	rh_qualify_names();
	text = pg_get_querydef(query, false);
	PopOverrideSearchPath();
	rh_template_printing_done(level);
	return text;
}

/* Remember a qualified name when it is that of a table of ours. */
static void
add_cut(CutContext *context, char *schema, char *relname, int location)
{
	Oid			nspid = get_namespace_oid(schema, true);
	Oid			relid = OidIsValid(nspid) ? get_relname_relid(relname, nspid) : InvalidOid;
	RhTable		table;

	if (!OidIsValid(relid) || !rh_map_table(relid, &table))
		return;
	if (context->count == context->room)
	{
		context->room = Max(8, context->room * 2);
		context->cuts = context->cuts == NULL ?
			palloc(context->room * sizeof(Cut)) :
			repalloc(context->cuts, context->room * sizeof(Cut));
	}
	context->cuts[context->count].location = location;
	context->cuts[context->count].schema = schema;
	context->cuts[context->count].is_reference = table.kind == RH_KIND_REFERENCE;
	context->count++;
}

/* Find the tables of ours, and casts to their row types. */
static bool
collect_cuts(Node *node, void *arg)
{
	CutContext *context = arg;

	if (node == NULL)
		return false;
	if (IsA(node, RangeVar))
	{
		RangeVar   *rv = (RangeVar *) node;

		if (rv->schemaname != NULL)
			add_cut(context, rv->schemaname, rv->relname, rv->location);
		return false;
	}
	if (IsA(node, TypeName) && list_length(((TypeName *) node)->names) == 2)
	{
		TypeName   *type = (TypeName *) node;

		add_cut(context, strVal(linitial(type->names)), strVal(lsecond(type->names)),
				type->location);
	}
	return raw_expression_tree_walker(node, collect_cuts, context);
}

static int
compare_cuts(const void *a, const void *b)
{
	int			left = ((const Cut *) a)->location;
	int			right = ((const Cut *) b)->location;

	return (left > right) - (left < right);
}

/*
 * Does an INSERT's target list take its source's columns as they are?  The
 * printer writes the source without looking.
 */
static bool
takes_source_as_is(Query *query, Index source)
{
	RangeTblEntry *rte = rt_fetch(source, query->rtable);
	int			column = 0;
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		Var		   *var = (Var *) ((TargetEntry *) lfirst(lc))->expr;

		column++;
		if (!IsA(var, Var) || var->varno != source || var->varattno != column)
			return false;
	}
	return column == list_length(rte->eref->colnames);
}

/* Put a sub-select around an INSERT's source that yields the target list. */
static void
wrap_source(Query *query, Index source)
{
	RangeTblEntry *rte = rt_fetch(source, query->rtable);
	RangeTblEntry *outer = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);
	Query	   *select = makeNode(Query);
	List	   *names = NIL;
	ListCell   *lc;

	IncrementVarSublevelsUp((Node *) rte, 1, 1);
	rte->inFromCl = true;		/* else the printer leaves it out */
	ref->rtindex = 1;
	select->commandType = CMD_SELECT;
	select->canSetTag = true;
	select->rtable = list_make1(rte);
	select->jointree = makeFromExpr(list_make1(ref), NULL);
	foreach(lc, query->targetList)
	{
		TargetEntry *entry = lfirst(lc);
		Node	   *expr = (Node *) entry->expr;
		AttrNumber	column = foreach_current_index(lc) + 1;

		ChangeVarNodes(expr, source, 1, 0);
		IncrementVarSublevelsUp(expr, 1, 1);
		select->targetList = lappend(select->targetList,
									 makeTargetEntry((Expr *) expr, column, entry->resname, false));
		names = lappend(names, makeString(entry->resname));
		entry->expr = (Expr *) makeVar(source, column, exprType(expr), exprTypmod(expr),
									   exprCollation(expr), 0);
	}
	outer->rtekind = RTE_SUBQUERY;
	outer->subquery = select;
	outer->eref = makeAlias("source", names);
	lfirst(list_nth_cell(query->rtable, source - 1)) = outer;
}

/*
 * Defaults that the rewriter has added to the target list of an INSERT .. SELECT
 * or of a multi-row VALUES get lost in print; so put them into the source.
 */
static void
repair_inserts(Query *query)
{
	ListCell   *lc;

	foreach(lc, query->cteList)
		repair_inserts(castNode(Query, lfirst_node(CommonTableExpr, lc)->ctequery));
	if (query->commandType != CMD_INSERT)
		return;
	foreach(lc, query->jointree->fromlist)
	{
		Index		source = lfirst_node(RangeTblRef, lc)->rtindex;

		if (!takes_source_as_is(query, source))
			wrap_source(query, source);
	}
}

/* A RangeVar that the grammar puts into its tree twice is still one place. */
static void
remove_doubles(CutContext *context)
{
	int			kept = 0;

	for (int i = 0; i < context->count; i++)
		if (kept == 0 || context->cuts[kept - 1].location != context->cuts[i].location)
			context->cuts[kept++] = context->cuts[i];
	context->count = kept;
}

/*
 * The target of a change through a view carries the mark of a FROM entry, by
 * which it would be printed twice.
 */
static void
hide_target(Query *query)
{
	if (query->resultRelation > 0)
		rt_fetch(query->resultRelation, query->rtable)->inFromCl = false;
}

List *
rh_template_make_destructive(Query *query)
{
	CutContext	context = {0};
	List	   *template = NIL;
	int			done = 0;
	char	   *text;
	List	   *raw;

	hide_target(query);
	repair_inserts(query);
	text = print_query(query);
	raw = raw_parser(text, RAW_PARSE_DEFAULT);
	if (list_length(raw) != 1)
		elog(ERROR, "printed statement does not parse as one: %s", text);
	collect_cuts(linitial_node(RawStmt, raw)->stmt, &context);
	if (context.count > 1)
	{
		qsort(context.cuts, context.count, sizeof(Cut), compare_cuts);
		remove_doubles(&context);
	}

	for (int i = 0; i < context.count; i++)
	{
		Cut		   *cut = &context.cuts[i];
		const char *printed = quote_identifier(cut->schema);
		int			length = strlen(printed);

		if (strncmp(text + cut->location, printed, length) != 0)
			elog(ERROR, "printed statement has no schema at offset %d: %s", cut->location, text);
		template = lappend(template,
						   makeString(pnstrdup(text + done, cut->location - done)));
		template = lappend(template, cut->is_reference ?
						   (Node *) list_make1(makeString(cut->schema)) :
						   (Node *) makeString(cut->schema));
		done = cut->location + length;
	}
	return lappend(template, makeString(pstrdup(text + done)));
}

List *
rh_template_make(Query *query)
{
	return rh_template_make_destructive(copyObject(query));
}

/* The schema's name as it is where the bucket lies. */
static void
fill_hole(StringInfo buf, Node *hole, const RhPlacement *placement)
{
	char		schema[NAMEDATALEN];
	RhPlacement copy = {0};

	if (IsA(hole, String))
		rh_shard_schema(schema, strVal(hole), placement->bucket_id, placement->generation);
	else
	{
		if (placement->node_id != 0)
			rh_reference_copy(placement->node_id, &copy);
		rh_shard_schema(schema, strVal(linitial((List *) hole)), copy.bucket_id, copy.generation);
	}
	appendStringInfoString(buf, quote_identifier(schema));
}

void
rh_template_render(StringInfo buf, List *template, const RhPlacement *placement)
{
	bool		hole = false;
	ListCell   *lc;

	foreach(lc, template)
	{
		if (hole)
			fill_hole(buf, lfirst(lc), placement);
		else
			appendStringInfoString(buf, strVal(lfirst(lc)));
		hole = !hole;
	}
}

/* All that makes a statement the same one, as a string of bytes. */
static void
build_identity(StringInfo buf, List *template, int ntypes, const Oid *types, List *relids)
{
	ListCell   *lc;

	foreach(lc, template)
	{
		Node	   *part = lfirst(lc);

		appendStringInfoString(buf, strVal(IsA(part, String) ? part : linitial((List *) part)));
		appendStringInfoChar(buf, '\0');
	}
	if (ntypes > 0)
		appendBinaryStringInfo(buf, (const char *) types, ntypes * sizeof(Oid));
	foreach(lc, relids)
	{
		RhTable		table;

		if (!rh_map_table(lfirst_oid(lc), &table))
			continue;
		appendBinaryStringInfo(buf, (const char *) &table.relid, sizeof(Oid));
		appendBinaryStringInfo(buf, (const char *) &table.ddl_generation, sizeof(int32));
	}
}

/* Begin with an empty table; also when it has grown too large. */
static void
reset_statements(void)
{
	HASHCTL		ctl = {0};

	if (statement_context == NULL)
		statement_context = AllocSetContextCreate(TopMemoryContext, "rehouse statements",
												  ALLOCSET_DEFAULT_SIZES);
	else
		MemoryContextReset(statement_context);
	ctl.keysize = sizeof(uint64);
	ctl.entrysize = sizeof(StatementEntry);
	ctl.hcxt = statement_context;
	statements = hash_create("rehouse statements", 256, &ctl,
							 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

uint64
rh_template_statement_id(List *template, int ntypes, const Oid *types, List *relids)
{
	StringInfoData identity;
	StatementEntry *entry;
	uint64		hash;
	bool		found;

	initStringInfo(&identity);
	build_identity(&identity, template, ntypes, types, relids);
	hash = hash_bytes_extended((unsigned char *) identity.data, identity.len, 0);

	/* Numbers are never used again, so forgetting costs preparing once more. */
	if (statements == NULL || hash_get_num_entries(statements) >= MAX_STATEMENTS)
		reset_statements();
	entry = hash_search(statements, &hash, HASH_FIND, &found);
	if (found && entry->identity_len == identity.len &&
		memcmp(entry->identity, identity.data, identity.len) == 0)
	{
		pfree(identity.data);
		return entry->statement_id;
	}
	if (!found)
	{
		char	   *kept = MemoryContextAlloc(statement_context, identity.len);

		memcpy(kept, identity.data, identity.len);
		entry = hash_search(statements, &hash, HASH_ENTER, NULL);
		entry->identity = kept;
		entry->identity_len = identity.len;
		entry->statement_id = ++last_statement_id;
		pfree(identity.data);
		return entry->statement_id;
	}

	/* Two statements with one hash: the later one is not shared. */
	pfree(identity.data);
	return ++last_statement_id;
}
